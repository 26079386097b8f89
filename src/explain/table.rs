//! A telegram as a table for people: bytes, what they mean, and the value, side by side, so that it
//! can be checked against a meter's data sheet.

use std::fmt::Write;

use super::json::unit_name;
use super::{Explained, Faulty};
use crate::mbus::application::dib::{Coding, Dib};
use crate::mbus::application::header::Configuration;
use crate::mbus::application::lvar::Lvar;
use crate::mbus::application::quantity::{Function, Unit};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::telegram::Content;
use crate::mbus::application::value::Value;
use crate::mbus::application::vib::Vib;
use crate::mbus::link::frame::Control;
use crate::mbus::medium;

/// The widest run of bytes on one line.
const BYTES_PER_LINE: usize = 8;

/// The rows of the table.
pub(crate) fn rows(bytes: &[u8], explained: &Result<Explained<'_>, Faulty>) -> Vec<Row> {
    let mut table = Table { rows: Vec::new(), colour: false };
    match explained {
        Ok(explained) => telegram(bytes, explained, &mut table),
        Err(faulty) => refused(bytes, faulty, &mut table),
    }
    table.rows
}

/// The table, ending without a line feed.
pub(crate) fn text(bytes: &[u8], explained: &Result<Explained<'_>, Faulty>, colour: bool) -> String {
    Table { rows: rows(bytes, explained), colour }.finish()
}

fn refused(bytes: &[u8], faulty: &Faulty, table: &mut Table) {
    match (&faulty.error, faulty.frame) {
        (Some(error), _) => table.error(bytes, error),
        (None, Some((c, a, _))) => {
            table.row(bytes, &format!("short frame: {} to address {a}", control_name(c)), "");
        }
        (None, None) => table.row(bytes, "acknowledgement", ""),
    }
}

fn telegram(bytes: &[u8], explained: &Explained<'_>, table: &mut Table) {
    let telegram = &explained.telegram;
    let part = |range: core::ops::Range<usize>| bytes.get(range).unwrap_or_default();
    table.row(part(0..4), "long frame", &format!("{} bytes", bytes.len()));
    table.row(part(4..5), "C field", &control_name(telegram.c));
    table.row(part(5..6), "address", &telegram.a.to_string());
    table.row(part(6..7), "CI field", ci_name(part(6..7).first().copied().unwrap_or(0)));
    if telegram.afl.is_some() {
        table.row(&[telegram.ci], "CI field behind it", ci_name(telegram.ci));
    }
    header(explained, table);
    content(explained, table);
    for record in &explained.records {
        one_record(record, explained, table);
    }
    if !explained.manufacturer_data.is_empty() || explained.more_records_follow {
        let what = if explained.more_records_follow { "more records follow in the next telegram" } else { "" };
        table.row(explained.manufacturer_data, "manufacturer specific data", what);
    }
    if let Some(error) = &explained.error {
        table.error(explained.rest, error);
    }
    table.row(part(bytes.len().saturating_sub(2)..bytes.len()), "checksum and stop", "");
}

fn header(explained: &Explained<'_>, table: &mut Table) {
    let header = &explained.header;
    if let Some(identity) = explained.telegram.header.identity {
        let wire = identity.to_wire();
        let part = |range: core::ops::Range<usize>| wire.get(range).unwrap_or_default();
        table.row(part(0..4), "identification", &format!("{:08X}", identity.id()));
        table.row(part(4..6), "manufacturer", &identity.manufacturer().to_string());
        table.row(part(6..7), "version", &identity.version().to_string());
        table.row(part(7..8), "medium", medium::name(identity.medium()));
    } else if let Some(id) = header.id {
        table.row(&id.to_le_bytes(), "identification", &format!("{id:08X}"));
    }
    if let Some(access_number) = header.access_number {
        table.row(&[access_number], "access number", &access_number.to_string());
    }
    if let Some(status) = header.status {
        let names: Vec<_> = header.common_status.unwrap_or(status).names().collect();
        let names = if names.is_empty() { "no error".to_owned() } else { names.join(", ") };
        table.row(&[status.0], "status", &names);
    }
    if let Some(short) = explained.telegram.header.short {
        let but = if explained.telegram.sent_plain { ", but the data are not encrypted" } else { "" };
        let security = security_name(short.configuration) + but;
        table.row(&short.configuration.0.to_le_bytes(), "configuration", &security);
    }
}

fn security_name(configuration: Configuration) -> String {
    match (configuration.mode(), configuration.blocks()) {
        (0, _) => "not encrypted".to_owned(),
        (mode @ (5 | 7), blocks) => format!("security mode {mode}, {blocks} blocks of 16 bytes"),
        (mode, _) => format!("security mode {mode}"),
    }
}

