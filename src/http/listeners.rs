//! Who listens to streams of events: so many at a time, so that there is room for everybody else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::problem::Problem;

/// Streams at a time. The rest of the connections is for what ends.
const ALL: usize = 48;
/// Of them, to one address.
const OF_ONE: usize = 8;

/// How many streams go to each address.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A stream's place, given back where it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    listeners: Arc<Listeners>,
    of: IpAddr,
}

impl Listeners {
    /// A place for one more stream to this address.
    pub(super) fn place(self: &Arc<Self>, of: IpAddr) -> Result<Place, Problem> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.get(&of).is_some_and(|count| *count >= OF_ONE) {
            return Err(Problem::unavailable(format!(
                "{OF_ONE} streams go to this address already, which is the most"
            )));
        }
        if by_address.values().sum::<usize>() >= ALL {
            return Err(Problem::unavailable(format!("there are {ALL} streams already, which is the most")));
        }
        *by_address.entry(of).or_default() += 1;
        Ok(Place { listeners: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.listeners.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.of);
            }
        }
    }
}
