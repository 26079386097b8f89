//! What is kept of a hunt, so that it goes on after a restart: plain texts and numbers, as they stand on disk.

use serde::{Deserialize, Serialize};

use super::{Stage, Trouble};
use crate::adopt::find::Find;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::LineTiming;

/// A hunt as it is kept; the default is one that has not begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    begun: bool,
    /// `None` of one that has begun: it is over.
    at: Option<SavedStage>,
    /// Whether one that was not known answered at this rate.
    pub(super) answered: bool,
    pub(super) doubtful: bool,
    pub(super) repeated: bool,
    /// Probes done.
    pub(super) done: u32,
    /// Who answered once, and who did twice.
    candidates: Vec<SavedFind>,
    finds: Vec<SavedFind>,
    troubles: Vec<SavedTrouble>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedStage {
    baud: u32,
    what: SavedWhat,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedWhat {
    Secondary(Vec<String>),
    Only,
    Primary(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedFind {
    address: String,
    identity: Option<String>,
    primary: Option<u8>,
    baud: u32,
    shares_identity: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedTrouble {
    Collision(String),
    SharedIdentity(String),
    NoData(String),
}

impl Saved {
    /// A hunt that looks for no one: it checks what scans find.
    #[must_use]
    pub fn over() -> Self {
        Self { begun: true, ..Self::default() }
    }

    /// Of a hunt that is at this stage; `None`: it is over.
    pub(super) fn at(stage: Option<(Baud, Stage)>, answered: bool, done: u32) -> Self {
        let at = stage.map(|(baud, stage)| SavedStage { baud: baud.bits_per_second(), what: SavedWhat::of(stage) });
        Self { begun: true, at, answered, done, ..Self::default() }
    }

    pub(super) fn with_meters<'f>(
        self,
        candidates: impl Iterator<Item = &'f Find>,
        finds: &[Find],
        troubles: &[Trouble],
    ) -> Self {
        Self {
            candidates: candidates.map(SavedFind::of).collect(),
            finds: finds.iter().map(SavedFind::of).collect(),
            troubles: troubles.iter().filter_map(SavedTrouble::of).collect(),
            ..self
        }
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.begun && self.at.is_none() && self.candidates.is_empty()
    }

    /// Where it goes on. A rate that is no longer one of these makes it begin again.
    pub(super) fn stage(&self, rates: &[LineTiming]) -> Option<(usize, Stage)> {
        if self.begun && self.at.is_none() {
            return None;
        }
        let place = |at: &SavedStage| rates.iter().position(|timing| timing.baud.bits_per_second() == at.baud);
        let at = self.at.as_ref().and_then(|at| Some((place(at)?, at.what.stage()?)));
        Some(at.unwrap_or_else(|| (0, Stage::Secondary(vec![SecondaryAddress::ANY]))))
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = Find> {
        self.candidates.iter().filter_map(SavedFind::find)
    }

    /// Who was found.
    #[must_use]
    pub fn finds(&self) -> Vec<Find> {
        self.finds.iter().filter_map(SavedFind::find).collect()
    }

    pub(super) fn troubles(&self) -> Vec<Trouble> {
        self.troubles.iter().filter_map(SavedTrouble::trouble).collect()
    }
}

impl SavedWhat {
    fn of(stage: Stage) -> Self {
        match stage {
            Stage::Secondary(masks) => Self::Secondary(masks.iter().map(SecondaryAddress::to_string).collect()),
            Stage::Only => Self::Only,
            Stage::Primary(next) => Self::Primary(next),
        }
    }

    fn stage(&self) -> Option<Stage> {
        Some(match self {
            Self::Secondary(masks) => {
                Stage::Secondary(masks.iter().map(|mask| secondary(mask)).collect::<Option<_>>()?)
            }
            Self::Only => Stage::Only,
            Self::Primary(next) => Stage::Primary(*next),
        })
    }
}

impl SavedFind {
    fn of(find: &Find) -> Self {
        let Find { address, identity, primary, baud, shares_identity } = *find;
        let identity = identity.map(|identity| identity.to_string());
        Self { address: address.to_string(), identity, primary, baud: baud.bits_per_second(), shares_identity }
    }

    fn find(&self) -> Option<Find> {
        let Self { address, identity, primary, baud, shares_identity } = self;
        Some(Find {
            address: self::address(address)?,
            identity: identity.as_deref().map(secondary).map_or(Some(None), |identity| identity.map(Some))?,
            primary: *primary,
            baud: Baud::new(*baud)?,
            shares_identity: *shares_identity,
        })
    }
}

impl SavedTrouble {
    fn of(trouble: &Trouble) -> Option<Self> {
        Some(match trouble {
            Trouble::Collision(address) => Self::Collision(address.to_string()),
            Trouble::SharedIdentity(identity) => Self::SharedIdentity(identity.to_string()),
            Trouble::NoData(address) => Self::NoData(address.to_string()),
            // A later start may find the line silent.
            Trouble::Noise => return None,
        })
    }

    fn trouble(&self) -> Option<Trouble> {
        Some(match self {
            Self::Collision(address) => Trouble::Collision(self::address(address)?),
            Self::SharedIdentity(identity) => Trouble::SharedIdentity(secondary(identity)?),
            Self::NoData(address) => Trouble::NoData(self::address(address)?),
        })
    }
}

fn secondary(text: &str) -> Option<SecondaryAddress> {
    SecondaryAddress::parse(text).ok()
}

/// Up to three digits are a primary address.
fn address(text: &str) -> Option<MeterAddress> {
    let primary = || text.parse().ok().and_then(PrimaryAddress::new).map(MeterAddress::Primary);
    if text.len() <= 3 { primary() } else { secondary(text).map(MeterAddress::Secondary) }
}
