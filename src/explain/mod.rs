//! From the bytes of one telegram to what people and programs are shown of it: parsed, decrypted, expanded, then
//! as a `table` of bytes and meanings, as `json`, or as `libmbus` writes it in XML. `hex_input` reads telegrams as
//! people write them down.
//!
//! Not here: where telegrams come from (`cli`, `http`), readings (`measure`).

pub(crate) mod hex_input;
pub(crate) mod json;
pub(crate) mod libmbus;
pub(crate) mod table;

use std::collections::HashMap;

use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::application::header::Status;
use crate::mbus::application::opener::{Buffers, Opener};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::records::Records;
use crate::mbus::application::security::Key;
use crate::mbus::application::telegram::{Content, Telegram};
use crate::mbus::application::value::Value;
use crate::mbus::decimal::Decimal;
use crate::mbus::link::frame::{Control, Frame, FrameError};

/// What opens the telegrams of each meter, by A field.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<u8, Opener>);

/// A telegram with everything a reader needs to see.
#[derive(Debug)]
pub(crate) struct Explained<'a> {
    /// Readable: decrypted and expanded where that was possible.
    pub(crate) telegram: Telegram<'a>,
    /// From wherever this telegram has it.
    pub(crate) header: Header,
    /// Those that were understood, values or not.
    pub(crate) records: Vec<DataRecord<'a>>,
    /// Behind DIF 0F or 1F.
    pub(crate) manufacturer_data: &'a [u8],
    /// DIF 1F.
    pub(crate) more_records_follow: bool,
    /// What could not be understood.
    pub(crate) error: Option<String>,
    /// The bytes from there on.
    pub(crate) rest: &'a [u8],
}

/// Identity, access number and status.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    /// Identification number, eight hex digits.
    pub(crate) id: Option<u32>,
    /// Letters.
    pub(crate) manufacturer: Option<Manufacturer>,
    /// Generation.
    pub(crate) version: Option<u8>,
    /// Device type.
    pub(crate) medium: Option<u8>,
    /// Counts the replies.
    pub(crate) access_number: Option<u8>,
    /// Status byte.
    pub(crate) status: Option<Status>,
    /// Without the bits that the fixed structure has there.
    pub(crate) common_status: Option<Status>,
}

/// Bytes that carry no telegram.
#[derive(Debug)]
pub(crate) struct Faulty {
    /// C, A and CI, where the frame at least is whole.
    pub(crate) frame: Option<(Control, u8, Option<u8>)>,
    /// Why; `None` for an acknowledgement or a short frame, which are in order but carry nothing.
    pub(crate) error: Option<String>,
}

/// Reads one telegram.
pub(crate) fn explain<'a>(
    bytes: &'a [u8],
    key: Option<&Key>,
    memory: &mut Memory,
    buffers: &'a mut Buffers,
) -> Result<Explained<'a>, Faulty> {
    let frame = Frame::parse(bytes).map_err(|error| Faulty { frame: None, error: Some(broken(error)) })?;
    let faulty = |error: Option<String>| Faulty { frame: fields(&frame), error };
    if matches!(frame, Frame::Ack | Frame::Short { .. }) {
        return Err(faulty(None));
    }
    let telegram = Telegram::parse(&frame).map_err(|error| faulty(Some(error.to_string())))?;
    let opener = memory.0.entry(telegram.a).or_default();
    opener.set_key(key.copied());
    let (telegram, mut error) = match opener.open(&telegram, buffers) {
        Ok(open) => (open, None),
        Err(refused) => (telegram, Some(refused.to_string())),
    };
    if let Content::Other(_) = telegram.content {
        error = Some(format!("CI field {:02X} is not decoded", telegram.ci));
    }
    Ok(collect(telegram, error))
}

/// What is wrong with a frame, and what to do where two of them were pasted as one.
fn broken(error: FrameError) -> String {
    match error {
        FrameError::Size { got, want } if got > want => format!("{error}; each frame has a line of its own"),
        _ => error.to_string(),
    }
}

fn fields(frame: &Frame<'_>) -> Option<(Control, u8, Option<u8>)> {
    match *frame {
        Frame::Ack => None,
        Frame::Short { c, a } => Some((c, a, None)),
        Frame::Long { c, a, ci, .. } => Some((c, a, Some(ci))),
    }
}

fn collect(telegram: Telegram<'_>, mut error: Option<String>) -> Explained<'_> {
    let mut iter: Records<'_> = telegram.records();
    let (mut records, mut rest) = (Vec::new(), <&[u8]>::default());
    for item in &mut iter {
        match item {
            Ok(record) => records.push(record),
            Err(cut) => {
                rest = cut.rest;
                // why a whole telegram is unreadable has been said already, and better
                error.get_or_insert_with(|| cut.to_string());
            }
        }
    }
    Explained {
        header: header(&telegram),
        telegram,
        records,
        manufacturer_data: iter.manufacturer_data(),
        more_records_follow: iter.more_records_follow(),
        error,
        rest,
    }
}

fn header(telegram: &Telegram<'_>) -> Header {
    let identity = telegram.header.identity;
    let fixed = match telegram.content {
        Content::Fixed(fixed) => Some(fixed),
        _ => None,
    };
    Header {
        id: identity.map(SecondaryAddress::id).or(fixed.map(|f| f.id)),
        manufacturer: identity.map(SecondaryAddress::manufacturer),
        version: identity.map(SecondaryAddress::version),
        medium: identity.map(SecondaryAddress::medium).or(fixed.and_then(|f| f.device_type())),
        access_number: telegram.access_number(),
        status: fixed.map(|f| Status(f.status)).or(telegram.status()),
        common_status: telegram.status(),
    }
}

impl Explained<'_> {
    /// The value that a profile starts from: of the record with the same storage number, tariff,
    /// subunit and VIF without the profile's VIFE.
    pub(crate) fn base_of(&self, profile: &DataRecord<'_>) -> Option<Decimal> {
        let same = |r: &&DataRecord<'_>| {
            (r.dib.storage_number, r.dib.tariff, r.dib.subunit, r.vib.quantity, r.vib.unit)
                == (
                    profile.dib.storage_number,
                    profile.dib.tariff,
                    profile.dib.subunit,
                    profile.vib.quantity,
                    profile.vib.unit,
                )
                && r.vib.modifiers().eq(profile.vib.modifiers().filter(|modifier| !modifier.is_profile()))
                && matches!(r.value, Ok(Value::Number(_)))
        };
        let all = || self.records.iter().filter(same);
        // a maximum beside it is not what the series counts from
        let of_its_function = all().find(|record| record.dib.function == profile.dib.function);
        of_its_function.or(all().next()).and_then(DataRecord::number)
    }
}
