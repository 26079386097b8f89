//! The Raspberry Pi, and the Hat on its header.

use crate::bus::device_tree::{self, NoHat};
use crate::config::Hat;

use super::board::Board;
use super::boot::Boot;
use super::finding::Finding;
use super::root::Root;

pub(super) fn model(root: &Root) -> Finding {
    match device_tree::model(&root.path(device_tree::ROOT)) {
        Some(model) if Board::of_model(&model) != Board::Other => Finding::ok("machine", model),
        Some(model) => Finding::warning("machine", format!("{model}, which is not a Raspberry Pi"))
            .advise("The Hat needs a Pi; other interfaces are named by `port` in [[bus]], with hat = false."),
        None => Finding::warning("machine", "no device tree in /proc/device-tree, so this is not a Raspberry Pi").fix(
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
            let found = format!("the Hat on this Pi is {product:?} by {vendor:?}, not an M-Bus Master Hat");
            no_eeprom(Finding::failure("Hat", found), boot, gpio)
        }
        Err(NoHat::NoneFitted(_)) => {
            let check = "Check that it sits on all 40 pins, then take the Pi's power away and give it back; a \
                         reboot does not find a Hat:";
            let found = Finding::failure("Hat", "no Hat in the device tree (/proc/device-tree/hat)");
            no_eeprom(found.fix(check, ["sudo poweroff"]), boot, gpio)
        }
        Err(NoHat::NoDeviceTree(_)) => {
            let found = "/proc/device-tree cannot be read: not a Raspberry Pi, or hidden from this process";
            Finding::failure("Hat", found)
                .fix("If something else powers the bus, say so in [[bus]] of /etc/mbushat.toml:", ["hat = false"])
        }
    }
}

/// The author's own way to stack two Hats is to disable the EEPROM of one; then nothing names it.
fn no_eeprom(finding: Finding, boot: &Boot, gpio: u8) -> Finding {
    finding.fix("If its EEPROM is disabled (to stack it), say in [[bus]] of /etc/mbushat.toml:", ["hat = false"]).fix(
        format!("and let the firmware keep the bus switched on, by its pin (here GPIO {gpio}):"),
        [boot.add(&format!("gpio={gpio}=op,dh")), "sudo reboot".to_owned()],
    )
}
