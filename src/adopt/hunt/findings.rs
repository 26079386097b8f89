//! What a finding of a search means: a meter that is to be checked, or one that cannot be adopted.

use super::{Find, Hunt, Stage, Trouble};
use crate::mbus::address::MeterAddress;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::search::Found;

impl Hunt {
    /// What cannot be adopted, as far as nothing that was found explains it.
    pub fn troubles(&self) -> impl Iterator<Item = Trouble> {
        let twice = |is_it: &dyn Fn(&Find) -> bool| self.finds.iter().filter(|find| is_it(find)).count() > 1;
        let noise = self.noise.then_some(Trouble::Noise);
        let named = self.troubles.iter().copied().filter(move |trouble| match trouble {
            Trouble::Collision(MeterAddress::Primary(at)) => !twice(&|find| find.primary == Some(at.get())),
            Trouble::Collision(MeterAddress::Secondary(at)) | Trouble::SharedIdentity(at) => {
                !twice(&|find| find.identity.is_some_and(|identity| at.matches(identity)))
            }
            Trouble::NoData(_) | Trouble::Noise => true,
        });
        noise.into_iter().chain(named)
    }

    /// Takes a finding; whether it is news.
    pub(super) fn take(&mut self, found: &Found, baud: Baud) -> bool {
        let only = matches!(self.at, Some((_, Stage::Only)));
        let trouble = match (found, Find::new(found, baud)) {
            // That several answer to 254 says no more than that there are some.
            (Found::Collision(_), _) if only => return true,
            (Found::Collision(address), _) => Trouble::Collision(*address),
            (Found::Meter { address, frame: None, .. }, _) => Trouble::NoData(*address),
            (_, None) => return false,
            (_, Some(find)) if find.shares_identity || self.is_anothers(&find) => match find.identity {
                Some(identity) => Trouble::SharedIdentity(identity),
                None => return false,
            },
            (_, Some(find)) => {
                let find = self.told_apart(find);
                let known = self.finds.iter().chain(&self.candidates).any(|known| known.is_same(&find));
                if !known && !only {
                    self.candidates.push_back(find);
                }
                return !known;
            }
        };
        let is_known = |at| self.finds.iter().any(|find| find.primary == Some(at) && find.baud == baud);
        let explained = match trouble {
            // It is one that gave its data under its other address.
            Trouble::NoData(MeterAddress::Primary(at)) => is_known(at.get()),
            _ => false,
        };
        if explained || self.troubles.contains(&trouble) {
            return false;
        }
        self.troubles.push(trouble);
        true
    }

    /// Whether one at another primary address gave this very identity, when nothing told that there are two.
    fn is_anothers(&self, find: &Find) -> bool {
        let others = |known: &Find| match (known.primary, find.primary) {
            (Some(a), Some(b)) => a != b && known.identity == find.identity && known.baud == find.baud,
            _ => false,
        };
        let two = |known: &&Find| !known.shares_identity && known.identity.is_some() && others(known);
        matches!(find.address, MeterAddress::Primary(_)) && self.finds.iter().any(|known| two(&known))
    }

    /// Of meters that share an identity each is known by its primary address alone.
    fn told_apart(&self, find: Find) -> Find {
        let shared = self.troubles.iter().any(|trouble| match trouble {
            Trouble::SharedIdentity(mask) | Trouble::Collision(MeterAddress::Secondary(mask)) => {
                let whole_id = (0..8).all(|digit| (mask.id() >> (4 * digit)) & 0xF != 0xF);
                whole_id && find.identity.is_some_and(|identity| mask.matches(identity))
            }
            Trouble::Collision(MeterAddress::Primary(_)) | Trouble::NoData(_) | Trouble::Noise => false,
        });
        Find { shares_identity: shared, ..find }
    }
}
