//! Frames of the link layer (EN 13757-2 clause 5.6): the acknowledgement, the short frame and the
//! long frame, parsed from and written to bytes.
//!
//! Not here: finding a frame in a stream with noise (`framer`), and what the data means (`telegram`).

use core::fmt;

/// The single character that acknowledges.
pub const ACK: u8 = 0xE5;
/// First byte of a short frame.
pub const SHORT_START: u8 = 0x10;
/// First and fourth byte of a long frame.
pub const LONG_START: u8 = 0x68;
/// Last byte of a short or long frame.
pub const STOP: u8 = 0x16;
/// Bytes of a short frame.
pub const SHORT_LEN: usize = 5;
/// Bytes of a long frame that its length field does not count: 68 L L 68 before, checksum and 16 after.
pub const LONG_OVERHEAD: usize = 6;
/// Bytes of the longest frame: L = 255.
pub const MAX_LEN: usize = 255 + LONG_OVERHEAD;
/// The most user data of a long frame: L counts C, A and CI too.
pub const MAX_DATA: usize = 252;

/// The C field: who speaks, what for, and the frame count bit (EN 13757-2 clause 5.7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Control(pub u8);

/// Names and bits of the C field.
impl Control {
    /// Link reset: the meter forgets its frame count bit and answers E5.
    pub const SND_NKE: Self = Self(0x40);
    /// Request of class 1 data (alarms).
    pub const REQ_UD1: Self = Self(0x5A);
    /// Bit 5 of a request: the frame count bit.
    const FCB: u8 = 0x20;
    /// Bit 5 of a reply: class 1 data waits.
    const ACD: u8 = 0x20;
    /// Bit 4 of a reply: the meter cannot take more data.
    const DFC: u8 = 0x10;
    /// Bit 6: from the master.
    const PRM: u8 = 0x40;

    /// Request of class 2 data: 5B, or 7B with the frame count bit.
    #[must_use]
    pub const fn req_ud2(fcb: bool) -> Self {
        Self(if fcb { 0x5B | Self::FCB } else { 0x5B })
    }

    /// Data for the meter: 53, or 73 with the frame count bit.
    #[must_use]
    pub const fn snd_ud(fcb: bool) -> Self {
        Self(if fcb { 0x53 | Self::FCB } else { 0x53 })
    }

    /// A meter's reply: 08, with bits for waiting class 1 data and for "no more data please".
    #[must_use]
    pub const fn rsp_ud(acd: bool, dfc: bool) -> Self {
        Self(0x08 | if acd { Self::ACD } else { 0 } | if dfc { Self::DFC } else { 0 })
    }

    /// Whether the master sent it.
    #[must_use]
    pub const fn from_master(self) -> bool {
        self.0 & Self::PRM != 0
    }

    /// Frame count bit of a request; FCV says whether it counts.
    #[must_use]
    pub const fn fcb(self) -> bool {
        self.from_master() && self.0 & Self::FCB != 0
    }

    /// Whether the frame count bit of a request is valid.
    #[must_use]
    pub const fn fcv(self) -> bool {
        self.from_master() && self.0 & 0x10 != 0
    }

    /// The function of a request, bits 0 to 3: 0 link reset, 3 send data, A class 1, B class 2.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.0 & 0x0F
    }

    /// Whether it is a meter's reply with data (08, 18, 28, 38).
    #[must_use]
    pub const fn is_rsp_ud(self) -> bool {
        self.0 & !(Self::ACD | Self::DFC) == 0x08
    }

    /// A reply says that class 1 data waits.
    #[must_use]
    pub const fn acd(self) -> bool {
        !self.from_master() && self.0 & Self::ACD != 0
    }

    /// A reply says that the meter cannot take more data.
    #[must_use]
    pub const fn dfc(self) -> bool {
        !self.from_master() && self.0 & Self::DFC != 0
    }
}

