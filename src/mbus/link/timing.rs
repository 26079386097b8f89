//! Baud rates, bit times and reply timeouts (EN 13757-2 clause 5.5, EN 13757-3 annex).

use core::fmt;
use core::time::Duration;

/// Bits of one character on the wire: start, 8 data, parity, stop (EN 13757-2 clause 5.4).
pub const BITS_PER_CHARACTER: u32 = 11;

/// One of the baud rates of EN 13757-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Baud(u32);

impl Baud {
    /// Every rate a meter may use, slowest first.
    pub const ALL: [Baud; 8] =
        [Baud(300), Baud(600), Baud(1200), Baud(2400), Baud(4800), Baud(9600), Baud(19_200), Baud(38_400)];
    /// What meters are delivered with.
    pub const DEFAULT: Baud = Baud(2400);

    /// `None` where the standard has no such rate.
    #[must_use]
    pub fn new(bits_per_second: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|b| b.0 == bits_per_second)
    }

    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u32 {
        self.0
    }

    /// How long `bits` take on the wire.
    #[must_use]
    pub fn bits(self, bits: u32) -> Duration {
        Duration::from_nanos(u64::from(bits) * 1_000_000_000 / u64::from(self.0))
    }

    /// How long `count` characters take on the wire.
    #[must_use]
    pub fn characters(self, count: usize) -> Duration {
        let bits = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(u64::from(BITS_PER_CHARACTER));
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(self.0))
    }

    /// How long to wait for the first byte of a reply, from the end of the request on the wire.
    /// The standard allows 330 bit times + 50 ms; recent Raspberry Pi kernels deliver later than
    /// that, so these are the figures of the Hat's author.
    #[must_use]
    pub const fn response_timeout(self) -> Duration {
        Duration::from_millis(match self.0 {
            300 => 2000,
            600 => 1300,
            1200 => 800,
            2400 => 500,
            4800 => 400,
            _ => 300,
        })
    }

    /// The silence that must follow a broken reply before the next request: 33 bit times
    /// (EN 13757-2 clause 5.5).
    #[must_use]
    pub fn quiet_after_error(self) -> Duration {
        self.bits(33)
    }
}

impl fmt::Display for Baud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The parity of a line; the standard's is even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Parity {
    /// 8E1, the standard.
    #[default]
    Even,
    /// 8O1, met on meters with a configurable line.
    Odd,
    /// 8N1, likewise.
    None,
}

impl Parity {
    /// Each, the standard's first.
    pub const ALL: [Self; 3] = [Self::Even, Self::Odd, Self::None];

    /// `even`, `odd` or `none`, as configurations write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Odd => "odd",
            Self::None => "none",
        }
    }

    /// The one with this [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parity| parity.word() == word)
    }

    /// `E`, `O` or `N`, as in 8E1.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Even => 'E',
            Self::Odd => 'O',
            Self::None => 'N',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Baud;
    use core::time::Duration;

    #[test]
    fn a_character_at_2400_baud_takes_4_58_ms() {
        assert_eq!(Baud::DEFAULT.characters(1), Duration::from_nanos(4_583_333));
        assert_eq!(Baud::DEFAULT.characters(255), Duration::from_micros(1_168_750));
    }

    #[test]
    fn reply_timeouts_cover_what_the_standard_allows() {
        for baud in Baud::ALL {
            assert!(baud.response_timeout() >= baud.bits(330) + Duration::from_millis(50), "{baud}");
        }
    }

    #[test]
    fn other_rates_are_refused() {
        assert_eq!(Baud::new(2400), Some(Baud::DEFAULT));
        assert_eq!(Baud::new(115_200), None);
        assert_eq!(Baud::new(0), None);
    }
}
