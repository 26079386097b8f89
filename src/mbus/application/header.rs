//! The header in front of the records: who sends, how often it has sent, how it is, and how the
//! records are encrypted (EN 13757-7 clause 7, EN 13757-3 clause 5).

use crate::mbus::address::SecondaryAddress;
use crate::mbus::octets::ByteOrder;

/// The header of a telegram, as its CI field announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Identification, manufacturer, version, medium: only in the long header.
    pub identity: Option<SecondaryAddress>,
    /// The rest: in the short and in the long header.
    pub short: Option<ShortHeader>,
}

/// Access number, status and configuration field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortHeader {
    /// Counts the replies, modulo 256.
    pub access_number: u8,
    /// See [`Status`].
    pub status: Status,
    /// The configuration field ("signature" in old texts): security mode and what goes with it.
    pub configuration: Configuration,
}

impl Header {
    /// No header at all (CI 78, 79, 69 …).
    pub const NONE: Self = Self { identity: None, short: None };

    /// Takes the four bytes of the short header.
    pub(crate) fn take_short(data: &[u8], order: ByteOrder) -> Option<(Self, &[u8])> {
        let (&[access_number, status, a, b], rest) = data.split_first_chunk()?;
        let configuration = Configuration(in_order([a, b], order));
        let short = ShortHeader { access_number, status: Status(status), configuration };
        Some((Self { identity: None, short: Some(short) }, rest))
    }

    /// Takes the twelve bytes of the long header.
    pub(crate) fn take_long(data: &[u8], order: ByteOrder) -> Option<(Self, &[u8])> {
        let (&[a, b, c, d, m, n, version, medium], rest) = data.split_first_chunk()?;
        let id = if order == ByteOrder::MostFirst {
            [d, c, b, a, n, m, version, medium]
        } else {
            [a, b, c, d, m, n, version, medium]
        };
        let (short, rest) = Self::take_short(rest, order)?;
        Some((Self { identity: Some(SecondaryAddress::from_wire(id)), ..short }, rest))
    }

    /// Appends the header, least significant bytes first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(identity) = self.identity {
            out.extend(identity.to_wire());
        }
        if let Some(ShortHeader { access_number, status, configuration }) = self.short {
            let [a, b] = configuration.0.to_le_bytes();
            out.extend([access_number, status.0, a, b]);
        }
    }
}

const fn in_order(bytes: [u8; 2], order: ByteOrder) -> u16 {
    match order {
        ByteOrder::LeastFirst => u16::from_le_bytes(bytes),
        ByteOrder::MostFirst => u16::from_be_bytes(bytes),
    }
}

/// The status byte (EN 13757-7 table 16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// What it says, by name: `busy`, `application_error` or `abnormal`, then `low_power`,
    /// `permanent_error`, `temporary_error`, `manufacturer_5` to `manufacturer_7`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let application = match self.0 & 3 {
            0 => None,
            1 => Some("busy"),
            2 => Some("application_error"),
            _ => Some("abnormal"),
        };
        let bits =
            ["low_power", "permanent_error", "temporary_error", "manufacturer_5", "manufacturer_6", "manufacturer_7"];
        let set = bits.into_iter().zip(2..8).filter(move |(_, bit)| self.0 >> bit & 1 != 0).map(|(name, _)| name);
        application.into_iter().chain(set)
    }
}

/// The configuration field (EN 13757-7 clause 7.5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration(pub u16);

impl Configuration {
    /// Security mode, bits 12 to 8: 0 means not encrypted.
    #[must_use]
    pub const fn mode(self) -> u8 {
        self.0.to_be_bytes()[0] & 0x1F
    }

    /// How many blocks of 16 bytes are encrypted in modes 5 and 7, bits 7 to 4.
    #[must_use]
    pub const fn blocks(self) -> u8 {
        self.0.to_le_bytes()[0] >> 4
    }
}

#[cfg(test)]
mod tests {
    use super::{Configuration, Status};

    #[test]
    fn status_bits_have_their_published_names() {
        let names = |byte| Status(byte).names().collect::<Vec<_>>().join(" ");
        assert_eq!(names(0x00), "");
        assert_eq!(names(0x14), "low_power temporary_error");
        assert_eq!(
            names(0xFF),
            "abnormal low_power permanent_error temporary_error manufacturer_5 manufacturer_6 manufacturer_7"
        );
        assert_eq!(names(0x01), "busy");
        assert_eq!(names(0x0A), "application_error permanent_error");
    }

    #[test]
    fn the_configuration_field_tells_mode_and_blocks() {
        assert_eq!((Configuration(0x0520).mode(), Configuration(0x0520).blocks()), (5, 2));
        assert_eq!((Configuration(0x0710).mode(), Configuration(0x0710).blocks()), (7, 1));
    }
}
