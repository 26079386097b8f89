//! Bus power and the meters of a bus: each is asked as it is configured, and where it is silent, in
//! the other ways that explain it.

mod others;
mod telegrams;

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant, sleep};

use super::finding::{Finding, Report};
use super::{Patient, Root, Ward};
use crate::bus::Machine;
use crate::bus::device_tree;
use crate::bus::hat::{BusPower, OpenPin, PowerError};
use crate::bus::line::{Character, LineError};
use crate::bus::session::{Outage, Query, Session, character, in_one_line, response_timeout};
use crate::bus::slow::{answers_slowly, enough};
use crate::config::{Bus, Config, Hat, Meter, Port};
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::readout::{Effort, LinkState, ReadoutError, TurnOver};
use crate::mbus::master::reply::{ExchangeError, FIND_THE_NOISE};
use crate::measure::unnamed::unnamed;
use others::primary_of;
use telegrams::{has_records, identity, opener, unopened};

pub(super) const CHECK: &str = "meter";
const POWER: &str = "bus power";
/// The rates that meters are delivered with, besides the configured one.
const OTHER_RATES: [u32; 3] = [2400, 300, 9600];
/// How long the other ways may be tried on one bus. A silent meter takes about 10 s of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A meter that does not answer, and what there is to say of it if no other bus has it.
pub(super) struct Silent<'a> {
    config: &'a Config,
    pub(super) meter: &'a Meter,
    pub(super) finding: Finding,
}

/// A bus whose line is open and whose power is on. The fields fall in this order.
pub(super) struct Open {
    session: Session,
    _power: Option<BusPower>,
}

/// The meter that is asked, and where.
struct Question<'a> {
    bus: &'a Bus,
    meter: &'a Meter,
    config: &'a Config,
    /// Until when the other ways are tried.
    until: Instant,
}

/// What came of a question.
enum Answer {
    Found(Finding),
    Silent(Finding),
}

/// Asks each meter of the bus. Those that are silent are not reported yet where another bus may have them.
pub(super) async fn examine<'a>(ward: &Ward<'a>, report: Report<'_>) -> Vec<Silent<'a>> {
    let (bus, patient) = (ward.bus, ward.patient);
    let mut silent = Vec::new();
    let mut open = match Open::new(bus, patient, report).await {
        Ok(open) => open,
        Err(finding) => {
            report(finding);
            return silent;
        }
    };
    let (meters, until) = (ward.meters(), Instant::now() + PATIENCE);
    if meters.is_empty() {
        report(Finding::skipped(CHECK, "no meter is configured on this bus"));
    }
    for (number, meter) in meters.iter().enumerate() {
        (patient.progress)(&format!("asking {} ({} of {})", meter.name, number + 1, meters.len()));
        let config = ward.config;
        match (Question { bus, meter, config, until }).ask(&mut open.session).await {
            Ok(Answer::Found(finding)) => report(finding),
            Ok(Answer::Silent(finding)) if ward.config.buses.len() == 1 => report(finding),
            Ok(Answer::Silent(finding)) => silent.push(Silent { config, meter, finding }),
            Err(error) => {
                report(cannot_open(&patient.root, &error));
                break;
            }
        }
    }
    silent
}

/// Whether a meter of another bus answers on this one; what to say then.
pub(super) async fn on_other_bus(silent: &Silent<'_>, bus: &Bus, patient: &Patient) -> Option<Finding> {
    let mut open = Open::new(bus, patient, &mut |_| {}).await.ok()?;
    let question = Question { bus, meter: silent.meter, config: silent.config, until: Instant::now() };
    let here = character(bus, Some(silent.meter));
    if !question.answers_at(&mut open.session, here).await.ok()? {
        return None;
    }
    let found = format!("{} is on another bus: it answers on {}, at {here}", named(silent.meter), bus.name);
    let say = format!("Change its [[meter]] in {}:", file_of(silent.config, silent.meter));
    Some(Finding::failure(CHECK, found).fix(say, [format!("bus = \"{}\"", bus.name)]))
}

