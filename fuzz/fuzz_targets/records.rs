//! Any bytes as records, in both byte orders: every value is read and shown, and what is a value of
//! its own is written back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mbushat::mbus::octets::ByteOrder;
use mbushat::mbus::record::Records;
use mbushat::mbus::value::Value;

fuzz_target!(|bytes: &[u8]| {
    for (order, from_meter) in [(ByteOrder::LeastFirst, true), (ByteOrder::MostFirst, true), (ByteOrder::LeastFirst, false)]
    {
        let mut records = Records::new(bytes, order, from_meter);
        let mut count = 0;
        for item in &mut records {
            count += 1;
            let Ok(record) = item else { continue };
            let names: Vec<_> = record.vib.modifiers().map(|m| m.name()).collect();
            assert!(!names.contains(&Some("")));
            match record.value {
                Ok(Value::Number(number)) => assert!(!number.to_string().is_empty()),
                Ok(Value::Profile(profile)) => {
                    assert!(profile.values(record.number()).count() <= bytes.len());
                }
                Ok(Value::Text(text)) => {
                    let mut out = Vec::new();
                    record.encode(&mut out).expect("a text is written as it was read");
                    assert_eq!(out, [record.dib.bytes, record.vib.bytes, record.data].concat(), "{text}");
                }
                other => assert!(!format!("{other:?}").is_empty()),
            }
            let _ = record.encode(&mut Vec::new());
        }
        assert!(count <= bytes.len());
        assert!(records.manufacturer_data().len() <= bytes.len());
    }
});
