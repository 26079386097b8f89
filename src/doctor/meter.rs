//! Bus power and the first meter of a bus: it is asked as it is configured, and where it is silent,
//! in the other ways that explain it.

use std::error::Error;

use tokio::time::sleep;

use super::finding::{Finding, Report};
use super::{Patient, Root};
use crate::bus::device_tree;
use crate::bus::drive::drive;
use crate::bus::hat::{BusPower, OpenPin, PowerError};
use crate::bus::line::{Character, Line, LineError};
use crate::bus::session::{character, turn};
use crate::config::{Bus, Config, Hat, Meter, Port};
use crate::mbus::address::TEST_BROADCAST;
use crate::mbus::application::telegram::Telegram;
use crate::mbus::link::frame::Frame;
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::exchange::{Exchange, Exchanged};
use crate::mbus::master::readout::{LinkState, Readout, ReadoutError};
use crate::mbus::master::reply::ExchangeError;
use crate::mbus::master::request::Request;
use crate::mbus::medium;

const CHECK: &str = "meter";
const POWER: &str = "bus power";
/// The rates that meters are delivered with, besides the configured one.
const OTHER_RATES: [u32; 3] = [2400, 300, 9600];

/// The meter of a bus that is asked, and how.
struct Question<'a> {
    bus: &'a Bus,
    meter: &'a Meter,
}

pub(super) async fn examine(config: &Config, bus: &Bus, patient: &Patient, report: Report<'_>) {
    let place = config.buses.iter().position(|other| other == bus);
    let first = config.meters.iter().find(|meter| Some(meter.bus) == place);
    let mut line = match open(&patient.root, bus).await {
        Ok(line) => line,
        Err(error) => return report(cannot_open(&patient.root, &error)),
    };
    // Kept until the end, then the bus is switched off.
    let _power = match (bus.hat, patient.open_pin) {
        (None, _) => None,
        (Some(hat), None) => {
            let found = format!("GPIO {} is left alone: this root is a prepared one", hat.power_gpio);
            report(Finding::skipped(POWER, found));
            None
        }
        (Some(hat), Some(open_pin)) => match switch_on(hat, open_pin).await {
            Ok((power, finding)) => {
                report(finding);
                Some(power)
            }
            Err(finding) => return report(finding),
        },
    };
    report(match first {
        None => Finding::skipped(CHECK, "nobody to ask: no meter is configured on this bus"),
        Some(meter) => match (Question { bus, meter }).ask(&mut line).await {
            Ok(finding) => finding,
            Err(error) => cannot_open(&patient.root, &error),
        },
    });
}

async fn open(root: &Root, bus: &Bus) -> Result<Line, LineError> {
    let port = match &bus.port {
        Port::Serial(path) => Port::Serial(root.path(path)),
        other => other.clone(),
    };
    Line::open(&port, character(bus, None), &root.path(device_tree::ROOT)).await
}

async fn switch_on(hat: Hat, open_pin: OpenPin) -> Result<(BusPower, Finding), Finding> {
    let gpio = hat.power_gpio;
    match BusPower::open(gpio, true, open_pin) {
        Ok(power) => {
            sleep(hat.power_settle).await;
            let found = format!("on while this looks: GPIO {gpio} is high, and the Hat's red BUS LED must be lit");
            Ok((power, Finding::ok(POWER, found)))
        }
        Err(error @ PowerError::Open { .. }) => Err(Finding::failure(POWER, error.to_string())
            .mend("Look again as root; if that works, the group is what is missing:", ["sudo mbushat doctor"])),
        Err(error) => Err(Finding::failure(POWER, error.to_string())),
    }
}

