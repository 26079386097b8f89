//! What a master sends, and what counts as the answer to it.
//!
//! Not here: sending it (`exchange`), and which requests make a readout, a search or a command.

use crate::mbus::address::{SELECTED, SecondaryAddress};
use crate::mbus::link::frame::{Control, Frame};

/// CI field of a selection (EN 13757-3 clause 11.3).
pub const CI_SELECT: u8 = 0x52;
/// DIF and VIF of a fabrication number: eight BCD digits (EN 13757-3 clause 11.4).
const FABRICATION_NUMBER: [u8; 2] = [0x0C, 0x78];
/// CI field of an application reset or select (EN 13757-3 clause 7).
pub const CI_APPLICATION_SELECT: u8 = 0x50;
/// CI field of data for the meter (EN 13757-7 table 3).
pub const CI_COMMAND: u8 = 0x51;

/// One request frame and the answer it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The whole frame as sent.
    pub frame: Vec<u8>,
    /// What answers it.
    pub answer: Answer,
}

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing (a broadcast to FF).
    None,
    /// A lone E5.
    Ack,
    /// RSP_UD, or a lone E5 for "no data".
    Data {
        /// The A field it must have; `None` where the request did not go to one meter (FD, FE).
        from: Option<u8>,
        /// What the identity in its long header must match.
        identity: SecondaryAddress,
    },
}

impl Request {
    /// Link reset of `address` (0..=250, FD, FE): E5.
    #[must_use]
    pub fn snd_nke(address: u8) -> Self {
        Self { frame: encode(Frame::Short { c: Control::SND_NKE, a: address }), answer: Answer::Ack }
    }

    /// Class 2 data of the meter at `address`: RSP_UD. `identity` is what its header must match.
    #[must_use]
    pub fn req_ud2(address: u8, fcb: bool, identity: SecondaryAddress) -> Self {
        let frame = encode(Frame::Short { c: Control::req_ud2(fcb), a: address });
        Self { frame, answer: Self::data_from(address, identity) }
    }

    /// Class 1 data (alarms) of the meter at `address`: RSP_UD, or E5 for "no alarm".
    #[must_use]
    pub fn req_ud1(address: u8) -> Self {
        let frame = encode(Frame::Short { c: Control::REQ_UD1, a: address });
        Self { frame, answer: Self::data_from(address, SecondaryAddress::ANY) }
    }

    /// Data or a command for `address` (0..=250, FD, FE; FF is not answered): E5.
    #[must_use]
    pub fn snd_ud(address: u8, fcb: bool, ci: u8, data: &[u8]) -> Self {
        let answer = if address == crate::mbus::address::BROADCAST { Answer::None } else { Answer::Ack };
        Self { frame: encode(Frame::Long { c: Control::snd_ud(fcb), a: address, ci, data }), answer }
    }

    /// A control frame whose CI field asks for data (B1 of an SDM220): RSP_UD.
    #[must_use]
    pub fn by_ci(address: u8, fcb: bool, ci: u8, identity: SecondaryAddress) -> Self {
        let frame = encode(Frame::Long { c: Control::snd_ud(fcb), a: address, ci, data: &[] });
        Self { frame, answer: Self::data_from(address, identity) }
    }

    /// Selection of every meter that `mask` matches; they answer to FD from then on: E5 of each.
    #[must_use]
    pub fn select(mask: SecondaryAddress) -> Self {
        Self::snd_ud(SELECTED, false, CI_SELECT, &mask.to_wire())
    }

    /// Selection that also asks for a fabrication number, eight BCD digits, nibbles F for any: it tells
    /// meters with equal secondary addresses apart. Meters without one do not answer.
    #[must_use]
    pub fn select_fabrication(mask: SecondaryAddress, number: u32) -> Self {
        let data = [&mask.to_wire()[..], &FABRICATION_NUMBER, &number.to_le_bytes()].concat();
        Self::snd_ud(SELECTED, false, CI_SELECT, &data)
    }

    /// The same, where the A field of the reply may be any.
    #[must_use]
    pub(super) fn answered_by_any(self) -> Self {
        match self.answer {
            Answer::Data { identity, .. } => Self { answer: Answer::Data { from: None, identity }, ..self },
            _ => self,
        }
    }

    fn data_from(address: u8, identity: SecondaryAddress) -> Answer {
        // Meters asked through FD or FE put their own address, or FD, into the reply.
        Answer::Data { from: (address <= 250).then_some(address), identity }
    }
}

/// No request here comes near the 252 bytes of data that a frame holds; one that did would be sent
/// as nothing and end in silence.
fn encode(frame: Frame<'_>) -> Vec<u8> {
    frame.to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Request};
    use crate::mbus::address::SecondaryAddress;

    #[test]
    fn requests_are_the_bytes_of_the_standard() {
        let any = SecondaryAddress::ANY;
        assert_eq!(Request::snd_nke(5).frame, [0x10, 0x40, 0x05, 0x45, 0x16]);
        assert_eq!(Request::req_ud2(5, true, any).frame, [0x10, 0x7B, 0x05, 0x80, 0x16]);
        assert_eq!(Request::req_ud2(5, false, any).frame, [0x10, 0x5B, 0x05, 0x60, 0x16]);
        assert_eq!(Request::req_ud1(5).frame, [0x10, 0x5A, 0x05, 0x5F, 0x16]);
        assert_eq!(Request::by_ci(1, false, 0xB1, any).frame, [0x68, 3, 3, 0x68, 0x53, 0x01, 0xB1, 0x05, 0x16]);
        let select = Request::select(SecondaryAddress::parse("12345678PAD0107").expect("an address"));
        let want = [0x68, 11, 11, 0x68, 0x53, 0xFD, 0x52, 0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 1, 7, 0x22, 0x16];
        assert_eq!(select.frame, want);
        let by_id = SecondaryAddress::parse("12345678").expect("an id");
        let want = [
            &[0x68, 17, 17, 0x68, 0x53, 0xFD, 0x52, 0x78, 0x56, 0x34, 0x12][..],
            &[0xFF; 4],
            &[0x0C, 0x78],
            &[4, 3, 2, 1, 0x40, 0x16],
        ];
        assert_eq!(Request::select_fabrication(by_id, 0x0102_0304).frame, want.concat());
    }

    #[test]
    fn a_broadcast_wants_no_answer_and_a_selected_meter_may_use_any_address() {
        assert_eq!(Request::snd_ud(255, false, 0x50, &[]).answer, Answer::None);
        let any = SecondaryAddress::ANY;
        assert_eq!(Request::req_ud2(253, true, any).answer, Answer::Data { from: None, identity: any });
        assert_eq!(Request::req_ud2(48, true, any).answer, Answer::Data { from: Some(48), identity: any });
    }
}
