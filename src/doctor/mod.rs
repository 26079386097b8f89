//! Everything between the configuration and a reading, looked at in order: each check says what it
//! found, and where something is wrong, what to paste to fix it.
//!
//! Checks only look, with three exceptions that a person who runs the doctor expects: bus power goes
//! on for as long as the bus is looked at, its meters are asked (through the agent, where that has
//! the bus), and the broker gets one message on a topic of our own and an empty one that Home
//! Assistant ignores.
//!
//! Each check takes the [`Root`] that it looks below, so that all of them can be tried on a machine
//! that is not a Pi. Not here: how findings are printed (`cli::doctor`), who fixes it.

mod agent;
mod board;
mod boot;
mod broker;
mod clock;
mod finding;
mod meter;
mod others;
mod pi;
mod port;
mod root;
pub(crate) mod user;

use std::io::ErrorKind;
use std::path::Path;

pub use finding::{Finding, Remedy, Verdict};
pub use root::Root;

use crate::bus::hat::OpenPin;
use crate::config::{Bus, Config, LoadError, Meter, Port};
use board::Board;
use boot::Boot;
use finding::Report;
use port::Port as PortState;
use user::AgentUser;

const CONFIG: &str = "config";

/// Where the doctor looks and what it may touch.
#[derive(Debug)]
pub struct Patient {
    /// The machine's own root, or a prepared one.
    pub root: Root,
    /// How bus power is switched; `None`: it is not.
    pub open_pin: Option<OpenPin>,
    /// Names of the meters that are asked, each of them configured; empty: all.
    pub only: Vec<String>,
    /// Shows what is going on where that takes long.
    pub progress: fn(&str),
}

/// Looks at everything that `config`, read from `file`, needs, in the order in which it is needed;
/// `report` gets each finding when it is made. The broker is reported last but for the clock and the
/// meters that the agent is asked to read.
pub async fn examine(config: &Config, file: &Path, patient: &Patient, report: &mut dyn FnMut(Finding)) {
    let root = &patient.root;
    let file = root.localise(&file.display().to_string());
    let report: Report<'_> = &mut |finding: Finding| report(finding.naming(&file));
    report(read_configuration(config, &file));
    let boot = Boot::read(root);
    let board = Board::of(root);
    if config.buses.iter().any(|bus| bus.hat.is_some() || on_header(root, bus)) {
        report(pi::model(root));
    }
    // Looked at first, because it tells whether an agent has the gateways.
    let mut broker = Vec::new();
    let agent_online = broker::examine(config, patient, &mut |finding| broker.push(finding)).await;
    let user = user::agent_user(root);
    let wards = config.buses.iter().enumerate().map(|(place, bus)| Ward {
        config,
        bus,
        place,
        patient,
        boot: &boot,
        board,
        user: &user,
        agent_online,
    });
    let agents = examine_buses(wards.collect(), report).await;
    broker.into_iter().for_each(&mut *report);
    if agent_online {
        agent::examine(config, &agents, patient, report).await;
    }
    report(clock::examine(root));
}

/// The meters that are asked.
fn selected<'a>(config: &'a Config, patient: &'a Patient) -> impl Iterator<Item = &'a Meter> {
    config.meters.iter().filter(|meter| patient.only.is_empty() || patient.only.contains(&meter.name))
}

/// Looks at each bus, and for meters that are silent on their own at the others; which buses the agent has.
async fn examine_buses(wards: Vec<Ward<'_>>, report: Report<'_>) -> Vec<usize> {
    let (mut silent, mut usable, mut agents) = (Vec::new(), Vec::new(), Vec::new());
    let several = wards.len() > 1;
    for ward in wards.iter().filter(|ward| ward.is_meant()) {
        let mut report: Report<'_> = &mut |finding: Finding| {
            let name = several.then(|| ward.bus.name.clone());
            report(Finding { bus: name, ..finding });
        };
        match examine_bus(ward, &mut report).await {
            PortState::Usable => {
                usable.push(ward);
                silent.extend(meter::examine(ward, report).await.into_iter().map(|silent| (ward, silent)));
            }
            PortState::Agent => agents.push(ward.place),
            PortState::Unusable => {}
        }
    }
    for (ward, silent) in silent {
        let mut found = None;
        for other in usable.iter().filter(|other| other.place != ward.place) {
            (ward.patient.progress)(&format!("looking for {} on bus {}", silent.meter.name, other.bus.name));
            found = meter::on_other_bus(&silent, other.bus, ward.patient).await;
            if found.is_some() {
                break;
            }
        }
        report(Finding { bus: Some(ward.bus.name.clone()), ..found.unwrap_or(silent.finding) });
    }
    agents
}

/// What there is to say where there is no configuration to look at.
#[must_use]
pub fn without_configuration(error: &LoadError, file: &Path, root: &Root) -> Finding {
    let finding = match error {
        LoadError::Unreadable { file, error: cause } => {
            let finding = Finding::failure(CONFIG, root.localise(&format!("{error}: {cause}")));
            match cause.kind() {
                ErrorKind::PermissionDenied => finding.fix("Look again as root:", ["sudo mbushat doctor"]),
                ErrorKind::NotFound => finding.fix(
                    root.localise(&format!("Write one as {}; it may be as short as this:", file.display())),
                    ["[mqtt]", "url = \"mqtt://localhost\"", "[[meter]]", "name = \"cold_water\"", "address = 48"],
                ),
                _ => finding,
            }
        }
        LoadError::NoSimulation { error: cause, .. } => {
            Finding::failure(CONFIG, root.localise(&format!("{error}: {cause}")))
        }
        LoadError::Bad(problems) => Finding::failure(CONFIG, root.localise(&problems.to_string()))
            .fix("Correct it, then see what it means:", ["mbushat check"]),
    };
    finding.naming(&root.localise(&file.display().to_string()))
}

