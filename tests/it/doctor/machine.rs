//! The Raspberry Pi itself: its Hat, its UART and who has it, what it boots with, its clock.

use std::process::Command;

use super::{Pi, Ward};

#[test]
fn a_good_pi_3_is_well() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    assert_eq!(ward.examine("good_pi_3"), 0);
}

#[test]
fn a_good_pi_4_is_well() {
    let pi = Pi::three().with("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0").with(
        "boot/firmware/config.txt",
        "[pi5]\ndtparam=uart0=on\n[pi4]\ndtoverlay=miniuart-bt\n[all]\ncore_freq=250\n",
    );
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("good_pi_4"), 0);
}

#[test]
fn a_good_pi_5_is_well() {
    let Some(ward) = Ward::new(&Pi::five()) else { return };
    assert_eq!(ward.examine("good_pi_5"), 0);
}

#[test]
fn a_hat_that_is_not_found_is_told_from_one_whose_eeprom_is_disabled() {
    let Some(ward) = Ward::new(&Pi::three().without("proc/device-tree/hat")) else { return };
    assert_eq!(ward.examine("no_hat"), 1);
}

#[test]
fn the_mini_uart_and_the_debug_connector_are_refused() {
    let pi =
        Pi::three().with("boot/firmware/config.txt", "dtparam=audio=on\nenable_uart=1\n").link("dev/serial0", "ttyS0");
    let Some(ward) = Ward::new(&pi) else { return };
    ward.configure("[[bus]]\nname = \"hat\"\nport = \"/dev/serial0\"\nhat = true\n");
    assert_eq!(ward.examine("wrong_uart"), 1);
    let pi = Pi::five().with("boot/firmware/config.txt", "dtparam=audio=on\n").without("dev/ttyAMA0");
    let Some(ward) = Ward::of_folder(&pi, false) else { return };
    ward.configure("[[bus]]\nname = \"hat\"\nport = \"/dev/serial0\"\nhat = true\n");
    assert_eq!(ward.examine("wrong_uart_pi_5"), 1);
}

#[test]
fn before_bookworm_the_files_are_in_boot_and_a_service_holds_the_uart_for_bluetooth() {
    let pi = Pi::three()
        .without("boot/firmware")
        .with("boot/config.txt", "enable_uart=1\n[pi4]\narm_boost=1")
        .with("boot/cmdline.txt", "console=serial0,115200 console=tty1 root=PARTUUID=1 rootwait\n")
        .with("lib/systemd/system/hciuart.service", "")
        .link("dev/serial0", "ttyS0");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("bullseye"), 1);
    // What is told to paste does what it is told for, though the file ends in another model's section.
    let told = String::from_utf8(ward.mbushat(&[]).stdout).expect("UTF-8");
    for line in told.lines().filter_map(|line| line.strip_prefix("    sudo sed ")) {
        let here = line.replace("/boot/", &ward.path("boot/").to_string_lossy());
        assert!(Command::new("sh").args(["-c", &format!("sed {here}")]).status().expect("sh").success(), "{here}");
    }
    let mended = String::from_utf8(ward.mbushat(&[]).stdout).expect("UTF-8");
    for found in ["dtoverlay=disable-bt is in /boot/config.txt, but this", "neither console nor login is on ttyAMA0"] {
        let words: Vec<&str> = mended.split_whitespace().collect();
        assert!(words.join(" ").contains(found), "{mended}");
    }
}

#[test]
fn a_hat_without_its_eeprom_below_another_one_is_told_how_to_get_its_power() {
    let pi = Pi::three()
        .with("proc/device-tree/hat/product", "Sense HAT\0")
        .with("proc/device-tree/hat/vendor", "Raspberry Pi\0");
    let Some(ward) = Ward::new(&pi) else { return };
    ward.configure("[[bus]]\nname = \"hat\"\nhat = true\npower_gpio = 20\n");
    assert_eq!(ward.examine("other_hat"), 1);
}

#[test]
fn a_console_on_the_uart_is_found_with_the_line_that_takes_it_away() {
    let pi =
        Pi::three().with("boot/firmware/cmdline.txt", "console=serial0,115200 console=tty1 root=PARTUUID=1 rootwait\n");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("console_on"), 1);
}

#[test]
fn a_user_without_the_group_may_not_use_the_port() {
    let unit = "[Service]\nUser=mbushat\nSupplementaryGroups=gpio\n";
    let Some(ward) = Ward::new(&Pi::three().with("lib/systemd/system/mbushat.service", unit)) else { return };
    assert_eq!(ward.examine("no_permission"), 1);
}

#[test]
fn another_program_on_the_port_is_named() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    ward.hold_port("minicom");
    assert_eq!(ward.examine("other_holder"), 1);
}

#[test]
fn an_unsynchronised_clock_is_a_warning() {
    let pi = Pi::three().without("run/systemd/timesync/synchronized").with("run/systemd/timesync/clock", "");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("clock"), 0);
}

#[test]
fn gpio_poweroff_on_the_pin_of_the_bus_is_told() {
    let pi = Pi::three().with("boot/firmware/config.txt", "dtoverlay=disable-bt\ndtoverlay=gpio-poweroff,active_low\n");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("gpio_poweroff"), 1);
}