impl fmt::Display for Control {
    /// Two hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

/// One whole frame. A control frame is a long frame without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// E5.
    Ack,
    /// A request without data.
    Short {
        /// The C field.
        c: Control,
        /// The A field.
        a: u8,
    },
    /// A frame with a CI field and up to 252 bytes of data.
    Long {
        /// The C field.
        c: Control,
        /// The A field.
        a: u8,
        /// The CI field: what the data is.
        ci: u8,
        /// What stands between CI and checksum.
        data: &'a [u8],
    },
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No byte at all.
    Empty,
    /// The first byte starts no frame.
    Start {
        /// What stands there instead of E5, 10 or 68.
        got: u8,
    },
    /// The fourth byte of a long frame is not 68.
    SecondStart {
        /// What stands there.
        got: u8,
    },
    /// The two length bytes differ.
    Lengths {
        /// The first.
        first: u8,
        /// The second.
        second: u8,
    },
    /// A length below 3 has no room for C, A and CI.
    TooShort {
        /// The length field.
        got: u8,
    },
    /// The frame ends early or goes on after its end.
    Size {
        /// Bytes there are.
        got: usize,
        /// Bytes the frame must have.
        want: usize,
    },
    /// The sum of C to the last data byte is not the checksum.
    Checksum {
        /// In the frame.
        got: u8,
        /// By the sum.
        want: u8,
    },
    /// The last byte is not 16.
    Stop {
        /// What stands there.
        got: u8,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("no frame: no bytes"),
            Self::Start { got } => write!(f, "no frame: it starts with {got:02X}, expected E5, 10 or 68"),
            Self::SecondStart { got } => write!(f, "no frame: its fourth byte is {got:02X}, expected 68"),
            Self::Lengths { first, second } => {
                write!(f, "broken frame: its two length bytes differ ({first:02X} and {second:02X})")
            }
            Self::TooShort { got } => write!(f, "broken frame: length {got}, expected at least 3"),
            Self::Size { got: 1, want } => write!(f, "broken frame: 1 byte, expected {want}"),
            Self::Size { got, want } => write!(f, "broken frame: {got} bytes, expected {want}"),
            Self::Checksum { got, want } => write!(f, "broken frame: checksum {got:02X}, expected {want:02X}"),
            Self::Stop { got } => write!(f, "broken frame: its last byte is {got:02X}, expected 16"),
        }
    }
}

impl core::error::Error for FrameError {}

/// The sum of the bytes, modulo 256 (EN 13757-2 clause 5.7.6).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

impl<'a> Frame<'a> {
    /// Parses bytes that must be exactly one frame.
    ///
    /// # Errors
    /// Any deviation from the standard's form; nothing is tolerated here.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match *bytes {
            [] => Err(FrameError::Empty),
            [ACK] => Ok(Self::Ack),
            [ACK, ..] => Err(FrameError::Size { got: bytes.len(), want: 1 }),
            [SHORT_START, c, a, sum, stop] => {
                check_end(checksum(&[c, a]), sum, stop)?;
                Ok(Self::Short { c: Control(c), a })
            }
            [SHORT_START, ..] => Err(FrameError::Size { got: bytes.len(), want: SHORT_LEN }),
            [LONG_START, ..] => parse_long(bytes),
            [got, ..] => Err(FrameError::Start { got }),
        }
    }

    /// Appends the frame. Data beyond [`MAX_DATA`] bytes does not fit a frame.
    ///
    /// # Errors
    /// [`DataTooLong`]; nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DataTooLong> {
        match *self {
            Self::Ack => out.push(ACK),
            Self::Short { c, a } => out.extend([SHORT_START, c.0, a, checksum(&[c.0, a]), STOP]),
            Self::Long { c, a, ci, data } => {
                let length = u8::try_from(data.len() + 3).map_err(|_| DataTooLong { got: data.len() })?;
                let sum = checksum(&[c.0, a, ci]).wrapping_add(checksum(data));
                out.extend([LONG_START, length, length, LONG_START, c.0, a, ci]);
                out.extend_from_slice(data);
                out.extend([sum, STOP]);
            }
        }
        Ok(())
    }

    /// The frame as bytes; data beyond [`MAX_DATA`] bytes is an error.
    ///
    /// # Errors
    /// [`DataTooLong`].
    pub fn to_vec(&self) -> Result<Vec<u8>, DataTooLong> {
        let mut out = Vec::new();
        self.encode(&mut out)?;
        Ok(out)
    }
}

fn parse_long(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let &[_, first, second, start, ref rest @ ..] = bytes else {
        return Err(FrameError::Size { got: bytes.len(), want: LONG_OVERHEAD + 3 });
    };
    if first != second {
        return Err(FrameError::Lengths { first, second });
    }
    if start != LONG_START {
        return Err(FrameError::SecondStart { got: start });
    }
    if first < 3 {
        return Err(FrameError::TooShort { got: first });
    }
    let want = usize::from(first) + LONG_OVERHEAD;
    let (&[c, a, ci, ref data @ .., sum, stop], true) = (rest, bytes.len() == want) else {
        return Err(FrameError::Size { got: bytes.len(), want });
    };
    check_end(checksum(&[c, a, ci]).wrapping_add(checksum(data)), sum, stop)?;
    Ok(Frame::Long { c: Control(c), a, ci, data })
}

