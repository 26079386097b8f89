//! Who is at an address, or behind a selection mask: no meter, one, or several. The step from
//! which a search is made.
//!
//! Equal E5s of several meters look like one, and one meter's may arrive damaged, so an acknowledgement
//! proves nothing: only a clean telegram does. Silence costs one reply timeout, or more where the caller has
//! requests repeated, which a noisy line may have lost. Otherwise a request is repeated only after noise.
//!
//! A primary address is asked for its data at once (REQ_UD2). A reset (SND_NKE) before it would prove
//! nothing more where it is acknowledged, and there are meters that never acknowledge one: they would be
//! passed over, or every empty address would cost two timeouts.
//!
//! Some meters say another address in their telegrams than the one that they answer at, 0 for instance. Such a
//! telegram may as well be the late one of another meter, which does not come a second time.
//!
//! Not here: which addresses and masks to try (`search`).

use crate::mbus::address::{BROADCAST, MeterAddress, PrimaryAddress, SELECTED, SecondaryAddress};
use crate::mbus::master::conversation::{LineTiming, Series, Traffic};
use crate::mbus::master::exchange::{Exchange, Exchanged, LATEST_ANSWER};
use crate::mbus::master::reply::{ExchangeError, Reply, address_of, identity_of};
use crate::mbus::master::request::Request;

/// Bytes of noise beside a whole telegram that are too few for another one: glitches of the line.
const GLITCH: u64 = 3;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// What was probed.
    pub target: MeterAddress,
    /// The fabrication number that was asked for too, eight BCD digits, nibbles F for any.
    pub fabrication_number: Option<u32>,
    /// Who is there.
    pub sight: Sight,
    /// Another meter answered: one that was asked before, late.
    pub stray: Option<PrimaryAddress>,
    /// A meter answered that was not selected: one that stays selected.
    pub stays: bool,
    /// A meter acknowledged after the time that all have.
    pub late: bool,
    /// What it took.
    pub traffic: Traffic,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No meter.
    None,
    /// One meter: its telegram, or `None` where it acknowledges but gives no data.
    One(Option<Vec<u8>>),
    /// Several meters at once, or a line too noisy to tell.
    Several,
    /// The line never falls silent, so nothing can be asked.
    Noise,
}

impl Sight {
    /// The identity that the meter gives.
    #[must_use]
    pub fn identity(&self) -> Option<SecondaryAddress> {
        match self {
            Self::One(Some(frame)) => identity_of(frame),
            _ => None,
        }
    }
}

/// A probe on its way.
#[derive(Clone, Debug)]
pub struct Probe {
    target: MeterAddress,
    fabrication_number: Option<u32>,
    timing: LineTiming,
    stage: Stage,
    exchange: Exchange,
    /// Whether the one repeat after noise is spent.
    repeated: bool,
    /// Whether an acknowledgement came, not only noise.
    acknowledged: bool,
    stray: Option<PrimaryAddress>,
    /// The A field of a telegram from another address. A late one does not come again; a meter that says another
    /// address than its own does.
    said: Option<u8>,
    /// Whether all that is asked is an acknowledgement of the selection.
    only_knocks: bool,
    /// Whether all that is asked is who stays selected; and whether one does.
    asks_who_stays: bool,
    stays: bool,
    /// Whether those are waited for that acknowledge late, beside others; and whether there are such.
    heeds_latecomers: bool,
    /// Whether that is asked for once more at the end: a meter that sleeps soon is asleep after the wait.
    listens: bool,
    late: bool,
    beside_others: bool,
    traffic: Traffic,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// SND_NKE to every meter of the segment.
    Wake,
    /// The selection.
    Knock,
    /// REQ_UD2.
    Ask,
    /// The selection again, to hear who acknowledges late.
    Listen(Sight),
    /// SND_NKE to FD after a meter answered that was not selected.
    Deselect,
    /// The closing SND_NKE to a primary address: its frame count bit and telegrams start again, so
    /// that the next readout is not a repeat of this one.
    Forget(Sight),
    Over(Sight),
}

impl Probe {
    /// A probe of an address or mask. `timing.retries` is how often silence is not believed.
    #[must_use]
    pub fn new(target: MeterAddress, timing: LineTiming) -> Self {
        let exchange = Exchange::new(Request::snd_nke(SELECTED), timing);
        let mut probe = Self {
            target,
            fabrication_number: None,
            timing,
            stage: Stage::Ask,
            exchange,
            repeated: false,
            acknowledged: false,
            stray: None,
            said: None,
            only_knocks: false,
            asks_who_stays: false,
            stays: false,
            heeds_latecomers: false,
            listens: false,
            late: false,
            beside_others: false,
            traffic: Traffic::default(),
        };
        probe.enter(probe.first_stage());
        probe
    }

