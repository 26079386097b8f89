//! Compact frames: values without their DIF/VIF heads, which a format frame or an earlier full
//! frame of the same meter has told (EN 13757-3 annex G).
//!
//! The store of formats belongs to the caller; a format is never guessed.

use core::fmt;
use std::collections::BTreeMap;

use crate::mbus::application::dib::{Coding, Dib, IDLE_FILLER};
use crate::mbus::application::lvar::Lvar;
use crate::mbus::application::record::Records;
use crate::mbus::application::telegram::{Content, Telegram};
use crate::mbus::application::vib::Vib;
use crate::mbus::octets::ByteOrder;

/// A compact frame, not merged with its format yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compact<'a> {
    /// CRC of the heads.
    pub signature: u16,
    /// CRC of the full frame's records.
    pub full_frame_crc: u16,
    /// The data of all records, in the order of the heads.
    pub values: &'a [u8],
}

/// A format frame: the heads, in the order of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatFrame<'a> {
    /// CRC of the heads, as sent.
    pub signature: u16,
    /// DIF, DIFEs, VIF, VIFEs of each record.
    pub heads: &'a [u8],
}

/// Why a compact frame could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// No frame with this format has been learnt.
    Unknown {
        /// CRC of its heads.
        signature: u16,
    },
    /// Heads and values do not fit together.
    DoesNotFit,
    /// Merged with its format the frame has another CRC than it says.
    Crc {
        /// Of the merged records.
        got: u16,
        /// In the frame.
        want: u16,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unknown { signature } => {
                write!(f, "compact frame of the unknown format {signature:04X}: a full frame must be read first")
            }
            Self::DoesNotFit => f.write_str("the compact frame does not fit its format"),
            Self::Crc { got, want } => write!(f, "compact frame: CRC of the records {got:04X}, want {want:04X}"),
        }
    }
}

impl core::error::Error for FormatError {}

impl<'a> Compact<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, d], values) = data.split_first_chunk()?;
        Some(Self { signature: u16::from_le_bytes([a, b]), full_frame_crc: u16::from_le_bytes([c, d]), values })
    }
}

impl<'a> FormatFrame<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Option<Self> {
        let (&length, rest) = data.split_first()?;
        let (&[a, b], heads) = rest.get(..usize::from(length))?.split_first_chunk()?;
        Some(Self { signature: u16::from_le_bytes([a, b]), heads })
    }
}

/// The formats learnt, at most [`FormatStore::LIMIT`] of them. One store for each meter: signatures
/// of different meters may be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatStore {
    heads: BTreeMap<u16, Vec<u8>>,
}

impl FormatStore {
    /// A meter has a handful of formats; beyond this the lowest signature is forgotten.
    pub const LIMIT: usize = 16;

    /// Learns from a full frame or a format frame; other telegrams, and format frames whose
    /// signature is wrong, teach nothing.
    pub fn learn(&mut self, telegram: &Telegram<'_>) {
        let heads = match telegram.content {
            Content::Format(format) if crc16(format.heads) == format.signature => format.heads.to_vec(),
            Content::Records(bytes) => heads_of(bytes),
            _ => return,
        };
        if heads.is_empty() {
            return;
        }
        self.heads.insert(crc16(&heads), heads);
        if self.heads.len() > Self::LIMIT {
            self.heads.pop_first();
        }
    }

    /// The telegram a compact frame stands for; its records are written to `buffer`. Other
    /// telegrams come back as they are.
    ///
    /// # Errors
    /// [`FormatError`]; the compact frame stays unread.
    pub fn expand<'b>(&self, telegram: &Telegram<'b>, buffer: &'b mut Vec<u8>) -> Result<Telegram<'b>, FormatError> {
        let Content::Compact(Compact { signature, full_frame_crc, values }) = telegram.content else {
            return Ok(*telegram);
        };
        let heads = self.heads.get(&signature).ok_or(FormatError::Unknown { signature })?;
        buffer.clear();
        merge(heads, values, buffer).ok_or(FormatError::DoesNotFit)?;
        let got = crc16(buffer);
        if got != full_frame_crc {
            return Err(FormatError::Crc { got, want: full_frame_crc });
        }
        Ok(telegram.with_records(buffer))
    }
}

/// The heads of all records, one after the other.
fn heads_of(records: &[u8]) -> Vec<u8> {
    let mut heads = Vec::new();
    for record in Records::new(records, ByteOrder::LeastFirst, true) {
        let Ok(record) = record else { return Vec::new() };
        heads.extend_from_slice(record.dib.bytes);
        heads.extend_from_slice(record.vib.bytes);
    }
    heads
}