/// What the checks of one bus look at.
struct Ward<'a> {
    config: &'a Config,
    bus: &'a Bus,
    /// Index in `Config::buses`.
    place: usize,
    patient: &'a Patient,
    boot: &'a Boot,
    board: Board,
    user: &'a Result<AgentUser, Finding>,
    agent_online: bool,
}

impl<'a> Ward<'a> {
    /// The meters of the bus that are asked.
    fn meters(&self) -> Vec<&'a Meter> {
        selected(self.config, self.patient).filter(|meter| meter.bus == self.place).collect()
    }

    /// Whether there is anything to look at: where meters are named, their buses alone.
    fn is_meant(&self) -> bool {
        self.patient.only.is_empty() || !self.meters().is_empty()
    }
}

/// Everything but the meters; whether those can be asked.
async fn examine_bus(ward: &Ward<'_>, report: Report<'_>) -> PortState {
    let Ward { bus, patient: Patient { root, .. }, .. } = *ward;
    let mut powerable = true;
    if let Some(hat) = bus.hat {
        let finding = pi::hat(root, ward.boot, hat);
        powerable = finding.verdict == Verdict::Ok;
        report(finding);
    }
    if let Port::Serial(path) = &bus.port {
        if on_header(root, bus) {
            report(boot::uart(root, ward.boot, ward.board, path));
            report(boot::console(root, ward.boot, ward.board, path));
        }
        report(user::groups(root, ward.user, path, bus.hat.is_some()));
    }
    let state = port::examine(root, &bus.port, ward.user.as_ref().ok(), ward.agent_online, report).await;
    if let Some(hat) = bus.hat {
        report(boot::power_pin(ward.boot, hat.power_gpio));
    }
    match state {
        PortState::Usable if powerable => return state,
        PortState::Usable => {
            report(Finding::skipped(meter::CHECK, "not asked: the bus has no power without its Hat"));
        }
        PortState::Agent => report(agent::not_asked(ward.agent_online)),
        PortState::Unusable => report(Finding::skipped(meter::CHECK, "not asked: the port cannot be used")),
    }
    if state == PortState::Agent { state } else { PortState::Unusable }
}

/// Whether a bus is on the UART of the Pi's header.
fn on_header(root: &Root, bus: &Bus) -> bool {
    let Port::Serial(path) = &bus.port else { return false };
    let name = root.device_name(path);
    ["ttyAMA", "ttyS", "serial"].iter().any(|kind| name.starts_with(kind))
}

fn read_configuration(config: &Config, file: &str) -> Finding {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (buses, meters) =
        (count(config.buses.len(), "bus").replace("buss", "buses"), count(config.meters.len(), "meter"));
    let found = format!("{file} is good: {buses}, {meters}");
    if config.meters.is_empty() && !config.disabled_meters.is_empty() {
        let names = config.disabled_names().join(", ");
        return Finding::warning(
            CONFIG,
            format!("{file} is good, but no meter is enabled: {names} has enabled = false"),
        );
    }
    let looks = config.buses.iter().filter(|bus| bus.discover).map(|bus| bus.name.as_str()).collect::<Vec<_>>();
    if config.meters.is_empty() && !looks.is_empty() {
        let found = format!("{found}: the agent looks for meters itself, on bus {}, and adopts them", looks.join(", "));
        return Finding::ok(CONFIG, found);
    }
    if config.meters.is_empty() {
        return Finding::warning(CONFIG, found).fix(
            "Add the meters that `mbushat scan --toml` finds, or one whose address you know:",
            ["[[meter]]", "name = \"cold_water\"", "address = 48"],
        );
    }
    Finding::ok(CONFIG, found)
}

#[cfg(test)]
mod tests {
    use super::{Verdict, read_configuration};
    use crate::config;

    #[test]
    fn whoever_has_no_meter_is_told_to_add_one_only_where_the_agent_does_not_look_for_them() {
        let file = std::env::temp_dir().join(format!("mbushat-doctor-none-{}.toml", std::process::id()));
        let of = |discover: bool| {
            let bus = format!("[[bus]]\nname = \"b\"\nport = \"/dev/ttyUSB0\"\ndiscover = {discover}\n");
            std::fs::write(&file, bus).expect("a file");
            let finding = read_configuration(&config::load(&file).expect("a configuration"), "t.toml");
            std::fs::remove_file(&file).expect("ours");
            finding
        };
        let looking = of(true);
        assert!(looking.verdict == Verdict::Ok && looking.remedies.is_empty(), "{looking:?}");
        assert!(looking.found.contains("the agent looks for meters itself, on bus b"), "{looking:?}");
        let told = of(false).remedies.remove(0);
        assert!(told.say.contains("scan --toml"), "{told:?}");
    }
}