fn content(explained: &Explained<'_>, table: &mut Table) {
    match explained.telegram.content {
        Content::ApplicationError(error) => table.row(error.0.as_slice(), "application error", error.name()),
        Content::Alarm(flags) => {
            let set = flags.map_or("no flags".to_owned(), |flags| format!("{flags:08b}"));
            table.row(flags.as_slice(), "alarm flags of the manufacturer", &set);
        }
        Content::ApplicationReset(code) => {
            let code_text = code.map_or("everything".to_owned(), |code| format!("sub-code {code:02X}"));
            table.row(code.as_slice(), "application reset", &code_text);
        }
        Content::SetBaud(baud) => table.row(&[], "bit rate", &format!("{baud} Bd")),
        Content::Selection(mask, _) => table.row(&mask.to_wire(), "selection", &mask.to_string()),
        Content::Format(format) => {
            table.row(format.heads, "heads of a compact frame", &format!("format {:04X}", format.signature));
        }
        Content::Fixed(fixed) => table.row(&[], "medium", fixed.device_type().map_or("reserved", medium::name)),
        Content::Other(data) => table.row(data, "data", ""),
        Content::Records(_) | Content::Encrypted(_) | Content::Compact(_) => {}
    }
}

fn one_record(record: &DataRecord<'_>, explained: &Explained<'_>, table: &mut Table) {
    let bytes = [record.dib.bytes, record.vib.bytes, record.data].concat();
    let meaning = format!("{}; {}", dib_meaning(&record.dib, record.data), vib_meaning(&record.vib));
    match &record.value {
        Ok(value) => table.row(&bytes, &meaning, &value_text(value, record, explained)),
        Err(error) => table.error_in(&bytes, &meaning, &error.to_string()),
    }
}

fn dib_meaning(dib: &Dib<'_>, data: &[u8]) -> String {
    let mut text = match dib.coding {
        Coding::None => "no data".to_owned(),
        Coding::Integer(length) => format!("{}-bit integer", 8 * length),
        Coding::Real => "32-bit real".to_owned(),
        Coding::Bcd(length) => format!("{}-digit BCD", 2 * length),
        Coding::Selection => "wanted for readout".to_owned(),
        Coding::Variable => match data.first().copied().and_then(Lvar::of) {
            Some(Lvar::Text(length)) => format!("{length} characters"),
            Some(Lvar::Bcd(length, negative)) => {
                format!("{}{}-digit BCD", if negative { "negative " } else { "" }, 2 * length)
            }
            Some(Lvar::Binary(length)) => format!("{length}-byte number"),
            None => "variable length".to_owned(),
        },
    };
    if dib.function != Function::Instantaneous {
        let _ = write!(text, ", {}", dib.function.name());
    }
    for (number, name) in
        [(dib.storage_number, "storage"), (u64::from(dib.tariff), "tariff"), (u64::from(dib.subunit), "subunit")]
    {
        if number != 0 {
            let _ = write!(text, ", {name} {number}");
        }
    }
    text
}

fn vib_meaning(vib: &Vib<'_>) -> String {
    let mut text = vib.quantity.to_string();
    let unit = vib.text().map_or(vib.unit.name().to_owned(), |own| clean(&own.to_string()));
    match (vib.exponent, unit.is_empty()) {
        (0, true) => {}
        (0, false) => {
            let _ = write!(text, " in {unit}");
        }
        (exponent, _) => {
            let step = crate::mbus::decimal::Decimal::new(1, exponent);
            let _ = write!(text, " × {step}{}{unit}", if unit.is_empty() { "" } else { " " });
        }
    }
    for name in vib.modifiers().filter_map(|m| m.name()) {
        let _ = write!(text, ", {name}");
    }
    text
}

fn value_text(value: &Value<'_>, record: &DataRecord<'_>, explained: &Explained<'_>) -> String {
    match value {
        Value::None => "(none)".to_owned(),
        Value::Invalid => "(invalid)".to_owned(),
        Value::Number(number) => {
            let unit = if record.vib.unit == Unit::Day { "d".to_owned() } else { clean(&unit_name(record)) };
            format!("{number} {unit}").trim_end().to_owned()
        }
        Value::Flags(flags) => format!("{flags:#x} = bits {}", bits(*flags)),
        Value::Digits(digits) => digits.to_string(),
        Value::Text(own) => format!("“{}”", clean(&own.to_string())),
        Value::Date(date) => date.to_string(),
        Value::DateTime(at) => format!("{at}{}", if at.summer { " (summer time)" } else { "" }),
        Value::Time(time) => time.to_string(),
        Value::Periodic(periodic) => format!("every {periodic}"),
        Value::Identity(id) => id.to_string(),
        Value::Manufacturer(letters) => letters.to_string(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Profile(profile) => {
            let values = profile.values(explained.base_of(record));
            let values: Vec<_> = values.map(|v| v.map_or("-".to_owned(), |number| number.to_string())).collect();
            format!("every {}: {} {}", profile.step, values.join(", "), record.vib.unit.name())
        }
    }
}

fn bits(flags: u64) -> String {
    let set: Vec<_> = (0..64).filter(|bit| flags >> bit & 1 != 0).map(|bit: u32| bit.to_string()).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(" ") }
}

