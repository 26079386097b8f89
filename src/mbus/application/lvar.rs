//! The LVAR byte: what variable length data is, and how long (EN 13757-3 table 5).

/// What an LVAR byte announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lvar {
    /// Characters.
    Text(usize),
    /// BCD bytes, and whether they are negative.
    Bcd(usize, bool),
    /// A binary number of this many bytes.
    Binary(usize),
}

impl Lvar {
    /// EN 13757-3 table 5; `None` for reserved codes, whose length is unknown.
    pub(crate) fn of(byte: u8) -> Option<Self> {
        let low = usize::from(byte & 0x0F);
        Some(match byte {
            0x00..=0xBF => Self::Text(usize::from(byte)),
            0xC0..=0xC9 => Self::Bcd(low, false),
            0xD0..=0xD9 => Self::Bcd(low, true),
            0xE0..=0xEF => Self::Binary(low),
            0xF0..=0xF4 => Self::Binary(16 + 4 * low),
            0xF5 => Self::Binary(48),
            0xF6 => Self::Binary(64),
            _ => return None,
        })
    }

    /// Bytes that follow the LVAR.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Text(n) | Self::Bcd(n, _) | Self::Binary(n) => n,
        }
    }
}

/// Whether the byte announced a floating point number of this many bytes in the tables until 2004.
pub(crate) fn is_old_real(byte: u8, len: usize) -> bool {
    matches!(byte, 0xF1..=0xFA) && len == usize::from(byte & 0x0F)
}

#[cfg(test)]
mod tests {
    use super::Lvar;

    #[test]
    fn lengths_are_bytes_as_the_standard_counts_them() {
        for (byte, lvar) in [
            (0x00, Some(Lvar::Text(0))),
            (0xBF, Some(Lvar::Text(191))),
            (0xC9, Some(Lvar::Bcd(9, false))),
            (0xD2, Some(Lvar::Bcd(2, true))),
            (0xEF, Some(Lvar::Binary(15))),
            (0xF0, Some(Lvar::Binary(16))),
            (0xF4, Some(Lvar::Binary(32))),
            (0xF5, Some(Lvar::Binary(48))),
            (0xF6, Some(Lvar::Binary(64))),
        ] {
            assert_eq!(Lvar::of(byte), lvar, "{byte:02X}");
        }
        for byte in [0xCA, 0xCF, 0xDA, 0xDF, 0xF7, 0xFF] {
            assert_eq!(Lvar::of(byte), None, "{byte:02X}");
        }
    }
}
