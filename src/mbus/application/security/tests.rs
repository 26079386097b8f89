//! Keys, modes and what is refused.

use super::{Header, Key, SecondaryAddress, SecurityError, ShortHeader, decrypt, encrypt_mode_5};
use crate::mbus::application::structure::StructureError;
use crate::mbus::application::telegram::{Content, Telegram};
use crate::mbus::link::frame::{Control, Frame};

const KEY: Key = Key::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const MODE_5: &str = "68 2F 2F 68 08 05 72 78 56 34 12 24 40 01 07 2A 00 20 05 08 CB A9 22 8D 27 DD EA EC 15 07 8D 7C 54 02 3A 4F 3E 60 8F 14 14 DF 9E D3 E9 1A C2 A2 E2 4E 66 F9 16";
const MODE_7: &str = "68 31 31 68 08 05 90 0F 00 2C 25 05 01 00 00 03 BF 75 84 3E D1 60 65 72 78 56 34 12 24 40 01 07 2B 00 10 07 10 9F 62 13 93 4C 78 2A B8 B2 DE BC AA E0 ED 0C 03 F5 16";

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

fn numbers(bytes: &[u8], key: Option<&Key>) -> Result<Vec<String>, SecurityError> {
    let telegram = Telegram::parse(&Frame::parse(bytes).expect("a frame")).expect("a telegram");
    let mut buffer = Vec::new();
    let plain = match telegram.content {
        Content::Encrypted(encrypted) => {
            let afl = telegram.afl.as_ref();
            telegram.with_plain(decrypt(&encrypted, afl, telegram.header.identity, key, &mut buffer)?)
        }
        _ => telegram,
    };
    Ok(plain.records().filter_map(|r| r.expect("whole").number()).map(|n| n.to_string()).collect())
}

#[test]
fn both_modes_give_their_records_with_the_right_key() {
    assert_eq!(numbers(&hex(MODE_5), Some(&KEY)), Ok(vec!["2850.427".to_owned(), "21.5".to_owned()]));
    assert_eq!(numbers(&hex(MODE_7), Some(&KEY)), Ok(vec!["2850.427".to_owned(), "21.5".to_owned()]));
}

#[test]
fn without_the_right_key_there_are_no_records() {
    let other = Key::from_hex("FFEEDDCCBBAA99887766554433221100").expect("32 digits");
    assert_eq!(numbers(&hex(MODE_5), None), Err(SecurityError::NoKey { mode: 5 }));
    assert_eq!(numbers(&hex(MODE_5), Some(&other)), Err(SecurityError::WrongKey));
    assert_eq!(numbers(&hex(MODE_7), Some(&other)), Err(SecurityError::WrongAuthentication));
    let bytes = hex(MODE_5);
    let telegram = Telegram::parse(&Frame::parse(&bytes).expect("a frame")).expect("a telegram");
    let items: Vec<_> = telegram.records().collect();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].map(|_| ()).map_err(|cut| cut.error), Err(StructureError::Encrypted { mode: 5 }));
}

#[test]
fn a_changed_byte_of_an_authenticated_telegram_is_noticed() {
    let mut bytes = hex(MODE_7);
    bytes[45] ^= 1;
    let sum = bytes[4..53].iter().fold(0_u8, |sum, b| sum.wrapping_add(*b));
    bytes[53] = sum;
    assert_eq!(numbers(&bytes, Some(&KEY)), Err(SecurityError::WrongAuthentication));
}

#[test]
fn mode_5_reads_back_as_written() {
    let identity = SecondaryAddress::parse("12345678PAD0107").expect("an address");
    let short = ShortHeader { access_number: 0x2A, ..ShortHeader::default() };
    let header = Header { identity: Some(identity), short: Some(short) };
    let records = [0x0C, 0x13, 0x27, 0x04, 0x85, 0x02, 0x04, 0x6D, 0x2D, 0x2D, 0x1D, 0x32, 0x02, 0x5A, 0xD7, 0x00];
    let mut data = Vec::new();
    encrypt_mode_5(&header, &records, &KEY, &mut data).expect("two blocks");
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x72, data: &data };
    assert_eq!(frame.to_vec(), Ok(hex(MODE_5)));
    let too_much = encrypt_mode_5(&header, &[0x2F; 240], &KEY, &mut Vec::new());
    assert_eq!(too_much, Err(SecurityError::Cut { got: 240, want: 256 }));
}

#[test]
fn fewer_blocks_than_announced_are_an_error() {
    let bytes = hex(MODE_5);
    let data = &bytes[7..40];
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x72, data };
    assert_eq!(numbers(&frame.to_vec().expect("fits"), Some(&KEY)), Err(SecurityError::Cut { got: 21, want: 32 }));
}

#[test]
fn no_block_is_encrypted_where_the_configuration_field_counts_none() {
    let record = [0x01, 0x13, 0x2A];
    // modes 5, 4 and 1; mode 7 has its extension, with a key version and a message counter, all the same
    for before in [&[0, 0, 0, 5][..], &[0, 0, 0, 4], &[0, 0, 0, 1], &[0, 0, 0, 0x27, 0x50, 1, 2, 3, 4, 9]] {
        let data = [before, &record].concat();
        let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x7A, data: &data };
        assert_eq!(numbers(&frame.to_vec().expect("fits"), None), Ok(vec!["0.042".to_owned()]), "{before:?}");
    }
}

#[test]
fn a_key_is_32_hex_digits_and_is_not_printed() {
    for wrong in ["", "00", "000102030405060708090A0B0C0D0E0G", "+00102030405060708090A0B0C0D0E0F"] {
        assert_eq!(Key::from_hex(wrong), None, "{wrong}");
    }
    assert_eq!(Key::from_hex("000102030405060708090a0b0c0d0e0f"), Some(KEY));
    assert!(!format!("{KEY:?}").contains("01"));
}
