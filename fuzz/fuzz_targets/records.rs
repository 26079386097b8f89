//! Any bytes as records, in both byte orders and both directions: what the tests hold of every record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mbushat::mbus::octets::ByteOrder;
use mbushat::mbus::application::records::Records;

#[path = "../../tests/it/records.rs"]
mod records;

fuzz_target!(|bytes: &[u8]| {
    for (order, from_meter) in [
        (ByteOrder::LeastFirst, true),
        (ByteOrder::MostFirst, true),
        (ByteOrder::LeastFirst, false),
    ] {
        let mut iter = Records::new(bytes, order, from_meter);
        let (mut count, mut taken) = (0, 0);
        for item in &mut iter {
            match item {
                Ok(record) => {
                    assert_eq!(record.index, count);
                    taken += record.dib.bytes.len() + record.vib.bytes.len() + record.data.len();
                    records::check(&record, order, from_meter);
                }
                Err(cut) => {
                    assert_eq!(cut.index, count);
                    taken += cut.rest.len();
                }
            }
            count += 1;
        }
        // no byte is read twice, and only fillers and one DIF are read and not told
        assert!(taken + iter.manufacturer_data().len() <= bytes.len());
    }
});