impl Open {
    async fn new(bus: &Bus, patient: &Patient, report: Report<'_>) -> Result<Self, Finding> {
        let root = &patient.root;
        let port = match &bus.port {
            Port::Serial(path) => Port::Serial(root.path(path)),
            other => other.clone(),
        };
        // Power is switched here, because a prepared root has none.
        let unpowered = Bus { port, hat: None, ..bus.clone() };
        let machine = Machine { device_tree: root.path(device_tree::ROOT), open_pin: crate::bus::hat::open_pin };
        let session = match Session::open(&unpowered, &machine, true).await {
            Ok(session) => session,
            Err(Outage::Line(error)) => return Err(cannot_open(root, &error)),
            Err(other) => return Err(Finding::failure(CHECK, root.localise(&in_one_line(&other)))),
        };
        let power = match (bus.hat, patient.open_pin) {
            (None, _) => None,
            (Some(hat), None) => {
                let found = format!("GPIO {} is not switched: with --root only files are looked at", hat.power_gpio);
                report(Finding::skipped(POWER, found));
                None
            }
            (Some(hat), Some(open_pin)) => {
                let (power, finding) = switch_on(hat, open_pin).await?;
                report(finding);
                Some(power)
            }
        };
        Ok(Self { session, _power: power })
    }
}

async fn switch_on(hat: Hat, open_pin: OpenPin) -> Result<(BusPower, Finding), Finding> {
    let gpio = hat.power_gpio;
    match BusPower::open(gpio, true, open_pin) {
        Ok(power) => {
            sleep(hat.power_settle).await;
            let found = format!("on during this check: GPIO {gpio} is high, and the Hat's red BUS LED must be lit");
            Ok((power, Finding::ok(POWER, found)))
        }
        Err(error @ PowerError::Open { .. }) => Err(Finding::failure(POWER, error.to_string())
            .fix("Look again as root; if that works, the group is what is missing:", ["sudo mbushat doctor"])),
        Err(error) => Err(Finding::failure(POWER, error.to_string())),
    }
}

