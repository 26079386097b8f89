//! The packets a broker writes, of MQTT 3.1.1 and 5. Its messages have QoS 0, so they bear no packet
//! identifier.

use std::sync::Arc;

use super::request::{MAX_PACKET_BYTES, Message, Version};

/// What the broker sends after its CONNACK.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Message {
        message: Arc<Message>,
        retain: bool,
    },
    PubAck(u16),
    PubRec(u16),
    PubComp(u16),
    /// For each filter whether it is granted.
    SubAck(u16, Vec<bool>),
    /// For each filter whether it was subscribed to.
    UnsubAck(u16, Vec<bool>),
    Pong,
}

impl Answer {
    pub(super) fn write(&self, version: Version) -> Vec<u8> {
        match self {
            Self::Message { message, retain } => {
                let mut body = Vec::new();
                put_text(&mut body, &message.topic);
                if version == Version::V5 {
                    put_variable(&mut body, message.properties.len());
                    body.extend(&message.properties);
                }
                body.extend(&message.payload);
                packet(0x30 | u8::from(*retain), &body)
            }
            Self::PubAck(id) => packet(0x40, &id.to_be_bytes()),
            Self::PubRec(id) => packet(0x50, &id.to_be_bytes()),
            Self::PubComp(id) => packet(0x70, &id.to_be_bytes()),
            Self::SubAck(id, granted) => {
                // QoS 0; topic filter invalid, in 3.1.1 failure
                let refused = if version == Version::V5 { 0x8F } else { 0x80 };
                let codes = granted.iter().map(|granted| if *granted { 0 } else { refused });
                acknowledgement(0x90, version, *id, codes)
            }
            Self::UnsubAck(id, _) if version == Version::V3 => packet(0xB0, &id.to_be_bytes()),
            Self::UnsubAck(id, existed) => {
                acknowledgement(0xB0, version, *id, existed.iter().map(|existed| if *existed { 0 } else { 0x11 }))
            }
            Self::Pong => packet(0xD0, &[]),
        }
    }
}

/// CONNACK. `client_id` where the broker has chosen it.
pub(super) fn accept(version: Version, client_id: Option<&str>) -> Vec<u8> {
    let mut body = vec![0, 0];
    if version == Version::V5 {
        // no session is kept (0x11), neither subscription identifiers (0x29) nor shared
        // subscriptions (0x2A) are known, and no packet may be larger (0x27)
        let mut properties = vec![0x11, 0, 0, 0, 0, 0x29, 0, 0x2A, 0, 0x27];
        properties.extend(u32::try_from(MAX_PACKET_BYTES).unwrap_or(u32::MAX).to_be_bytes());
        if let Some(client_id) = client_id {
            properties.push(0x12);
            put_text(&mut properties, client_id);
        }
        put_variable(&mut body, properties.len());
        body.extend(properties);
    }
    packet(0x20, &body)
}

/// CONNACK to a version that is not spoken, in the form of the older ones.
pub(super) fn refuse() -> Vec<u8> {
    packet(0x20, &[0, 0x01])
}

fn acknowledgement(first: u8, version: Version, id: u16, codes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(codes);
    packet(first, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    put_variable(&mut packet, body.len());
    packet.extend(body);
    packet
}

/// A variable byte integer (1.5.5).
fn put_variable(into: &mut Vec<u8>, mut value: usize) {
    loop {
        let more = if value > 0x7F { 0x80 } else { 0 };
        into.push(value.to_le_bytes()[0] & 0x7F | more);
        value >>= 7;
        if value == 0 {
            return;
        }
    }
}

/// A text of at most 65535 bytes: all of them came in a field of that size.
fn put_text(into: &mut Vec<u8>, text: &str) {
    into.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    into.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V3, V5};

    fn message(properties: &[u8], payload: &[u8]) -> Answer {
        let (topic, properties) = ("a/b".to_owned(), properties.to_vec());
        let message = Message { topic, payload: payload.to_vec(), retain: true, properties };
        Answer::Message { message: message.into(), retain: true }
    }

    #[test]
    fn answers_are_the_bytes_of_the_standard() {
        let hi = message(b"\x01\x01", b"hi");
        assert_eq!(hi.write(V5), b"\x31\x0A\x00\x03a/b\x02\x01\x01hi");
        assert_eq!(hi.write(V3), b"\x31\x07\x00\x03a/bhi");
        assert_eq!(Answer::SubAck(6, vec![true, false]).write(V5), b"\x90\x05\x00\x06\x00\x00\x8F");
        assert_eq!(Answer::SubAck(6, vec![true, false]).write(V3), b"\x90\x04\x00\x06\x00\x80");
        assert_eq!(Answer::UnsubAck(7, vec![true, false]).write(V5), b"\xB0\x05\x00\x07\x00\x00\x11");
        assert_eq!(Answer::UnsubAck(7, vec![true, false]).write(V3), b"\xB0\x02\x00\x07");
        assert_eq!(accept(V3, None), b"\x20\x02\x00\x00");
        let accepted = b"\x20\x11\x00\x00\x0E\x11\x00\x00\x00\x00\x29\x00\x2A\x00\x27\x00\x10\x00\x00";
        assert_eq!(accept(V5, None), accepted);
        assert!(accept(V5, Some("me")).ends_with(b"\x12\x00\x02me"));
        assert!(message(b"", &[0; 321]).write(V3).starts_with(b"\x31\xC6\x02\x00\x03"), "326 bytes follow");
    }
}
