//! The bytes to and from a broker: its addresses one after another, then TLS where it is wanted.
//!
//! Not here: MQTT on it (`connection`), certificates (`tls`), the words for other failures (`fault`).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{Fault, tls};
use crate::config::{Broker, Tls};

/// The name service must answer within this.
const NAME_WITHIN: Duration = Duration::from_secs(10);
/// One address must answer within this, so that a silent one does not hide the next.
const TCP_WITHIN: Duration = Duration::from_secs(4);

/// TCP, or TLS on it.
pub(super) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// Connects to the broker, over TLS where it is wanted; the handshake must come `within` this.
pub(super) async fn open(broker: &Broker, tls: Option<&Tls>, within: Duration) -> Result<Stream, Fault> {
    // First: with files that cannot be read there is no need to ask the broker.
    let tls = tls.map(tls::configuration).transpose()?;
    let tcp = tcp(broker).await?;
    // A packet is written at once, so waiting for more bytes only delays it.
    tcp.set_nodelay(true).map_err(|error| Fault::of_io(&error))?;
    match tls {
        None => Ok(Stream::Left(tcp)),
        Some(tls) => handshake(&broker.host, tcp, tls, within).await.map(Stream::Right),
    }
}

/// To the first address of the broker's name that answers.
pub(super) async fn tcp(broker: &Broker) -> Result<TcpStream, Fault> {
    first_to_answer(addresses(broker).await?, TcpStream::connect).await
}

async fn addresses(broker: &Broker) -> Result<Vec<SocketAddr>, Fault> {
    match timeout(NAME_WITHIN, lookup_host((broker.host.as_str(), broker.port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(_)) => Err(Fault::NameNotFound),
        Err(_) => Err(Fault::Unreachable("the name service does not answer".to_owned())),
    }
}

async fn first_to_answer<S, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> Result<S, Fault>
where
    F: Future<Output = io::Result<S>>,
{
    if addresses.is_empty() {
        return Err(Fault::NameNotFound);
    }
    let mut reasons = Vec::new();
    for address in addresses {
        let reason = match timeout(TCP_WITHIN, connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "connection refused: nothing listens there".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                format!("no answer within {} s: the host is off, or a firewall is in between", TCP_WITHIN.as_secs())
            }
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Err(Fault::Unreachable(reasons.join(", then ")))
}

async fn handshake(
    host: &str,
    tcp: TcpStream,
    tls: Arc<ClientConfig>,
    within: Duration,
) -> Result<TlsStream<TcpStream>, Fault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Fault::Tls("has a host name that cannot be checked against a certificate".to_owned()))?;
    match timeout(within, TlsConnector::from(tls).connect(name, tcp)).await {
        Ok(shaken) => shaken.map_err(|error| Fault::of_io(&error)),
        Err(_) => Err(Fault::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    fn addresses(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect()
    }

    /// The first is silent, the second refuses, the third answers.
    async fn connect(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.port() {
            1 => pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(address),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_or_closed_address_does_not_hide_the_next() {
        let start = Instant::now();
        let answered = first_to_answer(addresses(4), connect).await.expect("the third answers");
        assert_eq!((answered.port(), start.elapsed()), (3, TCP_WITHIN));
    }

    #[tokio::test(start_paused = true)]
    async fn each_reason_is_said_once_where_no_address_answers() {
        let said = first_to_answer(addresses(2), connect).await.expect_err("neither answers");
        let (silence, refusal) = ("no answer within 4 s: the host is off", "connection refused: nothing listens there");
        assert!(
            matches!(&said, Fault::Unreachable(why) if why.starts_with(silence) && why.ends_with(refusal)),
            "{said}"
        );
        let twice = [addresses(1), addresses(1)].concat();
        let said = first_to_answer(twice, connect).await.expect_err("it is silent").to_string();
        assert_eq!(said.matches("no answer").count(), 1, "{said}");
        assert_eq!(first_to_answer(Vec::new(), connect).await.expect_err("no address"), Fault::NameNotFound);
    }

    /// A listener whose queue is full drops what else comes, as a firewall would.
    #[tokio::test]
    async fn a_real_silent_address_does_not_hide_a_real_listener() {
        let silent = TcpSocket::new_v4().expect("a socket");
        silent.bind(([127, 0, 0, 1], 0).into()).expect("a loopback port");
        let full = silent.listen(0).expect("a queue of one");
        let silent = full.local_addr().expect("its address");
        let queued = TcpStream::connect(silent).await.expect("the first one fits");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("another port");
        let open = listener.local_addr().expect("its address");
        let stream = first_to_answer(vec![silent, open], TcpStream::connect).await.expect("the second answers");
        assert_eq!(stream.peer_addr().ok(), Some(open));
        drop((full, queued));
    }
}
