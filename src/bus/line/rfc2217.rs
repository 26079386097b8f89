//! A gateway that can be told rate and parity (RFC 2217), as ser2net is: a TCP line with settings among
//! the data.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::tcp::{DRAINED_IN, TcpLine};
use super::telnet::{self, Said, Telnet};
use super::{Arrived, Character, LineError};

/// How long a gateway may take to confirm what it was told.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);

/// How long after that its port may still have the old rate: ser2net confirms first.
const CHANGED_WITHIN: Duration = Duration::from_millis(50);

/// An open connection.
#[derive(Debug)]
pub struct Rfc2217Line {
    tcp: TcpLine,
    telnet: Telnet,
    /// Data that came and was not read yet.
    data: VecDeque<u8>,
    character: Character,
}

impl Rfc2217Line {
    pub(super) async fn connect(host: &str, port: u16, character: Character) -> io::Result<Self> {
        let tcp = TcpLine::connect(host, port).await?;
        let mut line = Self { tcp, telnet: Telnet::default(), data: VecDeque::new(), character };
        line.tcp.write(&telnet::greeting()).await?;
        if line.tell(character).await? { Ok(line) } else { Err(not_taken(character)) }
    }

    pub(super) fn latency(&self) -> Duration {
        self.tcp.latency()
    }

    /// Whether the gateway takes it; where it does not, all is as it was.
    pub(super) async fn set_character(&mut self, character: Character) -> io::Result<bool> {
        if character == self.character {
            return Ok(true);
        }
        if self.tell(character).await? {
            self.character = character;
            return Ok(true);
        }
        // It may have taken a part of it.
        let former = self.character;
        if self.tell(former).await? { Ok(false) } else { Err(not_taken(former)) }
    }

    pub(super) async fn transmit(&mut self, bytes: &[u8]) -> io::Result<()> {
        for _ in 0..DRAINED_IN {
            let Some(unread) = self.tcp.read_now()? else { break };
            self.take(&unread).await?;
        }
        self.data.clear();
        self.tcp.write(&[telnet::purge(), telnet::escaped(bytes)].concat()).await
    }

    /// Nothing is lost where it is cancelled.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<Arrived> {
        while self.data.is_empty() {
            let mut raw = [0; 512];
            let count = self.tcp.read(&mut raw).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.take(raw.get(..count).unwrap_or_default()).await?;
        }
        let count = self.data.len().min(buffer.len());
        buffer.iter_mut().zip(self.data.drain(..count)).for_each(|(place, byte)| *place = byte);
        Ok(Arrived::Bytes(count))
    }

    /// Tells the gateway how characters look, and waits until it has answered to each setting: whether it takes all.
    async fn tell(&mut self, character: Character) -> io::Result<bool> {
        let mut open = telnet::settings(character).to_vec();
        let request: Vec<u8> = open.iter().flat_map(|(command, value)| telnet::set(*command, value)).collect();
        self.tcp.write(&request).await?;
        let by = Instant::now() + CONFIRMED_WITHIN;
        let mut taken = true;
        while !open.is_empty() {
            let mut raw = [0; 512];
            let silent = || {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the gateway does not answer as RFC 2217 requires; use tcp:// if it is a transparent one",
                )
            };
            let count = timeout_at(by, self.tcp.read(&mut raw)).await.map_err(|_| silent())??;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for (command, value) in self.take(raw.get(..count).unwrap_or_default()).await? {
                taken &= !open.iter().any(|(told, wanted)| *told == command && *wanted != value);
                open.retain(|(told, _)| *told != command);
            }
        }
        sleep(CHANGED_WITHIN).await;
        Ok(taken)
    }

    /// Sorts what came: data is kept, wishes are answered, settings are returned.
    async fn take(&mut self, bytes: &[u8]) -> io::Result<Vec<(u8, Vec<u8>)>> {
        let mut settings = Vec::new();
        for said in self.telnet.take(bytes, &mut self.data) {
            match said {
                Said::NoComPort => {
                    return Err(io::Error::other(
                        "the gateway does not speak RFC 2217; use tcp:// if it is a transparent one",
                    ));
                }
                Said::Answer(bytes) => self.tcp.write(&bytes).await?,
                Said::Set(command, value) => settings.push((command, value)),
            }
        }
        Ok(settings)
    }
}

fn not_taken(character: Character) -> io::Error {
    io::Error::other(LineError::Unsupported(character))
}

#[cfg(test)]
mod tests;
