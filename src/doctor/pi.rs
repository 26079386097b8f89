//! Which Raspberry Pi this is, and the Hat on its header.

use crate::bus::device_tree::{self, NoHat};
use crate::config::Hat;

use super::boot::Boot;
use super::finding::Finding;
use super::root::Root;

/// Which UART a Pi has on its header, by family (Raspberry Pi documentation, "Configuring UARTs").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Board {
    /// No Raspberry Pi, or its device tree is hidden.
    Other,
    /// Pi 1, 2, Zero, Compute Modules to 3: the PL011 is on the header.
    Plain,
    /// Pi 3, 4, Zero W, Compute Module 4: Bluetooth has the PL011 until an overlay takes it away.
    Bluetooth,
    /// Pi 5: the header's PL011 is off until it is asked for.
    Five,
}

impl Board {
    pub(super) fn of(root: &Root) -> Self {
        device_tree::model(&root.path(device_tree::ROOT)).map_or(Self::Other, |model| Self::of_model(&model))
    }

    fn of_model(model: &str) -> Self {
        let is = |names: &[&str]| names.iter().any(|name| model.contains(name));
        if !model.starts_with("Raspberry Pi") {
            Self::Other
        } else if is(&["Raspberry Pi 5", "Compute Module 5"]) {
            Self::Five
        } else if is(&["Raspberry Pi 3", "Raspberry Pi 4", "Zero W", "Zero 2 W", "Compute Module 4"]) {
            Self::Bluetooth
        } else {
            Self::Plain
        }
    }
}

pub(super) fn model(root: &Root) -> Finding {
    match device_tree::model(&root.path(device_tree::ROOT)) {
        Some(model) if Board::of_model(&model) != Board::Other => Finding::ok("machine", model),
        Some(model) => Finding::warning("machine", format!("{model}, which is no Raspberry Pi"))
            .advise("The Hat needs a Pi; other interfaces are named by `port` in [[bus]], with hat = false."),
        None => Finding::warning("machine", "no device tree in /proc/device-tree, so this is no Raspberry Pi").mend(
            "The Hat needs a Pi. For another interface name it in [[bus]] of /etc/mbushat.toml:",
            ["port = \"/dev/ttyUSB0\"", "hat = false"],
        ),
    }
}

pub(super) fn hat(root: &Root, boot: &Boot, configured: Hat) -> Finding {
    let gpio = configured.power_gpio;
    match device_tree::mbus_master_hat(&root.path(device_tree::ROOT)) {
        Ok(hat) => Finding::ok("Hat", format!("Found M-Bus Master Hat version {}", hat.product_ver)),
        Err(NoHat::Other { product, vendor }) => {
            let found = format!("the Hat on this Pi is {product:?} by {vendor:?}, no M-Bus Master Hat");
            no_eeprom(Finding::failure("Hat", found), boot, gpio)
        }
        Err(NoHat::NoneFitted(_)) => {
            let check = "Check that it sits on all 40 pins, then take the Pi's power away and give it back; a \
                         reboot does not find a Hat:";
            let found = Finding::failure("Hat", "no Hat in the device tree (/proc/device-tree/hat)");
            no_eeprom(found.mend(check, ["sudo poweroff"]), boot, gpio)
        }
        Err(NoHat::NoDeviceTree(_)) => {
            let found = "/proc/device-tree cannot be read: no Raspberry Pi, or hidden from this process";
            Finding::failure("Hat", found)
                .mend("If something else powers the bus, say so in [[bus]] of /etc/mbushat.toml:", ["hat = false"])
        }
    }
}

/// The author's own way to stack two Hats is to disable the EEPROM of one; then nothing names it.
fn no_eeprom(finding: Finding, boot: &Boot, gpio: u8) -> Finding {
    finding.mend("If its EEPROM is disabled (to stack it), say in [[bus]] of /etc/mbushat.toml:", ["hat = false"]).mend(
        format!("and let the firmware switch the bus on for ever, by its pin (here GPIO {gpio}):"),
        [boot.add(&format!("gpio={gpio}=op,dh")), "sudo reboot".to_owned()],
    )
}

#[cfg(test)]
mod tests {
    use super::Board;

    #[test]
    fn every_family_is_told_by_its_model() {
        for (model, board) in [
            ("Raspberry Pi Model B Rev 2", Board::Plain),
            ("Raspberry Pi 2 Model B Rev 1.1", Board::Plain),
            ("Raspberry Pi Zero Rev 1.3", Board::Plain),
            ("Raspberry Pi Compute Module 3 Plus Rev 1.0", Board::Plain),
            ("Raspberry Pi Zero W Rev 1.1", Board::Bluetooth),
            ("Raspberry Pi Zero 2 W Rev 1.0", Board::Bluetooth),
            ("Raspberry Pi 3 Model B Plus Rev 1.3", Board::Bluetooth),
            ("Raspberry Pi 400 Rev 1.0", Board::Bluetooth),
            ("Raspberry Pi 5 Model B Rev 1.0", Board::Five),
            ("Raspberry Pi 500 Rev 1.0", Board::Five),
            ("Raspberry Pi Compute Module 5 Rev 1.0", Board::Five),
            ("linux,dummy-virt", Board::Other),
        ] {
            assert_eq!(Board::of_model(model), board, "{model}");
        }
    }
}
