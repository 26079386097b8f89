//! A simulated meter: what it does with each request it hears.
//!
//! Not here: time on the wire and faults (`segment`), values (`model`).

use std::time::{Duration, Instant};

use crate::mbus::address::{BROADCAST, PrimaryAddress, SELECTED, SecondaryAddress, TEST_BROADCAST};
use crate::mbus::application::calendar::{Moment, decode};
use crate::mbus::application::header::{Configuration, Header, ShortHeader, Status};
use crate::mbus::application::security::encrypt_mode_5;
use crate::mbus::link::frame::{ACK, Control, Frame};
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::request::{CI_APPLICATION_SELECT, CI_COMMAND, CI_SELECT};
use crate::mbus::octets::{ByteOrder, Octets};
use crate::sim::plan::{Content, FcbHandling, MeterPlan};

/// CI field of a reply with a long header.
const CI_RESPONSE: u8 = 0x72;
/// DIF: manufacturer data follows, and so does another telegram.
const MORE_FOLLOWS: u8 = 0x1F;
/// CI fields B8..=BF set the baud rate, slowest first (EN 13757-3 clause 12).
const CI_BAUD: std::ops::RangeInclusive<u8> = 0xB8..=0xBF;
/// How long a meter stays at a new baud rate if it is not spoken to.
const BAUD_FALL_BACK: Duration = Duration::from_secs(120);

/// How long a meter that sleeps stays awake after it was spoken to.
const AWAKE_FOR: Duration = Duration::from_secs(3);

/// The meter and its memory.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    plan: MeterPlan,
    access_number: u8,
    selected: bool,
    /// Whether it was reset since it has power.
    was_reset: bool,
    /// Frame count bits and last answers: of the primary address, and of FD.
    primary: Memory,
    secondary: Memory,
    /// Index of the last telegram sent; `None`: the first is next.
    telegram: Option<usize>,
    baud: Baud,
    /// The rate to return to, and since when it was not spoken to at the new one.
    fall_back: Option<(Baud, Duration)>,
    clock_offset: i64,
    /// The application that was selected.
    application: Option<u8>,
    /// The last answer on the wire: from when to when.
    sending: Option<(Instant, Instant)>,
    /// So many characters of its wake-up have come, the last one then; and until when it is awake.
    waking: (usize, Option<Instant>),
    awake_until: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Memory {
    fcb: Option<bool>,
    answer: Vec<u8>,
}

impl Meter {
    /// On a segment of this rate.
    pub(super) fn new(plan: MeterPlan, baud: Baud) -> Self {
        let (access_number, baud) = (plan.access_number, plan.baud.unwrap_or(baud));
        Self {
            plan,
            access_number,
            selected: false,
            was_reset: false,
            primary: Memory::default(),
            secondary: Memory::default(),
            telegram: None,
            baud,
            fall_back: None,
            clock_offset: 0,
            application: None,
            sending: None,
            waking: (0, None),
            awake_until: None,
        }
    }

    /// When it has sent what it owes.
    pub(super) fn free_at(&self) -> Option<Instant> {
        self.sending.map(|(_, end)| end)
    }

    /// It sends from `start` to `end`, and is deaf then.
    pub(super) fn set_busy(&mut self, start: Instant, end: Instant) {
        self.sending = Some((start, end));
    }

    /// From the end of a request to this answer.
    pub(super) fn delay(&self, answer: &[u8]) -> Duration {
        self.plan.acknowledges_after.filter(|_| answer == [ACK]).unwrap_or(self.plan.delay)
    }

    /// Without power it forgets who has spoken to it.
    pub(super) fn lose_power(&mut self) {
        (self.selected, self.was_reset, self.telegram) = (false, false, None);
        (self.primary, self.secondary) = (Memory::default(), Memory::default());
    }

    /// A character on the line, whether for it or not: a meter that sleeps counts those that wake it.
    pub(super) fn overhear(&mut self, byte: u8, baud: Baud, parity: Option<Parity>, at: Instant) {
        let Some(wake_up) = self.plan.wakes_by else { return };
        let (count, last) = self.waking;
        let goes_on = last.is_some_and(|last| at <= last + baud.bits(33));
        let wakes = parity.is_none_or(|parity| parity == wake_up.parity.unwrap_or(Parity::Even));
        self.waking = match (wakes && byte == wake_up.byte, goes_on) {
            (true, true) => (count + 1, Some(at)),
            (true, false) => (1, Some(at)),
            (false, _) => (0, None),
        };
        if self.waking.0 >= wake_up.count(baud, Parity::Even) || self.is_awake(at) {
            self.awake_until = Some(at + AWAKE_FOR);
        }
    }

