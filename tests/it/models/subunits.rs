//! Electricity meters whose sub-units and tariffs say what a number is: its phase, reactive, apparent.

use super::shown;
use crate::rules::ELECTRICITY;

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
