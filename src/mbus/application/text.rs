//! Text and digits in a telegram: ISO 8859-1 with the last character first, and BCD digits that
//! name a thing (EN 13757-3 annex A type A and clause 6.4.5).

use core::fmt;

use crate::mbus::octets::Octets;

/// Characters as sent. `Display` gives them in reading order, without the blanks and NULs that
/// fill a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a>(Octets<'a>);

impl<'a> Text<'a> {
    /// The bytes of the characters alone, without a length.
    #[must_use]
    pub const fn new(octets: Octets<'a>) -> Self {
        Self(octets)
    }

    /// The bytes as sent.
    #[must_use]
    pub const fn octets(self) -> Octets<'a> {
        self.0
    }

    /// In reading order, with all fillers.
    pub fn chars(self) -> impl DoubleEndedIterator<Item = char> + use<'a> {
        self.0.ascending().rev().map(char::from)
    }

    /// Whether every character is printable, a blank or a NUL.
    #[must_use]
    pub fn is_printable(self) -> bool {
        self.chars().all(|c| c == '\0' || !c.is_control())
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filler = |c: char| matches!(c, '\0' | ' ');
        let tail = self.chars().rev().take_while(|c| filler(*c)).count();
        let kept = self.0.len() - tail;
        self.chars().take(kept).skip_while(|c| filler(*c)).try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

/// BCD digits that name a thing, with their leading zeros. Vendors put A to E into numbers of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits<'a>(Octets<'a>);

impl<'a> Digits<'a> {
    /// `None` where a nibble is F, which is a wildcard or a filler, never part of a name.
    #[must_use]
    pub fn new(octets: Octets<'a>) -> Option<Self> {
        octets.ascending().all(|b| b & 0x0F != 0x0F && b >> 4 != 0x0F).then_some(Self(octets))
    }

    /// The bytes as sent.
    #[must_use]
    pub const fn octets(self) -> Octets<'a> {
        self.0
    }
}

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.ascending().rev().try_for_each(|b| write!(f, "{b:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Digits, Octets, Text};
    use crate::mbus::octets::ByteOrder;

    #[test]
    fn text_is_sent_last_character_first() {
        let text = Text::new(Octets::new(b"1su\xE4H", ByteOrder::LeastFirst));
        assert_eq!(text.to_string(), "Häus1");
        let old = Text::new(Octets::new(b"abc", ByteOrder::MostFirst));
        assert_eq!(old.to_string(), "abc");
    }

    #[test]
    fn fillers_around_a_text_are_not_shown() {
        let text = |wire: &[u8]| Text::new(Octets::new(wire, ByteOrder::LeastFirst)).to_string();
        assert_eq!(text(b"\0\0 b a  "), "a b");
        assert_eq!(text(b"    "), "");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn digits_keep_their_leading_zeros() {
        let digits = |wire| Digits::new(Octets::new(wire, ByteOrder::LeastFirst)).map(|d| d.to_string());
        assert_eq!(digits(&[0x82, 0x13, 0x02, 0x08]).as_deref(), Some("08021382"));
        assert_eq!(digits(&[0xE5, 0x02]).as_deref(), Some("02E5"));
        assert_eq!(digits(&[0x8F]), None);
    }
}