    fn is_awake(&self, at: Instant) -> bool {
        self.plan.wakes_by.is_none() || self.awake_until.is_some_and(|until| at <= until)
    }

    /// Whether it understands what is sent at `baud` and ends at `at`, `since` after the start of the
    /// simulation.
    pub(super) fn hears(&mut self, baud: Baud, since: Duration, at: Instant) -> bool {
        if let Some((old, heard)) = self.fall_back {
            if since.saturating_sub(heard) > BAUD_FALL_BACK {
                (self.baud, self.fall_back) = (old, None);
            }
        }
        let deaf = self.sending.is_some_and(|(start, end)| start < at && at < end);
        !self.plan.silent && self.is_awake(at) && self.baud == baud && !deaf
    }

    /// Its answer to a frame heard `since` after the start, when the meters' clocks show `clock`
    /// seconds; `None`: silence.
    pub(super) fn answer(&mut self, frame: Frame<'_>, since: Duration, clock: u64) -> Option<Vec<u8>> {
        let (c, a) = match frame {
            Frame::Short { c, a } | Frame::Long { c, a, .. } if c.from_master() => (c, a),
            _ => return None,
        };
        if let Frame::Long { a: SELECTED, ci: CI_SELECT, data, .. } = frame {
            return if self.plan.selectable { self.select(data) } else { None };
        }
        let meant = match a {
            SELECTED => self.selected,
            TEST_BROADCAST | BROADCAST => true,
            _ => a == self.plan.address.get(),
        };
        if !meant {
            return None;
        }
        // Spoken to at the new rate, it stays there.
        self.fall_back = None;
        let answer = match (c.function(), frame) {
            (0x0, _) => self.reset(a),
            (0xB, _) if self.plan.wants_reset && !self.was_reset => None,
            (0xB, _) => self.repeat_or(a, c, |meter, repeat| Some(meter.next_telegram(repeat, since, clock))),
            (0xA, _) => Some(vec![ACK]),
            (0x3, Frame::Long { ci, data, .. }) => self.repeat_or(a, c, |meter, _| meter.obey(ci, data, since, clock)),
            _ => None,
        };
        answer.filter(|_| a != BROADCAST)
    }

    fn select(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let (mask, rest) = data.split_first_chunk::<8>()?;
        let meant = SecondaryAddress::from_wire(*mask).matches(self.plan.identity) && self.is_fabricated(rest);
        self.selected = meant || (self.selected && self.plan.stays_selected);
        self.secondary = Memory::default();
        self.telegram = None;
        meant.then(|| vec![ACK])
    }

    /// The fabrication number of an enhanced selection: 0C 78 and eight BCD digits, F for any.
    fn is_fabricated(&self, record: &[u8]) -> bool {
        match (record, self.plan.fabrication_number) {
            ([], _) => true,
            _ if !self.plan.heeds_fabrication_number => true,
            (&[0x0C, 0x78, a, b, c, d], Some(number)) => {
                let mask = SecondaryAddress::from_wire([a, b, c, d, 0xFF, 0xFF, 0xFF, 0xFF]);
                let [e, f, g, h] = number.to_le_bytes();
                mask.matches(SecondaryAddress::from_wire([e, f, g, h, 0, 0, 0, 0]))
            }
            _ => false,
        }
    }

    fn reset(&mut self, a: u8) -> Option<Vec<u8>> {
        *self.memory(a) = Memory::default();
        self.telegram = None;
        self.was_reset = true;
        self.selected &= a != SELECTED;
        self.plan.acknowledges_reset.then(|| vec![ACK])
    }

    fn memory(&mut self, a: u8) -> &mut Memory {
        if a == SELECTED { &mut self.secondary } else { &mut self.primary }
    }

