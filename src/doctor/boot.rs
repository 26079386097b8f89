//! What the firmware was told: `config.txt` (overlays) and `cmdline.txt` (the console), and whether
//! it gives the header's UART and the Hat's pin to us (Raspberry Pi documentation, "Configuring UARTs").

use std::path::Path;

use super::board::Board;
use super::finding::Finding;
use super::root::Root;
use crate::bus::hat::POWER_GPIO;

/// The boot folder of Raspberry Pi OS since Bookworm, then before.
const CONFIG: [&str; 2] = ["/boot/firmware/config.txt", "/boot/config.txt"];
const CMDLINE: [&str; 2] = ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"];
/// The unit that attaches Bluetooth to the PL011, where the kernel does not.
const HCIUART: [&str; 2] = ["/lib/systemd/system/hciuart.service", "/usr/lib/systemd/system/hciuart.service"];

/// What the boot files ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Boot {
    /// Path and settings of `config.txt` that count on this Pi; `None` where there is no such file.
    config: Option<(&'static str, Vec<Setting>)>,
    /// Path and text of `cmdline.txt`.
    cmdline: Option<(&'static str, String)>,
}

/// `dtoverlay=name,parameters` or `dtparam=name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    Overlay { name: String, parameters: Vec<String> },
    Parameter(String),
}

impl Boot {
    pub(super) fn read(root: &Root) -> Self {
        let model = crate::bus::device_tree::model(&root.path(crate::bus::device_tree::ROOT)).unwrap_or_default();
        let config = root.first_text(&CONFIG).map(|(path, text)| (path, settings(&text, &model)));
        Self { config, cmdline: root.first_text(&CMDLINE) }
    }

    /// Where a line is to be added.
    pub(super) fn config_path(&self) -> &'static str {
        self.config.as_ref().map_or(CONFIG[0], |(path, _)| path)
    }

    fn settings(&self) -> &[Setting] {
        self.config.as_ref().map_or(&[], |(_, settings)| settings)
    }

    /// The overlay among `names` that is asked for.
    fn overlay(&self, names: &[&str]) -> Option<&str> {
        self.settings().iter().find_map(|setting| match setting {
            Setting::Overlay { name, .. } if names.contains(&name.as_str()) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The command that adds `line` to `config.txt`: for every model, and on a line of its own,
    /// whichever section the file ends in and however its last line ends.
    pub(super) fn add(&self, line: &str) -> String {
        format!("sudo sed -i '$a[all]\\n{line}' {}", self.config_path())
    }
}

/// What counts of a `config.txt` on `model`: sections of other models are left out, as are those that
/// depend on what cannot be seen here (a display, a serial number, a pin).
fn settings(text: &str, model: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut counts = true;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            counts = section_counts(&section.to_ascii_lowercase(), model);
        } else if !counts {
        } else if let Some(overlay) = line.strip_prefix("dtoverlay=") {
            let mut parts = overlay.split([',', ':']).map(|part| part.trim().to_owned());
            let name = parts.next().unwrap_or_default();
            settings.push(Setting::Overlay { name, parameters: parts.collect() });
        } else if let Some(parameters) = line.strip_prefix("dtparam=") {
            // Parameters right after an overlay's line are that overlay's too.
            for parameter in parameters.split(',').map(|part| part.trim().to_owned()) {
                if let Some(Setting::Overlay { parameters, .. }) = settings.last_mut() {
                    parameters.push(parameter.clone());
                }
                settings.push(Setting::Parameter(parameter));
            }
        }
    }
    settings
}

fn section_counts(section: &str, model: &str) -> bool {
    let is = |name: &str| model.contains(name);
    match section {
        "all" => true,
        "pi1" => is("Raspberry Pi Model"),
        "pi2" => is("Raspberry Pi 2"),
        "pi3" => is("Raspberry Pi 3") || is("Compute Module 3"),
        "pi3+" => is("Raspberry Pi 3") && is("Plus"),
        "pi4" => is("Raspberry Pi 4") || is("Compute Module 4"),
        "pi400" => is("Raspberry Pi 400"),
        "pi5" => is("Raspberry Pi 5") || is("Compute Module 5"),
        "pi500" => is("Raspberry Pi 500"),
        "cm4" => is("Compute Module 4"),
        "cm5" => is("Compute Module 5"),
        "pi0" => is("Raspberry Pi Zero"),
        "pi0w" => is("Zero W"),
        "pi02" => is("Zero 2 W"),
        _ => false,
    }
}