    /// Only among the meters with this fabrication number; others, and those that have none, are silent.
    pub(super) fn with_fabrication_number(mut self, number: u32) -> Self {
        self.fabrication_number = Some(number);
        self.enter(self.first_stage());
        self
    }

    /// What is probed.
    #[cfg(test)]
    pub(super) fn target(&self) -> MeterAddress {
        self.target
    }

    /// Only whether any meter matches: its data is known.
    pub(super) fn only_knocking(mut self) -> Self {
        self.only_knocks = true;
        self
    }

    /// A selection that no meter matches, and a request: who answers is still selected from before.
    pub(super) fn who_stays(mut self) -> Self {
        self.asks_who_stays = true;
        self
    }

    /// Whoever is selected is reset first, for some stay selected otherwise.
    pub(super) fn after_deselecting(mut self) -> Self {
        self.enter(Stage::Deselect);
        self
    }

    /// Resets every meter of the segment first, for some give no data before; none answers that.
    pub(super) fn after_waking_all(mut self) -> Self {
        self.enter(Stage::Wake);
        self
    }

    /// Not only the first acknowledgement of the selection is waited for, but those of slow meters too.
    pub(super) fn heeding_latecomers(mut self) -> Self {
        self.heeds_latecomers = true;
        let stage = core::mem::replace(&mut self.stage, Stage::Knock);
        self.enter(stage);
        self
    }

    /// The same, once it is known who answers in time.
    pub(super) fn listening_for_latecomers(mut self) -> Self {
        self.listens = !self.is_narrow();
        self
    }

    fn first_stage(&self) -> Stage {
        match self.target {
            MeterAddress::Primary(_) => Stage::Ask,
            MeterAddress::Secondary(_) => Stage::Knock,
        }
    }

    fn enter(&mut self, stage: Stage) {
        let request = match (&stage, self.target) {
            (Stage::Wake, _) => Request::snd_nke(BROADCAST),
            (Stage::Knock | Stage::Listen(_), MeterAddress::Secondary(mask)) => match self.fabrication_number {
                Some(number) => Request::select_fabrication(mask, number),
                None => Request::select(mask),
            },
            (Stage::Ask, MeterAddress::Primary(address)) => {
                let request = Request::req_ud2(address.get(), true, SecondaryAddress::ANY);
                if self.said.is_some() { request.answered_by_any() } else { request }
            }
            (Stage::Ask, MeterAddress::Secondary(mask)) => Request::req_ud2(SELECTED, true, mask),
            (Stage::Forget(_), MeterAddress::Primary(address)) => Request::snd_nke(address.get()),
            (Stage::Knock | Stage::Listen(_) | Stage::Deselect | Stage::Forget(_) | Stage::Over(_), _) => {
                Request::snd_nke(SELECTED)
            }
        };
        let retries = if stage == self.first_stage() { self.timing.retries } else { 0 };
        let mut timing = LineTiming { retries, ..self.timing };
        if stage == Stage::Wake {
            // No answer is expected, not even a late one.
            timing.response_timeout = timing.baud.response_timeout();
        }
        let heeds = stage == Stage::Knock && self.heeds_latecomers || matches!(stage, Stage::Listen(_));
        if heeds {
            timing.response_timeout = timing.response_timeout.max(LATEST_ANSWER);
        }
        self.exchange = Exchange::new(request, timing);
        if heeds {
            self.exchange.expect_several();
            self.exchange.take_damage();
        }
        if matches!(stage, Stage::Wake | Stage::Forget(Sight::Several)) {
            self.exchange.expect_several();
        }
        self.stage = stage;
    }

    /// Whether no finer mask than this one can tell meters apart by their identification number.
    fn is_narrow(&self) -> bool {
        match self.target {
            MeterAddress::Primary(_) => true,
            MeterAddress::Secondary(mask) => (0..8).all(|digit| (mask.id() >> (4 * digit)) & 0xF != 0xF),
        }
    }

