//! A telegram as one JSON object: what `--format json` and `jsonl` print.
//!
//! Written by hand, because numbers must keep every digit that they have.

use std::fmt::Write;

use super::{Explained, Faulty, Header};
use crate::mbus::application::compact_profile::CompactProfile;
use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::telegram::Content;
use crate::mbus::application::value::Value;
use crate::mbus::application::vif::Kind;
use crate::mbus::decimal::Decimal;
use crate::mbus::medium;

/// The object on one line. `records` hold only what was understood; `error` says what was not.
pub(crate) fn line(explained: &Result<Explained<'_>, Faulty>) -> String {
    let mut out = String::new();
    match explained {
        Ok(explained) => telegram(explained, &mut out),
        Err(faulty) => refused(faulty, &mut out),
    }
    out
}

/// The object on several lines.
pub(crate) fn indented(explained: &Result<Explained<'_>, Faulty>) -> String {
    indent(&line(explained))
}

/// Breaks a JSON text after each brace, bracket and comma outside strings. Numbers stay as they are.
fn indent(json: &str) -> String {
    let (mut out, mut depth, mut string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        let new_line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match c {
            _ if string => {
                out.push(c);
                string = c != '"' || escaped;
                escaped = c == '\\' && !escaped;
            }
            '{' | '[' if matches!(chars.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '[' => {
                out.push(c);
                depth += 1;
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn telegram(explained: &Explained<'_>, out: &mut String) {
    let telegram = &explained.telegram;
    let _ = write!(out, r#"{{"frame":{{"c":{},"address":{},"ci":"{:02X}"}}"#, telegram.c.0, telegram.a, telegram.ci);
    header(&explained.header, telegram.sent_plain, out);
    out.push_str(r#","records":["#);
    for (n, record) in explained.records.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        one_record(record, explained.base_of(record), out);
    }
    let _ = write!(out, r#"],"more_records_follow":{}"#, explained.more_records_follow);
    let _ = write!(out, r#","manufacturer_data":{}"#, or_null(hex(explained.manufacturer_data)));
    let (mut application_error, mut alarm) = ("null".to_owned(), "null".to_owned());
    match telegram.content {
        Content::ApplicationError(error) => {
            let code = error.0.map_or("null".to_owned(), |code| code.to_string());
            application_error = format!(r#"{{"code":{code},"name":{}}}"#, text(error.name()));
        }
        Content::Alarm(Some(flags)) => alarm = flags.to_string(),
        _ => {}
    }
    let error = explained.error.as_ref().map_or("null".to_owned(), |error| text(error));
    let _ = write!(out, r#","application_error":{application_error},"alarm":{alarm},"error":{error}}}"#);
}

/// A frame that is none, or whose header cannot be read.
fn refused(faulty: &Faulty, out: &mut String) {
    out.push('{');
    if let Some((c, a, ci)) = faulty.frame {
        let ci = ci.map_or("null".to_owned(), |ci| format!(r#""{ci:02X}""#));
        let _ = write!(out, r#""frame":{{"c":{},"address":{a},"ci":{ci}}},"#, c.0);
    }
    let _ = write!(out, r#""records":[],"error":{}}}"#, faulty.error.as_deref().map_or("null".to_owned(), text));
}

fn header(header: &Header, sent_plain: bool, out: &mut String) {
    let mut parts = Vec::new();
    if let Some(id) = header.id {
        parts.push(format!(r#""id":"{id:08x}""#));
    }
    if let Some(manufacturer) = header.manufacturer {
        parts.push(format!(r#""manufacturer":{}"#, text(&manufacturer.to_string())));
    }
    if let Some(version) = header.version {
        parts.push(format!(r#""version":{version}"#));
    }
    if let Some(code) = header.medium {
        parts.push(format!(r#""medium":{{"code":{code},"name":"{}"}}"#, medium::name(code)));
    }
    if let Some(access_number) = header.access_number {
        parts.push(format!(r#""access_number":{access_number}"#));
    }
    if let Some(status) = header.status {
        let names: Vec<_> = header.common_status.unwrap_or(status).names().map(text).collect();
        parts.push(format!(r#""status":{},"status_names":[{}]"#, status.0, names.join(",")));
    }
    if sent_plain {
        parts.push(r#""security_mode":5,"encrypted":false"#.to_owned());
    }
    if !parts.is_empty() {
        let _ = write!(out, r#","header":{{{}}}"#, parts.join(","));
    }
}

fn one_record(record: &DataRecord<'_>, base: Option<Decimal>, out: &mut String) {
    let unit = unit_name(record);
    let _ = write!(out, r#"{{"value":{},"unit":{}"#, value(record), text(&unit));
    let _ = write!(out, r#","quantity":"{}","function":"{}""#, record.vib.quantity, record.dib.function.name());
    let dib = &record.dib;
    let _ = write!(out, r#","storage":{},"tariff":{},"subunit":{}"#, dib.storage_number, dib.tariff, dib.subunit);
    let modifiers: Vec<_> = record.vib.modifiers().filter_map(|m| m.name()).map(text).collect();
    if !modifiers.is_empty() {
        let _ = write!(out, r#","modifiers":[{}]"#, modifiers.join(","));
    }
    match record.value {
        Ok(Value::Periodic(periodic)) => {
            let _ = write!(out, r#","periodic":"{periodic}""#);
        }
        Ok(Value::DateTime(at)) if at.summer => out.push_str(r#","summer":true"#),
        Ok(Value::Profile(profile)) => {
            let _ = write!(out, r#","profile":{}"#, series(profile, base));
        }
        Err(error) => {
            let _ = write!(out, r#","error":{}"#, text(&error.to_string()));
        }
        Ok(_) => {}
    }
    let hex = |bytes| hex(bytes).unwrap_or_default();
    let _ =
        write!(out, r#","dib":"{}","vib":"{}","data":"{}"}}"#, hex(dib.bytes), hex(record.vib.bytes), hex(record.data));
}

/// The unit as printed: the meter's own words for a plain text unit.
pub(crate) fn unit_name(record: &DataRecord<'_>) -> String {
    match (record.vib.text(), record.vib.quantity, record.vib.unit) {
        (Some(own), ..) => own.to_string(),
        // a remaining life is a count of days, not a duration that could be given in hours
        (None, Quantity::Known(Known::BatteryLife), Unit::Day) => "day".to_owned(),
        (None, _, unit) => unit.name().to_owned(),
    }
}

fn value(record: &DataRecord<'_>) -> String {
    match &record.value {
        Ok(Value::Number(number)) => number.to_string(),
        Ok(Value::Flags(flags)) => flags.to_string(),
        // in lower case like the identification number of the header
        Ok(Value::Digits(digits)) => text(&digits.to_string().to_lowercase()),
        Ok(Value::Text(own)) => text(&own.to_string()),
        Ok(Value::Date(date)) => text(&date.to_string()),
        Ok(Value::DateTime(at)) => text(&at.to_string()),
        Ok(Value::Time(time)) => text(&time.to_string()),
        Ok(Value::Identity(id)) => text(&id.to_string()),
        Ok(Value::Manufacturer(letters)) => text(&letters.to_string()),
        // another protocol's telegram in its own order, all else like the number that it may be
        Ok(Value::Bytes(bytes)) if record.vib.kind == Kind::Container => or_null(hex(bytes.wire())),
        Ok(Value::Bytes(bytes)) => text(&bytes.ascending().rev().map(|b| format!("{b:02X}")).collect::<String>()),
        Ok(Value::None | Value::Invalid | Value::Periodic(_) | Value::Profile(_)) | Err(_) => "null".to_owned(),
    }
}

fn series(profile: CompactProfile<'_>, base: Option<Decimal>) -> String {
    let values: Vec<_> =
        profile.values(base).map(|value| value.map_or("null".to_owned(), |number| number.to_string())).collect();
    format!(r#"{{"step":"{}","values":[{}]}}"#, profile.step, values.join(","))
}

fn hex(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| bytes.iter().map(|b| format!("{b:02X}")).collect())
}

fn or_null(string: Option<String>) -> String {
    string.map_or("null".to_owned(), |string| text(&string))
}

fn text(string: &str) -> String {
    serde_json::Value::from(string).to_string()
}