/// Whether the port is the one UART that reaches the header and knows parity.
pub(super) fn uart(root: &Root, boot: &Boot, board: Board, port: &Path) -> Finding {
    let (name, port) = (root.device_name(port), port.display());
    let set_port = "Name the header's PL011 in [[bus]] of /etc/mbushat.toml:";
    let ama0 = ["port = \"/dev/ttyAMA0\""];
    let in_place = match board {
        Board::Other => return Finding::skipped("UART", format!("{name}: not a Raspberry Pi, nothing to check")),
        Board::Plain => Finding::ok("UART", format!("{name} is the PL011, which this Pi has on its header")),
        Board::Bluetooth => without_bluetooth(root, boot),
        Board::Five => on_pi_5(root, boot),
    };
    let wrong_port = match name.as_str() {
        "ttyS0" => format!("{port} is the mini-UART (ttyS0), which has no parity bit: no meter understands it"),
        "ttyAMA10" => format!("{port} is the debug connector (ttyAMA10) of this Pi, not its header"),
        _ => return in_place,
    };
    let mut finding = Finding::failure("UART", wrong_port).fix(set_port, ama0);
    finding.remedies.extend(in_place.remedies);
    finding
}

/// Pi 3, 4, Zero W: an overlay brings the PL011 from Bluetooth to the header.
fn without_bluetooth(root: &Root, boot: &Boot) -> Finding {
    let overlay = boot.overlay(&["disable-bt", "pi3-disable-bt", "miniuart-bt", "pi3-miniuart-bt"]);
    let primary = root.device_name("/dev/serial0");
    match (overlay, primary.as_str()) {
        (Some(overlay), "ttyS0") => {
            let found = format!("dtoverlay={overlay} is in {}, but this Pi still runs without it", boot.config_path());
            Finding::failure("UART", found).fix("Reboot:", ["sudo reboot"])
        }
        (Some(overlay), _) => Finding::ok("UART", format!("the PL011 (ttyAMA0) is on the header: {overlay}")),
        (None, "ttyAMA0") => Finding::ok("UART", "the PL011 (ttyAMA0) is on the header"),
        (None, _) => {
            let found = "Bluetooth has the PL011; the header has the mini-UART (ttyS0), which has no parity bit";
            let mut lines = vec![boot.add("dtoverlay=disable-bt")];
            // Before Bookworm a service waits for Bluetooth on the UART that it loses here.
            if HCIUART.iter().any(|unit| root.exists(unit)) {
                lines.push("sudo systemctl disable hciuart".to_owned());
            }
            lines.push("sudo reboot".to_owned());
            Finding::failure("UART", found)
                .fix("Give the PL011 to the header (this switches Bluetooth off):", lines)
                .advise("To keep Bluetooth, slower, take dtoverlay=miniuart-bt and core_freq=250 instead.")
        }
    }
}

/// Pi 5: the header's UART must be asked for; `serial0` is the debug connector there.
fn on_pi_5(root: &Root, boot: &Boot) -> Finding {
    let on = ["uart0", "uart0=on", "uart0=yes", "uart0=true", "uart0=1"];
    let parameter = boot.settings().iter().any(|s| matches!(s, Setting::Parameter(p) if on.contains(&p.as_str())));
    let asked = parameter || boot.overlay(&["uart0-pi5", "uart0"]).is_some();
    match (root.exists("/dev/ttyAMA0"), asked) {
        (true, _) => Finding::ok("UART", "the PL011 (ttyAMA0) is on the header"),
        (false, true) => {
            let found = format!("{} asks for the header's UART, but this Pi still runs without it", boot.config_path());
            Finding::failure("UART", found).fix("Reboot:", ["sudo reboot"])
        }
        (false, false) => Finding::failure("UART", "the header's UART (ttyAMA0) is off, as Pi 5 is delivered")
            .fix("Switch it on:", [boot.add("dtparam=uart0=on"), "sudo reboot".to_owned()]),
    }
}

