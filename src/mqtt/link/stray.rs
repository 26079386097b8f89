//! Takes out of what the broker sends each PUBACK of a message that is not on the way: one said twice, or of a
//! packet id never used. rumqttc ends the connection at such a packet, and as often as the broker sends it.
//!
//! Not here: what is on the way (`connection`).

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read at a time.
const CHUNK: usize = 4096;
/// A PUBACK with a longer reason string is passed on unread.
const LONGEST: usize = 2048;

/// Packet ids that are on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected(Arc<Mutex<HashSet<u16>>>);

impl Expected {
    pub(super) fn sent(&self, packet_id: u16) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(packet_id);
    }

    fn take(&self, packet_id: u16) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&packet_id)
    }
}

/// A stream without stray acknowledgements.
pub(super) struct Sifted<S> {
    stream: S,
    sieve: Sieve,
}

impl<S> Sifted<S> {
    pub(super) fn new(stream: S, expected: Expected) -> Self {
        Self { stream, sieve: Sieve { expected, ..Sieve::default() } }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sifted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, sieve } = &mut *self;
        while sieve.out.is_empty() {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                // a packet cut short is for the other side to judge
                sieve.pass();
                break;
            }
            sieve.sift(chunk.filled());
        }
        let count = sieve.out.len().min(buffer.remaining());
        buffer.put_slice(sieve.out.get(..count).unwrap_or_default());
        sieve.out.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sifted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[derive(Debug, Default)]
struct Sieve {
    expected: Expected,
    /// The beginning of a packet: of a PUBACK all that has come, of another its fixed header.
    packet: Vec<u8>,
    /// So much of a packet is still to be passed on.
    rest: usize,
    /// What is not MQTT is passed on as it is.
    is_lost: bool,
    /// To be handed on.
    out: Vec<u8>,
}

impl Sieve {
    fn sift(&mut self, mut bytes: &[u8]) {
        while let Some((first, others)) = bytes.split_first() {
            if self.is_lost {
                self.out.extend_from_slice(bytes);
                return;
            }
            if self.rest > 0 {
                let (these, others) = bytes.split_at(self.rest.min(bytes.len()));
                self.out.extend_from_slice(these);
                self.rest -= these.len();
                bytes = others;
                continue;
            }
            self.packet.push(*first);
            bytes = others;
            self.look();
        }
    }

    /// One byte more of the packet has come.
    fn look(&mut self) {
        let Some((header, length)) = lengths(&self.packet) else {
            self.is_lost = self.packet.len() > 4;
            if self.is_lost {
                self.pass();
            }
            return;
        };
        let is_puback = self.packet.first().is_some_and(|first| first >> 4 == 4) && (2..=LONGEST).contains(&length);
        if !is_puback {
            self.rest = length;
            self.pass();
        } else if self.packet.len() == header + length {
            let id = self.packet.get(header..header + 2).and_then(|id| id.try_into().ok()).map(u16::from_be_bytes);
            match id {
                Some(id) if !self.expected.take(id) => {
                    tracing::debug!(id, "the broker acknowledges what is not on the way");
                    self.packet.clear();
                }
                _ => self.pass(),
            }
        }
    }

    fn pass(&mut self) {
        self.out.append(&mut self.packet);
    }
}

/// Of the fixed header, and of what comes after it (MQTT 5, 1.5.5 and 2.1); `None`: it is not all there.
fn lengths(packet: &[u8]) -> Option<(usize, usize)> {
    let digits = packet.get(1..)?;
    let end = digits.iter().take(4).position(|digit| digit & 0x80 == 0)?;
    let value = digits.iter().take(end + 1).rev().fold(0, |sum, digit| sum << 7 | usize::from(digit & 0x7F));
    Some((end + 2, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sifted in pieces of so many bytes, with packet ids 1 and 2 on the way.
    fn sifted(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut sieve = Sieve::default();
        [1, 2].into_iter().for_each(|id| sieve.expected.sent(id));
        bytes.chunks(piece).for_each(|piece| sieve.sift(piece));
        sieve.pass();
        sieve.out
    }

    #[test]
    fn only_strays_are_taken_out_however_the_bytes_come() {
        let (ack_1, ack_2) = (vec![0x40, 2, 0, 1], vec![0x40, 4, 0, 2, 0x87, 0]);
        let long = [vec![0x30, 0x80, 1, 0, 1, b't'], vec![0x40; 125]].concat();
        let (ping, stray, empty) = (vec![0xD0, 0], vec![0x40, 3, 0, 9, 0], vec![0x40, 0]);
        let all = [&ack_1, &ack_1, &long, &stray, &ping, &ack_2, &stray, &empty, &ping].map(Vec::clone).concat();
        let good = [&ack_1, &long, &ping, &ack_2, &empty, &ping].map(Vec::clone).concat();
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(sifted(&all, piece), good, "{piece}");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_mqtt_comes_through() {
        for bytes in [&[0x40, 2, 0][..], &[0x30, 100, 0], &[0x40, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0x40, 2, 0, 9]] {
            assert_eq!(sifted(bytes, 1), bytes, "{bytes:02X?}");
        }
    }
}
