//! Where and why a telegram cannot be taken apart any further.

use core::fmt;

/// Why nothing after some byte of a telegram can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureError {
    /// The telegram ends within DIF and DIFEs.
    CutInDib,
    /// The telegram ends within VIF and VIFEs, or before the VIF.
    CutInVib,
    /// The telegram ends within the data.
    CutInData {
        /// Bytes there are.
        got: usize,
        /// Bytes the record needs.
        want: usize,
    },
    /// More than ten DIFEs.
    TooManyDifes,
    /// More than ten VIFEs.
    TooManyVifes,
    /// A special function that the standard reserves: its length is unknown.
    ReservedDif {
        /// The DIF.
        dif: u8,
    },
    /// A variable length code that the standard reserves: its length is unknown.
    ReservedLvar {
        /// The first data byte.
        lvar: u8,
    },
    /// The records are encrypted and were not decrypted.
    Encrypted {
        /// The security mode.
        mode: u8,
    },
    /// A compact frame whose format is not known yet.
    FormatUnknown {
        /// The signature of the format.
        signature: u16,
    },
}

impl fmt::Display for StructureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CutInDib => f.write_str("the telegram ends within DIF and DIFEs"),
            Self::CutInVib => f.write_str("the telegram ends within VIF and VIFEs"),
            Self::CutInData { got, want } => {
                write!(f, "the telegram ends within the data: {got} bytes, expected {want}")
            }
            Self::TooManyDifes => f.write_str("more than 10 DIFEs"),
            Self::TooManyVifes => f.write_str("more than 10 VIFEs"),
            Self::ReservedDif { dif } => write!(f, "reserved DIF {dif:02X}"),
            Self::ReservedLvar { lvar } => write!(f, "reserved variable length code {lvar:02X}"),
            Self::Encrypted { mode } => write!(f, "encrypted in security mode {mode}: the meter's key is needed"),
            Self::FormatUnknown { signature } => {
                write!(f, "compact frame of the unknown format {signature:04X}: a full frame must be read first")
            }
        }
    }
}

impl core::error::Error for StructureError {}

/// The end of what can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The index of the record that could not be taken apart, as in [`DataRecord::index`](super::record::DataRecord::index).
    pub index: usize,
    /// Why.
    pub error: StructureError,
    /// The bytes from that record on.
    pub rest: &'a [u8],
}

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.index, self.error)
    }
}
