//! What the owner of each model with a built-in profile gets to see: keys, units, classes, and what starts
//! disabled. The telegrams are built like the meters' own, with invented values. Meters of heat and
//! water stand here, those of electricity in the modules below.

mod codes;
mod subunits;

use crate::mutations::more_telegrams;
use crate::rules::{ELECTRICITY, Model, configured, read, seen, telegram, try_to_read};

/// Each measurement of a telegram of this model, by the built-in profiles.
fn shown(model: Model<'_>, records: &[&str]) -> Vec<String> {
    seen(&read(&configured(""), &[telegram(model, &records.join(" "))]))
}

#[test]
fn a_kamstrup_multical_has_cooling_energy_inputs_and_e8() {
    assert_eq!(
        shown(
            ("KAM", 0x34, 0x04),
            &[
                "04 06 E8 03 00 00",
                "04 86 FF 02 05 00 00 00",
                "04 FF 07 10 27 00 00",
                "44 FF 08 88 13 00 00",
                "84 40 14 64 00 00 00",
                "C4 80 40 14 32 00 00 00",
                "84 20 06 07 00 00 00",
                "04 FF 22 08 00 00 00",
                "04 FF 16 01 00 00 00",
                "02 FF 1A 02 00"
            ]
        ),
        [
            "energy 1000 kWh [energy, total_increasing]",
            "cooling_energy 5 kWh [energy, total_increasing]",
            "energy_e8 10000 [total_increasing]",
            "energy_e9_storage_1 5000 off",
            "input_a 1 m³ [volume, total_increasing]",
            "input_b_storage_1 0.5 m³ [volume] off",
            "energy_tariff_2 7 kWh [energy, total_increasing] off",
            "info_code 8",
            "configuration_16 1 off",
            "configuration_1a 2 off",
        ]
    );
}

#[test]
fn an_itron_cyble_has_a_battery_and_backward_volume() {
    assert_eq!(
        shown(
            ("ACW", 0x14, 0x07),
            &[
                "0D 7C 08 44 49 20 2E 74 73 75 63 04 31 32 33 34",
                "02 7C 09 65 6D 69 74 20 2E 74 61 62 10 0E",
                "04 13 39 30 00 00",
                "04 93 7F 07 00 00 00",
                "44 13 10 27 00 00"
            ]
        ),
        [
            "customer 4321 off",
            "battery_life 3600 d [duration, measurement] diagnostic",
            "volume 12.345 m³ [water, total_increasing]",
            "backward_volume 0.007 m³ [water, total_increasing]",
            "volume_storage_1 10 m³ [water] off",
        ]
    );
}

#[test]
fn an_apator_module_keeps_its_diagnostics_aside() {
    assert_eq!(
        shown(
            ("APA", 0x15, 0x07),
            &["04 13 10 27 00 00", "03 FD 17 04 00 00", "04 FF 0A 04 04 00 00", "02 FF 0B 00 00", "03 FF 0C 10 00 B5"]
        ),
        [
            "volume 10 m³ [water, total_increasing]",
            "error_flags 4 diagnostic",
            "optical_diagnostic 1028 off",
            "oscillator_diagnostic 0 off",
            "power_supply_diagnostic -4915184 off",
        ]
    );
}

#[test]
fn an_svm_f4_counts_pulses_not_heat_cost_units() {
    assert_eq!(
        shown(
            ("SVM", 0x08, 0x04),
            &["04 06 64 00 00 00", "84 40 14 32 00 00 00", "84 40 6E 07 00 00 00", "84 80 40 6E 08 00 00 00"]
        ),
        [
            "energy 100 kWh [energy, total_increasing]",
            "second_volume 0.5 m³ [volume, total_increasing]",
            "input_1 7 [total_increasing]",
            "input_2 8 [total_increasing]",
        ]
    );
}

#[test]
fn an_engelmann_sensostar_has_pulse_inputs() {
    assert_eq!(
        shown(
            ("EFE", 0x00, 0x0D),
            &["04 06 64 00 00 00", "84 10 06 05 00 00 00", "84 80 40 13 E8 03 00 00", "C4 C0 40 13 01 00 00 00"]
        ),
        [
            "energy 100 kWh [energy, total_increasing]",
            "energy_tariff_1 5 kWh [energy, total_increasing] off",
            "input_2 1 m³ [volume, total_increasing]",
            "input_3_storage_1 0.001 m³ [volume] off",
        ]
    );
}

/// Also over the telegrams of a file: `MBUSHAT_TELEGRAMS=FILE cargo test models`, as for `mutations`.
#[test]
fn no_meter_with_a_profile_has_a_key_made_of_its_makers_code() {
    let config = configured("");
    let own = [
        telegram(("ABB", 0x20, ELECTRICITY), "0E 84 FF F2 00 45 00 00 00 00 00 02 FF E0 FF 83 00 10 FF"),
        telegram(("SEC", 0x15, ELECTRICITY), "87 40 83 FF 09 14 00 00 00 00 00 00 00 05 FD C9 FF 08 00 80 C7 43"),
        telegram(("ACW", 0x14, 0x07), "04 93 7F 07 00 00 00"),
    ];
    let (mut meters, mut keys) = (0, 0);
    for bytes in own.into_iter().chain(more_telegrams()) {
        let Some(reading) = try_to_read(&config, &[bytes]) else { continue };
        let identity = reading.device.identity;
        if !identity.is_some_and(|meter| config.profiles.iter().any(|profile| profile.matches(meter))) {
            continue;
        }
        meters += 1;
        keys += reading.measurements.len();
        for measurement in &reading.measurements {
            assert!(!measurement.key.contains("_manufacturer"), "{} of {identity:?}", measurement.key);
        }
    }
    println!("{keys} values of {meters} telegrams");
    assert!(meters >= 3 && keys >= 5, "{keys} values of {meters} telegrams");
}
