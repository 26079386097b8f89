//! The packets a broker reads, of MQTT 3.1.1 and 5; clauses are those of the MQTT 5 standard.
//!
//! Not here: sockets (`session`), what a packet leads to (`broker`), those it writes (`answer`).

/// Largest packet that is taken.
pub(super) const MAX_PACKET_BYTES: usize = 1 << 20;

/// The version a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V3,
    /// MQTT 5.
    V5,
}

/// The first packet of a client (3.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) version: Version,
    /// Empty where the broker is to choose one.
    pub(super) client_id: String,
    pub(super) keep_alive_seconds: u16,
    pub(super) will: Option<Message>,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
    /// The properties of MQTT 5 as they came: every one that a client may send is for the subscriber.
    pub(super) properties: Vec<u8>,
}

/// What a client subscribes to (3.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: String,
    /// Not what this client publishes itself.
    pub(super) no_local: bool,
    /// The retain flag as published.
    pub(super) retain_as_published: bool,
    pub(super) retained: Retained,
}

/// Whether a subscription gets what is retained (3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

/// What a client sends after its CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `packet_id` where it is to be acknowledged.
    Publish {
        message: Message,
        qos: u8,
        packet_id: u16,
    },
    /// PUBREL: the last word on a message of QoS 2.
    Release(u16),
    Subscribe {
        packet_id: u16,
        subscriptions: Vec<Subscription>,
    },
    Unsubscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    Ping,
    Disconnect {
        publish_will: bool,
    },
}

/// Bytes that are not a packet of a client, or one that is too large.
#[derive(Debug, thiserror::Error)]
#[error("a malformed packet, or one of more than {MAX_PACKET_BYTES} bytes")]
pub(super) struct Malformed;

