//! Values of the command line that several commands take.

use std::time::Duration;

use crate::config::millis;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::link::timing::{Baud, Parity};

/// A baud rate of the standard.
pub(crate) fn baud(text: &str) -> Result<Baud, String> {
    let baud = text.parse().ok().and_then(Baud::new);
    baud.ok_or_else(|| "expected 300, 600, 1200, 2400, 4800, 9600, 19200 or 38400".to_owned())
}

/// A parity by the name it has in the configuration.
pub(crate) fn parity(text: &str) -> Result<Parity, String> {
    Parity::from_word(text).ok_or_else(|| "expected even, odd or none".to_owned())
}

/// A time to wait, spelled as in the configuration.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let millis = millis(text).and_then(|millis| u64::try_from(millis).ok());
    let millis = millis.filter(|millis| (10..=60_000).contains(millis));
    millis.map(Duration::from_millis).ok_or_else(|| "expected a time such as 500ms or 2s, from 10ms to 1m".to_owned())
}

/// A primary address.
pub(crate) fn primary(text: &str) -> Result<PrimaryAddress, String> {
    text.parse().ok().and_then(PrimaryAddress::new).ok_or_else(|| "expected 0 to 250".to_owned())
}

/// A primary address, or a secondary one in any of its spellings.
pub(crate) fn address(text: &str) -> Option<MeterAddress> {
    if text.len() <= 3 {
        return primary(text).ok().map(MeterAddress::Primary);
    }
    SecondaryAddress::parse(text).ok().map(MeterAddress::Secondary)
}
