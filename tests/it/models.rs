//! What the owner of each model with a built-in profile gets to see: keys, units, classes, and what starts
//! disabled. The telegrams are built like the meters' own, with invented values.

use crate::mutations::more_telegrams;
use crate::rules::{ELECTRICITY, Model, configured, read, seen, telegram, try_to_read};

/// Each measurement of a telegram of this model, by the built-in profiles.
fn shown(model: Model<'_>, records: &[&str]) -> Vec<String> {
    seen(&read(&configured(""), &[telegram(model, &records.join(" "))]))
}

#[test]
fn an_abb_b23_shows_each_register_once_and_no_status_as_a_name() {
    assert_eq!(
        shown(
            ("ABB", 0x20, ELECTRICITY),
            &[
                "0E 84 00 45 23 01 00 00 00",
                "8E 40 84 00 11 00 00 00 00 00",
                "8E 90 40 84 00 20 00 00 00 00 00",
                "0E 84 FF F2 00 45 00 00 00 00 00",
                "04 A9 00 54 1F 00 00",
                "04 A9 FF 81 00 10 27 00 00",
                "84 80 40 A9 FF 82 00 C8 00 00 00",
                "84 80 80 40 A9 00 64 00 00 00",
                "04 FD C8 FF 81 00 FD 08 00 00",
                "04 FD C8 FF 85 15 00 00 00 00",
                "0A FF D9 00 98 49",
                "02 FF E0 00 20 03",
                "02 FF E0 FF 83 00 10 FF",
                "02 FF D2 FF 81 00 2C 01",
                "01 FF 93 00 02",
                "04 FF 98 00 07 00 00 00",
                "07 FF A6 00 00 00 00 00 00 00 00 00",
                "0D FF AA 00 07 31 31 31 20 33 32 42",
                "04 FF A0 15 00 00 00 00",
                "0E FF F9 C4 00 23 01 00 00 00 00"
            ]
        ),
        [
            "energy 123.45 kWh [energy, total_increasing]",
            "energy_export 0.11 kWh [energy, total_increasing]",
            "reactive_energy_tariff_1 0.2 kvarh [reactive_energy, total_increasing]",
            "energy_resettable 0.45 kWh [energy, total_increasing] off",
            "power 80.2 W [power, measurement]",
            "power_l1 100 W [power, measurement]",
            "reactive_power_l2 2 var [reactive_power, measurement]",
            "apparent_power 1 VA [apparent_power, measurement]",
            "voltage_l1 230.1 V [voltage, measurement]",
            "voltage_l1_l2 null V [voltage, measurement]",
            "frequency 49.98 Hz [frequency, measurement]",
            "power_factor 0.8 [power_factor, measurement]",
            "power_factor_l3 -0.24 [power_factor, measurement]",
            "phase_angle_l1 30 ° [measurement]",
            "active_tariff 2",
            "power_failures 7 [total_increasing] off",
            "error_flags 0 diagnostic",
            "model B23 111 off",
            "current_transformer_ratio null off",
            "co2 0.123 kg [total_increasing]",
        ]
    );
}

#[test]
fn an_abb_delta_has_reactive_energy_and_its_tariff() {
    assert_eq!(
        shown(
            ("ABB", 0x02, ELECTRICITY),
            &["0E 04 10 00 00 00 00 00", "8E 80 40 04 20 00 00 00 00 00", "01 FF 13 01", "01 FF 18 03"]
        ),
        [
            "energy 0.1 kWh [energy, total_increasing]",
            "reactive_energy 0.2 kvarh [reactive_energy, total_increasing]",
            "active_tariff 1",
            "power_failures 3 [total_increasing] off",
        ]
    );
}