/// Takes the first whole packet from `received`: its first byte and what follows the length.
pub(super) fn split(received: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, Malformed> {
    let Some((first, rest)) = received.split_first() else { return Ok(None) };
    let mut reader = Reader(rest);
    let Some(length) = reader.variable() else {
        return if rest.len() < 4 { Ok(None) } else { Err(Malformed) };
    };
    if length > MAX_PACKET_BYTES {
        return Err(Malformed);
    }
    let Some(body) = reader.bytes(length) else { return Ok(None) };
    let packet = (*first, body.to_vec());
    received.drain(..received.len() - reader.0.len());
    Ok(Some(packet))
}

impl Connect {
    /// `Ok(None)` where it is of another version.
    pub(super) fn read(first: u8, body: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(body);
        let name = reader.field().filter(|_| first == 0x10).ok_or(Malformed)?;
        let version = match (name, reader.byte().ok_or(Malformed)?) {
            (b"MQTT", 4) => Version::V3,
            (b"MQTT", 5) => Version::V5,
            _ => return Ok(None),
        };
        Self::read_as(version, &mut reader).map(Some).ok_or(Malformed)
    }

    fn read_as(version: Version, reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.byte()?;
        let keep_alive_seconds = reader.word()?;
        reader.properties(version)?;
        let client_id = reader.text()?;
        let will = if flags & 0x04 == 0 {
            None
        } else {
            // a will has properties that no message may have, so they are left out
            reader.properties(version)?;
            let (topic, payload) = (reader.topic()?, reader.field()?.to_vec());
            Some(Message { topic, payload, retain: flags & 0x20 != 0, properties: Vec::new() })
        };
        // a user name and password may follow: everybody is let in
        Some(Self { version, client_id, keep_alive_seconds, will })
    }
}

impl Request {
    pub(super) fn read(version: Version, first: u8, body: &[u8]) -> Result<Self, Malformed> {
        Self::read_as(version, first, &mut Reader(body)).ok_or(Malformed)
    }

    fn read_as(version: Version, first: u8, reader: &mut Reader<'_>) -> Option<Self> {
        Some(match first {
            0x30..=0x3F => {
                let (topic, qos) = (reader.topic()?, (first >> 1) & 0x03);
                let packet_id = match qos {
                    0 => 0,
                    1 | 2 => reader.word()?,
                    _ => return None,
                };
                let properties = reader.properties(version)?.to_vec();
                let message = Message { topic, payload: reader.0.to_vec(), retain: first & 1 != 0, properties };
                Self::Publish { message, qos, packet_id }
            }
            0x62 => Self::Release(reader.word()?),
            0x82 => {
                let packet_id = reader.word()?;
                reader.properties(version)?;
                let mut subscriptions = Vec::new();
                while !reader.0.is_empty() || subscriptions.is_empty() {
                    subscriptions.push(reader.subscription()?);
                }
                Self::Subscribe { packet_id, subscriptions }
            }
            0xA2 => {
                let packet_id = reader.word()?;
                reader.properties(version)?;
                let mut filters = Vec::new();
                while !reader.0.is_empty() || filters.is_empty() {
                    filters.push(reader.text()?);
                }
                Self::Unsubscribe { packet_id, filters }
            }
            0xC0 => Self::Ping,
            // reason code 4: disconnect with will message
            0xE0 => Self::Disconnect { publish_will: reader.byte() == Some(4) },
            _ => return None,
        })
    }
}

/// The rest of a packet; `None` where it is too short.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let length = self.word()?;
        self.bytes(length.into())
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.field()?.to_vec()).ok()
    }

    /// A topic to publish to: not empty, no wildcards.
    fn topic(&mut self) -> Option<String> {
        self.text().filter(|topic| !topic.is_empty() && !topic.contains(['+', '#', '\0']))
    }

    fn subscription(&mut self) -> Option<Subscription> {
        let (filter, options) = (self.text()?, self.byte()?);
        let retained = match options >> 4 {
            0 => Retained::Always,
            1 => Retained::IfNew,
            2 => Retained::Never,
            _ => return None,
        };
        Some(Subscription { filter, no_local: options & 0x04 != 0, retain_as_published: options & 0x08 != 0, retained })
    }

    /// A variable byte integer (1.5.5).
    fn variable(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The properties that follow in MQTT 5, without their length.
    fn properties(&mut self, version: Version) -> Option<&'a [u8]> {
        match version {
            Version::V3 => Some(&[]),
            Version::V5 => {
                let length = self.variable()?;
                self.bytes(length)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V3, V5};

    /// As mosquitto_pub sends it: client `c`, will `w`: `gone` retained, user `u`, password `p`.
    const CONNECT_5: &[u8] = b"\x00\x04MQTT\x05\xE6\x00\x3C\x05\x11\x00\x00\x00\x09\x00\x01c\x05\x18\x00\x00\x00\x02\x00\x01w\x00\x04gone\x00\x01u\x00\x01p";
    const CONNECT_3: &[u8] = b"\x00\x04MQTT\x04\x02\x00\x3C\x00\x00";

    fn message(properties: &[u8]) -> Message {
        Message { topic: "a/b".to_owned(), payload: b"hi".to_vec(), retain: true, properties: properties.to_vec() }
    }

    #[test]
    fn requests_of_both_versions_are_read() {
        let request = |version, first, body: &[u8]| Request::read(version, first, body).expect("a packet");
        let publish = Request::Publish { message: message(b"\x01\x01"), qos: 1, packet_id: 5 };
        assert_eq!(request(V5, 0x33, b"\x00\x03a/b\x00\x05\x02\x01\x01hi"), publish);
        let publish = Request::Publish { message: message(b""), qos: 0, packet_id: 0 };
        assert_eq!(request(V3, 0x31, b"\x00\x03a/bhi"), publish);
        let subscription = Subscription {
            filter: "#".to_owned(),
            no_local: true,
            retain_as_published: true,
            retained: Retained::IfNew,
        };
        let subscribe = Request::Subscribe { packet_id: 6, subscriptions: vec![subscription] };
        assert_eq!(request(V5, 0x82, b"\x00\x06\x00\x00\x01#\x1D"), subscribe);
        let unsubscribe = Request::Unsubscribe { packet_id: 7, filters: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(request(V3, 0xA2, b"\x00\x07\x00\x01a\x00\x01b"), unsubscribe);
        assert_eq!(request(V3, 0x62, b"\x00\x08"), Request::Release(8));
        assert_eq!(request(V3, 0xC0, b""), Request::Ping);
        assert_eq!(request(V5, 0xE0, b""), Request::Disconnect { publish_will: false });
        assert_eq!(request(V5, 0xE0, b"\x04\x00"), Request::Disconnect { publish_will: true });
    }

    #[test]
    fn a_connect_says_version_name_and_will() {
        let connect = Connect::read(0x10, CONNECT_5).expect("a packet").expect("a version that is spoken");
        let will = Message { topic: "w".to_owned(), payload: b"gone".to_vec(), retain: true, properties: Vec::new() };
        let wanted = Connect { version: V5, client_id: "c".to_owned(), keep_alive_seconds: 60, will: Some(will) };
        assert_eq!(connect, wanted);
        let connect = Connect::read(0x10, CONNECT_3).expect("a packet").expect("a version that is spoken");
        assert_eq!((connect.version, connect.client_id.as_str(), connect.will), (V3, "", None));
        assert!(matches!(Connect::read(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01c"), Ok(None)), "MQTT 3.1");
        assert!(matches!(Connect::read(0x10, b"\x00\x04MQTT\x06"), Ok(None)), "MQTT 6");
    }

    #[test]
    fn a_packet_is_taken_when_it_is_whole() {
        let stream = [&[0x10, 12][..], CONNECT_3, &[0xC0, 0]].concat();
        for cut in 0..stream.len() {
            let mut received = stream.get(..cut).expect("a part").to_vec();
            let first = split(&mut received).expect("no mistake in it");
            assert_eq!(first.is_some(), cut >= 14, "{cut}");
        }
        let mut received = stream;
        assert_eq!(split(&mut received).ok().flatten(), Some((0x10, CONNECT_3.to_vec())));
        assert_eq!(split(&mut received).ok().flatten(), Some((0xC0, Vec::new())));
        assert!(received.is_empty());
        assert!(split(&mut vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF]).is_err(), "a length of five bytes");
        assert!(split(&mut vec![0x30, 0x81, 0x80, 0x40]).is_err(), "a byte more than is taken");
    }

    #[test]
    fn what_is_cut_short_or_no_request_is_malformed() {
        for end in 0..CONNECT_5.len() - 6 {
            assert!(Connect::read(0x10, CONNECT_5.get(..end).expect("a part")).is_err(), "{end}");
        }
        for (first, whole) in [
            (0x32, &b"\x00\x01a\x00\x05\x02\x01\x01"[..]),
            (0x82, b"\x00\x06\x00\x00\x01#\x01"),
            (0xA2, b"\x00\x06\x00\x00\x01#"),
        ] {
            assert!(Request::read(V5, first, whole).is_ok());
            for end in 0..whole.len() {
                assert!(Request::read(V5, first, whole.get(..end).expect("a part")).is_err(), "{first:x} {end}");
            }
        }
        for (first, body) in [
            (0x36, &b"\x00\x01a\x00\x05\x00"[..]),
            (0x30, b"\x00\x00\x00"),
            (0x30, b"\x00\x01#\x00"),
            (0x30, b"\x00\x01\xFF\x00"),
            (0x82, b"\x00\x06\x00\x00\x01#\x30"),
            (0x40, b"\x00\x01"),
            (0x10, CONNECT_5),
            (0xF0, b""),
        ] {
            assert!(Request::read(V5, first, body).is_err(), "{first:x} {body:x?}");
        }
    }
}
