//! What rules make of the values of a telegram: names, units and scales.

use mbushat::mbus::application::quantity::{Function, Known, Unit};
use mbushat::mbus::decimal::Decimal;
use mbushat::measure::normalise::MeterRules;
use mbushat::measure::profile::{RecordRule, Selector};

use super::{normalise, plain, telegram, told};

#[test]
fn rules_name_scale_convert_and_hide() {
    let energy = || Selector { quantity: Some(Known::Energy.into()), ..Selector::default() };
    let rules = [
        RecordRule { select: Selector { index: Some(0), ..energy() }, hide: true, ..RecordRule::default() },
        RecordRule {
            select: energy(),
            key: Some("heat_N".to_owned()),
            unit: Some(Unit::Gigajoule),
            scale: Some(Decimal::new(10, 0)),
            offset: Some(Decimal::new(-5, -1)),
            ..RecordRule::default()
        },
        RecordRule {
            select: Selector {
                function: Some(Function::Instantaneous),
                quantity: Some(Known::Dimensionless.into()),
                ..Selector::default()
            },
            unit: Some(Unit::KilovarHour),
            scale: Some(Decimal::new(1, -2)),
            ..RecordRule::default()
        },
    ];
    let frames = [telegram(1, 4, "01 06 01 01 06 0A 01 06 14 02 FD 3A 39 30 01 13 07")];
    let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
    assert_eq!(told(&reading), ["heat_1 -0.14 GJ", "heat_2 0.22 GJ", "dimensionless 123.45 kvarh", "volume 0.007 m³"]);
    assert_eq!(reading.measurements[2].digits, Some(2));
}

#[test]
fn a_unit_of_another_quantity_is_no_label_unless_the_number_is_scaled_or_reactive() {
    let of = |index, unit, scale: Option<i128>| RecordRule {
        select: Selector { index: Some(index), ..Selector::default() },
        unit: Some(unit),
        scale: scale.map(|scale| Decimal::new(scale, 0)),
        ..RecordRule::default()
    };
    let rules = [
        of(0, Unit::KilovarHour, None),
        of(1, Unit::VoltAmpere, None),
        of(2, Unit::Litre, None),
        of(3, Unit::CubicMetre, Some(10_000)),
        of(4, Unit::Fahrenheit, None),
        of(5, Unit::Fahrenheit, None),
    ];
    let records = "84 40 05 E8 03 00 00 82 40 2B 64 00 02 22 07 00 04 00 E7 03 00 00 02 5B 14 00 02 63 14 00";
    let frames = [telegram(1, 2, records)];
    let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
    assert_eq!(
        told(&reading),
        [
            "energy_subunit_1 100 kvarh",
            "power_subunit_1 100 VA",
            "on_time 7 h",
            "energy 9.99 m³",
            "flow_temperature 68 °F",
            "temperature_difference 36 °F",
        ]
    );
}

#[test]
fn a_rule_with_a_unit_or_a_scale_makes_a_number_of_whatever_can_be_one() {
    let select = |index| Selector { index: Some(index), ..Selector::default() };
    let hundredth = |index| RecordRule {
        select: select(index),
        unit: Some(Unit::Litre),
        scale: Some(Decimal::new(1, -2)),
        ..RecordRule::default()
    };
    let rules: Vec<RecordRule> = (0..5).map(hundredth).collect();
    let records = "0D FF 01 E4 10 27 00 00 0D 6F E2 F0 D8 0C 78 10 27 00 00 04 78 10 27 00 00 02 FD 0E 10 27";
    let reading = |rules| normalise(&[telegram(1, 7, records)], &MeterRules { rules, ..plain() }).expect("a reading");
    let numbers: Vec<String> =
        told(&reading(&rules)).iter().filter_map(|line| line.split_once(' ')).map(|(_, n)| n.to_owned()).collect();
    assert_eq!(numbers, ["100 L", "-100 L", "27.1 L", "100 L", "100 L"]);
    let as_sent = told(&reading(&[]));
    assert!(as_sent.contains(&"fabrication_number 00002710".to_owned()), "{as_sent:?}");
}

#[test]
fn a_rate_of_a_temperature_has_no_zero_point() {
    for (unit, want) in [(Unit::Kelvin, "1 K"), (Unit::Fahrenheit, "1.8 °F")] {
        let rules = [RecordRule { unit: Some(unit), ..RecordRule::default() }];
        let frames = [telegram(1, 4, "02 DA 22 0A 00")];
        let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
        assert_eq!(told(&reading), [format!("flow_temperature_per_hour {want}")]);
    }
}