    fn after(&mut self, stage: Stage, exchanged: Exchanged) -> Stage {
        let clean = exchanged.traffic.noise == 0;
        match (stage, exchanged.reply) {
            (Stage::Wake, _) => self.first_stage(),
            (Stage::Knock | Stage::Ask, Err(ExchangeError::NeverQuiet)) => Stage::Over(Sight::Noise),
            (Stage::Knock, _) if self.asks_who_stays => Stage::Ask,
            (Stage::Ask, _) if self.asks_who_stays => Stage::Over(Sight::None),
            (Stage::Knock, Err(ExchangeError::Silence)) => Stage::Over(Sight::None),
            // Asked for data, each would answer in its own time.
            (Stage::Knock, _) if self.late && self.beside_others && !self.is_narrow() => Stage::Over(Sight::Several),
            (Stage::Knock, _) if self.only_knocks => Stage::Over(Sight::One(None)),
            (Stage::Knock, Ok(_)) => {
                self.acknowledged = true;
                Stage::Ask
            }
            (Stage::Knock, Err(_)) => Stage::Ask,
            (Stage::Listen(sight), _) => Stage::Over(if self.late { Sight::Several } else { sight }),
            (Stage::Deselect, _) => Stage::Knock,
            (Stage::Ask, Err(ExchangeError::WrongAddress { got, .. })) if !self.repeated => {
                self.said = Some(got);
                self.noise(Stage::Ask)
            }
            (Stage::Ask, Ok(Reply::Data(frame))) if self.said.is_some_and(|said| !self.is_from(&frame, said)) => {
                self.close(Sight::Several)
            }
            (Stage::Ask, Ok(Reply::Data(frame))) if clean => self.close(Sight::One(Some(frame))),
            (Stage::Ask, Ok(Reply::Data(frame))) => {
                // Less than any telegram: no other meter's.
                let glitch = exchanged.traffic.noise < GLITCH;
                let sight = if self.is_narrow() || glitch { Sight::One(Some(frame)) } else { Sight::Several };
                self.noise(Stage::Over(sight))
            }
            (Stage::Ask, Err(ExchangeError::WrongIdentity { .. })) if !self.repeated => {
                self.repeated = true;
                Stage::Deselect
            }
            // A lone E5: the meter is there, and has no data. Or another one that was reset before acknowledges late.
            (Stage::Ask, Ok(_)) if self.first_stage() == Stage::Ask => self.noise(Stage::Over(Sight::One(None))),
            (Stage::Ask, Ok(_) | Err(ExchangeError::Silence)) => match (self.acknowledged, self.is_narrow()) {
                (true, true) => self.close(Sight::One(None)),
                (true, false) => self.noise(Stage::Over(Sight::Several)),
                (false, _) if self.first_stage() == Stage::Knock => self.noise(Stage::Over(Sight::None)),
                (false, _) => Stage::Over(Sight::None),
            },
            (Stage::Ask, Err(_)) if self.is_narrow() => self.noise(Stage::Over(Sight::Several)),
            (Stage::Ask, Err(_)) => Stage::Over(Sight::Several),
            (Stage::Forget(sight) | Stage::Over(sight), _) => Stage::Over(sight),
        }
    }

    /// Whether the telegram is the target's or that of the address that was said before.
    fn is_from(&self, frame: &[u8], said: u8) -> bool {
        address_of(frame).is_some_and(|a| a == said || a == self.target.a_field())
    }

    /// Once more from the start, or `otherwise` where that was done before.
    fn noise(&mut self, otherwise: Stage) -> Stage {
        match otherwise {
            _ if !self.repeated => {
                self.repeated = true;
                self.first_stage()
            }
            Stage::Over(sight) => self.close(sight),
            other => other,
        }
    }

    fn close(&self, sight: Sight) -> Stage {
        match self.target {
            MeterAddress::Primary(_) => Stage::Forget(sight),
            MeterAddress::Secondary(_) => Stage::Over(sight),
        }
    }
}

impl Series for Probe {
    type Part = Exchange;
    type Outcome = Probed;

    fn outcome(&mut self) -> Option<Probed> {
        let Stage::Over(sight) = &self.stage else { return None };
        let Self { target, fabrication_number, stays, late, traffic, .. } = *self;
        let stray = self.stray.filter(|_| !matches!(sight, Sight::One(Some(_))));
        Some(Probed { target, fabrication_number, sight: sight.clone(), stray, stays, late, traffic })
    }

    fn part(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    fn part_ended(&mut self, exchanged: Exchanged) {
        self.traffic += exchanged.traffic;
        if let Err(ExchangeError::WrongAddress { got, .. }) = exchanged.reply {
            self.stray = PrimaryAddress::new(got);
        }
        self.stays |= match exchanged.reply {
            Err(ExchangeError::WrongIdentity { .. }) => true,
            Err(ExchangeError::Silence) => false,
            _ => self.asks_who_stays && self.stage == Stage::Ask,
        };
        let listened = matches!(self.stage, Stage::Listen(_));
        if listened || (self.heeds_latecomers && self.stage == Stage::Knock) {
            let usual = self.timing.baud.response_timeout() + self.timing.latency + self.timing.baud.characters(2);
            self.beside_others = exchanged.traffic.bytes_received > 1;
            self.late = exchanged.last_byte.is_some_and(|last| last > usual) && (self.beside_others || !listened);
        }
        if exchanged.response_time.is_some_and(|time| time > self.timing.response_timeout) {
            self.timing.response_timeout = LATEST_ANSWER;
        }
        let stage = core::mem::replace(&mut self.stage, Stage::Knock);
        let next = match self.after(stage, exchanged) {
            Stage::Over(sight @ (Sight::One(_) | Sight::Several)) if core::mem::take(&mut self.listens) => {
                Stage::Listen(sight)
            }
            next => next,
        };
        self.enter(next);
    }
}