fn cannot_open(root: &Root, error: &LineError) -> Finding {
    let reason = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    let found = root.localise(&format!("{error}{reason}"));
    let denied =
        matches!(error, LineError::Open { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
    let finding = Finding::failure(CHECK, found);
    match error {
        LineError::Held { .. } => finding.mend("See who has it:", ["sudo mbushat doctor"]),
        _ if denied => finding.mend("Look again as root:", ["sudo mbushat doctor"]),
        _ => finding,
    }
}

impl Question<'_> {
    /// As configured; if that fails, who else answers, and at which rate or parity this one does.
    async fn ask(&self, line: &mut Line) -> Result<Finding, LineError> {
        let configured = character(self.bus, Some(self.meter));
        let error = match self.read(line, configured, self.bus.retries).await? {
            Ok(identity) => {
                let how = describe(configured);
                return Ok(Finding::ok(CHECK, format!("{} answers at {how}{identity}", self.named())));
            }
            Err(error) => error,
        };
        let silent = matches!(error, ReadoutError::Silence | ReadoutError::NoAnswer(_));
        if !silent {
            let found = format!("{} answers, but gives no reading: {error}", self.named());
            return Ok(Finding::warning(CHECK, found).advise("Ask it again later; it may be busy or must be woken up."));
        }
        for other in others(configured) {
            if self.answers_at(line, other).await? {
                return Ok(self.answers_otherwise(configured, other));
            }
        }
        let anybody = self.anybody(line, configured).await?;
        Ok(self.silent(configured, error, anybody))
    }

    /// Whether it gives a reading at the first try, or at the second where the first was damaged.
    async fn answers_at(&self, line: &mut Line, character: Character) -> Result<bool, LineError> {
        Ok(match self.read(line, character, 0).await? {
            Err(ReadoutError::Silence) => false,
            Err(_) => self.read(line, character, 0).await?.is_ok(),
            Ok(_) => true,
        })
    }

    /// A readout; what the meter says it is, or why there is none.
    async fn read(
        &self,
        line: &mut Line,
        character: Character,
        retries: u8,
    ) -> Result<Result<String, ReadoutError>, LineError> {
        let mut readout = Readout::new(turn(self.meter), LinkState::default(), self.timing(line, character, retries));
        let over = drive(line, character, &mut readout).await?;
        Ok(over.frames.map(|frames| frames.first().map(|frame| identity(frame)).unwrap_or_default()))
    }

    /// Whether any meter acknowledges a reset of all, and be it in a jumble.
    async fn anybody(&self, line: &mut Line, character: Character) -> Result<bool, LineError> {
        let timing = self.timing(line, character, 1);
        let mut everybody = Exchange::new(Request::snd_nke(TEST_BROADCAST), timing);
        let Exchanged { reply, .. } = drive(line, character, &mut everybody).await?;
        Ok(!matches!(reply, Err(ExchangeError::Silence | ExchangeError::NeverQuiet)))
    }

    fn timing(&self, line: &Line, character: Character, retries: u8) -> LineTiming {
        let baud = character.baud;
        let configured = self.meter.timeout.or(self.bus.response_timeout).unwrap_or_default();
        let response_timeout = configured.max(baud.response_timeout());
        LineTiming { baud, response_timeout, latency: line.latency(), retries }
    }

    fn named(&self) -> String {
        format!("{} (address {})", self.meter.name, self.meter.address)
    }

    fn answers_otherwise(&self, configured: Character, other: Character) -> Finding {
        let found =
            format!("{} is silent at {}, but answers at {}", self.named(), describe(configured), describe(other));
        let mut lines = Vec::new();
        if other.baud != configured.baud {
            lines.push(format!("baud = {}", other.baud));
        }
        if other.parity != configured.parity {
            lines.push(format!("parity = \"{}\"", parity_word(other.parity)));
        }
        let say = "Say so in its [[meter]] of /etc/mbushat.toml (or in [[bus]], if all its meters are so):";
        Finding::failure(CHECK, found).mend(say, lines)
    }

    fn silent(&self, configured: Character, error: ReadoutError, anybody: bool) -> Finding {
        let rates: Vec<String> = others(configured).iter().map(|other| describe(*other)).collect();
        let tried = format!("{}; tried too: {}", describe(configured), rates.join(", "));
        if anybody {
            let found = format!("{} does not answer at {tried}; but another meter does", self.named());
            return Finding::failure(CHECK, found).mend("Find out who is there:", ["mbushat scan --toml"]);
        }
        let finding = Finding::failure(CHECK, format!("{}: {error} at {tried}", self.named()));
        let finding = match (error, self.bus.hat) {
            (ReadoutError::NoAnswer(_), _) => finding.advise(
                "Something came back, so the wire is live: look for two meters with one address, a loose wire, or \
                 another master on the bus.",
            ),
            (_, Some(hat)) => finding.advise(format!(
                "Is the Hat's red BUS LED lit? If not, its power pin may have been moved from GPIO {}: set power_gpio \
                 in [[bus]]. About 36 V must stand between its terminals, and at the meter's.",
                hat.power_gpio
            )),
            _ => finding.advise("Look whether the bus has its voltage, about 36 V, at the meter's terminals."),
        };
        finding.mend("Then look who is there, at every rate:", ["mbushat scan --baud all"])
    }
}

/// The ways to try besides the configured one: other rates, then the other parities.
fn others(configured: Character) -> Vec<Character> {
    let rates = OTHER_RATES.into_iter().filter_map(Baud::new).filter(|baud| *baud != configured.baud);
    let rates = rates.map(|baud| Character { baud, parity: Parity::Even, ..configured });
    let parities = [Parity::Even, Parity::None, Parity::Odd].into_iter().filter(|p| *p != configured.parity);
    rates.chain(parities.map(|parity| Character { parity, ..configured })).collect()
}

fn describe(character: Character) -> String {
    let letter = match character.parity {
        Parity::Even => 'E',
        Parity::Odd => 'O',
        Parity::None => 'N',
    };
    format!("{} 8{letter}{}", character.baud, character.stop_bits)
}

const fn parity_word(parity: Parity) -> &'static str {
    match parity {
        Parity::Even => "even",
        Parity::Odd => "odd",
        Parity::None => "none",
    }
}

/// `: ATS 30137315, heat`, where the telegram tells.
fn identity(frame: &[u8]) -> String {
    let identity = Frame::parse(frame).ok().and_then(|frame| Telegram::parse(&frame).ok()?.header.identity);
    identity.map_or_else(String::new, |identity| {
        let medium = medium::name(identity.medium()).replace('_', " ");
        format!(": {} {:08X}, {medium}", identity.manufacturer(), identity.id())
    })
}
