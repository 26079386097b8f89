//! Everything between the configuration and a reading, looked at in order: each check says what it
//! found, and where that is no good, what to paste to mend it.
//!
//! Checks only look, with three exceptions that a person who runs the doctor expects: bus power goes
//! on for as long as the bus is looked at, its first meter is asked, and the broker gets one message
//! on a topic of our own and an empty one that Home Assistant ignores.
//!
//! Each check takes the [`Root`] that it looks below, so that all of them can be tried on a machine
//! that is no Pi. Not here: how findings are printed (`cli::doctor`), who mends them.

mod board;
mod boot;
mod broker;
mod clock;
mod finding;
mod meter;
mod pi;
mod port;
mod root;
mod user;

use std::io::ErrorKind;
use std::path::Path;

pub use finding::{Finding, Remedy, Verdict};
pub use root::Root;

use crate::bus::hat::OpenPin;
use crate::config::{Bus, Config, LoadError, Port};
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
}

/// Looks at everything that `config`, read from `file`, needs, in the order in which it is needed;
/// `report` gets each finding when it is made. The broker is asked last but for the clock.
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
    let user = user::agent_user(root);
    for bus in &config.buses {
        let mut report: Report<'_> = &mut |finding: Finding| {
            let name = (config.buses.len() > 1).then(|| bus.name.clone());
            report(Finding { bus: name, ..finding });
        };
        examine_bus(&Ward { config, bus, patient, boot: &boot, board, user: &user }, &mut report).await;
    }
    broker::examine(config, root, report).await;
    report(clock::examine(root));
}

/// What there is to say where there is no configuration to look at.
#[must_use]
pub fn without_configuration(error: &LoadError, root: &Root) -> Finding {
    match error {
        LoadError::Unreadable { file, error: cause } => {
            let finding = Finding::failure(CONFIG, root.localise(&format!("{error}: {cause}")));
            match cause.kind() {
                ErrorKind::PermissionDenied => finding.mend("Look again as root:", ["sudo mbushat doctor"]),
                ErrorKind::NotFound => finding.mend(
                    root.localise(&format!("Write one as {}; it may be as short as this:", file.display())),
                    ["[mqtt]", "url = \"mqtt://localhost\"", "[[meter]]", "name = \"cold_water\"", "address = 48"],
                ),
                _ => finding,
            }
        }
        LoadError::Bad(problems) => Finding::failure(CONFIG, root.localise(&problems.to_string()))
            .mend("Correct it, then see what it means:", ["mbushat check"]),
    }
}

/// What the checks of one bus look at.
struct Ward<'a> {
    config: &'a Config,
    bus: &'a Bus,
    patient: &'a Patient,
    boot: &'a Boot,
    board: Board,
    user: &'a Result<AgentUser, Finding>,
}

async fn examine_bus(ward: &Ward<'_>, report: Report<'_>) {
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
    let state = port::examine(root, &bus.port, ward.user.as_ref().ok(), report).await;
    if let Some(hat) = bus.hat {
        report(boot::power_pin(ward.boot, hat.power_gpio));
    }
    match state {
        PortState::Usable if powerable => meter::examine(ward.config, bus, ward.patient, report).await,
        PortState::Usable => report(Finding::skipped("meter", "not asked: the bus has no power without its Hat")),
        PortState::Agent => report(Finding::skipped(
            "meter",
            "not asked: the agent reads this bus, see what it says below; to ask here, `systemctl stop mbushat` first",
        )),
        PortState::Unusable => report(Finding::skipped("meter", "not asked: the port cannot be used")),
    }
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
    if config.meters.is_empty() {
        return Finding::warning(CONFIG, found).mend(
            "Add the meters that `mbushat scan --toml` finds, or one whose address you know:",
            ["[[meter]]", "name = \"cold_water\"", "address = 48"],
        );
    }
    Finding::ok(CONFIG, found)
}
