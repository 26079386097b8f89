//! Names and units that a meter spells out in plain text.

use mbushat::mbus::application::quantity::{Known, Quantity};
use mbushat::measure::normalise::MeterRules;
use mbushat::measure::profile::{Presentation, RecordRule, Selector};

use super::{normalise, plain, read, telegram, told};

/// A record whose VIF is this text: DIF, 7C, the length, the characters from the last to the first, and data.
fn in_words(dif: &str, text: &str, data: &str) -> String {
    let characters: Vec<String> = text.chars().rev().map(|c| format!("{:02X}", u32::from(c))).collect();
    format!("{dif} 7C {:02X} {} {data} ", characters.len(), characters.join(" "))
}

#[test]
fn the_meters_own_words_are_the_key_and_the_title() {
    let records = [
        in_words("02", "bat. time", "D2 0F"),
        in_words("0D", "cust. ID", "04 31 42 41 20"),
        in_words("42", "bat. time", "D1 0F"),
        in_words("02", "bat. time", "01 00"),
        in_words("00", "97.5 % BATT", ""),
        in_words("01", "12 % BATT", "05"),
        in_words("00", "no value", ""),
        in_words("01", "BATT %", "06"),
        in_words("01", "kWh", "07"),
        in_words("01", "Z\u{e4}hler", "08"),
        in_words("01", "seq", "09"),
    ]
    .concat();
    let reading = read(7, &records);
    let with_titles: Vec<String> = told(&reading)
        .iter()
        .zip(&reading.measurements)
        .map(|(told, m)| format!("{told}; {} {:?}", m.presentation.title.as_deref().unwrap_or("-"), m.digits))
        .collect();
    assert_eq!(
        with_titles,
        [
            "bat_time 4050; Bat. time Some(0)",
            "cust_id AB1; Cust. ID None",
            "bat_time_storage_1 4049; Bat. time storage 1 Some(0)",
            "bat_time_2 1; Bat. time 2 Some(0)",
            "batt 97.5 %; BATT None",
            "batt_2 5; BATT 2 Some(0)",
            "batt_3 6 %; BATT 3 Some(0)",
            "plain_text 7 kWh; - Some(0)",
            "plain_text_2 8; - Some(0)",
            "seq_2 9; Seq 2 Some(0)",
        ]
    );
    assert!(reading.measurements.iter().all(|m| m.quantity == Quantity::Known(Known::PlainText)));
}

#[test]
fn rules_for_plain_text_select_what_has_a_name_too() {
    let select = Selector { quantity: Some(Quantity::Known(Known::PlainText)), ..Selector::default() };
    let title = Presentation { title: Some("Own".to_owned()), ..Presentation::default() };
    let rule =
        RecordRule { select: Selector { storage: Some(1), ..select.clone() }, hide: true, ..RecordRule::default() };
    let own = RecordRule { select: select.clone(), presentation: title, ..RecordRule::default() };
    let keyed = RecordRule { select, key: Some("battery".to_owned()), ..RecordRule::default() };
    let frames =
        [telegram(1, 7, &[in_words("42", "bat. time", "01 00"), in_words("02", "bat. time", "02 00")].concat())];
    for (rules, want, shown) in [([rule.clone(), own], "bat_time 2", Some("Own")), ([rule, keyed], "battery 2", None)] {
        let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
        assert_eq!(told(&reading), [want]);
        assert_eq!(reading.measurements[0].presentation.title.as_deref(), shown);
    }
}

#[test]
fn what_the_meters_words_call_a_secret_is_published_only_when_asked_for() {
    let secrets = ["key", "PIN", "access code", "Password"].map(|text| in_words("0C", text, "78 56 34 12"));
    let records = [secrets.concat(), in_words("0C", "key", "0A 00 00 00"), in_words("01", "keys", "07")].concat();
    let reading = read(7, &records);
    assert_eq!(told(&reading), ["keys 7"]);
    assert_eq!(reading.errors, [], "what is not a value is not shown among the errors either");
    let only = ["access_code".to_owned()];
    let reading = normalise(&[telegram(1, 7, &records)], &MeterRules { only: Some(&only), ..plain() }).expect("one");
    assert_eq!(told(&reading), ["access_code 12345678"]);
    let text = Selector { quantity: Some(Quantity::Known(Known::PlainText)), ..Selector::default() };
    for (index, want) in [(None, vec!["keys 7"]), (Some(1), vec!["pin 12345678", "keys 7"])] {
        let rules = [RecordRule { select: Selector { index, ..text.clone() }, ..RecordRule::default() }];
        let reading = normalise(&[telegram(1, 7, &records)], &MeterRules { rules: &rules, ..plain() }).expect("one");
        assert_eq!(told(&reading), want, "a rule must mean it");
    }
}

#[test]
fn a_unit_in_the_meters_own_words_is_ours_where_it_spells_one() {
    assert_eq!(
        told(&read(0x1B, "02 FC 03 48 52 25 74 22 15 02 65 2E 08")),
        ["relative_humidity 54.1 %", "external_temperature 20.94 °C"]
    );
    assert_eq!(told(&read(0x1B, "02 7C 03 61 50 6B 05 00")), ["plain_text 0.05 bar"]);
    assert_eq!(told(&read(0x1B, "02 7C 02 74 73 05 00")), ["plain_text 5"], "pieces, not stones");
}
