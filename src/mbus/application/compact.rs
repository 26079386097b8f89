//! Compact frames: values without their DIF/VIF heads, which a format frame or an earlier full
//! frame of the same meter has given (EN 13757-3 annex G).
//!
//! A format is never guessed. Who keeps which formats for which meter is decided in `opener`.

use core::fmt;

use crate::mbus::application::dib::{Coding, Dib, IDLE_FILLER};
use crate::mbus::application::lvar::Lvar;
use crate::mbus::application::records::Records;
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
            Self::Crc { got, want } => write!(f, "compact frame: CRC of the records {got:04X}, expected {want:04X}"),
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

/// The formats learnt of one meter, at most [`FormatStore::LIMIT`] of them: signatures of different
/// meters may be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatStore {
    /// Signature and heads, in the order in which they were learnt.
    formats: Vec<(u16, Vec<u8>)>,
}

impl FormatStore {
    /// A meter has a handful of formats. When there are so many, they all stay until a compact frame
    /// comes that has none of them.
    pub const LIMIT: usize = 8;

    /// The heads of each format.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.formats.iter().map(|(_, heads)| heads.as_slice())
    }

    /// Learns the format of a full frame from its records.
    pub fn learn(&mut self, records: &[u8]) {
        self.learn_heads(heads_of(records));
    }

    /// Learns from a format frame, unless its signature is wrong.
    pub fn learn_format(&mut self, format: &FormatFrame<'_>) {
        if crc16(format.heads) == format.signature {
            self.learn_heads(format.heads.to_vec());
        }
    }

    /// Learns these heads, if there are any and there is room.
    pub fn learn_heads(&mut self, heads: Vec<u8>) {
        if heads.is_empty() || self.formats.len() >= Self::LIMIT || self.iter().any(|known| known == heads) {
            return;
        }
        self.formats.push((crc16(&heads), heads));
    }

    /// Writes the records that a compact frame stands for to `buffer`. The format of a compact frame
    /// that is unknown takes the place of the others, if there is no room, as soon as it is learnt.
    ///
    /// # Errors
    /// [`FormatError`]; the compact frame stays unread.
    pub fn expand<'b>(&mut self, compact: &Compact<'_>, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], FormatError> {
        let &Compact { signature, full_frame_crc, values } = compact;
        let Some((_, heads)) = self.formats.iter().find(|(known, _)| *known == signature) else {
            if self.formats.len() >= Self::LIMIT {
                self.formats.clear();
            }
            return Err(FormatError::Unknown { signature });
        };
        buffer.clear();
        merge(heads, values, buffer).ok_or(FormatError::DoesNotFit)?;
        let got = crc16(buffer);
        if got == full_frame_crc { Ok(buffer) } else { Err(FormatError::Crc { got, want: full_frame_crc }) }
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
    use super::{Compact, FormatError, FormatStore, crc16};

    const FULL: &[u8] = &[0x02, 0xFF, 0x20, 0x71, 0x00, 0x04, 0x13, 0x08, 0x19, 0, 0, 0x44, 0x13, 0x08, 0x19, 0, 0];
    const COMPACT: &[u8] = &[0x34, 0xDD, 0x0E, 0x39, 0x71, 0x00, 0x08, 0x19, 0, 0, 0x08, 0x19, 0, 0];

    fn expand(store: &mut FormatStore, data: &[u8]) -> Result<Vec<u8>, FormatError> {
        let compact = Compact::parse(data).expect("a compact frame");
        store.expand(&compact, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    #[test]
    fn the_check_is_that_of_the_standard() {
        assert_eq!(crc16(b"123456789"), 0xC2B7);
        assert_eq!(crc16(&[0x02, 0xFF, 0x20, 0x04, 0x13, 0x44, 0x13, 0x61, 0x5B, 0x61, 0x67]), 0xA8ED);
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let mut store = FormatStore::default();
        store.learn(FULL);
        assert_eq!(expand(&mut store, COMPACT), Ok(FULL.to_vec()));
        assert_eq!(expand(&mut store, &COMPACT[..COMPACT.len() - 1]), Err(FormatError::DoesNotFit));
        let mut changed = COMPACT.to_vec();
        changed[4] ^= 1;
        assert!(matches!(expand(&mut store, &changed), Err(FormatError::Crc { want: 0x390E, .. })));
    }

    #[test]
    fn formats_are_few_and_stay_until_another_one_is_in_use() {
        let mut store = FormatStore::default();
        let unknown = Err(FormatError::Unknown { signature: 0xDD34 });
        for storage in 0..8 {
            store.learn(&[0x81, storage, 0x13, 0]);
            store.learn(&[0x81, storage, 0x13, 1]);
        }
        assert_eq!(store.iter().count(), FormatStore::LIMIT, "the same heads are one format");
        store.learn(FULL);
        assert_eq!(store.iter().count(), FormatStore::LIMIT);
        assert_eq!(expand(&mut store, COMPACT), unknown);
        store.learn(FULL);
        assert_eq!(expand(&mut store, COMPACT), Ok(FULL.to_vec()));
    }
}