    /// A strict meter's last answer where the frame count bit did not change, else what `new` gives.
    fn repeat_or(
        &mut self,
        a: u8,
        c: Control,
        new: impl FnOnce(&mut Self, bool) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let repeat = self.memory(a).fcb.replace(c.fcb()) == Some(c.fcb()) && c.fcv();
        if repeat && self.plan.fcb == FcbHandling::Strict {
            return Some(self.memory(a).answer.clone());
        }
        let answer = new(self, repeat)?;
        self.memory(a).answer.clone_from(&answer);
        Some(answer)
    }

    fn next_telegram(&mut self, repeat: bool, since: Duration, clock: u64) -> Vec<u8> {
        let index = match (self.plan.fcb, self.telegram) {
            (FcbHandling::Ignored, _) | (_, None) => 0,
            (FcbHandling::Simple, Some(last)) if repeat => last,
            (_, Some(last)) => last + 1,
        };
        self.telegram = Some(index);
        self.telegram_at(index, since, clock)
    }

    /// The telegram with this index; after the last the first comes again.
    fn telegram_at(&mut self, index: usize, since: Duration, clock: u64) -> Vec<u8> {
        let selected = self.plan.applications.iter().find(|(code, _)| Some(*code) == self.application);
        if let Some((_, records)) = selected {
            let records = records.clone();
            return self.response(&records);
        }
        let live;
        let (areas, endless) = match &self.plan.content {
            Content::Telegrams(areas) => (areas, false),
            Content::Endless(areas) => (areas, true),
            Content::Live(model) => {
                live = model.telegrams(since, clock.saturating_add_signed(self.clock_offset));
                (&live, false)
            }
        };
        if areas.is_empty() {
            return vec![ACK];
        }
        let index = index % areas.len();
        let mut records = areas.get(index).cloned().unwrap_or_default();
        if endless || index + 1 < areas.len() {
            records.push(MORE_FOLLOWS);
        }
        self.response(&records)
    }

    fn response(&mut self, records: &[u8]) -> Vec<u8> {
        let (status, configuration) = (Status(self.plan.status), Configuration(0));
        let short = ShortHeader { access_number: self.access_number, status, configuration };
        let header = Header { identity: Some(self.plan.identity), short: Some(short) };
        let mut data = Vec::new();
        match &self.plan.key {
            None => {
                header.encode(&mut data);
                data.extend_from_slice(records);
            }
            // A plan with more records than a telegram holds makes a silent meter, here and below.
            Some(key) if encrypt_mode_5(&header, records, key, &mut data).is_err() => return Vec::new(),
            Some(_) => {}
        }
        if self.plan.counts_access {
            self.access_number = self.access_number.wrapping_add(1);
        }
        let a = self.plan.says_address.unwrap_or(self.plan.address.get());
        Frame::Long { c: Control::rsp_ud(false, false), a, ci: CI_RESPONSE, data: &data }.to_vec().unwrap_or_default()
    }

    /// SND_UD: a command is obeyed and acknowledged; an extra request gives its records.
    fn obey(&mut self, ci: u8, data: &[u8], since: Duration, clock: u64) -> Option<Vec<u8>> {
        if let Some((_, records)) = self.plan.requests.iter().find(|(known, _)| *known == ci) {
            let records = records.clone();
            return Some(self.response(&records));
        }
        match (ci, data) {
            (CI_APPLICATION_SELECT, code) => {
                (self.telegram, self.application) = (None, code.first().copied());
            }
            (CI_COMMAND, &[0x01, 0x7A, address]) => {
                self.plan.address = PrimaryAddress::new(address).unwrap_or(self.plan.address);
            }
            (CI_COMMAND, &[0x07, 0x79, a, b, c, d, e, f, g, h]) => {
                self.plan.identity = SecondaryAddress::from_wire([a, b, c, d, e, f, g, h]);
            }
            (CI_COMMAND, &[0x04, 0x6D, ref time @ ..]) => {
                if let Some(Moment::DateTime(set)) = decode(Octets::new(time, ByteOrder::LeastFirst)) {
                    self.clock_offset = i64::try_from(set.seconds()).unwrap_or(0) - i64::try_from(clock).unwrap_or(0);
                }
            }
            _ if CI_BAUD.contains(&ci) => {
                let rate = Baud::ALL.get(usize::from(ci - CI_BAUD.start()));
                self.fall_back = Some((self.baud, since));
                self.baud = rate.copied().unwrap_or(self.baud);
            }
            _ => {}
        }
        Some(vec![ACK])
    }
}
