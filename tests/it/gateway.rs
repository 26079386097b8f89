//! A TCP gateway with meters behind it that answer at once: as many as a test wants, each counting
//! in its volume how often it was read, so that a reading that is missing can be named.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

/// What the meters do.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// Answers given, by address: the volume of the last one, in litres.
    pub(crate) served: BTreeMap<u8, u64>,
    /// When each of them was given, by address.
    pub(crate) times: BTreeMap<u8, Vec<Instant>>,
    /// Connections taken.
    pub(crate) connections: u64,
    /// Addresses that do not answer.
    pub(crate) silent: BTreeSet<u8>,
    /// The gateway has another client: it takes connections and closes them.
    pub(crate) hangs_up: bool,
    /// The next answers of this address say these litres instead.
    pub(crate) instead: BTreeMap<u8, Vec<u64>>,
}

/// A gateway that runs.
pub(crate) struct Gateway {
    pub(crate) port: u16,
    meters: Arc<Mutex<Meters>>,
}

impl Gateway {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let meters = Arc::new(Mutex::new(Meters::default()));
        let shared = Arc::clone(&meters);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let meters = Arc::clone(&shared);
                let mut known = meters.lock().expect("no thread panicked");
                known.connections += 1;
                if known.hangs_up {
                    continue;
                }
                drop(known);
                thread::spawn(move || serve(stream, &meters));
            }
        });
        Self { port, meters }
    }

    pub(crate) fn meters(&self) -> MutexGuard<'_, Meters> {
        self.meters.lock().expect("no thread panicked")
    }

    /// A `[[bus]]` and one meter for each address, named `m1`, `m2` …
    pub(crate) fn config(&self, name: &str, addresses: impl IntoIterator<Item = u8>, interval: &str) -> String {
        let mut text = format!("[[bus]]\nname = \"{name}\"\nport = \"tcp://127.0.0.1:{}\"\n", self.port);
        for address in addresses {
            text += &format!(
                "[[meter]]\nname = \"{name}_m{address}\"\nbus = \"{name}\"\naddress = {address}\ninterval = \"{interval}\"\n"
            );
        }
        text
    }
}

fn serve(mut stream: TcpStream, meters: &Mutex<Meters>) {
    _ = stream.set_nodelay(true);
    let mut request = [0; 5];
    while stream.read_exact(&mut request).is_ok() {
        let [_, control, address, ..] = request;
        let mut meters = meters.lock().expect("no thread panicked");
        if meters.hangs_up {
            return;
        }
        if meters.silent.contains(&address) {
            continue;
        }
        let answer = if control == 0x40 {
            vec![0xE5]
        } else {
            let count = meters.served.entry(address).or_default();
            *count += 1;
            let count = *count;
            meters.times.entry(address).or_default().push(Instant::now());
            let instead =
                meters.instead.get_mut(&address).and_then(|values| (!values.is_empty()).then(|| values.remove(0)));
            telegram(address, instead.unwrap_or(count))
        };
        drop(meters);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// A water meter with the identification 1000 + address, and its volume in litres.
fn telegram(address: u8, litres: u64) -> Vec<u8> {
    let bcd = |number: u64| {
        let text = format!("{number:08}");
        let mut bytes = u32::from_str_radix(&text, 16).expect("eight digits").to_le_bytes().to_vec();
        bytes.truncate(4);
        bytes
    };
    let mut body = vec![0x08, address, 0x72];
    body.extend(bcd(1000 + u64::from(address)));
    body.extend([0x2D, 0x4C, 0x01, 0x07, 0x55, 0x00, 0x00, 0x00, 0x0C, 0x13]);
    body.extend(bcd(litres));
    let length = u8::try_from(body.len()).expect("short");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let mut frame = vec![0x68, length, length, 0x68];
    frame.extend(body);
    frame.extend([sum, 0x16]);
    frame
}
