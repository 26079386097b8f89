//! Which Raspberry Pi this is.

use super::root::Root;
use crate::bus::device_tree;

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

    pub(super) fn of_model(model: &str) -> Self {
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
