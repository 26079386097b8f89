//! Any CI field with any data: headers, fixed structures, compact and format frames, errors, alarms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mbushat::mbus::application::opener::{Buffers, Opener};
use mbushat::mbus::link::frame::{Control, Frame};
use mbushat::mbus::octets::ByteOrder;
use mbushat::mbus::application::telegram::Telegram;

#[path = "../../tests/it/records.rs"]
mod records;

fuzz_target!(|input: (u8, &[u8], u8, &[u8])| {
    let (ci, data, next_ci, next) = input;
    let mut opener = Opener::default();
    for (ci, data) in [(ci, data), (next_ci, next)] {
        let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci, data };
        let Ok(telegram) = Telegram::parse(&frame) else { continue };
        let mut buffers = Buffers::default();
        let telegram = opener.open(&telegram, &mut buffers).unwrap_or(telegram);
        let _ = format!("{telegram:?} {:?}", telegram.status().map(|s| s.names().count()));
        // the heads of an expanded frame are those of the frame before
        assert!(telegram.records().count() <= input.1.len() + input.3.len() + 2);
        let order = if telegram.ci == 0x76 { ByteOrder::MostFirst } else { ByteOrder::LeastFirst };
        let from_meter = !matches!(telegram.ci, 0x51 | 0x52 | 0x5A | 0x5B);
        for record in telegram.records().flatten() {
            records::check(&record, order, from_meter);
        }
    }
});