/// Whether a console or a login talks on the port.
pub(super) fn console(root: &Root, boot: &Boot, board: Board, port: &Path) -> Finding {
    let mut name = root.device_name(port);
    if board != Board::Other && ["ttyS0", "ttyAMA10"].contains(&name.as_str()) {
        // The wrong UART is said above; what counts is the one that it will be.
        "ttyAMA0".clone_into(&mut name);
    }
    let here = |text: &str| {
        let devices = text.split_whitespace().filter_map(|word| word.strip_prefix("console="));
        let ours = |device: &&str| {
            let device = device.split(',').next().unwrap_or_default();
            // Before Pi 5 serial0 is the header, whichever UART has it.
            let is_header = device == "serial0" && ![Board::Five, Board::Other].contains(&board);
            is_header || root.device_name(Path::new("/dev").join(device)) == name
        };
        devices.into_iter().find(ours).map(str::to_owned)
    };
    if let Some((path, console)) = boot.cmdline.as_ref().and_then(|(path, text)| Some((path, here(text)?))) {
        let found = format!("the kernel's console is on {name}: {path} has console={console}");
        return Finding::failure("console", found).fix(
            "Remove it (raspi-config, Serial Port: login shell no, hardware yes):",
            [format!("sudo sed -i 's/console={console} *//' {path}"), "sudo reboot".to_owned()],
        );
    }
    if root.text("/proc/cmdline").and_then(|text| here(&text)).is_some() {
        let found = format!("the kernel's console is on {name} until this Pi is rebooted");
        return Finding::failure("console", found).fix("Reboot:", ["sudo reboot"]);
    }
    let getty = format!("serial-getty@{name}.service");
    // The link points at a unit that a prepared root need not have.
    if root.path(format!("/etc/systemd/system/getty.target.wants/{getty}")).is_symlink() {
        return Finding::failure("console", format!("a login waits on {name}: {getty} is enabled"))
            .fix("Switch it off:", [format!("sudo systemctl disable --now {getty}")]);
    }
    Finding::ok("console", format!("neither console nor login is on {name}"))
}

/// Whether the pin that powers the bus is also to switch the Pi off: gpio-poweroff takes 26 by default.
pub(super) fn power_pin(boot: &Boot, gpio: u8) -> Finding {
    let claims = boot.settings().iter().any(|setting| match setting {
        Setting::Overlay { name, parameters } if name == "gpio-poweroff" => {
            let pin = parameters.iter().rev().find_map(|p| p.strip_prefix("gpiopin="));
            pin.map_or(Some(POWER_GPIO), |pin| pin.parse().ok()) == Some(gpio)
        }
        _ => false,
    });
    if !claims {
        return Finding::ok("power pin", format!("GPIO {gpio} is not claimed by anything else"));
    }
    let path = boot.config_path();
    Finding::failure(
        "power pin",
        format!("GPIO {gpio} powers the bus, but dtoverlay=gpio-poweroff in {path} has it too"),
    )
    .fix(
        "Give gpio-poweroff a pin that is free on your header, here 17:",
        [format!("sudo sed -i '/^dto.*poweroff/a dtparam=gpiopin=17' {path}"), "sudo reboot".to_owned()],
    )
}

#[cfg(test)]
mod tests {
    use super::{Boot, Setting, power_pin, settings};
    use crate::doctor::finding::Verdict;

    fn boot(config: &str, model: &str) -> Boot {
        Boot { config: Some(("/boot/firmware/config.txt", settings(config, model))), cmdline: None }
    }

    #[test]
    fn only_what_counts_on_this_model_is_taken() {
        let text = "dtparam=audio=on # sound\n[pi4]\ndtoverlay=disable-bt\n[pi5]\ndtparam=uart0=on\n[all]\n\
                    #dtoverlay=miniuart-bt\n[EDID=DEL-1]\ndtoverlay=vc4\n";
        let audio = Setting::Parameter("audio=on".to_owned());
        let disable_bt = Setting::Overlay { name: "disable-bt".to_owned(), parameters: vec![] };
        assert_eq!(settings(text, "Raspberry Pi 4 Model B Rev 1.4"), [audio.clone(), disable_bt]);
        assert_eq!(settings(text, "Raspberry Pi 5"), [audio, Setting::Parameter("uart0=on".to_owned())]);
    }

    #[test]
    fn gpio_poweroff_is_found_on_its_default_pin_and_on_a_named_one() {
        for (config, gpio, verdict) in [
            ("dtoverlay=gpio-poweroff", 26, Verdict::Failure),
            ("dtoverlay=gpio-poweroff,active_low", 26, Verdict::Failure),
            ("dtoverlay=gpio-poweroff\ndtparam=gpiopin=17", 26, Verdict::Ok),
            ("dtoverlay=gpio-poweroff,gpiopin=17", 26, Verdict::Ok),
            ("dtoverlay=gpio-poweroff,gpiopin=17", 17, Verdict::Failure),
            ("#dtoverlay=gpio-poweroff", 26, Verdict::Ok),
        ] {
            assert_eq!(power_pin(&boot(config, "Raspberry Pi 3"), gpio).verdict, verdict, "{config}");
        }
    }
}