fn cannot_open(root: &Root, error: &LineError) -> Finding {
    let found = root.localise(&in_one_line(error));
    let denied =
        matches!(error, LineError::Open { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
    let finding = Finding::failure(CHECK, found);
    match error {
        LineError::Held { .. } => finding.fix("See who has it:", ["sudo mbushat doctor"]),
        _ if denied => finding.fix("Look again as root:", ["sudo mbushat doctor"]),
        _ => finding,
    }
}

impl Question<'_> {
    /// As configured; if that fails, at which rate or parity this one does, and who else answers.
    async fn ask(&self, session: &mut Session) -> Result<Answer, LineError> {
        let configured = character(self.bus, Some(self.meter));
        let timing = session.timing_of(&Query::new(self.bus, self.meter));
        let over = self.read(session, configured, Effort::Full).await?;
        let error = match over.frames {
            Ok(frames) => {
                let finding = self.answered(configured, &frames);
                return Ok(Answer::Found(with_slowness(finding, over.response_time, timing)));
            }
            Err(error) => error,
        };
        if matches!(error, ReadoutError::Unsupported { .. }) {
            let finding = Finding::failure(CHECK, format!("{} cannot be asked: {error}", named(self.meter)));
            return Ok(Answer::Found(finding.advise("Let the gateway take it, or put the meter behind another one.")));
        }
        if !matches!(error, ReadoutError::Silence | ReadoutError::NoAnswer(_)) {
            let found = format!("{} answers, but gives no reading: {error}", named(self.meter));
            let finding = Finding::failure(CHECK, found);
            return Ok(Answer::Found(finding.advise("Ask it again later; it may be busy or must be woken up.")));
        }
        if error == ReadoutError::NoAnswer(ExchangeError::NeverQuiet) {
            let found = format!("{}: {error}, so it cannot be asked", named(self.meter));
            return Ok(Answer::Silent(Finding::failure(CHECK, found).advise(FIND_THE_NOISE)));
        }
        if Instant::now() > self.until {
            let found = format!(
                "{}: {error} at {configured}; other ways were not tried, that took too long",
                named(self.meter)
            );
            let again = format!("mbushat doctor {}", self.meter.name);
            return Ok(Answer::Silent(Finding::failure(CHECK, found).fix("Look at only this one:", [again])));
        }
        for other in self.others(configured) {
            if self.answers_at(session, other).await? {
                return Ok(Answer::Found(self.answers_otherwise(configured, other)));
            }
        }
        if self.anybody(session, configured).await? {
            let other = self.only_meter(session, configured).await?;
            let says = other.as_deref().and_then(primary_of);
            let is_there = match says {
                Some(address) => self.answers_to(session, configured, address).await?,
                None => false,
            };
            return Ok(Answer::Silent(self.another_answers(configured, other.as_deref(), says.filter(|_| is_there))));
        }
        Ok(Answer::Silent(self.silent(configured, error)))
    }

    /// The other ways to try; none where the line cannot change.
    fn others(&self, configured: Character) -> Vec<Character> {
        if self.bus.port.keeps_its_rate() { Vec::new() } else { others(configured) }
    }

    fn tried(&self, configured: Character) -> String {
        let rates: Vec<String> = self.others(configured).iter().map(ToString::to_string).collect();
        if rates.is_empty() { configured.to_string() } else { format!("{configured}; tried too: {}", rates.join(", ")) }
    }

    /// Whether it gives a reading at the first try, or at the second where the first was damaged.
    async fn answers_at(&self, session: &mut Session, character: Character) -> Result<bool, LineError> {
        Ok(match self.read(session, character, Effort::Short).await?.frames {
            Err(ReadoutError::Silence) => false,
            Err(_) => self.read(session, character, Effort::Short).await?.frames.is_ok(),
            Ok(_) => true,
        })
    }

    /// Its turn, with characters like these.
    async fn read(&self, session: &mut Session, character: Character, effort: Effort) -> Result<TurnOver, LineError> {
        let mut query = Query::new(self.bus, self.meter);
        query.response_timeout = response_timeout(self.bus, Some(self.meter), character.baud);
        (query.character, query.turn.effort) = (character, effort);
        session.read(query, LinkState::default()).await
    }

    /// It answers: whether that can be understood.
    fn answered(&self, how: Character, frames: &[Vec<u8>]) -> Finding {
        let name = named(self.meter);
        let identity = frames.first().map(|frame| identity(frame)).unwrap_or_default();
        if let Some(encrypted) = frames.iter().find_map(|frame| unopened(frame, self.meter)) {
            let found = format!("{name} answers at {how}{identity}; but {encrypted}");
            return with_key(Finding::failure(CHECK, found), self.config, self.meter);
        }
        if !frames.iter().any(|frame| has_records(frame)) {
            let found = format!("{name} answers at {how}{identity}; but its telegram has no data");
            return Finding::failure(CHECK, found)
                .advise("Its application may have to be selected: see `mbushat meter reset` and its manual.");
        }
        let units = BTreeMap::new();
        let rules = self.meter.rules(&self.config.profiles, &units);
        let count = if rules.only.is_some() { 0 } else { unnamed(frames, &rules, &mut opener(self.meter)).len() };
        with_unnamed(Finding::ok(CHECK, format!("{name} answers at {how}{identity}")), self.meter, count)
    }

    fn answers_otherwise(&self, configured: Character, other: Character) -> Finding {
        let found = format!("{} is silent at {configured}, but answers at {other}", named(self.meter));
        let mut lines = Vec::new();
        if other.baud != configured.baud {
            lines.push(format!("baud = {}", other.baud));
        }
        if other.parity != configured.parity {
            lines.push(format!("parity = \"{}\"", other.parity.word()));
        }
        let file = file_of(self.config, self.meter);
        let say = format!("Say so in its [[meter]] of {file} (or in [[bus]], if all its meters are so):");
        Finding::failure(CHECK, found).fix(say, lines)
    }

    fn silent(&self, configured: Character, error: ReadoutError) -> Finding {
        let finding = Finding::failure(CHECK, format!("{}: {error} at {}", named(self.meter), self.tried(configured)));
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
        if self.bus.port.keeps_its_rate() {
            return finding.fix("Then look who is there:", ["mbushat scan"]);
        }
        finding.fix("Then look who is there, at every rate:", ["mbushat scan --baud all"])
    }
}

pub(super) fn named(meter: &Meter) -> String {
    format!("{} (address {})", meter.name, meter.address)
}

/// The file that the `[[meter]]` stands in.
pub(super) fn file_of(config: &Config, meter: &Meter) -> String {
    if is_adopted(config, meter) { config.adopted.file.display().to_string() } else { "/etc/mbushat.toml".to_owned() }
}

fn is_adopted(config: &Config, meter: &Meter) -> bool {
    config.adopted.names.contains(&meter.name)
}

/// The finding, and where its key goes.
pub(super) fn with_key(finding: Finding, config: &Config, meter: &Meter) -> Finding {
    let file = file_of(config, meter);
    let key = ["key = \"…\""];
    if is_adopted(config, meter) {
        let say =
            "Its supplier has the key, 32 hex digits; on its page, with the request `adopt`, or in its [[meter]] of";
        return finding.fix(format!("{say} {file}:"), key);
    }
    finding.fix(format!("Its supplier has the key, 32 hex digits; in its [[meter]] of {file}:"), key)
}

/// The ways to try besides the configured one: other rates, then the other parities.
fn others(configured: Character) -> Vec<Character> {
    let rates = OTHER_RATES.into_iter().filter_map(Baud::new).filter(|baud| *baud != configured.baud);
    let rates = rates.map(|baud| Character { baud, parity: Parity::Even, ..configured });
    let parities = [Parity::Even, Parity::None, Parity::Odd].into_iter().filter(|p| *p != configured.parity);
    rates.chain(parities.map(|parity| Character { parity, ..configured })).collect()
}

/// The finding, and the setting for a meter that answers late.
fn with_slowness(finding: Finding, response_time: Option<Duration>, timing: LineTiming) -> Finding {
    match answers_slowly(response_time, timing) {
        Some(slowly) => finding.fix(format!("But {slowly}. In its [[meter]]:"), [enough(response_time)]),
        None => finding,
    }
}

/// The finding, and what to do about values that nothing names.
pub(super) fn with_unnamed(finding: Finding, meter: &Meter, count: usize) -> Finding {
    if count == 0 {
        return finding;
    }
    let say = format!("{count} of its values have no name. This prints rules that name them:");
    finding.fix(say, [format!("mbushat profiles unknown {}", meter.name)])
}

#[cfg(test)]
mod tests {
    use super::{Finding, file_of, with_key};
    use crate::config;

    #[test]
    fn what_was_adopted_is_changed_in_the_file_of_adopted_meters() {
        let folder = std::env::temp_dir().join(format!("mbushat-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (file, adopted) = (folder.join("t.toml"), folder.join("meters.toml"));
        let text = format!("[agent]\nmeters_file = {adopted:?}\n[[meter]]\nname = \"mine\"\naddress = 1\n");
        std::fs::write(&file, text).expect("a file");
        std::fs::write(&adopted, "[[meter]]\nname = \"found\"\naddress = 2\n").expect("a file");
        let config = config::load(&file).expect("a configuration");
        std::fs::remove_dir_all(folder).expect("ours");
        let [mine, found] = config.meters.as_slice() else { panic!("two meters") };
        assert_eq!(file_of(&config, mine), "/etc/mbushat.toml");
        assert_eq!(file_of(&config, found), adopted.display().to_string());
        let say = |meter| with_key(Finding::ok("meter", ""), &config, meter).remedies.remove(0).say;
        assert!(say(found).contains("the request `adopt`") && say(found).contains("meters.toml"), "{}", say(found));
        assert!(say(mine).ends_with("in its [[meter]] of /etc/mbushat.toml:"), "{}", say(mine));
    }
}
