//! Several meters on one bus: what they may have in common.

use super::{METER, assert_one, config, problems};
use crate::config::Meter;
use crate::mbus::link::timing::Parity;
use crate::mbus::master::wake_up::{Length, WakeUp};
use std::collections::BTreeMap;
use std::time::Duration;

fn another(address: &str, more: &str) -> String {
    format!("{METER}[[meter]]\nname = \"other\"\naddress = {address}\n{more}")
}

#[test]
fn one_meter_is_read_in_two_ways_where_the_application_differs() {
    let meters = config(&another("1", "application_select = 0x50\ninterval = \"1m\"\n")).meters;
    assert_eq!(meters.iter().map(|meter| meter.application_select).collect::<Vec<_>>(), [None, Some(0x50)]);
    let names = |text: &str| {
        let of = |(meter, _): (&Meter, bool)| (meter.name.clone(), meter.readout_of.clone());
        config(text).all_meters().map(of).collect::<BTreeMap<_, _>>()
    };
    let by = |code: u8| format!("[[meter]]\nname = \"by_{code}\"\naddress = 1\napplication_select = {code}\n");
    let of = |names: &[(&str, Option<&str>)]| {
        names.iter().map(|(name, of)| ((*name).to_owned(), of.map(str::to_owned))).collect::<BTreeMap<_, _>>()
    };
    let three = format!("{METER}{}{}", by(2), by(1));
    assert_eq!(names(&three), of(&[("m", None), ("by_2", Some("m")), ("by_1", Some("m"))]));
    let off = three.replace("name = \"m\"", "name = \"m\"\nenabled = false");
    assert_eq!(names(&off), names(&three), "it keeps its place while it is not read");
    let elsewhere = another("2", "application_select = 0x50\n");
    assert_eq!(names(&elsewhere), of(&[("m", None), ("other", None)]));
    let same = another("1", "").replace("address = 1\n", "address = 1\napplication_select = 1\n");
    assert_eq!(problems(&same).len(), 1, "{same}");
}

#[test]
fn the_meter_at_254_is_alone_on_its_bus() {
    assert_eq!(config("[[meter]]\nname = \"m\"\naddress = 254\n").meters[0].address.to_string(), "254");
    let [problem] = &problems(&another("254", ""))[..] else { panic!("one problem") };
    assert!(
        problem.starts_with("6:11: every meter answers to address 254, and bus \"hat\" has \"m\" too"),
        "{problem}"
    );
    let two_buses = "[[bus]]\nname = \"a\"\nport = \"/dev/a\"\n[[bus]]\nname = \"b\"\nport = \"/dev/b\"\n\
        [[meter]]\nname = \"m\"\nbus = \"a\"\naddress = 254\n[[meter]]\nname = \"n\"\nbus = \"b\"\naddress = 1\n";
    assert_eq!(config(two_buses).meters.len(), 2);
}

#[test]
fn a_wake_up_is_a_byte_and_a_time_or_a_count() {
    let of = |text: &str| config(&format!("{METER}wake_up = \"{text}\"\n")).meters[0].wake_up.expect("set");
    let length = Length::Time(Duration::from_millis(2100));
    assert_eq!(of("0x55 for 2.1s at 8N1"), WakeUp { byte: 0x55, length, parity: Some(Parity::None) });
    assert_eq!(of("0x55 for 2100ms"), WakeUp { byte: 0x55, length, parity: None });
    assert_eq!(of("0x00 x 210"), WakeUp { byte: 0, length: Length::Characters(210), parity: None });
    for wrong in [
        "0x55",
        "55 for 2s",
        "0x55 for 2",
        "0x55 for 11s",
        "0x55 for -1s",
        "0x00 x 0",
        "0x00 x 9999",
        "0x55 for 2s at 7E1",
    ] {
        let problem = problems(&format!("{METER}wake_up = \"{wrong}\"\n"));
        assert!(problem.len() == 1 && problem[0].contains("a byte and how much of it"), "{wrong}: {problem:?}");
    }
}

#[test]
fn a_transparent_gateway_has_one_rate_and_parity_for_all_its_meters() {
    let behind = |port: &str, own: &str| {
        format!("[[bus]]\nname = \"b\"\nport = \"{port}\"\nbaud = 2400\n[[meter]]\nname = \"m\"\naddress = 1\n{own}\n")
    };
    for own in ["baud = 300", "parity = \"none\""] {
        let [problem] = &problems(&behind("tcp://h:1", own))[..] else { panic!("one problem") };
        assert!(
            problem.starts_with("8:") && problem.contains(&format!("\"m\" has {own}, and the gateway tcp://h:1")),
            "{problem}"
        );
        assert_eq!(config(&behind("rfc2217://h:1", own)).meters.len(), 1);
    }
    assert_eq!(config(&behind("tcp://h:1", "baud = 2400")).meters.len(), 1, "the bus's own");
}

#[test]
fn meters_that_would_answer_together_are_refused() {
    let two = |a: &str, b: &str| {
        format!("[[meter]]\nname = \"a\"\n{a}\n[[meter]]\nname = \"b\"\n{b}\n[[meter]]\nname = \"c\"\naddress = 9\n")
    };
    assert_one(&two("address = 5", "address = 5"), "6:11", "meter \"a\" of line 3");
    assert_one(&two("secondary = \"30137315\"", "secondary = \"30137315ATS0104\""), "6:13", "of line 3");
    assert_one(&two("secondary = \"30137315ATS0104\"", "secondary = \"3013????\""), "6:13", "of line 3");
    config(&two("address = 5", "address = 5\nenabled = false"));
    config(&two("secondary = \"30137315ATS0104\"", "secondary = \"30137315ATS0107\""));
    let buses = "[[bus]]\nname = \"x\"\nport = \"/dev/x\"\n[[bus]]\nname = \"y\"\nport = \"/dev/y\"\n";
    config(&format!("{buses}{METER}bus = \"x\"\n[[meter]]\nname = \"n\"\naddress = 1\nbus = \"y\"\n"));
    let reported = problems(&format!("{buses}{METER}"));
    assert_eq!(reported, ["7:1: this [[meter]] does not say its `bus`: there is \"x\", \"y\""]);
}

#[test]
fn a_bus_that_cannot_keep_its_times_is_refused() {
    let bus = |baud: u32| format!("[[bus]]\nname = \"b\"\nport = \"/dev/x\"\nbaud = {baud}\n");
    let meters = |count: usize| -> String {
        (0..count).map(|n| format!("[[meter]]\nname = \"m{n}\"\naddress = {n}\ninterval = \"1s\"\n")).collect()
    };
    // 14 characters of 11 bits and a pause of 11 bit times: 550 ms at 300 baud, 69 ms at 2400
    config(&(bus(300) + &meters(1)));
    assert_one(&(bus(300) + &meters(2)), "12:12", "110 %");
    config(&(bus(2400) + &meters(14)));
    assert_one(&(bus(2400) + &meters(15)), "64:12", "103 %");
}