#[test]
fn a_schneider_iem3000_shows_phases_means_and_three_kinds_of_power() {
    assert_eq!(
        shown(
            ("SEC", 0x18, ELECTRICITY),
            &[
                "05 FD DC FF 01 00 00 20 41",
                "05 FD DC FF 00 00 00 A0 40",
                "05 FD C9 FF 05 00 00 C8 43",
                "05 FD C9 FF 08 00 80 C7 43",
                "05 FD C9 FF 02 00 00 66 43",
                "05 FD C9 FF 04 00 00 65 43",
                "05 AE FF 03 00 00 80 3F",
                "05 2E 00 00 00 40",
                "85 40 2E 00 00 40 3F",
                "85 80 40 2E 00 00 20 40",
                "05 FF 0A 00 00 40 3F",
                "05 FF 0B 00 00 48 42",
                "07 03 40 E2 01 00 00 00 00 00"
            ]
        ),
        [
            "current_l1 10 A [current, measurement]",
            "current 5 A [current, measurement]",
            "voltage_l1_l2 400 V [voltage, measurement]",
            "voltage_line_to_line 399 V [voltage, measurement]",
            "voltage_l2 230 V [voltage, measurement]",
            "voltage 229 V [voltage, measurement]",
            "power_l3 1000 W [power, measurement]",
            "power 2000 W [power, measurement]",
            "reactive_power 750 var [reactive_power, measurement]",
            "apparent_power 2500 VA [apparent_power, measurement]",
            "power_factor 0.75 [power_factor, measurement]",
            "frequency 50 Hz [frequency, measurement]",
            "energy 123.456 kWh [energy, total_increasing]",
        ]
    );
}

#[test]
fn a_schneider_iem3000_counts_each_energy_once() {
    assert_eq!(
        shown(
            ("SEC", 0x18, ELECTRICITY),
            &[
                "07 83 FF 09 0A 00 00 00 00 00 00 00",
                "87 40 83 FF 09 14 00 00 00 00 00 00 00",
                "87 40 03 E8 03 00 00 00 00 00 00",
                "07 83 FF 0D 64 00 00 00 00 00 00 00",
                "07 83 FF 01 05 00 00 00 00 00 00 00",
                "87 10 03 01 00 00 00 00 00 00 00",
                "03 FF 10 01 00 00",
                "05 03 00 20 F1 47",
                "85 40 03 00 00 80 3F",
                "05 83 FF 0D 00 00 80 3F",
                "85 80 10 03 00 00 80 3F",
                "06 FF 20 40 E2 01 00 00 00",
                "04 ED FF 39 3B 17 0E 39",
                "03 FF 24 32 00 00",
                "03 FD 1A FF FF 00"
            ]
        ),
        [
            "energy_export 0.01 kWh [energy, total_increasing]",
            "reactive_energy_export 0.02 kvarh [reactive_energy, total_increasing]",
            "reactive_energy 1 kvarh [reactive_energy, total_increasing]",
            "energy_resettable 0.1 kWh [energy, total_increasing] off",
            "energy_l1 0.005 kWh [energy, total_increasing]",
            "energy_tariff_1 0.001 kWh [energy, total_increasing] off",
            "active_tariff 1",
            "operating_time 123456 s [duration, total_increasing] off",
            "last_alarm 2024-09-14T23:59 [timestamp] off",
            "nominal_frequency 50 Hz [frequency, measurement] off",
            "digital_output 65535 off",
        ]
    );
}

