//! The authentication and fragmentation layer in front of a telegram in security mode 7 (EN 13757-7
//! clause 6.3, OMS volume 2). The code itself is checked in `security`.

use core::fmt;

/// Why the layer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AflError {
    /// The data ends within it, or its lengths do not fit.
    Broken,
    /// One of several fragments of a message: only whole messages are read.
    Fragment,
}

impl fmt::Display for AflError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "the authentication layer (CI 90) is broken",
            Self::Fragment => "a fragment of a longer message, which is not supported",
        })
    }
}

impl core::error::Error for AflError {}

/// The authentication and fragmentation layer (CI 90) of an unfragmented message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Afl<'a> {
    control: Option<&'a [u8]>,
    key_information: Option<&'a [u8]>,
    counter: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    /// The first bytes of the authentication code; empty where there is none.
    pub mac: &'a [u8],
    message: &'a [u8],
}

impl<'a> Afl<'a> {
    /// From what stands behind CI 90: the layer, the next CI and its data.
    pub(crate) fn take(data: &'a [u8]) -> Result<(Self, u8, &'a [u8]), AflError> {
        let broken = AflError::Broken;
        let (&length, rest) = data.split_first().ok_or(broken)?;
        let (mut layer, message) = rest.split_at_checked(usize::from(length)).ok_or(broken)?;
        let fields = u16::from_le_bytes(*take(&mut layer, 2).and_then(<[u8]>::first_chunk).ok_or(broken)?);
        if fields & 0x40FF != 0 {
            return Err(AflError::Fragment);
        }
        let mut field = |bit: u16, len: usize| match fields & bit {
            0 => Ok(None),
            _ => take(&mut layer, len).map(Some).ok_or(broken),
        };
        let control = field(0x2000, 1)?;
        let key_information = field(0x0200, 2)?;
        let counter = field(0x0800, 4)?;
        let mac = field(0x0400, mac_len(control).ok_or(broken)?)?.unwrap_or_default();
        let length = field(0x1000, 2)?;
        let (&ci, inner) = message.split_first().ok_or(broken)?;
        Ok((Self { control, key_information, counter, length, mac, message }, ci, inner))
    }

    /// The message counter as on the wire.
    #[must_use]
    pub fn counter(&self) -> Option<[u8; 4]> {
        self.counter?.try_into().ok()
    }

    /// What the authentication code is made of, in order.
    pub(crate) fn authenticated(&self) -> [&'a [u8]; 5] {
        let [a, b, c, d] =
            [self.control, self.key_information, self.counter, self.length].map(Option::unwrap_or_default);
        [a, b, c, d, self.message]
    }
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(taken)
}

/// Bytes of the authentication code, by the low nibble of the message control field.
fn mac_len(control: Option<&[u8]>) -> Option<usize> {
    match control.and_then(<[u8]>::first).map_or(0, |c| c & 0x0F) {
        0 => Some(0),
        3 => Some(2),
        4 => Some(4),
        5 => Some(8),
        6 | 8 => Some(12),
        7 | 9 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::AflError;
    use crate::mbus::application::telegram::{Telegram, TelegramError};
    use crate::mbus::link::frame::{Control, Frame};

    #[test]
    fn fragments_and_broken_layers_are_refused() {
        let parse = |data: &[u8]| {
            let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x90, data };
            Telegram::parse(&frame).map(|_| ())
        };
        assert_eq!(parse(&[2, 0x01, 0x40, 0x72]), Err(TelegramError::Afl(AflError::Fragment)));
        for broken in [&[][..], &[3, 0], &[2, 0, 0], &[2, 0, 0x20, 0x78], &[3, 0, 0x24, 0x0F, 0x78]] {
            assert_eq!(parse(broken), Err(TelegramError::Afl(AflError::Broken)), "{broken:02X?}");
        }
        assert_eq!(parse(&[2, 0, 0, 0x78]), Ok(()));
    }
}
