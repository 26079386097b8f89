//! Encrypted and authenticated telegrams with any key: what is not decrypted gives no record, and
//! what was encrypted here comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mbushat::mbus::address::SecondaryAddress;
use mbushat::mbus::link::frame::{Control, Frame};
use mbushat::mbus::application::header::{Header, ShortHeader};
use mbushat::mbus::application::opener::{Buffers, Opener};
use mbushat::mbus::application::security::{Key, encrypt_mode_5};
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
        let (mut opener, mut buffers) = (Opener::new(Some(key)), Buffers::default());
        opener.identify(identity);
        if let Ok(plain) = opener.open(&telegram, &mut buffers) {
            let _ = plain.records().count();
        }
    }
    let short = ShortHeader { access_number, ..ShortHeader::default() };
    let header = Header { identity: Some(identity), short: Some(short) };
    let mut written = Vec::new();
    if encrypt_mode_5(&header, data, &key, &mut written).is_ok() {
        let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x72, data: &written };
        let telegram = Telegram::parse(&frame).expect("a long header");
        let mut buffers = Buffers::default();
        let plain = Opener::new(Some(key)).open(&telegram, &mut buffers).expect("the same key");
        let Content::Records(bytes) = plain.content else { panic!("CI 72 carries records") };
        assert_eq!(bytes.get(..data.len()), Some(data));
        assert!(bytes.iter().skip(data.len()).all(|filler| *filler == 0x2F));
    }
});
