//! The XML of libmbus 0.10, for programs that were made for it, mbus-httpd and node-mbus.
//!
//! It is libmbus' byte for byte, but for what would mislead a reader of it:
//!
//! - text outside ASCII is written as character references: libmbus declares ISO-8859-1 and writes UTF-8
//!   (`°C`), or whatever bytes a meter sent;
//! - a value that is none is empty: a date marked invalid (libmbus: 1900-01-00), a date that comes
//!   again each year (2127-15-31), BCD with digits beyond 9, a real number that is not one;
//! - a year of two digits from 81 on is of the last century (EN 13757-3 annex A), and dates and times
//!   are such in every coding that holds one, not numbers;
//! - a series of values is shown as bytes; numbers of variable length have the length of the standard;
//! - NULs in a text do not end it;
//! - manufacturer's data behind DIF 0F stands in the order of the wire, as in libmbus' own test suite
//!   (its 0.10.0 turns it round, with the variable length numbers that are meant);
//! - of fixed data, 100 kJ and MJ are not exchanged;
//! - encrypted records are decrypted where the key is known, else there are none; compact frames are
//!   expanded; CI 76, 77, 78, 7A and 7B are decoded too;
//! - a telegram that is cut keeps the records before the cut.

mod products;
mod units;

use std::fmt::Write;

use jiff::Timestamp;

use super::{Explained, Header, Memory, explain};
use crate::mbus::application::calendar::Time;
use crate::mbus::application::dib::{Coding, IDLE_FILLER, MANUFACTURER_DATA};
use crate::mbus::application::opener::Buffers;
use crate::mbus::application::quantity::Function;
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::security::Key;
use crate::mbus::application::telegram::Content;
use crate::mbus::application::value::Value;
use crate::mbus::application::vif::Kind;
use products::product;

/// Unit of the fixed structure's data behind its two unit bytes, and the bits of its status.
const FIXED_STORED: u8 = 0x40;
const FIXED_BINARY: u8 = 0x80;

/// All telegrams of a readout in one document, and what of them could not be decoded.
pub(crate) fn document(frames: &[Vec<u8>], key: Option<&Key>, at: Timestamp) -> (String, Option<String>) {
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut document = Document::new(frames.len() > 1, Some(at));
    let (mut memory, mut error) = (Memory::default(), None);
    for frame in frames {
        let mut buffers = Buffers::default();
        match explain(frame, key, &mut memory, &mut buffers) {
            Ok(explained) => {
                document.push(frame, &explained);
                error = error.or(explained.error);
            }
            Err(faulty) => error = error.or(faulty.error),
        }
    }
    (document.finish(), error)
}

/// One document: the telegrams of one readout.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
    /// Records so far: their ids go on over all telegrams.
    records: usize,
    /// Telegrams so far; `None`: there is only one, and records do not tell theirs.
    frame: Option<usize>,
    /// When it was read.
    timestamp: Option<String>,
}

impl Document {
    /// Of one telegram, or of `several`, whose records then tell theirs; `timestamp` is when they came,
    /// in RFC 3339.
    pub(crate) fn new(several: bool, timestamp: Option<String>) -> Self {
        let text = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<MBusData>\n\n".to_owned();
        Self { text, records: 0, frame: several.then_some(0), timestamp }
    }

    /// Adds a telegram; only the first one's header is shown.
    pub(crate) fn push(&mut self, bytes: &[u8], explained: &Explained<'_>) {
        let first = self.records == 0 && self.frame.is_none_or(|frame| frame == 0);
        match explained.telegram.content {
            Content::ApplicationError(error) => {
                let error = units::application_error(error.0.unwrap_or(0));
                self.text += &format!("    <SlaveInformation>\n        <Error>{}</Error>\n", encoded(&error));
                self.text += "    </SlaveInformation>\n\n";
            }
            Content::Fixed(_) => self.fixed(bytes, explained),
            _ => {
                if first {
                    self.header(explained);
                }
                explained.records.iter().for_each(|record| self.record(record, explained));
                self.rest(explained);
            }
        }
        self.frame = self.frame.map(|frame| frame + 1);
    }

