//! A search down the tree of secondary addresses (EN 13757-3 clause 11.5), in this order:
//!
//! 1. A mask that several meters match is divided by its next digit, to the last digit. Digits A to E are
//!    tried where 0 to 9 do not explain who answered.
//! 2. Where several answered a mask, A to E are tried for each digit alone: meters with decimal numbers
//!    beside them may have explained the answers before.
//! 3. Meters that share all eight digits are told apart by manufacturer, device type and version, and where
//!    these are equal too, by the digits of the fabrication number (clause 11.4), if they have one. Values of
//!    meters found before are tried first.
//! 4. Where these were enough to tell several apart, the other makers, device types and versions are tried at
//!    the end.
//!
//! Meters that answer in step may look like one: their bits add up, and where the telegrams differ in a few digits
//! alone, as those of new meters do, the sum may be a whole telegram with an identification number that no meter
//! has. So who answers a mask is selected once more by the digits that it says, and where no meter has these, the
//! mask is divided all the same. (A sum that is one of the meters' own telegram hides the others.)
//!
//! Slow meters would be passed over beside others that answer in time. So after the first mask all acknowledgements
//! are waited for, and where one comes late, after each.
//!
//! Some meters stay selected whatever is selected next. After the first mask that several match, none is
//! selected: who answers all the same stays so, and then each selection follows a reset of whoever is selected.

use std::collections::VecDeque;

use super::branch::{Branch, Field, Selection};
use super::{Found, report};
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::exchange::LATEST_ANSWER;
use crate::mbus::master::probe::{Probe, Probed, Sight};

/// No meter's identity.
const NOBODY: SecondaryAddress = SecondaryAddress::from_wire([0xEE, 0xEE, 0xEE, 0xEE, 0xFE, 0xFE, 0xFE, 0xFE]);

/// What is left to try.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// To be tried whole, the next one last.
    masks: Vec<SecondaryAddress>,
    /// Being divided, the innermost last.
    branches: Vec<Branch>,
    /// With A to E for one digit, the next one last.
    hexadecimal: Vec<Selection>,
    /// Several seemed to answer, and only one was found: to be tried once more, the next one last.
    doubtful: Vec<Selection>,
    /// Several meters with one number; and those of which the likely values have shown several, but not all
    /// values were tried.
    groups: VecDeque<(Selection, Field)>,
    rests: Vec<Branch>,
    /// Who answered a mask, to be asked whether there is a meter with the digits that it says; and what was found by
    /// masks where there is none, each of use if nothing else is.
    unconfirmed: Option<Probed>,
    phantoms: Vec<(SecondaryAddress, Found)>,
    /// Identities of the meters found, and the masks reported as collisions.
    found: Vec<SecondaryAddress>,
    collisions: Vec<SecondaryAddress>,
    stays: Stays,
    /// Whether the mask that is tried whole was silent before: once more, for meters that answer late.
    patient: bool,
    /// Some meters answer so late that each mask must be waited for as long.
    late: bool,
    /// The masks are parts of one that was divided: no meters that answer late are waited for, and those with a
    /// hexadecimal digit are among them.
    are_parts: bool,
    /// Whether a meter may be selected now.
    selected: bool,
}

/// Whether there are meters that stay selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    Unknown,
    /// Several are selected: the moment to ask.
    Asking,
    No,
    Yes,
}

impl Tree {
    /// Several masks are what was left of an earlier search.
    pub(super) fn new(masks: Vec<SecondaryAddress>) -> Self {
        Self {
            are_parts: masks.len() > 1,
            masks,
            branches: Vec::new(),
            hexadecimal: Vec::new(),
            doubtful: Vec::new(),
            groups: VecDeque::new(),
            rests: Vec::new(),
            unconfirmed: None,
            phantoms: Vec::new(),
            found: Vec::new(),
            collisions: Vec::new(),
            stays: Stays::Unknown,
            patient: false,
            late: false,
            selected: false,
        }
    }

