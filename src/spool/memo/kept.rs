//! The meter under whose entities its successors go on, and what is added to their totals.

use std::collections::BTreeMap;
use std::fmt;

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;
use crate::measure::unit;

/// A meter under whose entities its successors go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which it was.
    pub identity: SecondaryAddress,
    /// What is added to a total, by key.
    pub constants: BTreeMap<String, Amount>,
    /// Where the totals ended that the meter of now has not given yet, by key.
    pub ends: BTreeMap<String, Amount>,
}

/// Between the parts of what is kept: some units have spaces.
const KEPT: &str = "; ";

/// A number and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub number: Decimal,
    /// Of what: another rule may give the key another unit.
    pub unit: Unit,
}

impl Kept {
    /// Nothing is added yet.
    #[must_use]
    pub fn of(identity: SecondaryAddress) -> Self {
        Self { identity, constants: BTreeMap::new(), ends: BTreeMap::new() }
    }

    /// `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(KEPT);
        let mut kept = Self::of(SecondaryAddress::parse(parts.next()?).ok()?);
        for part in parts {
            let (key, amount) = part.split_once(['=', '>'])?;
            let amounts = if part.contains('=') { &mut kept.constants } else { &mut kept.ends };
            amounts.insert(key.to_owned(), Amount::parse(amount)?);
        }
        Some(kept)
    }
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once('/')?;
        Some(Self { number: number.parse().ok()?, unit: Unit::from_name(unit)? })
    }

    /// So many of another unit, if it is one of the same kind.
    #[must_use]
    pub fn in_unit(self, unit: Unit) -> Option<Decimal> {
        unit::convert_difference(self.number, self.unit, unit)
    }
}

/// `number/unit`
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.unit.name())
    }
}

/// The address in its 16 digits, each key with its constant behind `=`, and each with its end behind `>`.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.identity)?;
        self.constants.iter().try_for_each(|(key, constant)| write!(f, "{KEPT}{key}={constant}"))?;
        self.ends.iter().try_for_each(|(key, end)| write!(f, "{KEPT}{key}>{end}"))
    }
}