    /// The whole document.
    pub(crate) fn finish(mut self) -> String {
        self.text += "</MBusData>\n";
        self.text
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "        <{name}>{}</{name}>", encoded(&value.to_string()));
    }

    fn header(&mut self, explained: &Explained<'_>) {
        let Header { id, manufacturer, version, medium, access_number, status, .. } = explained.header;
        let (id, version, medium) = (id.unwrap_or(0), version.unwrap_or(0), medium.unwrap_or(0));
        let maker = manufacturer.map(|letters| letters.to_string()).unwrap_or_default();
        let signature = explained.telegram.header.short.map_or(0, |short| short.configuration.0);
        self.text += "    <SlaveInformation>\n";
        self.line("Id", format_args!("{id:X}"));
        self.line("Manufacturer", &maker);
        self.line("Version", version);
        self.line("ProductName", product(&maker, version, medium, id));
        self.line("Medium", units::medium(medium));
        self.line("AccessNumber", access_number.unwrap_or(0));
        self.line("Status", format_args!("{:02X}", status.map_or(0, |status| status.0)));
        self.line("Signature", format_args!("{signature:04X}"));
        self.text += "    </SlaveInformation>\n\n";
    }

    fn open_record(&mut self) {
        let id = self.records;
        self.text += &match self.frame {
            Some(frame) => format!("    <DataRecord id=\"{id}\" frame=\"{frame}\">\n"),
            None => format!("    <DataRecord id=\"{id}\">\n"),
        };
        self.records += 1;
    }

    fn close_record(&mut self) {
        if let Some(timestamp) = self.timestamp.clone() {
            self.line("Timestamp", timestamp);
        }
        self.text += "    </DataRecord>\n\n";
    }

    fn record(&mut self, record: &DataRecord<'_>, explained: &Explained<'_>) {
        self.open_record();
        self.line(
            "Function",
            match record.dib.function {
                Function::Instantaneous => "Instantaneous value",
                Function::Maximum => "Maximum value",
                Function::Minimum => "Minimum value",
                Function::Error => "Value during error state",
            },
        );
        self.line("StorageNumber", record.dib.storage_number);
        if record.dib.bytes.len() > 1 {
            self.line("Tariff", record.dib.tariff);
            self.line("Device", record.dib.subunit);
        }
        self.line("Unit", unit(record));
        self.line("Value", value(record, explained.telegram.ci));
        self.close_record();
    }

    /// What stands behind DIF 0F or 1F.
    fn rest(&mut self, explained: &Explained<'_>) {
        let more = explained.more_records_follow;
        if explained.manufacturer_data.is_empty() && !more && !ends_with_manufacturer_dif(explained) {
            return;
        }
        self.open_record();
        self.line("Function", if more { "More records follow" } else { "Manufacturer specific" });
        self.line("Value", hex(explained.manufacturer_data));
        self.close_record();
    }

    fn fixed(&mut self, bytes: &[u8], explained: &Explained<'_>) {
        let Content::Fixed(fixed) = explained.telegram.content else { return };
        self.text += "    <SlaveInformation>\n";
        self.line("Id", format_args!("{:X}", fixed.id));
        self.line("Medium", units::FIXED_MEDIA.get(usize::from(fixed.medium)).copied().unwrap_or("unknown"));
        self.line("AccessNumber", fixed.access_number);
        self.line("Status", format_args!("{:02X}", fixed.status));
        self.text += "    </SlaveInformation>\n\n";
        // 68 L L 68 C A CI, identification (4), access number, status, then the two unit bytes
        let units = bytes.get(13..15).unwrap_or_default();
        for (record, code) in explained.records.iter().zip(units) {
            self.open_record();
            self.line("Function", if fixed.status & FIXED_STORED == 0 { "Actual value" } else { "Stored value" });
            self.line("Unit", units::fixed(*code));
            let data = least_first(record.data, explained.telegram.ci);
            self.line(
                "Value",
                match record.value {
                    Ok(Value::None | Value::Invalid) | Err(_) => String::new(),
                    _ if fixed.status & FIXED_BINARY == 0 => hex_number(&data),
                    _ => integer(&data).to_string(),
                },
            );
            self.close_record();
        }
    }
}

/// Whether DIF 0F stands at the very end, with nothing behind it.
fn ends_with_manufacturer_dif(explained: &Explained<'_>) -> bool {
    let Content::Records(bytes) = explained.telegram.content else { return false };
    let last = explained.records.last().map_or(bytes.as_ptr(), |record| record.data.as_ptr_range().end);
    let start = last.addr().saturating_sub(bytes.as_ptr().addr());
    let behind = bytes.get(start..).unwrap_or_default();
    explained.error.is_none() && behind.iter().find(|byte| **byte != IDLE_FILLER) == Some(&MANUFACTURER_DATA)
}

