//! Encrypted and authenticated telegrams with any key: what is not decrypted gives no record, and
//! what was encrypted here comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mbushat::mbus::address::SecondaryAddress;
use mbushat::mbus::link::frame::{Control, Frame};
use mbushat::mbus::application::header::{Header, ShortHeader};
use mbushat::mbus::application::security::{Key, decrypt, encrypt_mode_5};
use mbushat::mbus::application::telegram::{Content, Telegram};

fuzz_target!(|input: ([u8; 16], u8, [u8; 8], &[u8])| {
    let (key, access_number, identity, data) = input;
    let (key, identity) = (Key::new(key), SecondaryAddress::from_wire(identity));
    for ci in [0x90, 0x72, 0x7A, 0x7B] {
        let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci, data };
        let Ok(telegram) = Telegram::parse(&frame) else { continue };
        if matches!(telegram.content, Content::Encrypted(_)) {
            assert!(telegram.records().all(|record| record.is_err()));
        }
        let mut buffer = Vec::new();
        if let Ok(plain) = decrypt(&telegram, Some(&key), Some(identity), &mut buffer) {
            let _ = plain.records().count();
        }
    }
    let short = ShortHeader { access_number, ..ShortHeader::default() };
    let header = Header { identity: Some(identity), short: Some(short) };
    let mut written = Vec::new();
    if encrypt_mode_5(&header, data, &key, &mut written).is_ok() {
        let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x72, data: &written };
        let telegram = Telegram::parse(&frame).expect("a long header");
        let mut buffer = Vec::new();
        let plain = decrypt(&telegram, Some(&key), None, &mut buffer).expect("the same key");
        let Content::Records(bytes) = plain.content else { panic!("CI 72 carries records") };
        assert_eq!(bytes.get(..data.len()), Some(data));
        assert!(bytes.iter().skip(data.len()).all(|filler| *filler == 0x2F));
    }
});
