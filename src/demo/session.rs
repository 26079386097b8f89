//! One client of the demonstration's broker: its connection, until either of them ends it.
//!
//! Not here: what its packets lead to (`broker`).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::{self, Answer};
use super::request::{Connect, Malformed, Message, Request, split};

/// Packets that wait for a client. One that is further behind is cut off.
const ANSWERS: usize = 4096;
/// How long a connection may be open before its CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take for one packet of ours.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// What a session tells the broker.
#[derive(Debug)]
pub(super) enum Order {
    /// A client is there; its packets go to `answers`, which is dropped when it is to be cut off.
    Join { session: u64, client_id: String, will: Option<Message>, answers: mpsc::Sender<Answer> },
    /// It sent something.
    Request { session: u64, request: Request },
    /// Its connection is over.
    Leave { session: u64 },
}

/// Why a connection ended before the client said so.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("another MQTT version than 3.1.1 and 5")]
    Version,
    #[error("no packet for too long")]
    Silent,
    #[error("cut off by the broker")]
    CutOff,
}

/// Carries packets of connection number `session` until it ends, and lets the broker know.
pub(super) async fn serve(stream: TcpStream, session: u64, broker: mpsc::Sender<Order>) {
    let mut connection = Connection { stream, received: Vec::new() };
    if let Err(fault) = connection.carry(session, &broker).await {
        tracing::debug!(session, "the broker's connection ended: {fault}");
    }
    // that fails where the broker is gone, who need not know then
    _ = broker.send(Order::Leave { session }).await;
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    async fn carry(&mut self, session: u64, broker: &mpsc::Sender<Order>) -> Result<(), Fault> {
        let connect = timeout(CONNECT_WITHIN, self.connect()).await.map_err(|_| Fault::Silent)??;
        let chosen = connect.client_id.is_empty().then(|| format!("client-{session}"));
        let (answers, mut to_send) = mpsc::channel(ANSWERS);
        self.write(&answer::accept(connect.version, chosen.as_deref())).await?;
        let client_id = chosen.unwrap_or(connect.client_id);
        let join = Order::Join { session, client_id, will: connect.will, answers };
        broker.send(join).await.map_err(|_| Fault::CutOff)?;

        let patience = Duration::from_secs(connect.keep_alive_seconds.into()) * 3 / 2;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                // what is to be sent comes first, lest it pile up while much is received
                biased;
                answer = to_send.recv() => {
                    let answer = answer.ok_or(Fault::CutOff)?;
                    self.write(&answer.write(connect.version)).await?;
                }
                packet = self.packet() => {
                    heard = Instant::now();
                    let (first, body) = packet?;
                    let request = Request::read(connect.version, first, &body)?;
                    let last = matches!(request, Request::Disconnect { .. });
                    broker.send(Order::Request { session, request }).await.map_err(|_| Fault::CutOff)?;
                    if last {
                        return Ok(());
                    }
                }
                () = sleep_until(heard + patience), if !patience.is_zero() => return Err(Fault::Silent),
            }
        }
    }

    async fn connect(&mut self) -> Result<Connect, Fault> {
        let (first, body) = self.packet().await?;
        if let Some(connect) = Connect::read(first, &body)? {
            return Ok(connect);
        }
        self.write(&answer::refuse()).await?;
        Err(Fault::Version)
    }

    /// The next packet: its first byte and what follows the length. Nothing is lost where it is dropped.
    async fn packet(&mut self) -> Result<(u8, Vec<u8>), Fault> {
        loop {
            if let Some(packet) = split(&mut self.received)? {
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    async fn write(&mut self, packet: &[u8]) -> Result<(), Fault> {
        timeout(WRITE_WITHIN, self.stream.write_all(packet)).await.map_err(|_| Fault::Silent)??;
        Ok(())
    }
}
