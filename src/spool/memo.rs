//! How what is remembered is written: for each kind of memo its form, written and read back here alone.
//!
//! Not here: where the texts are kept (`memos`), what they are good for (`homeassistant`, `mqtt`).

mod kept;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::config::Replies;
use crate::mbus::address::SecondaryAddress;
use crate::mbus::octets::{from_hex, hex};
use crate::measure::total::Rises;
pub use kept::{Amount, Kept};

/// Under this name stands what is the agent's own: no meter may have it.
pub const AGENT: &str = "bridge";

/// A meter's announcement, or the agent's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// Discovery topic.
    pub topic: &'a str,
    /// The rules that it was made with; `None`: not known, as in a store of an earlier version.
    pub rules: Option<&'a str>,
    /// The document.
    pub payload: &'a str,
}

/// Rules are a JSON object. Earlier versions kept a mark here that no other build can compare.
fn is_rules(text: &str) -> bool {
    text.starts_with('{')
}

impl<'a> Announcement<'a> {
    /// `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (topic, rest) = text.split_once('\n')?;
        let (rules, payload) = rest.split_once('\n')?;
        Some(Self { topic, rules: Some(rules).filter(|rules| is_rules(rules)), payload })
    }
}

/// `topic`, `rules` and `payload`, a line feed between them.
impl fmt::Display for Announcement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", self.topic, self.rules.unwrap_or_default(), self.payload)
    }
}

/// Which meter answers under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub address: SecondaryAddress,
    /// Who was there first.
    pub first: First,
    /// Where it answered: its bus and its configured address; empty where that is not known.
    pub place: String,
}

/// The meter that answered under a name before all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum First {
    /// The one that answers now.
    #[default]
    Same,
    /// Another one, of which nothing more is known.
    Unknown,
    /// This one.
    Other(SecondaryAddress),
}

impl Identity {
    /// `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (who, place) = text.split_once(" at ").unwrap_or((text, ""));
        let (address, first) = match who.split_once(" replaced") {
            None => (who, First::Same),
            Some((address, "")) => (address, First::Unknown),
            Some((address, first)) => (address, First::Other(SecondaryAddress::parse(first.strip_prefix(' ')?).ok()?)),
        };
        Some(Self { address: SecondaryAddress::parse(address).ok()?, first, place: place.to_owned() })
    }
}

/// The address in its 16 digits; ` replaced` and the first meter, where another one was first; ` at ` and the place.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match self.first {
            First::Same => {}
            First::Unknown => f.write_str(" replaced")?,
            First::Other(first) => write!(f, " replaced {first}")?,
        }
        if self.place.is_empty() { Ok(()) } else { write!(f, " at {}", self.place) }
    }
}

/// A device that was taken back, but that Home Assistant may still know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Farewell<'a> {
    /// Discovery topic.
    pub topic: &'a str,
    /// The document that shows it once more.
    pub payload: &'a str,
}

impl<'a> Farewell<'a> {
    /// `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        text.split_once('\n').map(|(topic, payload)| Self { topic, payload })
    }
}

/// `topic` and `payload`, a line feed between them.
impl fmt::Display for Farewell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.topic, self.payload)
    }
}

/// The name of a memo that belongs to one key of one meter; neither has a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterKey<'a> {
    /// The meter's configured name.
    pub meter: &'a str,
    /// The key of a measurement.
    pub key: &'a str,
}

impl<'a> MeterKey<'a> {
    /// `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        text.split_once('/').map(|(meter, key)| Self { meter, key })
    }
}

/// `meter/key`
impl fmt::Display for MeterKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.meter, self.key)
    }
}

impl Replies {
    /// From the form in which they are remembered; `None` where the text has another one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (telegrams, characters) = text.split_once(' ')?;
        Some(Self { telegrams: telegrams.parse().ok()?, characters: characters.parse().ok()? })
    }
}

/// The number of telegrams and that of their characters, a space between them.
impl fmt::Display for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.telegrams, self.characters)
    }
}

/// The telegrams of a reading, from which it can be made again by other rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegrams {
    /// When they came.
    pub read_at: SystemTime,
    /// The slot for which they were asked.
    pub due_at: Option<SystemTime>,
    /// Whole frames.
    pub frames: Vec<Vec<u8>>,
}

impl Telegrams {
    /// `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let time = |word: &str| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(word.parse().ok()?));
        let read_at = time(words.next()?)?;
        let due_at = match words.next()? {
            "-" => None,
            word => Some(time(word)?),
        };
        let frames: Option<Vec<Vec<u8>>> = words.map(from_hex).collect();
        Some(Self { read_at, due_at, frames: frames.filter(|frames| !frames.is_empty())? })
    }
}

/// Two times in milliseconds since 1970, `-` for none, and each frame in hex, a space between them.
impl fmt::Display for Telegrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        write!(f, "{} ", ms(self.read_at))?;
        match self.due_at {
            Some(at) => write!(f, "{}", ms(at))?,
            None => f.write_str("-")?,
        }
        self.frames.iter().try_for_each(|frame| write!(f, " {}", hex(frame)))
    }
}

/// Names that a meter brought along, which are keys: none has a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub BTreeSet<String>);

impl Names {
    /// Every text is some names.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// With a space between them.
impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for name in &self.0 {
            write!(f, "{between}{name}")?;
            between = " ";
        }
        Ok(())
    }
}

