//! Electricity meters that tell their phases by codes of their makers.

use super::shown;
use crate::rules::ELECTRICITY;

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