    /// The next probe; `None` at the end.
    pub(super) fn next_probe(&self, mut timing: LineTiming) -> Option<Probe> {
        if self.patient || self.late {
            timing.response_timeout = timing.response_timeout.max(LATEST_ANSWER);
        }
        if self.stays == Stays::Asking {
            return Some(Probe::new(MeterAddress::Secondary(NOBODY), timing).who_stays());
        }
        let confirms = self.unconfirmed.as_ref().and_then(|probed| digits_of(&probed.sight));
        let Selection { mask, fabrication_number } = match (confirms, self.branches.last()) {
            (Some(digits), _) => digits.into(),
            (None, Some(branch)) => branch.child()?,
            (None, None) => self.whole()?,
        };
        let mut probe = Probe::new(MeterAddress::Secondary(mask), timing);
        if confirms.is_some() {
            probe = probe.only_knocking();
        } else if self.late {
            probe = probe.heeding_latecomers();
        } else if self.is_first_look() {
            probe = probe.listening_for_latecomers();
        }
        if let Some(number) = fabrication_number {
            probe = probe.with_fabrication_number(number);
        }
        Some(if self.selected && self.stays == Stays::Yes { probe.after_deselecting() } else { probe })
    }

    /// Whether the next mask is that of all meters, which tells whether there are slow ones.
    fn is_first_look(&self) -> bool {
        let is_open =
            self.masks.last().is_some_and(|mask| Selection::from(*mask).open_digit() == Some(Field::Digit(0)));
        self.branches.is_empty() && self.doubtful.is_empty() && is_open && !self.are_parts
    }

    /// Whether each mask takes as long as the slowest meters do.
    pub(super) fn is_late(&self) -> bool {
        self.late
    }

    /// The selection to try next where none is being divided.
    fn whole(&self) -> Option<Selection> {
        let mask = self.masks.last().copied().map(Selection::from);
        self.doubtful.last().copied().or(mask).or(self.hexadecimal.last().copied())
    }

    pub(super) fn take(&mut self, probed: Probed) -> Vec<Found> {
        if self.stays == Stays::Asking {
            self.stays = if probed.stays { Stays::Yes } else { Stays::No };
            return Vec::new();
        }
        self.late |= probed.late;
        if probed.stays {
            self.stays = Stays::Yes;
        }
        let Some(probed) = self.confirmed(probed) else { return Vec::new() };
        self.selected = !matches!(probed.sight, Sight::None | Sight::Noise);
        let MeterAddress::Secondary(mask) = probed.target else { return Vec::new() };
        let selection = Selection { mask, fabrication_number: probed.fabrication_number };
        let mut findings = Vec::new();
        let mut is_doubtful = false;
        match self.branches.last_mut() {
            Some(branch) => branch.count(&probed.sight),
            None => is_doubtful = self.take_whole(selection, &probed.sight),
        }
        match probed.sight {
            _ if selection.is_a_test() => {}
            // Not a moment of noise: a number with F in it, which no mask asks for.
            Sight::Several if is_doubtful => {
                self.groups.extend(selection.open_field(Field::Manufacturer).map(|field| (selection, field)));
            }
            Sight::Several => self.divide(selection, &mut findings),
            _ => findings.extend(report(probed)),
        }
        findings.retain(|found| self.is_new(found)); // the next branch begins with what is known of them
        let mut left = Vec::new();
        self.go_on(&mut left);
        left.retain(|found| self.is_new(found));
        findings.extend(left);
        findings
    }

    /// What a probe has found, once it is clear that there is such a meter; `None`: that is asked next.
    fn confirmed(&mut self, probed: Probed) -> Option<Probed> {
        let Some(first) = self.unconfirmed.take() else {
            let MeterAddress::Secondary(mask) = probed.target else { return Some(probed) };
            let is_open = Selection::from(mask).open_digit().is_some() && probed.fabrication_number.is_none();
            self.unconfirmed = digits_of(&probed.sight).filter(|_| is_open).map(|_| probed.clone());
            return if self.unconfirmed.is_some() { None } else { Some(probed) };
        };
        if probed.sight != Sight::None {
            return Some(first);
        }
        let MeterAddress::Secondary(mask) = first.target else { return Some(first) };
        self.phantoms.extend(report(first.clone()).map(|found| (mask, found)));
        Some(Probed { sight: Sight::Several, ..first })
    }

