//! Opens the telegrams of one meter: decrypts them, and gives compact frames their heads back.
//!
//! One opener belongs to one meter, for one telegram teaches what a later one needs: its identity,
//! which the cipher takes where a header is short, and the formats of compact frames. Both go with
//! the meter: where another identity answers, the formats are forgotten. The memo of an opener keeps
//! them over a restart.
//!
//! Not here: the frame (`link::frame`), its header (`telegram`), the ciphers (`security`).

use core::fmt;

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::compact::{FormatError, FormatStore};
use crate::mbus::application::security::{self, Key, SecurityError};
use crate::mbus::application::telegram::{Content, Telegram};
use crate::mbus::octets::{from_hex, hex};

/// What is known of a meter; the default knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opener {
    key: Option<Key>,
    identity: Option<SecondaryAddress>,
    formats: FormatStore,
}

/// Room for the data of an encrypted telegram and for the full frame that a compact one stands for.
#[derive(Debug, Default)]
pub struct Buffers {
    plain: Vec<u8>,
    expanded: Vec<u8>,
}

/// Why a telegram stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It cannot be decrypted.
    Security(SecurityError),
    /// It is a compact frame that cannot be expanded.
    Format(FormatError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Security(error) => error.fmt(f),
            Self::Format(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl Opener {
    /// The opener of a meter never met, with its AES-128 key.
    #[must_use]
    pub fn new(key: Option<Key>) -> Self {
        Self { key, ..Self::default() }
    }

    /// The meter's key from now on.
    pub fn set_key(&mut self, key: Option<Key>) {
        self.key = key;
    }

    /// The meter is this one, as its header says.
    pub fn identify(&mut self, identity: SecondaryAddress) {
        if self.identity.replace(identity).is_some_and(|former| former != identity) {
            self.formats = FormatStore::default();
        }
    }

    /// The meter answers to this selection, which identifies it if there is no wildcard in it.
    pub fn select(&mut self, mask: SecondaryAddress) {
        if !mask.has_wildcard() {
            self.identify(mask);
        }
    }

    /// The telegram with readable records, and what it teaches. What is open already comes back as it is.
    ///
    /// # Errors
    /// [`OpenError`]; none of the telegram's data may be used then, only its header.
    pub fn open<'b>(&mut self, telegram: &Telegram<'b>, buffers: &'b mut Buffers) -> Result<Telegram<'b>, OpenError> {
        if let Some(identity) = telegram.header.identity {
            self.identify(identity);
        }
        let telegram = match telegram.content {
            Content::Encrypted(encrypted) => {
                let plain = &mut buffers.plain;
                match security::decrypt(&encrypted, telegram.afl.as_ref(), self.identity, self.key.as_ref(), plain) {
                    Ok(data) => telegram.with_plain(data),
                    Err(error) => telegram.if_sent_plain().ok_or(OpenError::Security(error))?,
                }
            }
            _ => *telegram,
        };
        match telegram.content {
            Content::Format(format) => self.formats.learn_format(&format),
            Content::Records(records) => self.formats.learn(records),
            Content::Compact(compact) => {
                let records = self.formats.expand(&compact, &mut buffers.expanded).map_err(OpenError::Format)?;
                return Ok(telegram.with_records(records));
            }
            _ => {}
        }
        Ok(telegram)
    }

    /// The heads of the records of each format that was seen.
    pub fn formats(&self) -> impl Iterator<Item = &[u8]> {
        self.formats.iter()
    }

    /// Whether there is no room for a further format, so that others may have been seen too.
    #[must_use]
    pub fn has_all_formats(&self) -> bool {
        self.formats.iter().count() >= FormatStore::LIMIT
    }

    /// What it has learnt, as one line of text for [`recall`](Self::recall): the identity, or `-`, and
    /// the heads of each format, in hexadecimal digits. The key is not part of it.
    #[must_use]
    pub fn memo(&self) -> String {
        let mut text = self.identity.map_or_else(|| "-".to_owned(), |identity| hex(&identity.to_wire()));
        for heads in self.formats.iter() {
            text.push(' ');
            text += &hex(heads);
        }
        text
    }

    /// Takes over what was learnt before a restart; what does not look like a memo teaches nothing.
    pub fn recall(&mut self, memo: &str) {
        let mut words = memo.split(' ').map(from_hex);
        let identity = words.next().flatten().and_then(|wire| wire.try_into().ok());
        self.identity = identity.map(SecondaryAddress::from_wire);
        self.formats = FormatStore::default();
        words.flatten().for_each(|heads| self.formats.learn_heads(heads));
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffers, OpenError, Opener};
    use crate::mbus::address::SecondaryAddress;
    use crate::mbus::application::compact::FormatError;
    use crate::mbus::application::header::{Header, ShortHeader};
    use crate::mbus::application::security::{Key, SecurityError, encrypt_mode_5};
    use crate::mbus::application::telegram::{Content, Telegram};
    use crate::mbus::link::frame::{Control, Frame};

    const FULL: &[u8] =
        &[0x2A, 0, 0, 0, 0x02, 0xFF, 0x20, 0x71, 0x00, 0x04, 0x13, 0x08, 0x19, 0, 0, 0x44, 0x13, 0x08, 0x19, 0, 0];
    const COMPACT: &[u8] = &[0x2C, 0, 0, 0, 0x34, 0xDD, 0x0E, 0x39, 0x71, 0x00, 0x08, 0x19, 0, 0, 0x08, 0x19, 0, 0];
    const UNKNOWN: Result<usize, OpenError> = Err(OpenError::Format(FormatError::Unknown { signature: 0xDD34 }));

    fn telegram(ci: u8, data: &[u8]) -> Telegram<'_> {
        Telegram::parse(&Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci, data }).expect("a telegram")
    }

    fn identity(text: &str) -> SecondaryAddress {
        SecondaryAddress::parse(text).expect("an address")
    }

    /// How many records it reads.
    fn count(opener: &mut Opener, ci: u8, data: &[u8]) -> Result<usize, OpenError> {
        let mut buffers = Buffers::default();
        opener.open(&telegram(ci, data), &mut buffers).map(|open| open.records().filter(Result::is_ok).count())
    }

    #[test]
    fn a_compact_frame_is_read_once_a_full_frame_has_taught_its_format() {
        let (mut opener, mut buffers) = (Opener::default(), Buffers::default());
        assert!(matches!(telegram(0x7B, COMPACT).records().next(), Some(Err(_))));
        assert_eq!(count(&mut opener, 0x7B, COMPACT), UNKNOWN);
        assert_eq!(count(&mut opener, 0x7A, FULL), Ok(3));
        let whole = opener.open(&telegram(0x7B, COMPACT), &mut buffers).expect("known now");
        let volumes: Vec<_> = whole.records().map(|r| r.expect("whole").number().map(|n| n.to_string())).collect();
        assert_eq!(volumes[1..], [Some("6.408".to_owned()), Some("6.408".to_owned())]);
        assert_eq!(whole.access_number(), Some(0x2C));
    }

    /// CI 73 is the fixed structure too, which has 16 bytes and no header.
    #[test]
    fn a_compact_frame_with_a_long_header_is_one_whatever_its_length() {
        let full = [0x04, 0x13, 1, 0, 0, 0, 0x44, 0x13, 2, 0, 0, 0, 0x04, 0x2B, 9, 0, 0, 0];
        let heads = [0x04, 0x13, 0x44, 0x13, 0x04, 0x2B];
        let crc = |bytes: &[u8]| crate::mbus::application::compact::crc16(bytes).to_le_bytes();
        let values = [1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0];
        let long = [0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 1, 7, 0x2A, 0, 0, 0];
        let compact = [&long[..], &crc(&heads), &crc(&full), &values].concat();
        assert_eq!(compact.len() - long.len(), 16);
        let mut opener = Opener::default();
        assert!(matches!(count(&mut opener, 0x73, &compact), Err(OpenError::Format(FormatError::Unknown { .. }))));
        assert_eq!(count(&mut opener, 0x72, &[&long[..], &full].concat()), Ok(3));
        assert_eq!(count(&mut opener, 0x73, &compact), Ok(3));
    }

    #[test]
    fn an_encrypted_compact_frame_is_read_too() {
        let header = Header { identity: Some(identity("12345678PAD0107")), short: Some(ShortHeader::default()) };
        let (key, mut data) = (Key::new([7; 16]), Vec::new());
        encrypt_mode_5(&header, &[&COMPACT[4..], &[0x2F]].concat(), &key, &mut data).expect("two blocks");
        let mut opener = Opener::new(Some(key));
        assert_eq!(count(&mut opener, 0x7A, FULL), Ok(3));
        assert_eq!(count(&mut opener, 0x73, &data), Ok(3));
        opener.set_key(None);
        let refused = Err(OpenError::Security(SecurityError::NoKey { mode: 5 }));
        assert_eq!(count(&mut opener, 0x73, &data), refused);
    }

    #[test]
    fn plain_text_behind_the_word_for_mode_5_is_read_where_the_key_does_not_open_it() {
        let header = [0x2A, 0, 0x20, 0x05];
        let plain = [0x2F, 0x2F, 0x04, 0x13, 1, 0, 0, 0, 0x02, 0x5A, 0xD7, 0];
        let whole = [&header[..], &plain].concat();
        for key in [None, Some(Key::new([7; 16]))] {
            let (mut opener, mut buffers) = (Opener::new(key), Buffers::default());
            opener.identify(identity("12345678PAD0107"));
            let short = telegram(0x7A, &whole);
            let open = opener.open(&short, &mut buffers).expect("in the clear");
            assert_eq!((open.records().count(), open.sent_plain), (2, true));
        }
        // what begins like it but holds no records to the end is encrypted, and mode 7 is never plain
        assert!(count(&mut Opener::default(), 0x7A, &whole[..15]).is_err());
        assert!(count(&mut Opener::default(), 0x7A, &[&[0x2A, 0, 0x20, 0x07, 0], &plain[..]].concat()).is_err());
    }

    #[test]
    fn what_looks_plain_and_opens_with_the_key_is_not_plain() {
        let mut opener = Opener::new(Some(Key::new([7; 16])));
        opener.identify(identity("12345678PAD0107"));
        let mut data = [0; 20];
        data[..7].copy_from_slice(&[0x2A, 0, 0x10, 0x05, 0x2F, 0x2F, 0x0F]);
        // as plain text it is whole; one in 65536 is cipher text of this key as well
        let is_opened = (0..1_u32 << 20).any(|n| {
            data[16..].copy_from_slice(&n.to_le_bytes());
            let mut buffers = Buffers::default();
            opener.open(&telegram(0x7A, &data), &mut buffers).is_ok_and(|open| !open.sent_plain)
        });
        assert!(is_opened);
    }

    #[test]
    fn a_format_frame_teaches_the_same() {
        let mut format = [0x2B, 0, 0, 0, 9, 0x34, 0xDD, 0x02, 0xFF, 0x20, 0x04, 0x13, 0x44, 0x13];
        assert!(matches!(telegram(0x6A, &format).content, Content::Format(_)));
        let mut opener = Opener::default();
        assert_eq!(count(&mut opener, 0x6A, &format), Ok(0));
        assert_eq!(count(&mut opener, 0x7B, COMPACT), Ok(3));
        format[5] ^= 1;
        let mut opener = Opener::default();
        assert_eq!(count(&mut opener, 0x6A, &format), Ok(0));
        assert_eq!(count(&mut opener, 0x7B, COMPACT), UNKNOWN, "the signature was wrong");
    }

    #[test]
    fn a_short_header_is_decrypted_with_the_identity_of_an_earlier_long_one() {
        let long = Header { identity: Some(identity("12345678PAD0107")), short: Some(ShortHeader::default()) };
        let (key, mut data) = (Key::new([7; 16]), Vec::new());
        encrypt_mode_5(&long, &[0x01, 0x13, 0x2A], &key, &mut data).expect("one block");
        let mut opener = Opener::new(Some(key));
        let no_identity = Err(OpenError::Security(SecurityError::NoIdentity));
        assert_eq!(count(&mut opener, 0x7A, &data[8..]), no_identity);
        assert_eq!(count(&mut opener, 0x72, &data), Ok(1));
        assert_eq!(count(&mut opener, 0x7A, &data[8..]), Ok(1));
        let mut selected = Opener::new(Some(key));
        selected.select(identity("12345678PAD01FF"));
        assert_eq!(count(&mut selected, 0x7A, &data[8..]), no_identity, "a mask with a wildcard");
        selected.select(identity("12345678PAD0107"));
        assert_eq!(count(&mut selected, 0x7A, &data[8..]), Ok(1));
    }

    #[test]
    fn formats_are_forgotten_with_the_meter_that_taught_them() {
        let mut opener = Opener::default();
        assert_eq!(count(&mut opener, 0x7A, FULL), Ok(3));
        opener.identify(identity("12345678PAD0107"));
        assert_eq!(count(&mut opener, 0x7B, COMPACT), Ok(3), "now it is known who that was");
        opener.identify(identity("12345679PAD0107"));
        assert_eq!(count(&mut opener, 0x7B, COMPACT), UNKNOWN);
    }

    #[test]
    fn a_memo_brings_back_what_was_learnt() {
        let mut opener = Opener::default();
        assert_eq!(opener.memo(), "-");
        assert_eq!(count(&mut opener, 0x7A, FULL), Ok(3));
        assert_eq!(opener.memo(), "- 02FF2004134413");
        opener.identify(identity("12345678PAD0107"));
        assert_eq!(opener.memo(), "7856341224400107 02FF2004134413");
        let mut again = Opener::default();
        again.recall(&opener.memo());
        assert_eq!(again, opener);
        assert_eq!(count(&mut again, 0x7B, COMPACT), Ok(3));
        for nonsense in ["", "x", "7856 04", "- 0", "- 04zz ÄÄ"] {
            again.recall(nonsense);
            assert_eq!(again.memo().split(' ').next(), Some("-"), "{nonsense:?}");
            assert_eq!(count(&mut again, 0x7B, COMPACT), UNKNOWN, "{nonsense:?}");
        }
    }
}