/// What a meter sends as text may hold anything; nothing of it may steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn control_name(c: Control) -> String {
    let name = match (c.from_master(), c.function()) {
        (true, 0x0) => "SND_NKE",
        (true, 0x3) => "SND_UD",
        (true, 0xA) => "REQ_UD1",
        (true, 0xB) => "REQ_UD2",
        (false, 0x8) => "RSP_UD",
        _ => "reserved",
    };
    let mut text = format!("{name} ({c})");
    for (set, what) in [(c.fcv() && c.fcb(), ", FCB"), (c.acd(), ", class 1 data waiting"), (c.dfc(), ", no more data")]
    {
        if set {
            text.push_str(what);
        }
    }
    text
}

const fn ci_name(ci: u8) -> &'static str {
    match ci {
        0x50 | 0x53 => "application reset",
        0x51 | 0x5A | 0x5B => "data for the meter",
        0x52 => "selection",
        0x69..=0x6B => "format frame",
        0x6E..=0x70 => "application error",
        0x71 | 0x74 | 0x75 => "alarm",
        0x72 => "records, long header",
        0x7A => "records, short header",
        0x78 => "records, no header",
        0x73 => "fixed structure or compact frame",
        0x79 | 0x7B => "compact frame",
        0x76 => "records, most significant byte first (obsolete)",
        0x77 => "fixed structure, most significant byte first (obsolete)",
        0x8A | 0x8B => "acknowledgement, header only",
        0x90 => "authentication layer",
        0xB8..=0xBF => "set bit rate",
        0x00..=0x1F | 0x60 | 0x61 | 0x7C | 0x7D => "DLMS/COSEM, not decoded",
        0x54 | 0x55 => "request of the selected application, not decoded",
        0x66..=0x68 => "response of the selected application, not decoded",
        0x5C => "synchronise action, not decoded",
        0x6C | 0x6D => "clock synchronisation, not decoded",
        0x64 | 0x65 | 0x7E | 0x7F => "OBIS type, not decoded",
        0x81..=0x83 | 0x87..=0x89 => "network layer or management, not decoded",
        0x80 | 0x84 | 0x85 => "transport layer, not decoded",
        0x86 | 0x8C..=0x8F => "radio link layer, not decoded",
        0xA0..=0xB7 => "manufacturer specific, not decoded",
        0xC0..=0xC2 => "image transfer, not decoded",
        0xC3..=0xC5 => "security information, not decoded",
        _ => "reserved, not decoded",
    }
}

/// Rows of three columns.
struct Table {
    rows: Vec<Row>,
    colour: bool,
}

/// Some bytes, what they are, and what they say.
pub(crate) struct Row {
    /// Eight a line.
    pub(crate) bytes: Vec<String>,
    pub(crate) meaning: String,
    pub(crate) value: String,
    /// Whether `value` says what is wrong.
    pub(crate) error: bool,
}

impl Table {
    fn row(&mut self, bytes: &[u8], meaning: &str, value: &str) {
        self.push(bytes, meaning, value, false);
    }

    fn error(&mut self, bytes: &[u8], error: &str) {
        self.push(bytes, "error", error, true);
    }

    fn error_in(&mut self, bytes: &[u8], meaning: &str, error: &str) {
        self.push(bytes, meaning, error, true);
    }

    fn push(&mut self, bytes: &[u8], meaning: &str, value: &str, error: bool) {
        let line = |part: &[u8]| part.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(" ");
        let bytes = bytes.chunks(BYTES_PER_LINE).map(line).collect();
        self.rows.push(Row { bytes, meaning: meaning.to_owned(), value: value.to_owned(), error });
    }

    fn finish(&self) -> String {
        let left = self.rows.iter().flat_map(|row| &row.bytes).map(String::len).max().unwrap_or(0);
        let middle = self.rows.iter().map(|row| row.meaning.chars().count()).max().unwrap_or(0);
        let [dim, bold, red, end] = if self.colour { ["\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m"] } else { [""; 4] };
        let mut out = String::new();
        for row in &self.rows {
            let mut lines = row.bytes.iter();
            let first = lines.next().map_or("", String::as_str);
            let gap = " ".repeat(middle - row.meaning.chars().count());
            let style = if row.error { red } else { bold };
            let line = format!("{dim}{first:left$}{end}  {}{gap}  {style}{}{end}", row.meaning, row.value);
            let _ = writeln!(out, "{}", line.trim_end());
            for more in lines {
                let _ = writeln!(out, "{dim}{more}{end}");
            }
        }
        out
    }
}
