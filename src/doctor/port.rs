//! The port of a bus: there, allowed, and not in use.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::finding::{Finding, Report};
use super::root::Root;
use super::user::AgentUser;
use crate::bus::line::{Holder, holder_of, holder_of_gateway};
use crate::config;

const CHECK: &str = "port";

/// Whether the bus can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Usable,
    /// The agent has it.
    Agent,
    Unusable,
}

pub(super) async fn examine(
    root: &Root,
    port: &config::Port,
    user: Option<&AgentUser>,
    agent_online: bool,
    report: Report<'_>,
) -> Port {
    let (state, finding) = match port {
        config::Port::Serial(path) => serial(root, path, user),
        // Most gateways serve one program at a time.
        port if port.is_gateway() && agent_online => {
            (Port::Agent, Finding::ok(CHECK, format!("{port} is in use by the agent, as far as the broker knows")))
        }
        config::Port::Tcp { host, port: number } | config::Port::Rfc2217 { host, port: number } => {
            match holder_of_gateway(port, &root.path("/proc")).flatten() {
                Some(holder) if holder.is_agent() => {
                    (Port::Agent, Finding::ok(CHECK, format!("{port} is in use by the agent, {holder}")))
                }
                Some(holder) => {
                    let finding = Finding::failure(CHECK, format!("{port} is in use by {holder}"));
                    (Port::Unusable, finding.advise("Many gateways serve one program at a time: end the other."))
                }
                None => gateway(host, *number).await,
            }
        }
        config::Port::Sim(file) => {
            (Port::Usable, Finding::ok(CHECK, format!("a simulated bus, from {}", file.display())))
        }
    };
    report(finding);
    state
}

fn serial(root: &Root, path: &Path, user: Option<&AgentUser>) -> (Port, Finding) {
    let shown = path.display();
    let failure = |found: String| Finding::failure(CHECK, found);
    let file = match fs::metadata(root.path(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Port::Unusable, missing(path)),
        Err(error) => return (Port::Unusable, failure(format!("cannot look at {shown}: {error}"))),
    };
    if !file.file_type().is_char_device() {
        let found = format!("{shown} is not a device");
        return (Port::Unusable, failure(found).fix("Serial devices of this machine:", ["ls -l /dev/serial/by-id"]));
    }
    if let Some(holder) = holder_of(&root.path(path), &root.path("/proc")) {
        return if holder.is_agent() {
            (Port::Agent, Finding::ok(CHECK, format!("{shown} is in use by the agent, {holder}")))
        } else {
            (Port::Unusable, held(path, &holder))
        };
    }
    let denied = user.filter(|user| !user.may_use(&file));
    if let Some(user) = denied {
        let found = format!("{} may not read and write {shown}", user.name);
        return (
            Port::Unusable,
            failure(found).fix("See who may, then fix the group as above:", [format!("ls -lL {shown}")]),
        );
    }
    (Port::Usable, Finding::ok(CHECK, format!("{shown} is there and free")))
}

fn missing(path: &Path) -> Finding {
    let finding = Finding::failure(CHECK, format!("{} does not exist", path.display()));
    if path.to_string_lossy().contains("USB") || path.to_string_lossy().contains("ACM") {
        let say = "Plug the adapter in; a name of /dev/serial/by-id stays the same at another plug:";
        return finding.fix(say, ["ls -l /dev/serial/by-id"]);
    }
    finding.advise("Correct `port` in [[bus]]; on a Pi, fix the UART as said above.")
}

fn held(path: &Path, holder: &Holder) -> Finding {
    let finding = Finding::failure(CHECK, format!("{} is held by {holder}", path.display()));
    if holder.name.contains("getty") || holder.name == "login" {
        let device = path.file_name().unwrap_or_default().to_string_lossy();
        let stop = format!("sudo systemctl disable --now serial-getty@{device}.service");
        return finding.fix("That is a login; switch it off:", [stop]);
    }
    finding.fix("See what it belongs to, and stop that:", [format!("systemctl status {}", holder.pid)])
}

/// Connecting is all that can be known of a gateway; the meter check opens its own connection.
async fn gateway(host: &str, port: u16) -> (Port, Finding) {
    const WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
    let tried = tokio::time::timeout(WITHIN, tokio::net::TcpStream::connect((host, port))).await;
    let error = match tried {
        Ok(Ok(_)) => return (Port::Usable, Finding::ok(CHECK, format!("the gateway {host} port {port} answers"))),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", WITHIN.as_secs()),
    };
    let finding = Finding::failure(CHECK, format!("cannot connect to the gateway {host} port {port}: {error}"));
    let finding = finding
        .fix("See whether it is on the network:", [format!("ping -c 3 {host}")])
        .advise("Many gateways serve one program at a time: end the other, the agent too.");
    (Port::Unusable, finding)
}