    /// What follows a mask that was tried whole; whether it was tried before.
    fn take_whole(&mut self, whole: Selection, sight: &Sight) -> bool {
        if self.doubtful.pop().is_some() {
            return true;
        }
        if self.masks.is_empty() {
            self.hexadecimal.pop();
            return false;
        }
        self.late |= self.patient && *sight == Sight::Several;
        self.patient = *sight == Sight::None && !self.patient && !self.are_parts;
        if self.patient {
            return false;
        }
        self.masks.pop();
        if *sight == Sight::Several {
            if self.stays == Stays::Unknown {
                self.stays = Stays::Asking;
            }
            let open = (0..8).filter(|digit| (whole.mask.id() >> (28 - 4 * digit)) & 0xF == 0xF);
            let hexadecimal = open.flat_map(|digit| (10..15).map(move |value| whole.with_digit(digit, value)));
            self.hexadecimal.extend(hexadecimal.filter(|_| !self.are_parts));
        }
        false
    }

    /// Several meters answer this selection.
    fn divide(&mut self, selection: Selection, findings: &mut Vec<Found>) {
        let group = self.branches.last().map(|branch| branch.field).filter(|field| !matches!(field, Field::Digit(_)));
        let field = selection.open_field(group.unwrap_or(Field::Manufacturer));
        match (group, selection.open_digit(), field) {
            (None, Some(digit), _) => self.branches.push(Branch::new(selection, digit, &self.found)),
            (None, None, Some(field)) => self.groups.push_back((selection, field)),
            (Some(_), _, Some(field)) => self.branches.push(Branch::new(selection, field, &self.found)),
            (_, _, None) => findings.push(Found::Collision(MeterAddress::Secondary(selection.mask))),
        }
    }

    /// Leaves the branches that are done, and takes up the next group where nothing else is left.
    fn go_on(&mut self, findings: &mut Vec<Found>) {
        loop {
            while self.branches.last().is_some_and(|branch| branch.child().is_none()) {
                let Some(done) = self.branches.pop() else { break };
                self.leave(done, findings);
            }
            if !self.branches.is_empty() || self.whole().is_some() {
                return;
            }
            let group = self.groups.pop_front().map(|(selection, field)| Branch::new(selection, field, &self.found));
            let Some(next) = group.or_else(|| self.rests.pop()) else { break };
            self.branches.push(next);
        }
        // one that says another number than that by which it is selected
        let is_missing = |mask: SecondaryAddress| !self.found.iter().any(|found| mask.matches(*found));
        let phantoms = std::mem::take(&mut self.phantoms).into_iter();
        findings.extend(phantoms.filter(|(mask, _)| is_missing(*mask)).map(|(_, found)| found));
    }

    /// Where the values of a field do not show several meters, the next field may.
    fn leave(&mut self, done: Branch, findings: &mut Vec<Found>) {
        let whole = done.whole;
        if done.is_explained() {
            self.rests.extend(done.rest());
            return;
        }
        match (done.field, whole.open_field(after(done.field))) {
            (Field::Digit(_), _) => self.doubtful.extend((done.single > 0).then_some(whole)),
            (Field::Fabrication(_), _) | (_, None) => {
                findings.push(Found::Collision(MeterAddress::Secondary(whole.mask)));
            }
            (_, Some(field)) => self.branches.push(Branch::new(whole, field, &self.found)),
        }
    }

    /// Whether this was not found before; a meter with two of the digits A to E is met twice, and a collision by
    /// the masks around its own.
    fn is_new(&mut self, found: &Found) -> bool {
        let (known, address, new) = match found {
            Found::Meter { fabrication_number: Some(_), .. } => return true,
            Found::Meter { identity: Some(identity), .. } => {
                let new = !self.found.contains(identity);
                (&mut self.found, *identity, new)
            }
            Found::Collision(MeterAddress::Secondary(mask)) => {
                let new = !self.collisions.iter().any(|narrower| mask.matches(*narrower));
                (&mut self.collisions, *mask, new)
            }
            _ => return true,
        };
        known.extend(new.then_some(address));
        new
    }