fn unit(record: &DataRecord<'_>) -> String {
    let own = || record.vib.text().map(|text| text.to_string()).unwrap_or_default();
    match *record.vib.bytes {
        [0xFB] | [0xFD] => "Missing VIF extension".to_owned(),
        [0xFB, vife, ..] => units::table_fb(vife),
        [0xFD, vife, ..] => units::table_fd(vife),
        [0x7C, ..] => own(),
        [0xFC, length, ref rest @ ..] => match rest.get(usize::from(length)) {
            Some(vife) if vife & 0x78 == 0x70 => {
                format!("{} {}", units::prefix(i32::from(vife & 0x07) - 6), own())
            }
            _ => units::primary(0xFC),
        },
        [vif, ..] => units::primary(vif),
        [] => String::new(),
    }
}

/// As libmbus reads the bytes, which is without the factor of the unit.
fn value(record: &DataRecord<'_>, ci: u8) -> String {
    let data = least_first(record.data, ci);
    match record.value {
        Ok(Value::Date(date)) => return date.to_string(),
        Ok(Value::DateTime(at)) => return format!("{}T{}", at.date, time(at.time)),
        Ok(Value::Time(of_day)) => return time(of_day),
        Ok(Value::Periodic(_)) => return String::new(),
        Ok(Value::Profile(_)) if record.dib.coding == Coding::Variable => return hex(record.data),
        Ok(Value::Invalid) if record.vib.kind == Kind::Moment => return String::new(),
        _ => {}
    }
    match record.dib.coding {
        Coding::None => String::new(),
        Coding::Selection => format!("Unknown DIF (0x{:02x})", record.dib.bytes.first().copied().unwrap_or(0)),
        Coding::Integer(_) => integer(&data).to_string(),
        Coding::Real => match <[u8; 4]>::try_from(data.as_slice()).map(f32::from_le_bytes) {
            Ok(real) if real.is_finite() => format!("{:.6}", f64::from(real)),
            _ => String::new(),
        },
        Coding::Bcd(_) if record.dib.function == Function::Error => hex_number(&data),
        Coding::Bcd(_) => bcd(&data),
        Coding::Variable => variable(record.data, ci),
    }
}

fn time(of_day: Time) -> String {
    format!("{:02}:{:02}:{:02}", of_day.hour, of_day.minute, of_day.second.unwrap_or(0))
}

fn least_first(data: &[u8], ci: u8) -> Vec<u8> {
    let mut data = data.to_vec();
    if matches!(ci, 0x76 | 0x77) {
        data.reverse();
    }
    data
}

/// Two's complement of up to 8 bytes.
fn integer(data: &[u8]) -> i64 {
    let sign = data.last().is_some_and(|last| last & 0x80 != 0);
    let mut bytes = [if sign { 0xFF } else { 0 }; 8];
    bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    i64::from_le_bytes(bytes)
}

/// The nibbles as they are, without zeros in front.
fn hex_number(data: &[u8]) -> String {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    format!("{:X}", u64::from_le_bytes(bytes))
}

/// Digits; F in front is a minus sign. Anything else is not a number.
fn bcd(data: &[u8]) -> String {
    let mut digits: Vec<u8> = data.iter().rev().flat_map(|byte| [byte >> 4, byte & 0x0F]).collect();
    let negative = digits.first() == Some(&0xF);
    if let Some(first) = digits.first_mut().filter(|_| negative) {
        *first = 0;
    }
    if digits.iter().any(|digit| *digit > 9) {
        return String::new();
    }
    let number = digits.iter().fold(0_i64, |number, digit| number * 10 + i64::from(*digit));
    (if negative { -number } else { number }).to_string()
}

/// Text as it reads, everything else as bytes, the most significant first.
fn variable(data: &[u8], ci: u8) -> String {
    let Some((lvar, data)) = data.split_first() else { return String::new() };
    let mut data = least_first(data, ci);
    data.reverse();
    if *lvar <= 0xBF {
        return data.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    }
    hex(&data)
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

/// Control characters become spaces, what XML or the declared encoding cannot hold becomes a reference.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            control if control.is_ascii_control() => out.push(' '),
            ascii if ascii.is_ascii() => out.push(ascii),
            other => _ = write!(out, "&#{};", u32::from(other)),
        }
    }
    out
}
