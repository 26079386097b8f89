//! What a simulated segment consists of.

use std::time::Duration;

use crate::mbus::address::{Manufacturer, PrimaryAddress, SecondaryAddress};
use crate::mbus::application::security::Key;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::wake_up::WakeUp;
use crate::sim::model::Model;

/// A segment, its meters and what goes wrong on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    /// Rate of the line at the start.
    pub baud: Baud,
    /// The meters; two may share an address.
    pub meters: Vec<MeterPlan>,
    /// What goes wrong.
    pub faults: Faults,
    /// Chooses when it goes wrong: the same seed, the same faults.
    pub seed: u64,
    /// What the meters' clocks show at the start: seconds since 1970-01-01T00:00 of their local time.
    pub clock: u64,
}

impl SegmentPlan {
    /// A faultless segment at 2400 baud.
    #[must_use]
    pub fn new(meters: Vec<MeterPlan>) -> Self {
        // 2026-01-01T00:00
        Self { baud: Baud::DEFAULT, meters, faults: Faults::default(), seed: 1, clock: 1_767_225_600 }
    }
}

/// One meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterPlan {
    /// Where it answers.
    pub address: PrimaryAddress,
    /// Id, manufacturer, version and medium of its header.
    pub identity: SecondaryAddress,
    /// Eight BCD digits that an enhanced selection may ask for; `None`: it ignores those selections.
    pub fabrication_number: Option<u32>,
    /// Whether it looks at what an enhanced selection asks for; some take any for a plain selection.
    pub heeds_fabrication_number: bool,
    /// First access number of its header.
    pub access_number: u8,
    /// Status byte of its header (EN 13757-3 clause 5.8).
    pub status: u8,
    /// Whether the access number counts its replies; an SDM220's never does.
    pub counts_access: bool,
    /// From the end of a request to the first byte of its answer; the standard asks for 11 bit times
    /// to 330 bit times + 50 ms.
    pub delay: Duration,
    /// What it does with the frame count bit.
    pub fcb: FcbHandling,
    /// Whether it answers SND_NKE.
    pub acknowledges_reset: bool,
    /// How long it takes to acknowledge; `None`: as long as for any answer.
    pub acknowledges_after: Option<Duration>,
    /// Whether it gives no data before it was reset since it has power.
    pub wants_reset: bool,
    /// The A field of its telegrams; `None`: its address.
    pub says_address: Option<u8>,
    /// Whether it answers at all.
    pub silent: bool,
    /// What it must hear first; it sleeps again three seconds after it was last spoken to.
    pub wakes_by: Option<WakeUp>,
    /// Its rate; `None`: that of the segment.
    pub baud: Option<Baud>,
    /// Whether it can be selected by its secondary address.
    pub selectable: bool,
    /// Whether it stays selected when another meter is selected.
    pub stays_selected: bool,
    /// What it answers to REQ_UD2.
    pub content: Content,
    /// Applications that can be selected instead: code and the records of its telegram.
    pub applications: Vec<(u8, Vec<u8>)>,
    /// Extra requests it knows: CI field and the records of the reply.
    pub requests: Vec<(u8, Vec<u8>)>,
    /// Encrypts its telegrams in security mode 5.
    pub key: Option<Key>,
}

impl MeterPlan {
    /// A strict meter with the usual delay of 30 ms.
    #[must_use]
    pub fn new(address: PrimaryAddress, identity: SecondaryAddress, content: Content) -> Self {
        Self {
            address,
            identity,
            fabrication_number: None,
            heeds_fabrication_number: true,
            access_number: 0,
            status: 0,
            counts_access: true,
            delay: Duration::from_millis(30),
            fcb: FcbHandling::Strict,
            acknowledges_reset: true,
            acknowledges_after: None,
            wants_reset: false,
            says_address: None,
            silent: false,
            wakes_by: None,
            baud: None,
            selectable: true,
            stays_selected: false,
            content,
            applications: Vec::new(),
            requests: Vec::new(),
            key: None,
        }
    }

    /// A strict meter whose values move with time, with manufacturer `SIM`, the model's device type and
    /// the identification number `id` (eight BCD digits, `0x30137315`).
    #[must_use]
    pub fn live(model: Model, address: PrimaryAddress, id: u32) -> Self {
        let [a, b, c, d] = id.to_le_bytes();
        let [m, n] = Manufacturer::from_letters("SIM").map_or([0; 2], |m| m.0.to_le_bytes());
        let identity = SecondaryAddress::from_wire([a, b, c, d, m, n, 1, model.medium()]);
        Self::new(address, identity, Content::Live(model))
    }
}

/// What a meter does with the frame count bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FcbHandling {
    /// The same bit again gets the same answer again, byte for byte.
    Strict,
    /// The same bit again gets the same telegram with new values.
    Simple,
    /// Always the first telegram, whatever the bit.
    Ignored,
    /// The next telegram at every request, whatever the bit.
    Advancing,
}

/// What a meter answers to REQ_UD2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The record areas of its telegrams; all but the last get a DIF 1F. None at all: E5, no data.
    Telegrams(Vec<Vec<u8>>),
    /// The same, but every telegram says that more follow: the meter never ends.
    Endless(Vec<Vec<u8>>),
    /// Values that move with time.
    Live(Model),
}

/// What goes wrong, in parts of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Characters, both ways, of which some bits (data or parity) are turned.
    pub corrupt_per_mille: u16,
    /// Characters, both ways, that vanish.
    pub drop_per_mille: u16,
    /// Answers with 1 to 8 characters of noise before them.
    pub noise_per_mille: u16,
    /// Answers with one character of noise right behind them.
    pub junk_per_mille: u16,
    /// Acknowledgements that arrive as A5.
    pub damaged_ack_per_mille: u16,
    /// Answers that come `late_by` after their time.
    pub late_per_mille: u16,
    /// See `late_per_mille`.
    pub late_by: Duration,
    /// Answers that end too early.
    pub truncated_per_mille: u16,
    /// Answers with another A field, checksum right.
    pub wrong_address_per_mille: u16,
    /// Answers with a wrong checksum.
    pub wrong_checksum_per_mille: u16,
    /// The master hears itself.
    pub echo: bool,
    /// Characters are handed on in bunches, at most this long after they came; zero: each at its time.
    pub bunch: Duration,
    /// Characters of noise a second, without end.
    pub babble_per_second: u16,
    /// From when on it comes, since the start.
    pub babble_from: Duration,
    /// From when on, since the start, the bus is without power, and for how long: no meter hears anything.
    pub dead_from: Duration,
    /// See `dead_from`.
    pub dead_for: Duration,
}