#[test]
fn an_ime_conto_d4_shows_what_stands_under_the_makers_code_alone() {
    assert_eq!(
        shown(
            ("IME", 0x66, ELECTRICITY),
            &[
                "84 90 10 FF 80 84 3B D2 04 00 00",
                "84 90 10 FF 81 84 3C 05 00 00 00",
                "84 20 FF 80 84 3B 64 00 00 00",
                "84 A0 10 FF 81 84 3B 07 00 00 00",
                "84 B0 10 FF 84 2B B8 0B 00 00",
                "84 90 20 FF 85 2B 9C FF FF FF",
                "84 80 20 FF 87 48 FD 08 00 00",
                "84 A0 20 FF 88 48 A0 0F 00 00",
                "84 90 20 FF 89 59 C4 09 00 00",
                "02 FF 8A 48 F4 01",
                "82 B0 10 FF 8B 28 B6 03",
                "84 10 FF 8F 21 3C 00 00 00"
            ]
        ),
        [
            "energy 12.34 kWh [energy, total_increasing]",
            "reactive_energy_export 0.05 kvarh [reactive_energy, total_increasing]",
            "energy_tariff_2 1 kWh [energy, total_increasing] off",
            "reactive_energy_resettable 0.07 kvarh [reactive_energy, total_increasing] off",
            "power 3000 W [power, measurement]",
            "reactive_power_l2 -100 var [reactive_power, measurement]",
            "voltage_l1 230.1 V [voltage, measurement]",
            "voltage_l3_l1 400 V [voltage, measurement]",
            "current_l2 2.5 A [current, measurement]",
            "frequency 50 Hz [frequency, measurement]",
            "power_factor 0.95 [power_factor, measurement]",
            "operating_time_tariff_1 60 min [duration, total_increasing] off",
        ]
    );
}

#[test]
fn a_carlo_gavazzi_em24_has_phases_as_sub_units() {
    assert_eq!(
        shown(
            ("GAV", 0x5A, ELECTRICITY),
            &[
                "04 05 0A 00 00 00",
                "84 40 05 04 00 00 00",
                "04 2A 10 27 00 00",
                "04 FF 01 9C FF FF FF",
                "04 FF 07 10 27 00 00",
                "02 FF 02 84 03",
                "04 FF 04 64 00 00 00",
                "84 80 80 40 FD 48 A0 0F 00 00",
                "84 80 40 FF 13 88 13 00 00"
            ]
        ),
        [
            "energy 1 kWh [energy, total_increasing]",
            "energy_l1 0.4 kWh [energy, total_increasing]",
            "power 1000 W [power, measurement]",
            "reactive_power -10 var [reactive_power, measurement]",
            "apparent_power 1000 VA [apparent_power, measurement]",
            "power_factor 0.9 [power_factor, measurement]",
            "reactive_energy 10 kvarh [reactive_energy, total_increasing]",
            "voltage_line_to_line 400 V [voltage, measurement]",
            "current_l2 5 A [current, measurement]",
        ]
    );
}

#[test]
fn a_carlo_gavazzi_em111_has_a_power_factor() {
    assert_eq!(
        shown(("GAV", 0xC4, ELECTRICITY), &["02 FD BA 73 F6 02", "84 40 2A 64 00 00 00", "82 80 40 FD BA 73 E8 03"]),
        [
            "power_factor 0.758 [power_factor, measurement]",
            "power_l1 10 W [power, measurement]",
            "power_factor_l2 1 [power_factor, measurement]",
        ]
    );
}

#[test]
fn a_finder_7e_is_a_saia_whose_tariffs_are_its_totals() {
    assert_eq!(
        shown(
            ("FIN", 0x23, ELECTRICITY),
            &[
                "8C 10 04 34 12 00 00",
                "8C 11 04 34 02 00 00",
                "02 FD C9 FF 01 E6 00",
                "02 FD DB FF 02 0C 00",
                "02 AC FF 03 09 00",
                "82 40 AC FF 01 FD FF",
                "02 AC FF 00 14 00",
                "82 40 AC FF 00 F6 FF",
                "02 FF 68 05 00",
                "01 FF 13 04"
            ]
        ),
        [
            "energy_tariff_1 12.34 kWh [energy, total_increasing]",
            "energy_resettable_tariff_1 2.34 kWh [energy, total_increasing] off",
            "voltage_l1 230 V [voltage, measurement]",
            "current_l2 1.2 A [current, measurement]",
            "power_l3 90 W [power, measurement]",
            "reactive_power_l1 -30 var [reactive_power, measurement]",
            "power 200 W [power, measurement]",
            "reactive_power -100 var [reactive_power, measurement]",
            "current_transformer_ratio 5 off",
            "active_tariff 4",
        ]
    );
}

