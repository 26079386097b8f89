//! Why a change of a meter failed.

use core::fmt;

use crate::mbus::address::{MeterAddress, PrimaryAddress};
use crate::mbus::master::reply::ExchangeError;

/// Why a change failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceError {
    /// Another meter, or several, answer at the new address already.
    Occupied {
        /// The new address.
        address: PrimaryAddress,
    },
    /// The meter did not answer before anything was changed.
    Unreachable(ExchangeError),
    /// More than one meter answers at the address of the one that is meant; none was changed.
    Several {
        /// Their address.
        address: MeterAddress,
    },
    /// More than one meter answers at the new address.
    Shared {
        /// The new address.
        address: PrimaryAddress,
    },
    /// Nothing answers at the new address, and the meter does to its selection, as it would in any case.
    NotThere {
        /// The new address.
        address: PrimaryAddress,
    },
    /// Whatever answers the new way is not, or not alone, the meter that was meant.
    Another(ExchangeError),
    /// The meter is as it was before.
    Refused,
    /// The meter answers neither the new way nor the old.
    Lost,
}

impl fmt::Display for MaintenanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied { address } => write!(f, "address {address} is taken: something answers there"),
            Self::Unreachable(error) => error.fmt(f),
            Self::Several { address } => write!(
                f,
                "several meters answer at {address}, or the line is too noisy to tell; name one by its number, \
                 which `mbushat scan --secondary` shows"
            ),
            Self::Shared { address } => write!(
                f,
                "it was asked to move, and now several meters answer at {address}, or the line is too noisy to tell: \
                 `mbushat scan --secondary` shows who is there"
            ),
            Self::NotThere { address } => write!(
                f,
                "nothing answers at {address}, though the meter answers to its secondary address: it did not obey, or \
                 not yet"
            ),
            Self::Another(error) => write!(f, "the new way answers not that meter alone: {error}"),
            Self::Refused => f.write_str("the meter did not obey: it still answers as before"),
            Self::Lost => f.write_str(
                "the meter answers neither the new way nor the old; many return to their old rate after 2 to 10 minutes",
            ),
        }
    }
}

impl core::error::Error for MaintenanceError {}