/// Puts the values behind their heads; `None` where they do not fit exactly.
fn merge(mut heads: &[u8], mut values: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some((&dif, behind)) = heads.split_first() {
        if dif == IDLE_FILLER {
            heads = behind;
            continue;
        }
        let (dib, rest) = Dib::parse(heads).ok()?;
        let (vib, rest) = Vib::parse(rest, ByteOrder::LeastFirst).ok()?;
        let length = match dib.coding {
            Coding::Variable => 1 + Lvar::of(*values.first()?)?.len(),
            fixed => fixed.len(),
        };
        let (value, others) = values.split_at_checked(length)?;
        out.extend_from_slice(dib.bytes);
        out.extend_from_slice(vib.bytes);
        out.extend_from_slice(value);
        (heads, values) = (rest, others);
    }
    // decryption leaves the fillers of the last block behind
    values.iter().all(|byte| *byte == IDLE_FILLER).then_some(())
}

/// The cyclic redundancy check of EN 13757-4: polynomial 3D65, start 0, inverted at the end.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    let crc = bytes.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x3D65 },
        )
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::{Content, FormatError, FormatStore, crc16};
    use crate::mbus::address::SecondaryAddress;
    use crate::mbus::application::header::{Header, ShortHeader};
    use crate::mbus::application::security::{Key, decrypt, encrypt_mode_5};
    use crate::mbus::application::telegram::Telegram;
    use crate::mbus::link::frame::{Control, Frame};

    const FULL: &[u8] =
        &[0x2A, 0, 0, 0, 0x02, 0xFF, 0x20, 0x71, 0x00, 0x04, 0x13, 0x08, 0x19, 0, 0, 0x44, 0x13, 0x08, 0x19, 0, 0];
    const COMPACT: &[u8] = &[0x2C, 0, 0, 0, 0x34, 0xDD, 0x0E, 0x39, 0x71, 0x00, 0x08, 0x19, 0, 0, 0x08, 0x19, 0, 0];

    fn telegram(ci: u8, data: &[u8]) -> Telegram<'_> {
        Telegram::parse(&Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci, data }).expect("a telegram")
    }

    #[test]
    fn the_check_is_that_of_the_standard() {
        assert_eq!(crc16(b"123456789"), 0xC2B7);
        assert_eq!(crc16(&[0x02, 0xFF, 0x20, 0x04, 0x13, 0x44, 0x13, 0x61, 0x5B, 0x61, 0x67]), 0xA8ED);
    }

    #[test]
    fn a_compact_frame_is_read_once_a_full_frame_has_taught_its_format() {
        let (mut store, mut buffer) = (FormatStore::default(), Vec::new());
        let compact = telegram(0x7B, COMPACT);
        assert!(matches!(compact.records().next(), Some(Err(_))));
        assert_eq!(store.expand(&compact, &mut buffer), Err(FormatError::Unknown { signature: 0xDD34 }));
        store.learn(&telegram(0x7A, FULL));
        let whole = store.expand(&compact, &mut buffer).expect("known now");
        let volumes: Vec<_> = whole.records().map(|r| r.expect("whole").number().map(|n| n.to_string())).collect();
        assert_eq!(volumes[1..], [Some("6.408".to_owned()), Some("6.408".to_owned())]);
        assert_eq!(whole.access_number(), Some(0x2C));
    }

    #[test]
    fn an_encrypted_compact_frame_is_read_too() {
        let identity = SecondaryAddress::parse("12345678PAD0107").expect("an address");
        let header = Header { identity: Some(identity), short: Some(ShortHeader::default()) };
        let (key, mut data) = (Key::new([7; 16]), Vec::new());
        let filled = [&COMPACT[4..], &[0x2F]].concat();
        encrypt_mode_5(&header, &filled, &key, &mut data).expect("two blocks");
        let (mut store, mut plain, mut buffer) = (FormatStore::default(), Vec::new(), Vec::new());
        store.learn(&telegram(0x7A, FULL));
        let compact = decrypt(&telegram(0x73, &data), Some(&key), None, &mut plain).expect("the right key");
        let whole = store.expand(&compact, &mut buffer).expect("known");
        assert_eq!(whole.records().filter(Result::is_ok).count(), 3);
    }

    #[test]
    fn a_format_frame_teaches_the_same() {
        let mut store = FormatStore::default();
        let format = [0x2B, 0, 0, 0, 9, 0x34, 0xDD, 0x02, 0xFF, 0x20, 0x04, 0x13, 0x44, 0x13];
        assert!(matches!(telegram(0x6A, &format).content, Content::Format(_)));
        store.learn(&telegram(0x6A, &format));
        assert!(store.expand(&telegram(0x7B, COMPACT), &mut Vec::new()).is_ok());
        let mut wrong = FormatStore::default();
        let mut broken = format;
        broken[5] ^= 1;
        wrong.learn(&telegram(0x6A, &broken));
        assert_eq!(wrong, FormatStore::default());
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let mut store = FormatStore::default();
        store.learn(&telegram(0x7A, FULL));
        let expand = |data: &[u8]| store.expand(&telegram(0x7B, data), &mut Vec::new()).map(|_| ());
        assert_eq!(expand(&COMPACT[..COMPACT.len() - 1]), Err(FormatError::DoesNotFit));
        let mut changed = COMPACT.to_vec();
        changed[8] ^= 1;
        assert!(matches!(expand(&changed), Err(FormatError::Crc { want: 0x390E, .. })));
    }
}