#[test]
fn a_janitza_umg96_tells_import_export_reactive_and_apparent() {
    assert_eq!(
        shown(
            ("JAN", 0x09, ELECTRICITY),
            &[
                "06 04 64 00 00 00 00 00",
                "86 10 04 C8 00 00 00 00 00",
                "86 20 04 64 00 00 00 00 00",
                "86 60 04 9C FF FF FF FF FF",
                "86 80 40 04 2C 01 00 00 00 00",
                "84 C0 80 40 2B E8 03 00 00",
                "84 80 C0 40 2B 9C FF FF FF",
                "84 C0 C0 40 2B EE 03 00 00",
                "84 80 40 FD 48 FC 08 00 00",
                "84 80 80 40 FD 59 E8 03 00 00",
                "84 40 24 3C 00 00 00"
            ]
        ),
        [
            "energy 1 kWh [energy, total]",
            "energy_import 2 kWh [energy, total_increasing]",
            "energy_export 1 kWh [energy, total_increasing]",
            "reactive_energy_export -1 kvarh [reactive_energy, total]",
            "apparent_energy 3 kVAh [total_increasing]",
            "power 1000 W [power, measurement]",
            "reactive_power -100 var [reactive_power, measurement]",
            "apparent_power 1006 VA [apparent_power, measurement]",
            "voltage_l2 230 V [voltage, measurement]",
            "current_neutral 1 A [current, measurement]",
            "operating_time_1 60 s [duration, total_increasing] off",
        ]
    );
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
fn an_emu_professional_has_reactive_tariffs_and_power_factors() {
    assert_eq!(
        shown(
            ("EMU", 0x10, ELECTRICITY),
            &[
                "84 10 03 E8 03 00 00",
                "84 90 40 03 D0 07 00 00",
                "04 AB FF 01 64 00 00 00",
                "84 80 40 AB FF 02 9C FF FF FF",
                "84 80 40 2B CE FF FF FF",
                "22 FD C8 FF 03 D0 07",
                "01 FF E1 FF 02 5F",
                "02 FF 52 F3 01"
            ]
        ),
        [
            "energy_tariff_1 1 kWh [energy, total_increasing]",
            "reactive_energy_tariff_1 2 kvarh [reactive_energy, total_increasing]",
            "power_l1 100 W [power, measurement]",
            "reactive_power_l2 -100 var [reactive_power, measurement]",
            "reactive_power -50 var [reactive_power, measurement]",
            "voltage_min_l3 200 V [voltage, measurement] off",
            "power_factor_l2 0.95 [power_factor, measurement]",
            "frequency 49.9 Hz [frequency, measurement]",
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
fn an_ime_nemo96_has_line_voltages_and_a_neutral() {
    assert_eq!(
        shown(
            ("IME", 0x1D, ELECTRICITY),
            &[
                "8E 50 04 45 23 01 00 00 00",
                "8E A0 40 04 10 00 00 00 00 00",
                "85 50 2B 00 00 C8 42",
                "85 60 2B 00 00 20 41",
                "85 40 AB FF 02 00 00 20 42",
                "85 80 40 AB FF 01 00 00 A0 41",
                "05 FD BA FF 03 00 00 40 3F",
                "05 FD 3A 00 00 40 3F",
                "05 FD C8 FF 04 00 00 7A 45",
                "05 FD D9 FF 04 00 00 C8 42",
                "05 FF 5A 00 00 FA 43",
                "02 FD 3A C8 00",
                "02 FD 3A 0A 00"
            ]
        ),
        [
            "energy 123.45 kWh [energy, total_increasing]",
            "reactive_energy_resettable 0.1 kvarh [reactive_energy, total_increasing] off",
            "power 100 W [power, measurement]",
            "power_export 10 W [power, measurement]",
            "power_l2 40 W [power, measurement]",
            "reactive_power_l1 20 var [reactive_power, measurement]",
            "power_factor_l3 0.75 [power_factor, measurement]",
            "power_factor 0.75 [power_factor, measurement]",
            "voltage_l1_l2 400 V [voltage, measurement]",
            "current_neutral 0.1 A [current, measurement]",
            "frequency 50 Hz [frequency, measurement]",
            "transformer_ratio_1 200 [measurement] off",
            "transformer_ratio_2 10 [measurement] off",
        ]
    );
}

#[test]
fn a_tip_sinus_85_tells_reactive_from_apparent() {
    assert_eq!(
        shown(
            ("TIP", 0x02, ELECTRICITY),
            &[
                "84 10 05 64 00 00 00",
                "04 AA FC 01 0A 00 00 00",
                "84 40 AA FC 02 14 00 00 00",
                "84 80 40 2A 1E 00 00 00",
                "01 FF F1 FC 03 5F",
                "01 FF 61 62",
                "02 FF 13 01 00"
            ]
        ),
        [
            "energy_tariff_1 10 kWh [energy, total_increasing]",
            "power_l1 1 W [power, measurement]",
            "reactive_power_l2 2 var [reactive_power, measurement]",
            "apparent_power 3 VA [apparent_power, measurement]",
            "power_factor_l3 0.95 [power_factor, measurement]",
            "power_factor 0.98 [power_factor, measurement]",
            "active_tariff 1",
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
fn a_zpa_has_abbs_status_behind_its_phases() {
    assert_eq!(
        shown(
            ("ZPA", 0x01, ELECTRICITY),
            &[
                "86 10 83 00 E8 03 00 00 00 00",
                "86 90 40 83 00 64 00 00 00 00 00",
                "02 FD C9 FF 81 00 E6 00",
                "03 FD D9 FF 82 18 00 00 00",
                "04 AB 00 0A 00 00 00"
            ]
        ),
        [
            "energy_tariff_1 1 kWh [energy, total_increasing]",
            "reactive_energy_tariff_1 0.1 kvarh [reactive_energy, total_increasing]",
            "voltage_l1 230 V [voltage, measurement]",
            "current_l2 null A [current, measurement]",
            "power 10 W [power, measurement]",
        ]
    );
}

#[test]
fn an_algodue_has_phases_and_publishes_what_has_no_scale_as_counted() {
    assert_eq!(
        shown(
            ("ALG", 0x04, ELECTRICITY),
            &["04 FD C8 FF 06 A0 0F 00 00", "02 FF 84 FF 03 B6 03", "86 80 40 FF 90 FF 00 64 00 00 00 00 00"]
        ),
        ["voltage_l2_l3 400 V [voltage, measurement]", "power_factor_l3 950 off", "reactive_power 100 off"]
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

#[test]
fn a_gossen_u189_tells_active_from_reactive_power() {
    let voltages = "82 40 FD 48 FC 08 82 80 40 FD 48 FD 08 82 C0 40 FD 48 FE 08";
    let currents = "82 40 FD 59 E8 03 82 80 40 FD 59 E9 03 82 C0 40 FD 59 EA 03";
    assert_eq!(
        shown(("GMC", 0xE6, ELECTRICITY), &[voltages, currents, "82 40 2B 58 02", "82 40 2B D4 FE"]),
        [
            "voltage_l1 230 V [voltage, measurement]",
            "voltage_l2 230.1 V [voltage, measurement]",
            "voltage_l3 230.2 V [voltage, measurement]",
            "current_l1 1 A [current, measurement]",
            "current_l2 1.001 A [current, measurement]",
            "current_l3 1.002 A [current, measurement]",
            "power 600 W [power, measurement]",
            "reactive_power -300 var [reactive_power, measurement]",
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
