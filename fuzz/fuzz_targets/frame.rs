//! A frame that parses is written back byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mbushat::mbus::link::frame::Frame;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = Frame::parse(bytes) {
        assert_eq!(frame.to_vec().as_deref(), Ok(bytes));
    }
});
