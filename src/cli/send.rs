//! `mbushat send`: one frame as it is, and what came back.

use std::path::Path;

use super::runtime::run_until_interrupted;
use super::wire::WireArgs;
use super::{Failure, arguments, log, print};
use crate::bus::frames::{Hex, describe};
use crate::explain::hex_input;
use crate::mbus::address::BROADCAST;
use crate::mbus::link::frame::{ACK, Frame, LONG_START, SHORT_START, STOP, checksum};
use crate::mbus::link::framer::Framer;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::raw::{Heard, Raw};

/// Arguments of `mbushat send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat send 10 7B 30
  mbushat send 53 FE 51 01 7A 05
  mbushat send 680303685301B1 --port /dev/ttyUSB0 --timeout 2s

Checksum and stop byte may be left out, and so may start bytes and lengths:
two bytes are C and A of a short frame, more are C, A, CI and data of a long
one. What is whole is sent as it is, right or wrong.

Exit code 0: something came back, or no answer is due; 1: nothing came, or the
port cannot be used; 2: wrong usage; 78: the configuration is bad.")]
pub(crate) struct Args {
    /// Hex digits in any usual spelling
    #[arg(required = true, value_name = "HEX")]
    hex: Vec<String>,

    /// Baud rate, instead of the configuration's or 2400
    #[arg(long, value_parser = arguments::baud)]
    baud: Option<Baud>,

    #[command(flatten)]
    wire: WireArgs,
}

/// Sends it and prints what came back within the timeout.
pub(crate) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    log::start_for_command(args.wire.trace)?;
    let bytes = hex_input::bytes(&args.hex.join(" ")).map_err(Failure::usage)?;
    let frame = completed(&bytes).map_err(Failure::usage)?;
    let wire = args.wire.choose(config)?;
    print(format!("-> {}  {}\n", Hex(&frame), describe(&frame)))?;
    let heard = run_until_interrupted(async {
        let instead = "stop it (sudo systemctl stop mbushat), and start it again afterwards";
        let mut session = wire.open("send", instead).await?;
        let baud = args.baud.unwrap_or(wire.bus.baud);
        let mut raw = Raw::new(frame.clone(), wire.timing(&session, baud, 0));
        Ok::<_, Failure>(session.converse(wire.character(baud), &mut raw).await?)
    })?;
    let heard = heard.ok_or_else(|| Failure::new("interrupted"))??;
    lines(&heard).iter().try_for_each(|line| print(format!("{line}\n")))?;
    let unanswered =
        matches!(Frame::parse(&frame), Ok(Frame::Long { a: BROADCAST, .. } | Frame::Short { a: BROADCAST, .. }));
    match heard {
        Heard { damaged: 0, bytes } if bytes.is_empty() && !unanswered => Err(Failure::new("no answer")),
        _ => Ok(()),
    }
}

/// A line for each frame that came, and one for what was none.
fn lines(heard: &Heard) -> Vec<String> {
    let mut framer = Framer::default();
    framer.receive(&heard.bytes);
    let mut lines = Vec::new();
    let line = |frame: &[u8]| format!("<- {}  {}", Hex(frame), describe(frame));
    while let Some(frame) = framer.next_frame() {
        lines.push(line(&frame));
    }
    if framer.is_lone_ack() {
        lines.push(line(&[ACK]));
    } else if lines.is_empty() && !heard.bytes.is_empty() {
        lines.push(line(&heard.bytes));
    } else if framer.noise() > 0 || !framer.is_empty() {
        lines.push(format!("<- {}  everything that came, including what is not a frame", Hex(&heard.bytes)));
    }
    if heard.damaged > 0 {
        lines.push(format!("<- {} characters came damaged", heard.damaged));
    }
    lines
}

/// The whole frame: what is missing of checksum, stop byte, start bytes and lengths is added.
fn completed(bytes: &[u8]) -> Result<Vec<u8>, String> {
    Ok(match *bytes {
        [ACK] => vec![ACK],
        [SHORT_START, c, a] => short(c, a),
        [SHORT_START, ..] => bytes.to_vec(),
        [LONG_START, first, second, LONG_START, ref rest @ ..] if first == second => {
            let body = usize::from(first);
            match rest.get(..body) {
                Some(body) if body.len() == rest.len() => long(body)?,
                Some(body) if rest.len() == body.len() + 1 => [bytes, &[STOP]].concat(),
                _ => bytes.to_vec(),
            }
        }
        [LONG_START, ..] => bytes.to_vec(),
        [c, a] => short(c, a),
        [_, _, _, ..] => long(bytes)?,
        _ => return Err("one byte is not a frame: expected C and A, or C, A, CI and data".to_owned()),
    })
}

fn short(c: u8, a: u8) -> Vec<u8> {
    vec![SHORT_START, c, a, checksum(&[c, a]), STOP]
}

/// C, A, CI and data in a long frame.
fn long(body: &[u8]) -> Result<Vec<u8>, String> {
    let length = u8::try_from(body.len())
        .map_err(|_| format!("{} bytes are too many: a frame holds 255 of C, A, CI and data", body.len()))?;
    let head = [LONG_START, length, length, LONG_START];
    Ok([&head[..], body, &[checksum(body), STOP]].concat())
}

#[cfg(test)]
mod tests {
    use super::{completed, lines};
    use crate::mbus::master::raw::Heard;

    #[test]
    fn what_is_missing_is_added_and_what_is_whole_is_left_alone() {
        let nke = vec![0x10, 0x40, 0x05, 0x45, 0x16];
        for short in [&[0x40, 0x05][..], &[0x10, 0x40, 0x05], &nke] {
            assert_eq!(completed(short).as_ref(), Ok(&nke), "{short:02X?}");
        }
        let long = vec![0x68, 4, 4, 0x68, 0x53, 0xFE, 0x50, 0x10, 0xB1, 0x16];
        for part in [&[0x53, 0xFE, 0x50, 0x10][..], &long[..8], &long[..9], &long] {
            assert_eq!(completed(part).as_ref(), Ok(&long), "{part:02X?}");
        }
        for wrong in [&[0x10, 0x40, 0x05, 0x00, 0x16][..], &[0x68, 4, 5, 0x68, 1], &[0xE5], &[0x10, 0x40]] {
            assert_eq!(completed(wrong), Ok(wrong.to_vec()), "sent as it is");
        }
        assert!(completed(&[0x40]).is_err() && completed(&[]).is_err() && completed(&[0; 256]).is_err());
    }

    #[test]
    fn each_frame_that_came_has_a_line() {
        let of = |bytes: &[u8], damaged| lines(&Heard { bytes: bytes.to_vec(), damaged });
        assert_eq!(of(&[0xE5], 0), ["<- E5  acknowledgement"]);
        assert_eq!(of(&[], 2), ["<- 2 characters came damaged"]);
        let two = of(&[0x10, 0x40, 5, 0x45, 0x16, 0x10, 0x40, 6, 0x46, 0x16], 0);
        assert_eq!(two, ["<- 10 40 05 45 16  SND_NKE to 5", "<- 10 40 06 46 16  SND_NKE to 6"]);
        let noise = of(&[0x00, 0x10, 0x40, 5, 0x45, 0x16], 0);
        assert!(noise.len() == 2 && noise[1].contains("not a frame"), "{noise:?}");
        assert!(of(&[1, 2], 0)[0].contains("no frame"));
    }
}
