//! A meter that answered a search: who it is, how it is read, and what it is called.

use std::collections::BTreeSet;

use crate::config::free_name;
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::link::frame::Frame;
use crate::mbus::link::timing::Baud;
use crate::mbus::maker;
use crate::mbus::master::search::Found;

/// A meter that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// By which it answers.
    pub address: MeterAddress,
    /// Who it says it is.
    pub identity: Option<SecondaryAddress>,
    /// The primary address in its telegram.
    pub primary: Option<u8>,
    /// The rate at which it answered.
    pub baud: Baud,
    /// Whether another meter has the very same identity.
    pub shares_identity: bool,
}

impl Find {
    /// `None` for a collision.
    #[must_use]
    pub fn new(found: &Found, baud: Baud) -> Option<Self> {
        let Found::Meter { address, identity, fabrication_number, frame } = found else { return None };
        let primary = match (frame.as_deref().map(Frame::parse), address) {
            (Some(Ok(Frame::Long { a, .. })), _) => Some(a).filter(|a| *a <= 250),
            (_, MeterAddress::Primary(address)) => Some(address.get()),
            _ => None,
        };
        let shares_identity = fabrication_number.is_some();
        Some(Self { address: *address, identity: *identity, primary, baud, shares_identity })
    }

    /// A meter of which no more is known than its address.
    #[must_use]
    pub fn known(address: MeterAddress, baud: Baud) -> Self {
        let (identity, primary) = match address {
            MeterAddress::Secondary(identity) => (Some(identity), None),
            MeterAddress::Primary(address) => (None, Some(address.get())),
        };
        Self { address, identity, primary, baud, shares_identity: false }
    }

    /// Whether it answers at this address, or says that it does.
    #[must_use]
    pub fn is_at(&self, address: MeterAddress) -> bool {
        match address {
            MeterAddress::Primary(address) => self.primary == Some(address.get()),
            MeterAddress::Secondary(mask) => self.identity.is_some_and(|identity| mask.matches(identity)),
        }
    }

    /// Whether both are one meter.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.identity, other.identity) {
            (Some(a), Some(b)) if self.shares_identity || other.shares_identity => {
                a == b && self.primary == other.primary
            }
            (Some(a), Some(b)) => a == b,
            _ => self.primary.is_some() && (self.primary, self.baud) == (other.primary, other.baud),
        }
    }

    /// The address by which a selection finds it and no other; `None` where it gave none.
    #[must_use]
    pub fn secondary(&self) -> Option<SecondaryAddress> {
        self.identity.filter(|identity| !identity.has_wildcard() && !self.shares_identity)
    }

    /// `kam_67200512`; a taken name gets `_2`, the next one `_3`.
    #[must_use]
    pub fn name(&self, taken: &BTreeSet<String>) -> String {
        let plain = match self.identity {
            Some(identity) if identity.is_anonymous() => format!("meter_{:08x}", identity.id()),
            Some(identity) => format!("{}_{:08x}", letters(identity), identity.id()),
            None => format!("meter_{}", self.address.to_string().to_ascii_lowercase()),
        };
        free_name(&plain, taken)
    }

    /// `Kamstrup 67200512`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.identity {
            Some(identity) if identity.is_anonymous() => format!("Meter {:08X}", identity.id()),
            Some(identity) => {
                let code = identity.manufacturer();
                let maker = maker::name(code).map_or_else(|| code.to_string(), str::to_owned);
                format!("{maker} {:08X}", identity.id())
            }
            None => format!("Meter {}", self.address),
        }
    }
}

/// The maker's letters; one that has other characters has no name in them.
fn letters(identity: SecondaryAddress) -> String {
    let code = identity.manufacturer().to_string().to_ascii_lowercase();
    if code.bytes().all(|letter| letter.is_ascii_lowercase()) { code } else { "meter".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::Find;
    use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
    use crate::mbus::link::timing::Baud;
    use crate::mbus::master::search::Found;
    use std::collections::BTreeSet;

    fn find(identity: &str) -> Find {
        let identity = SecondaryAddress::parse(identity).expect("an address");
        let address = MeterAddress::Secondary(identity);
        let found = Found::Meter { address, identity: Some(identity), fabrication_number: None, frame: None };
        Find::new(&found, Baud::DEFAULT).expect("a meter")
    }

    #[test]
    fn a_meter_is_named_by_its_maker_and_number_and_a_taken_name_is_counted_on() {
        let kamstrup = find("67200512KAM1D04");
        let mut taken = BTreeSet::new();
        for name in ["kam_67200512", "kam_67200512_2", "kam_67200512_3"] {
            assert_eq!(kamstrup.name(&taken), name);
            taken.insert(name.to_owned());
        }
        assert_eq!(kamstrup.title(), "Kamstrup 67200512");
        assert_eq!(
            (find("00000007XYZ0107").title(), find("12345678").title()),
            ("XYZ 00000007".into(), "Meter 12345678".into())
        );
        assert_eq!(find("12345678").name(&taken), "meter_12345678");
        // bytes that are not letters
        assert_eq!(find("1234567800000107").name(&taken), "meter_12345678");
    }

    #[test]
    fn a_meter_without_an_identity_is_named_by_its_address() {
        let address = MeterAddress::Primary(PrimaryAddress::new(5).expect("an address"));
        let found = Found::Meter { address, identity: None, fabrication_number: None, frame: None };
        let find = Find::new(&found, Baud::DEFAULT).expect("a meter");
        assert_eq!((find.name(&BTreeSet::new()), find.title()), ("meter_5".to_owned(), "Meter 5".to_owned()));
        assert_eq!((find.primary, find.secondary()), (Some(5), None));
    }
}
