//! A transparent TCP gateway: what is written to the socket appears on the wire and back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::is_gone;

/// How long the name service may take to tell a gateway's address.
const FOUND_WITHIN: Duration = Duration::from_secs(10);

/// How long each address of a gateway may take to accept. One that comes back is asked again before the system would
/// repeat its own request.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);

/// How long a gateway may be away before the connection counts as gone: a dead peer's requests stay
/// unacknowledged, and between requests the keep-alive probes do.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// Reads of unread input before a request at most: a gateway that floods is not waited for.
pub(super) const DRAINED_IN: usize = 100;

/// What a gateway adds at least: it collects bytes before it sends a packet, and networks wobble.
const LEAST_LATENCY: Duration = Duration::from_millis(100);

/// How long a gateway may keep the next piece of a telegram back: some collect bytes for up to a second.
pub(super) const GAP_TIMEOUT: Duration = Duration::from_millis(1500);

const MOST_LATENCY: Duration = Duration::from_secs(2);

/// An open connection.
#[derive(Debug)]
pub struct TcpLine {
    stream: TcpStream,
    latency: Duration,
}

impl TcpLine {
    pub(super) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        let found = timeout(FOUND_WITHIN, lookup_host((host, port))).await;
        let addresses = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let (stream, took) = first_to_answer(addresses, TcpStream::connect).await?;
        // Connecting takes one round trip; jitter may double it.
        let latency = (took * 2).clamp(LEAST_LATENCY, MOST_LATENCY);
        configure(&stream)?;
        Ok(Self { stream, latency })
    }

    pub(super) fn latency(&self) -> Duration {
        self.latency
    }

    pub(super) async fn transmit(&mut self, bytes: &[u8]) -> io::Result<()> {
        for _ in 0..DRAINED_IN {
            if self.read_now()?.is_none() {
                break;
            }
        }
        self.write(bytes).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// What has come already; `None`: nothing.
    pub(super) fn read_now(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut unread = [0; 512];
        match self.stream.try_read(&mut unread) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(unread.get(..count).map(<[u8]>::to_vec)),
            Err(error) if is_gone(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).await
    }
}

/// The first of a name's addresses that accepts, and how long that took. A silent one does not hide the next.
async fn first_to_answer<S, F>(
    addresses: impl Iterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<(S, Duration)>
where
    F: Future<Output = io::Result<S>>,
{
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        let started = Instant::now();
        match timeout(CONNECTED_WITHIN, connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, started.elapsed())),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// No Nagle, since each request is one small packet that must leave at once; and a dead peer is found out.
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(2))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(1))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(GONE_AFTER.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::first_to_answer;
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_of_a_gateway_does_not_hide_the_next() {
        let at = |last: u8| SocketAddr::from(([192, 0, 2, last], 10001));
        let connect = |address: SocketAddr| async move {
            match address {
                address if address == at(1) => std::future::pending().await,
                address if address == at(2) => Err(io::ErrorKind::ConnectionRefused.into()),
                address => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(address)
                }
            }
        };
        let (found, took) = first_to_answer([1, 2, 3].map(at).into_iter(), connect).await.expect("the third");
        assert_eq!((found, took), (at(3), Duration::from_millis(20)));
        let refused = first_to_answer([1, 2].map(at).into_iter(), connect).await.expect_err("none");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
