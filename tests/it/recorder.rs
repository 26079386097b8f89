//! A proxy before the broker that reads along: a reading counts as delivered when the broker's
//! PUBACK has passed. It can also cut a connection in the middle of a packet,
//! and behave as a broker that refuses, hangs up or acknowledges nothing.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use jiff::Timestamp;
use mbushat::mbus::decimal::Decimal;

/// A reading as it was published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delivered {
    pub(crate) seq: u64,
    pub(crate) meter: String,
    pub(crate) litres: u64,
    /// The slot it is for.
    pub(crate) due_at: Option<Timestamp>,
    /// What the agent's wall clock said.
    pub(crate) read_at: Timestamp,
}

/// What has passed.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Acknowledged, in the order of the acknowledgements.
    pub(crate) delivered: Vec<Delivered>,
    /// Refused by the broker.
    pub(crate) refused: Vec<Delivered>,
    pub(crate) connections: u64,
    pub(crate) cuts: u64,
    /// Bytes that the next connections let through from the client before they are cut.
    pub(crate) budgets: Vec<usize>,
    /// What the broker seems to do.
    pub(crate) manner: Manner,
}

/// What this makes of the broker, for connections that are not cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nothing else than it is.
    #[default]
    Honest,
    /// It refuses readings with this reason code of MQTT 5.
    Refuses(u8),
    /// It ends the connection at each message on this topic.
    HangsUpAt(String),
    /// It takes messages and acknowledges none.
    Mute,
}

/// The proxy.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    pub(crate) fn start(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                let budget = {
                    let mut record = shared.lock().expect("no thread panicked");
                    record.connections += 1;
                    record.budgets.pop()
                };
                let pending = Arc::new(Mutex::new(HashMap::new()));
                connect(client, server, budget, &shared, &pending);
            }
        });
        Self { port, record }
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no thread panicked")
    }
}

type Pending = Arc<Mutex<HashMap<u16, Delivered>>>;

fn connect(
    client: TcpStream,
    server: TcpStream,
    budget: Option<usize>,
    record: &Arc<Mutex<Record>>,
    pending: &Pending,
) {
    let (back, forth) = (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
    let mut answers = client.try_clone().expect("a handle");
    let (published, known) = (Arc::clone(pending), Arc::clone(pending));
    let (from_client, from_broker) = (Arc::clone(record), Arc::clone(record));
    thread::spawn(move || {
        let was_cut = pump(client, server, budget, |packet| {
            let manner = from_client.lock().expect("no thread panicked").manner.clone();
            let reading = reading(packet);
            match manner {
                Manner::HangsUpAt(topic) if publish(packet).is_some_and(|(its, _)| its == topic.as_bytes()) => {
                    return Pass::End;
                }
                Manner::Refuses(code) => {
                    let Some((id, reading)) = reading else { return Pass::On };
                    from_client.lock().expect("no thread panicked").refused.push(reading);
                    let [high, low] = id.to_be_bytes();
                    return if answers.write_all(&[0x40, 3, high, low, code]).is_ok() { Pass::Not } else { Pass::End };
                }
                _ => {}
            }
            if let Some((id, reading)) = reading {
                published.lock().expect("no thread panicked").insert(id, reading);
            }
            Pass::On
        });
        from_client.lock().expect("no thread panicked").cuts += u64::from(was_cut);
    });
    thread::spawn(move || {
        pump(back, forth, None, |packet| {
            let [0x40, _, high, low, rest @ ..] = packet else { return Pass::On };
            let mut record = from_broker.lock().expect("no thread panicked");
            if record.manner == Manner::Mute {
                return Pass::Not;
            }
            let id = u16::from_be_bytes([*high, *low]);
            let Some(reading) = known.lock().expect("no thread panicked").remove(&id) else { return Pass::On };
            let refused = rest.first().is_some_and(|reason| *reason >= 0x80);
            if refused {
                record.refused.push(reading)
            } else {
                record.delivered.push(reading)
            }
            Pass::On
        });
    });
}

/// What becomes of a packet.
#[derive(PartialEq, Eq)]
enum Pass {
    On,
    Not,
    /// The connection ends instead.
    End,
}

/// Copies until an end closes or the budget is used up, which is `true`; `see` gets each whole packet,
/// and says what becomes of it; a connection with a budget passes everything on.
fn pump(
    mut from: TcpStream,
    mut into: TcpStream,
    mut budget: Option<usize>,
    mut see: impl FnMut(&[u8]) -> Pass,
) -> bool {
    let mut buffer = Vec::new();
    let has_budget = budget.is_some();
    let cut = 'connection: loop {
        let most = budget.unwrap_or(4096).min(4096);
        if most == 0 {
            break true;
        }
        let mut chunk = vec![0; most];
        let Ok(count @ 1..) = from.read(&mut chunk) else { break false };
        chunk.truncate(count);
        budget = budget.map(|left| left - count);
        buffer.extend_from_slice(&chunk);
        while let Some(length) = packet_length(&buffer) {
            let rest = buffer.split_off(length);
            match see(&buffer) {
                Pass::On if !has_budget && into.write_all(&buffer).is_err() => break 'connection false,
                Pass::End => break 'connection false,
                _ => buffer = rest,
            }
        }
        if has_budget && into.write_all(&chunk).is_err() {
            break false;
        }
    };
    _ = from.shutdown(Shutdown::Both);
    _ = into.shutdown(Shutdown::Both);
    cut
}

/// Bytes of the first packet, if it is whole.
pub(crate) fn packet_length(bytes: &[u8]) -> Option<usize> {
    let (remaining, header) = variable(bytes.get(1..)?)?;
    let length = 1 + header + remaining;
    (bytes.len() >= length).then_some(length)
}

/// A variable byte integer and its own length.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

/// The topic of a PUBLISH with QoS 1, and what follows it.
fn publish(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    if packet.first()? & 0xF6 != 0x32 {
        return None;
    }
    let (_, header) = variable(packet.get(1..)?)?;
    let body = packet.get(1 + header..)?;
    let [high, low, rest @ ..] = body else { return None };
    rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
}

/// The packet id and the reading of a PUBLISH with QoS 1 on a `reading` topic.
fn reading(packet: &[u8]) -> Option<(u16, Delivered)> {
    let (topic, rest) = publish(packet)?;
    let [high, low, rest @ ..] = rest else { return None };
    let id = u16::from_be_bytes([*high, *low]);
    // MQTT 3.1.1 has no properties before the payload
    let json = || serde_json::from_slice::<serde_json::Value>(rest).ok();
    let with_properties = || {
        let (properties, length) = variable(rest)?;
        serde_json::from_slice(rest.get(length + properties..)?).ok()
    };
    let json = json().or_else(with_properties)?;
    std::str::from_utf8(topic).ok()?.strip_suffix("/reading")?;
    let cubic_metres: Decimal = json.pointer("/measurements/0/value")?.to_string().parse().ok()?;
    let litres = cubic_metres.shift(3)?.to_string().parse().ok()?;
    let meter = json.get("meter")?.as_str()?.to_owned();
    let time = |name: &str| json.get(name)?.as_str()?.parse().ok();
    let (due_at, read_at) = (time("due_at"), time("read_at")?);
    Some((id, Delivered { seq: json.get("seq")?.as_u64()?, meter, litres, due_at, read_at }))
}
