//! A multi-byte field as on the wire, and the integers in it: least significant byte
//! first, except in the obsolete mode 2 (EN 13757-3 clause 5).

/// Bytes with the order in which they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octets<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
}

/// Which byte of a multi-byte field comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant first: every current telegram.
    #[default]
    LeastFirst,
    /// Most significant first: CI 76 and 77, until 2004.
    MostFirst,
}

impl<'a> Octets<'a> {
    /// The bytes as sent.
    #[must_use]
    pub const fn new(bytes: &'a [u8], order: ByteOrder) -> Self {
        Self { bytes, order }
    }

    /// The bytes as sent.
    #[must_use]
    pub const fn wire(self) -> &'a [u8] {
        self.bytes
    }

    /// How they are ordered.
    #[must_use]
    pub const fn order(self) -> ByteOrder {
        self.order
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// From the least significant byte to the most significant one.
    pub fn ascending(self) -> impl DoubleEndedIterator<Item = u8> + use<'a> {
        let (bytes, reversed) = (self.bytes, self.order == ByteOrder::MostFirst);
        let last = bytes.len().wrapping_sub(1);
        (0..bytes.len()).filter_map(move |i| bytes.get(if reversed { last - i } else { i }).copied())
    }

    /// The byte with the highest place value.
    #[must_use]
    pub fn most_significant(self) -> Option<u8> {
        match self.order {
            ByteOrder::LeastFirst => self.bytes.last().copied(),
            ByteOrder::MostFirst => self.bytes.first().copied(),
        }
    }

    /// The first `N` bytes, least significant first; `None` where there are not exactly `N`.
    #[must_use]
    pub fn array<const N: usize>(self) -> Option<[u8; N]> {
        let mut array: [u8; N] = self.bytes.try_into().ok()?;
        if self.order == ByteOrder::MostFirst {
            array.reverse();
        }
        Some(array)
    }

    /// As an unsigned integer; `None` beyond 16 bytes.
    #[must_use]
    pub fn unsigned(self) -> Option<u128> {
        match self.bytes.len() {
            0..=8 => Some(u128::from(self.narrow())),
            9..=16 => Some(self.ascending().rev().fold(0, |n, byte| (n << 8) | u128::from(byte))),
            _ => None,
        }
    }

    /// As an unsigned integer of up to 8 bytes, which nearly all are.
    fn narrow(self) -> u64 {
        let push = |n: u64, byte: &u8| (n << 8) | u64::from(*byte);
        match self.order {
            ByteOrder::LeastFirst => self.bytes.iter().rev().fold(0, push),
            ByteOrder::MostFirst => self.bytes.iter().fold(0, push),
        }
    }

    /// As a two's complement integer; `None` beyond 16 bytes.
    #[must_use]
    pub fn signed(self) -> Option<i128> {
        let bits = self.bits()?;
        if bits <= 64 {
            let shifted = i64::from_le_bytes((self.narrow() << (64 - bits)).to_le_bytes());
            return Some(i128::from(shifted >> (64 - bits)));
        }
        let unsigned = self.unsigned()?;
        Some(i128::from_le_bytes((unsigned << (128 - bits)).to_le_bytes()) >> (128 - bits))
    }

    /// Whether every byte is FF.
    #[must_use]
    pub fn all_ones(self) -> bool {
        !self.is_empty() && self.bytes.iter().all(|b| *b == 0xFF)
    }

    /// Whether it is the most negative two's complement integer: 80, 8000, 800000 …
    #[must_use]
    pub fn most_negative(self) -> bool {
        let rest = match (self.order, self.bytes) {
            (ByteOrder::LeastFirst, [rest @ .., 0x80]) | (ByteOrder::MostFirst, [0x80, rest @ ..]) => rest,
            _ => return false,
        };
        rest.iter().all(|byte| *byte == 0)
    }

    /// Eight times the length, from 8 to 128.
    fn bits(self) -> Option<u32> {
        u32::try_from(self.bytes.len()).ok().filter(|n| (1..=16).contains(n)).map(|n| 8 * n)
    }
}

/// Appends the `len` low bytes of a two's complement integer.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: i128, len: usize, order: ByteOrder) {
    let start = out.len();
    out.extend(value.to_le_bytes().into_iter().chain(core::iter::repeat(if value < 0 { 0xFF } else { 0 })).take(len));
    if order == ByteOrder::MostFirst {
        if let Some(field) = out.get_mut(start..) {
            field.reverse();
        }
    }
}

/// Bytes as hexadecimal digits, `0C13`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The bytes of an even number of hexadecimal digits.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(byte).collect())
}

#[cfg(test)]
mod tests {
    use super::{ByteOrder, Octets, push_integer};

    #[test]
    fn integers_of_every_length_are_signed_by_their_top_bit() {
        for (bytes, value) in [
            (&[0x9C_u8][..], -100),
            (&[0xFF, 0xFF, 0xFF], -1),
            (&[0x00, 0x00, 0x00, 0x00, 0x00, 0x80], i128::from(-0x8000_0000_0000_i64)),
            (&[0xFF; 8], -1),
            (&[0x01; 16], 0x0101_0101_0101_0101_0101_0101_0101_0101),
        ] {
            assert_eq!(Octets::new(bytes, ByteOrder::LeastFirst).signed(), Some(value));
            for order in [ByteOrder::LeastFirst, ByteOrder::MostFirst] {
                let mut out = Vec::new();
                push_integer(&mut out, value, bytes.len(), order);
                assert_eq!(Octets::new(&out, order).signed(), Some(value));
            }
        }
        assert_eq!(Octets::new(&[0; 17], ByteOrder::LeastFirst).unsigned(), None);
        assert_eq!(Octets::new(&[], ByteOrder::LeastFirst).signed(), None);
    }

    #[test]
    fn the_old_mode_sends_the_most_significant_byte_first() {
        let field = Octets::new(&[0x00, 0x31, 0x15], ByteOrder::MostFirst);
        assert_eq!(field.unsigned(), Some(0x3115));
        assert_eq!(field.array::<3>(), Some([0x15, 0x31, 0x00]));
    }

    #[test]
    fn only_80_00_is_the_most_negative() {
        for (bytes, is) in [(&[0x00_u8, 0x80][..], true), (&[0x80], true), (&[0x80, 0x00], false), (&[], false)] {
            assert_eq!(Octets::new(bytes, ByteOrder::LeastFirst).most_negative(), is, "{bytes:?}");
        }
    }
}
