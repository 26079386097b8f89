//! The other end of a line: a simulated segment on a pseudo-terminal or a TCP port, run against the
//! clock and paced at the baud rate both ways, for this program's tests and for other software.
//!
//! Not here: what the meters say (`sim`), the simulated segment inside the agent (`line`).

use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::mbus::link::timing::Baud;
use crate::sim::segment::Segment;

/// What comes in at once at most.
const BUFFER: usize = 512;

/// A pseudo-terminal that a segment is on.
#[derive(Debug)]
pub struct PtyPort {
    master: AsyncFd<OwnedFd>,
    /// Kept open, so that a program that closes its end does not end the line.
    slave: OwnedFd,
    path: PathBuf,
}

impl PtyPort {
    /// Makes one, raw and at `baud`. Needs a runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(baud: Baud) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname(&master, Vec::new())?.to_string_lossy().into_owned());
        let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut modes = tcgetattr(&slave)?;
        modes.make_raw();
        modes.set_speed(baud.bits_per_second())?;
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types that may change their descriptor; OwnedFd may not"
        )]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, slave, path })
    }

    /// What other programs open.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs the segment on it, without an end. The segment follows the rate that the other program sets.
    ///
    /// # Errors
    /// What the system says when the pseudo-terminal fails.
    pub async fn serve(&self, segment: &mut Segment) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            self.write(&heard(segment))?;
            tokio::select! {
                count = self.read(&mut buffer) => {
                    let count = count?;
                    if let Some(baud) = Baud::new(tcgetattr(&self.slave)?.output_speed()) {
                        segment.set_baud(baud);
                    }
                    receive(segment, &buffer, count);
                }
                () = next_wake(segment) => {}
            }
        }
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            if let Ok(read) = ready.try_io(|master| Ok(rustix::io::read(master, &mut *buffer)?)) {
                return read;
            }
        }
    }

    /// Writes what fits; a program that does not read loses the rest, as on a wire.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match rustix::io::write(&self.master, bytes) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Runs the segment behind a TCP port as a transparent gateway does: one program at a time, without an end.
///
/// # Errors
/// What the system says when the port fails; a connection that fails is only over.
pub async fn serve_tcp(listener: &TcpListener, segment: &mut Segment) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        if let Err(error) = serve_connection(stream, segment).await {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

async fn serve_connection(mut stream: TcpStream, segment: &mut Segment) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER];
    loop {
        stream.write_all(&heard(segment)).await?;
        tokio::select! {
            count = stream.read(&mut buffer) => match count? {
                0 => return Ok(()),
                count => receive(segment, &buffer, count),
            },
            () = next_wake(segment) => {}
        }
    }
}

/// The bytes that a UART without a parity check would have read by now.
fn heard(segment: &mut Segment) -> Vec<u8> {
    segment.poll(Instant::now().into_std()).into_iter().map(|heard| heard.byte).collect()
}

fn receive(segment: &mut Segment, buffer: &[u8], count: usize) {
    segment.receive(buffer.get(..count).unwrap_or_default(), Instant::now().into_std());
}

async fn next_wake(segment: &Segment) {
    match segment.next_wake() {
        Some(wake) => sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