    /// What another search must be given to go on, the next one last. A group is told apart from the start again,
    /// what is only doubtful is not looked at once more, and who answered but is not confirmed is asked again.
    pub(super) fn masks_left(&self) -> Vec<SecondaryAddress> {
        let rests = self.rests.iter().flat_map(Branch::masks_left);
        let groups = rests.chain(self.groups.iter().rev().map(|(whole, _)| whole.mask));
        // one that was silent once is only asked for latecomers
        let whole = self.masks.len().saturating_sub(usize::from(self.patient));
        let masks = self.masks.iter().take(whole).copied();
        let waiting = self.hexadecimal.iter().map(|selection| selection.mask).chain(masks);
        let left = groups.chain(waiting).chain(self.branches.iter().flat_map(Branch::masks_left));
        let left: Vec<SecondaryAddress> = left.collect();
        let is_part = |mask: &SecondaryAddress| left.iter().any(|other| other != mask && other.matches(*mask));
        left.iter().filter(|mask| !is_part(mask)).copied().collect()
    }

    pub(super) fn left(&self) -> u32 {
        let whole = self.doubtful.len()
            + self.masks.len()
            + self.hexadecimal.len()
            + usize::from(self.stays == Stays::Asking)
            + usize::from(self.unconfirmed.is_some());
        let groups: u32 =
            self.groups.iter().map(|(whole, field)| Branch::new(*whole, *field, &self.found).left()).sum();
        let branches: u32 = self.branches.iter().chain(&self.rests).map(Branch::left).sum();
        u32::try_from(whole).unwrap_or(u32::MAX) + groups + branches
    }
}

/// The digits that the meter says, whatever the rest of its identity.
fn digits_of(sight: &Sight) -> Option<SecondaryAddress> {
    let [a, b, c, d, ..] = sight.identity()?.to_wire();
    Some(SecondaryAddress::from_wire([a, b, c, d, 0xFF, 0xFF, 0xFF, 0xFF]))
}

/// The field that is tried where this one does not help.
fn after(field: Field) -> Field {
    match field {
        Field::Digit(_) => Field::Manufacturer,
        Field::Manufacturer => Field::Medium,
        Field::Medium => Field::Version,
        Field::Version | Field::Fabrication(_) => Field::Fabrication(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mbus::link::frame::{Control, Frame};
    use crate::mbus::link::timing::Baud;
    use crate::mbus::master::conversation::Traffic;

    #[test]
    fn a_collision_that_a_narrower_mask_has_named_is_not_named_again() {
        let collision =
            |mask| Found::Collision(MeterAddress::Secondary(SecondaryAddress::parse(mask).expect("a mask")));
        let mut tree = Tree::new(vec![SecondaryAddress::ANY]);
        assert!(tree.is_new(&collision("11111111KAM0104")));
        assert!(!tree.is_new(&collision("11111111KAM0104")) && !tree.is_new(&collision("11??????")));
        assert!(tree.is_new(&collision("12??????")) && tree.is_new(&collision("12345678KAM0104")));
    }

    #[test]
    fn a_meter_that_says_another_number_than_its_own_is_found_where_no_other_is() {
        let data = [0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 1, 7, 0, 0, 0, 0];
        let says =
            Frame::Long { c: Control::rsp_ud(false, false), a: 0, ci: 0x72, data: &data }.to_vec().expect("fits");
        let (mut tree, mut found, mut probes) = (Tree::new(vec![SecondaryAddress::ANY]), Vec::new(), 0);
        while let Some(probe) = tree.next_probe(LineTiming::new(Baud::DEFAULT)) {
            let target = probe.target();
            let sight = if target == MeterAddress::Secondary(SecondaryAddress::ANY) {
                Sight::One(Some(says.clone()))
            } else {
                Sight::None
            };
            let traffic = Traffic::default();
            found.extend(tree.take(Probed {
                target,
                fabrication_number: None,
                sight,
                stray: None,
                stays: false,
                late: false,
                traffic,
            }));
            probes += 1;
            assert!(probes < 200, "it ends");
        }
        assert!(matches!(found.as_slice(), [Found::Meter { .. }]), "{found:?}");
    }
}