fn check_end(want: u8, sum: u8, stop: u8) -> Result<(), FrameError> {
    if sum != want {
        return Err(FrameError::Checksum { got: sum, want });
    }
    if stop != STOP {
        return Err(FrameError::Stop { got: stop });
    }
    Ok(())
}

/// More user data than a long frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataTooLong {
    /// Bytes given.
    pub got: usize,
}

impl fmt::Display for DataTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of data do not fit a frame, which holds {MAX_DATA}", self.got)
    }
}

impl core::error::Error for DataTooLong {}

#[cfg(test)]
mod tests {
    use super::{Control, DataTooLong, Frame, FrameError, MAX_DATA, MAX_LEN};

    const RSP_UD: [u8; 10] = [0x68, 0x04, 0x04, 0x68, 0x08, 0x05, 0x71, 0x04, 0x82, 0x16];

    #[test]
    fn each_kind_of_frame_reads_back_as_written() {
        let data = [0xE5; MAX_DATA];
        for frame in [
            Frame::Ack,
            Frame::Short { c: Control::SND_NKE, a: 5 },
            Frame::Long { c: Control::snd_ud(true), a: 253, ci: 0xBD, data: &[] },
            Frame::Long { c: Control::rsp_ud(true, false), a: 5, ci: 0x72, data: &data },
        ] {
            let bytes = frame.to_vec().expect("fits");
            assert!(bytes.len() <= MAX_LEN);
            assert_eq!(Frame::parse(&bytes), Ok(frame));
        }
        let long = Frame::Long { c: Control(8), a: 0, ci: 0, data: &[0; MAX_DATA + 1] };
        assert_eq!(long.to_vec(), Err(DataTooLong { got: 253 }));
    }

    #[test]
    fn the_control_field_says_what_the_standard_says() {
        assert_eq!(Control::req_ud2(true), Control(0x7B));
        assert_eq!(Control::req_ud2(false), Control(0x5B));
        assert_eq!(Control::snd_ud(true), Control(0x73));
        assert!(Control(0x7B).fcb() && Control(0x7B).fcv() && !Control(0x5B).fcb());
        assert!(Control(0x28).acd() && !Control(0x28).dfc() && Control(0x18).dfc());
        assert!([0x08, 0x18, 0x28, 0x38].map(Control).iter().all(|c| c.is_rsp_ud()));
        assert!(![0x00, 0x48, 0x68, 0x88].map(Control).iter().any(|c| c.is_rsp_ud()));
    }

    #[test]
    fn each_deviation_is_named() {
        let change = |at: usize, to: u8| {
            let mut bytes = RSP_UD;
            bytes[at] = to;
            Frame::parse(&bytes).map(|_| ()).expect_err("broken")
        };
        assert_eq!(change(0, 0x67), FrameError::Start { got: 0x67 });
        assert_eq!(change(2, 5), FrameError::Lengths { first: 4, second: 5 });
        assert_eq!(change(3, 0x69), FrameError::SecondStart { got: 0x69 });
        assert_eq!(change(7, 5), FrameError::Checksum { got: 0x82, want: 0x83 });
        for got in (0..=0xFF).filter(|&stop| stop != 0x16) {
            assert_eq!(change(9, got), FrameError::Stop { got });
        }
        assert_eq!(Frame::parse(&[]), Err(FrameError::Empty));
        assert_eq!(Frame::parse(&[0xE5, 0xE5]), Err(FrameError::Size { got: 2, want: 1 }));
        assert_eq!(Frame::parse(&RSP_UD[..9]), Err(FrameError::Size { got: 9, want: 10 }));
        assert_eq!(Frame::parse(&[0x68, 2, 2, 0x68, 8, 5, 13, 0x16]), Err(FrameError::TooShort { got: 2 }));
        assert_eq!(Frame::parse(&[0x10, 0x40, 5, 0x44, 0x16]), Err(FrameError::Checksum { got: 0x44, want: 0x45 }));
    }

    #[test]
    fn a_cut_frame_is_never_a_frame() {
        for end in 0..RSP_UD.len() {
            assert!(Frame::parse(&RSP_UD[..end]).is_err(), "{end}");
        }
    }
}