impl Rises {
    /// From the form in which they are remembered; `None` where the text has another one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (known, rest) = text.split_once(' ')?;
        let (greatest, within_ms) = rest.split_once(' ')?;
        Some(Self { known: known.parse().ok()?, greatest: greatest.parse().ok()?, within_ms: within_ms.parse().ok()? })
    }
}

/// How many are known, the steepest, and its milliseconds, a space between them.
impl fmt::Display for Rises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.known, self.greatest, self.within_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Amount, Announcement, Farewell, First, Identity, Kept, MeterKey, Names, Replies, Rises, Telegrams};
    use crate::mbus::address::SecondaryAddress;
    use crate::mbus::application::quantity::Unit;
    use crate::mbus::decimal::Decimal;
    use std::collections::BTreeMap;

    #[test]
    fn every_form_is_read_back_as_it_was_written() {
        for rules in [None, Some("{\"rules\":[]}")] {
            let announcement = Announcement { topic: "ha/device/a/config", rules, payload: "{\"a\":1}" };
            assert_eq!(Announcement::parse(&announcement.to_string()), Some(announcement));
        }
        let address = SecondaryAddress::parse("30137315ATS0104").expect("an address");
        for (first, place, text) in [
            (First::Same, "", "3013731593060104"),
            (First::Unknown, "hat/48", "3013731593060104 replaced at hat/48"),
            (
                First::Other(address),
                "an attic at home/5",
                "3013731593060104 replaced 3013731593060104 at an attic at home/5",
            ),
        ] {
            let identity = Identity { address, first, place: place.to_owned() };
            assert_eq!(identity.to_string(), text);
            assert_eq!(Identity::parse(text), Some(identity));
        }
        let amount = |key: &str, mantissa, exponent, unit| {
            (key.to_owned(), Amount { number: Decimal::new(mantissa, exponent), unit })
        };
        for (constants, ends, text) in [
            (BTreeMap::new(), BTreeMap::new(), "3013731593060104"),
            (
                BTreeMap::from([
                    amount("energy", 15, -1, Unit::KilowattHour),
                    amount("pulse_count", -2, 0, Unit::None),
                ]),
                BTreeMap::from([amount("volume", 1, 0, Unit::UsFluidOunce)]),
                "3013731593060104; energy=1.5/kWh; pulse_count=-2/; volume>1/fl. oz.",
            ),
        ] {
            let kept = Kept { identity: address, constants, ends };
            assert_eq!(kept.to_string(), text);
            assert_eq!(Kept::parse(text), Some(kept));
        }
        let farewell = Farewell { topic: "ha/device/a/config", payload: "{}" };
        assert_eq!(Farewell::parse(&farewell.to_string()), Some(farewell));
        let key = MeterKey { meter: "gas", key: "volume" };
        assert_eq!(MeterKey::parse("gas/volume"), Some(key));
        assert_eq!(key.to_string(), "gas/volume");
        let replies = Replies { telegrams: 2, characters: 210 };
        assert_eq!(Replies::from_text("2 210"), Some(replies));
        assert_eq!(replies.to_string(), "2 210");
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_781_759_866);
        for (due_at, text) in [
            (None, "1795781759866 - E5 6803"),
            (Some(SystemTime::UNIX_EPOCH + Duration::from_secs(2)), "1795781759866 2000 E5 6803"),
        ] {
            let telegrams = Telegrams { read_at: at, due_at, frames: vec![vec![0xE5], vec![0x68, 0x03]] };
            assert_eq!(telegrams.to_string(), text);
            assert_eq!(Telegrams::parse(text), Some(telegrams));
        }
        for text in ["", "batt", "bat_time batt cust_id"] {
            assert_eq!(Names::parse(text).to_string(), text);
        }
        assert_eq!(Names::parse("batt bat_time").0.len(), 2);
        let rises = Rises { known: 10, greatest: Decimal::new(125, -3), within_ms: 900_000 };
        assert_eq!(Rises::from_text("10 0.125 900000"), Some(rises));
        assert_eq!(rises.to_string(), "10 0.125 900000");
    }

    #[test]
    fn texts_of_another_form_are_not_taken_for_something() {
        for text in ["", "x", "30137315"] {
            assert_eq!((Announcement::parse(text), Farewell::parse(text), MeterKey::parse(text)), (None, None, None));
            assert_eq!((Replies::from_text(text), Rises::from_text(text)), (None, None));
            assert_eq!(Telegrams::parse(text), None);
            assert_eq!(Kept::parse(text).filter(|_| text.len() != 8), None);
        }
        for text in ["3013731593060104 energy", "3013731593060104 energy=x", "3013731593060104  "] {
            assert_eq!(Kept::parse(text), None, "{text}");
        }
        for text in ["", "x", "3013731593060104 moved", "3013731593060104 replaced5", "replaced"] {
            assert_eq!(Identity::parse(text), None, "{text}");
        }
        for text in ["1 2", "1 x E5", "-1 2 E5", "1 - E5 6", "99999999999999999999 - E5"] {
            assert_eq!(Telegrams::parse(text), None, "{text}");
        }
        let old = Announcement::parse("topic\n0123456789abcdef\n{}").expect("an earlier version's");
        assert_eq!(old.rules, None);
    }
}
