//! A wire with meters on it for tests of the bus: a pseudo-terminal or a socket whose other end
//! answers SND_NKE and REQ_UD2 as the simplest meter would, at once. It shares no code with the
//! master, so that both cannot be wrong in the same way.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The other end of a wire; hung up when dropped.
pub(crate) struct Wire {
    hung_up: Arc<AtomicBool>,
    babbles: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Meters at `addresses` on a new pseudo-terminal, found at `link`.
    pub(crate) fn on_pty(link: &Path, addresses: &[u8]) -> Self {
        let (master, slave) = pty();
        let _ = std::fs::remove_file(link);
        std::os::unix::fs::symlink(slave, link).expect("a link");
        let flags = rustix::fs::fcntl_getfl(&master).expect("flags");
        rustix::fs::fcntl_setfl(&master, flags | rustix::fs::OFlags::NONBLOCK).expect("flags");
        Self::start(addresses, move || Some(master.try_clone().expect("a second handle")))
    }

    /// Meters at `addresses` behind a TCP gateway.
    pub(crate) fn on_tcp(address: SocketAddr, addresses: &[u8]) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(address).expect("a port");
        let bound = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a mode");
        let wire = Self::start(addresses, move || {
            let (stream, _) = listener.accept().ok()?;
            stream.set_nonblocking(true).expect("a mode");
            Some(stream)
        });
        (wire, bound)
    }

    /// Serves one connection after the other.
    fn start<S: Read + Write + Send + 'static>(
        addresses: &[u8],
        mut connect: impl FnMut() -> Option<S> + Send + 'static,
    ) -> Self {
        let hung_up = Arc::new(AtomicBool::new(false));
        let babbles = Arc::new(AtomicBool::new(false));
        let (stop, noise, addresses) = (hung_up.clone(), babbles.clone(), addresses.to_vec());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if let Some(stream) = connect() {
                    converse(stream, &addresses, &stop, &noise);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { hung_up, babbles, thread: Some(thread) }
    }

    /// From now on it sends nothing but noise, without end, as a broken adapter does; or no longer.
    pub(crate) fn babble(&self, babbles: bool) {
        self.babbles.store(babbles, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.hung_up.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

/// A new pseudo-terminal: its master and the path of its slave.
pub(crate) fn pty() -> (File, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let slave = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
    (File::from(master), slave.into())
}

/// Answers until the other side is gone or the wire is hung up.
fn converse(mut stream: impl Read + Write, addresses: &[u8], hung_up: &AtomicBool, babbles: &AtomicBool) {
    let (mut unread, mut buffer) = (Vec::new(), [0; 64]);
    while !hung_up.load(Ordering::Relaxed) {
        if babbles.load(Ordering::Relaxed) {
            // What the other side does not read in time is lost, and nothing else gets through.
            _ = stream.write(&[0x68, 0xF0, 0xF0, 0x68, 0x00, 0xE5, 0x10, 0x16]);
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => unread.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(_) => return,
        }
        while let Some(at) = unread.windows(5).position(|w| w[0] == 0x10 && w[4] == 0x16) {
            let (control, address) = (unread[at + 1], unread[at + 2]);
            unread.drain(..at + 5);
            if addresses.contains(&address) {
                let answer = if control == 0x40 { vec![0xE5] } else { telegram(address) };
                stream.write_all(&answer).expect("an answer");
            }
        }
    }
}

/// The meter at this address answers that it is busy (EN 13757-3 table 19).
pub(crate) const FAULTY: u8 = 250;

/// An energy of 0 kWh by the meter at `address`.
fn telegram(address: u8) -> Vec<u8> {
    let mut content = vec![0x08, address, 0x72, 0x15, 0x73, 0x13, 0x30, 0x93, 0x06, 0x01, 0x04, 0x70, 0, 0, 0];
    content.extend([0x0C, 0x06, 0, 0, 0, 0]);
    if address == FAULTY {
        content = vec![0x08, address, 0x70, 0x08];
    }
    let length = u8::try_from(content.len()).expect("short");
    let checksum = content.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let mut frame = vec![0x68, length, length, 0x68];
    frame.append(&mut content);
    frame.extend([checksum, 0x16]);
    frame
}
