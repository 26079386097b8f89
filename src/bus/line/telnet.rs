//! Telnet as far as RFC 2217 needs it: data and the gateway's answers told apart in one stream of bytes.
//!
//! Pure: no socket, no clock. Not here: what is asked of the gateway (`rfc2217`).

use crate::bus::line::Character;
use crate::mbus::link::timing::Parity;

/// Telnet commands (RFC 854).
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;
/// Options: eight-bit data (RFC 856), no go-ahead (RFC 858), the serial port behind it (RFC 2217).
const BINARY: u8 = 0;
const SUPPRESS_GO_AHEAD: u8 = 3;
const COM_PORT: u8 = 44;
/// Commands to the serial port; the gateway's answer has 100 more (RFC 2217 section 3).
const SET_BAUD_RATE: u8 = 1;
const SET_DATA_SIZE: u8 = 2;
const SET_PARITY: u8 = 3;
const SET_STOP_SIZE: u8 = 4;
const SET_CONTROL: u8 = 5;
const PURGE_DATA: u8 = 12;
const ANSWER: u8 = 100;
/// The longest answer that is kept.
const LONGEST: usize = 64;

/// What the gateway said besides data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It does not know the option of RFC 2217.
    NoComPort,
    /// A setting as it is now: the number of the command, and its value.
    Set(u8, Vec<u8>),
    /// It wants an option that is not ours: this is to be answered.
    Answer([u8; 3]),
}

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Data,
    Command,
    Option(u8),
    Sub,
    SubCommand,
}

/// Takes the stream apart, in whatever portions it comes.
#[derive(Debug, Default)]
pub(super) struct Telnet {
    state: State,
    sub: Vec<u8>,
}

impl Telnet {
    /// Adds the data among these bytes to `data`; what the gateway said is returned.
    pub(super) fn take(&mut self, bytes: &[u8], data: &mut impl Extend<u8>) -> Vec<Said> {
        let mut said = Vec::new();
        for byte in bytes.iter().copied() {
            self.state = match (self.state, byte) {
                (State::Data, IAC) => State::Command,
                (State::Data, byte) | (State::Command, byte @ IAC) => {
                    data.extend([byte]);
                    State::Data
                }
                (State::Command, SB) => {
                    self.sub.clear();
                    State::Sub
                }
                (State::Command, WILL | WONT | DO | DONT) => State::Option(byte),
                (State::Command, _) => State::Data,
                (State::Option(verb), option) => {
                    said.extend(answer(verb, option));
                    State::Data
                }
                (State::Sub, IAC) => State::SubCommand,
                (State::SubCommand, SE) => {
                    said.extend(setting(&self.sub));
                    State::Data
                }
                (State::Sub | State::SubCommand, byte) => {
                    if self.sub.len() < LONGEST {
                        self.sub.push(byte);
                    }
                    State::Sub
                }
            };
        }
        said
    }
}

/// What a gateway's wish means.
fn answer(verb: u8, option: u8) -> Option<Said> {
    match (verb, option) {
        (DONT | WONT, COM_PORT) => Some(Said::NoComPort),
        (DO | WILL, BINARY | SUPPRESS_GO_AHEAD | COM_PORT) | (DONT | WONT, _) => None,
        (DO, option) => Some(Said::Answer([IAC, WONT, option])),
        (_, option) => Some(Said::Answer([IAC, DONT, option])),
    }
}

fn setting(sub: &[u8]) -> Option<Said> {
    match sub {
        [COM_PORT, command, value @ ..] => Some(Said::Set(command.checked_sub(ANSWER)?, value.to_vec())),
        _ => None,
    }
}

/// The first bytes of a connection.
pub(super) fn greeting() -> Vec<u8> {
    [[WILL, COM_PORT], [WILL, BINARY], [DO, BINARY], [WILL, SUPPRESS_GO_AHEAD], [DO, SUPPRESS_GO_AHEAD]]
        .into_iter()
        .flat_map(|[verb, option]| [IAC, verb, option])
        .collect()
}

/// The settings that make characters look like this, each with its command.
pub(super) fn settings(character: Character) -> [(u8, Vec<u8>); 5] {
    let parity = match character.parity {
        Parity::None => 1,
        Parity::Odd => 2,
        Parity::Even => 3,
    };
    [
        (SET_BAUD_RATE, character.baud.bits_per_second().to_be_bytes().to_vec()),
        (SET_DATA_SIZE, vec![8]),
        (SET_PARITY, vec![parity]),
        (SET_STOP_SIZE, vec![character.stop_bits]),
        // no flow control
        (SET_CONTROL, vec![1]),
    ]
}

/// A command to the serial port.
pub(super) fn set(command: u8, value: &[u8]) -> Vec<u8> {
    [&[IAC, SB, COM_PORT, command], escaped(value).as_slice(), &[IAC, SE]].concat()
}

/// Throws away what the gateway has read of the wire and not handed on.
pub(super) fn purge() -> Vec<u8> {
    set(PURGE_DATA, &[1])
}

/// Data as it stands in the stream.
pub(super) fn escaped(data: &[u8]) -> Vec<u8> {
    data.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == IAC { 2 } else { 1 })).collect()
}

#[cfg(test)]
mod tests {
    use super::{Said, Telnet, escaped, set};

    #[test]
    fn data_and_answers_are_told_apart_in_whatever_portions_they_come() {
        let stream = [
            &[0x68, 255, 255, 0x16][..],
            &[255, 250, 44, 101, 0, 0, 1, 44, 255, 240],
            &[0xE5, 255, 253, 44, 255, 251, 1, 255, 241, 0x10],
            &[255, 250, 44, 103, 255, 255, 255, 240],
        ]
        .concat();
        for portion in 1..=stream.len() {
            let (mut telnet, mut data, mut said) = (Telnet::default(), Vec::new(), Vec::new());
            stream.chunks(portion).for_each(|bytes| said.extend(telnet.take(bytes, &mut data)));
            assert_eq!(data, [0x68, 255, 0x16, 0xE5, 0x10], "portions of {portion}");
            let answers = [Said::Set(1, vec![0, 0, 1, 44]), Said::Answer([255, 254, 1]), Said::Set(3, vec![255])];
            assert_eq!(said, answers);
        }
    }

    #[test]
    fn a_gateway_that_does_not_know_the_option_says_so() {
        let mut data = Vec::new();
        assert_eq!(Telnet::default().take(&[255, 254, 44], &mut data), [Said::NoComPort]);
        assert_eq!(Telnet::default().take(&[255, 252, 0, 255, 250, 44, 5, 255, 240], &mut data), []);
    }

    #[test]
    fn an_answer_without_an_end_is_not_kept() {
        let (mut telnet, mut data) = (Telnet::default(), Vec::new());
        telnet.take(&[255, 250], &mut data);
        telnet.take(&[0; 100_000], &mut data);
        assert!(telnet.sub.len() <= super::LONGEST && data.is_empty());
    }

    #[test]
    fn ff_is_doubled_on_its_way() {
        assert_eq!(escaped(&[0x10, 255, 0x16]), [0x10, 255, 255, 0x16]);
        assert_eq!(set(1, &[0, 0, 0, 255]), [255, 250, 44, 1, 0, 0, 0, 255, 255, 255, 240]);
    }
}
