//! Classes of Home Assistant's in rules: against the unit, each other and what is measured.

use super::{METER, assert_one, config};

#[test]
fn a_class_that_home_assistant_would_not_take_is_named() {
    for (rule, line, words) in [
        (
            "quantity = \"energy\"\ndevice_class = \"power\"",
            2,
            "`device_class` is \"power\", which does not fit kWh, MJ or Mcal",
        ),
        ("quantity = \"energy\"\nunit = \"MWh\"\ndevice_class = \"power\"", 3, "which does not fit MWh"),
        ("dif = \"04\"\nvif = \"2B\"\ndevice_class = \"energy\"", 3, "which does not fit W, expected one of power"),
        ("index = 3\nunit = \"L\"\ndevice_class = \"energy\"", 3, "which does not fit L, expected one of gas, volume"),
        ("vif = \"FD3A\"\ndevice_class = \"energy\"", 2, "which does not fit a number without a unit"),
        (
            "key = \"a\"\nbytes = { at = 0, length = 4, coding = \"bcd\" }\ndevice_class = \"water\"",
            3,
            "without a unit",
        ),
        (
            "quantity = \"flow_temperature\"\nstate_class = \"total\"",
            2,
            "`state_class` is \"total\", which does not fit the class temperature, expected \"measurement\"",
        ),
        (
            "quantity = \"volume\"\nstate_class = \"measurement\"",
            2,
            "the class volume, expected \"total\" or \"total_increasing\"",
        ),
        (
            "index = 1\ndevice_class = \"power\"\nstate_class = \"total\"",
            3,
            "the class power, expected \"measurement\"",
        ),
        (
            "quantity = \"phase_angle_voltage\"\nunit = \"\"\nstate_class = \"measurement_angle\"",
            3,
            "is of angles in ° alone",
        ),
        ("quantity = \"voltage\"\nstate_class = \"measurement_angle\"", 2, "is of angles in ° alone"),
        (
            "quantity = \"date\"\ndevice_class = \"timestamp\"",
            2,
            "`device_class` is \"timestamp\", which wants a time, and date has none: set \"date\"",
        ),
        ("quantity = \"date\"\ndevice_class = \"energy\"", 2, "which is of numbers, and date is none"),
        (
            "quantity = \"date_time\"\ndevice_class = \"date\"",
            2,
            "which wants a date alone, and date_time has a time too: set \"timestamp\"",
        ),
        ("quantity = \"date_time\"\nstate_class = \"total\"", 2, "`state_class` is of numbers, and date_time is none"),
        (
            "quantity = \"energy\"\ndevice_class = \"timestamp\"",
            2,
            "`device_class` is \"timestamp\", which is of no number, and energy is one",
        ),
    ] {
        assert_one(
            &format!("{METER}[[meter.record]]\n{rule}\n"),
            &format!("{}:{}", 4 + line, column(rule, line)),
            words,
        );
    }
}

/// Where the value of a line begins.
fn column(rule: &str, line: usize) -> usize {
    rule.lines().nth(line - 1).and_then(|line| line.find("= ")).expect("a value") + 3
}

#[test]
fn a_class_that_may_fit_is_taken() {
    for rule in [
        "quantity = \"volume\"\ndevice_class = \"water\"\nstate_class = \"total_increasing\"",
        "quantity = \"volume\"\nunit = \"kWh\"\nscale = 10\ndevice_class = \"energy\"\nstate_class = \"total\"",
        "quantity = \"volume\"\nunit = \"kWh\"\nscale = 10\nstate_class = \"measurement\"\ndevice_class = \"\"",
        "quantity = \"energy\"\ndevice_class = \"energy_storage\"\nstate_class = \"measurement\"",
        "quantity = \"phase_angle_voltage\"\nstate_class = \"measurement_angle\"",
        "quantity = \"phase_angle_voltage\"\ndevice_class = \"wind_direction\"\nstate_class = \"measurement_angle\"",
        "quantity = \"date\"\ndevice_class = \"date\"",
        "quantity = \"date_time\"\ndevice_class = \"timestamp\"",
        "quantity = \"battery_change_time\"\ndevice_class = \"timestamp\"",
        "quantity = \"fabrication_number\"\nunit = \"kWh\"\ndevice_class = \"energy\"",
        "quantity = \"dimensionless\"\ndevice_class = \"power_factor\"\nstate_class = \"measurement\"",
        "quantity = \"plain_text\"\ndevice_class = \"duration\"",
        "quantity = \"manufacturer_specific\"\ndevice_class = \"date\"",
        "quantity = \"mass_flow\"\nstate_class = \"total\"",
        "index = 3\ndevice_class = \"timestamp\"",
        "vif = \"FF0?\"\ndevice_class = \"power\"",
        "dif = \"02\"\nvif = \"6C\"\ndevice_class = \"date\"",
    ] {
        assert_eq!(config(&format!("{METER}[[meter.record]]\n{rule}\n")).meters[0].records.len(), 1, "{rule}");
    }
}
