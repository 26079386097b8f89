//! The JSON of pyMeterBus 0.8.1, byte for byte, for those who have built on it.
//!
//! This is a faithful copy of another program's behaviour, its mistakes included: values are binary
//! floats printed with every digit, invalid markers are numbers, VIFEs are ignored. Nothing else in
//! this program uses it. Where pyMeterBus would fail or print a NaN, there is an error instead.

mod float;
mod table;

use std::fmt::Write;

use table::{Meaning, meaning};

use crate::mbus::link::frame::checksum;

/// Why pyMeterBus would print nothing either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDecoded {
    /// Fewer than nine bytes, or not a long frame.
    #[error("pyMeterBus decodes long frames only, which begin with 68 and have at least 9 bytes")]
    NoLongFrame,
    /// It looks at the second byte first.
    #[error("pyMeterBus takes a telegram with the length byte 44 for a wireless one")]
    TakenForWireless,
    /// The length byte announces more.
    #[error("the frame is cut: {got} bytes, expected {want}")]
    Cut {
        /// Bytes there are.
        got: usize,
        /// Bytes there should be.
        want: usize,
    },
    /// A control frame, or CI 70, 73 and so on.
    #[error("pyMeterBus decodes the CI fields 72, 76 and 78 only, not {ci:02X}")]
    ControlInformation {
        /// The CI field.
        ci: u8,
    },
    /// The sum differs.
    #[error("checksum {got:02X}, expected {want:02X}")]
    Checksum {
        /// In the frame.
        got: u8,
        /// By the sum.
        want: u8,
    },
    /// Header, DIF, VIF or a date ends early.
    #[error("the telegram ends within {within}")]
    Ends {
        /// Where.
        within: &'static str,
    },
    /// VIF 7B and 7D stand in none of its tables.
    #[error("pyMeterBus does not know the VIF {vif:02X}")]
    UnknownVif {
        /// The VIF.
        vif: u8,
    },
    /// JSON has no NaN and no infinity.
    #[error("a real number without value (NaN or infinity), which JSON cannot hold")]
    NotANumber,
    /// A variable length integer of 16 bytes or more where a level is expected.
    #[error("a number of 16 bytes or more")]
    TooLarge,
}

/// The document of one telegram, without a line feed at its end.
///
/// # Errors
/// [`NotDecoded`] where pyMeterBus 0.8.1 raises an exception.
pub(crate) fn to_json(frame: &[u8]) -> Result<String, NotDecoded> {
    check(frame)?;
    let &[_, _, length, start, c, a, ref body @ .., crc, stop] = frame else {
        return Err(NotDecoded::NoLongFrame);
    };
    let &ci = body.first().ok_or(NotDecoded::NoLongFrame)?;
    let header = header(ci, body)?;
    let records = records(ci, body)?;
    let want = checksum(&[c, a]).wrapping_add(checksum(body));
    if want != crc {
        return Err(NotDecoded::Checksum { got: crc, want });
    }
    let mut out = String::from("{\n    \"body\": {\n        \"header\": {\n");
    out.push_str(&header);
    out.push_str("        },\n        \"records\": [");
    out.push_str(&records.join(","));
    out.push_str(if records.is_empty() { "]\n    },\n" } else { "\n        ]\n    },\n" });
    let _ = write!(
        out,
        "    \"head\": {{\n        \"a\": \"{a:#x}\",\n        \"c\": \"{c:#x}\",\n        \"crc\": \"{crc:#x}\",\n        \"length\": \"{length:#x}\",\n        \"start\": \"{start:#x}\",\n        \"stop\": \"{stop:#x}\"\n    }}\n}}"
    );
    Ok(out)
}

/// What it checks before it reads; neither the first length nor the stop byte is looked at.
fn check(frame: &[u8]) -> Result<(), NotDecoded> {
    let got = frame.len();
    if frame.get(1) == Some(&0x44) {
        return Err(NotDecoded::TakenForWireless);
    }
    if got < 9 || frame.first() != Some(&0x68) {
        return Err(NotDecoded::NoLongFrame);
    }
    let want = frame.get(2).map_or(0, |length| usize::from(*length) + 6);
    if got < want {
        return Err(NotDecoded::Cut { got, want });
    }
    match (want, frame.get(6)) {
        (0..9, _) => Err(NotDecoded::NoLongFrame),
        (9, Some(&ci)) => Err(NotDecoded::ControlInformation { ci }),
        (_, Some(&ci)) if !matches!(ci, 0x72 | 0x76 | 0x78) => Err(NotDecoded::ControlInformation { ci }),
        _ => Ok(()),
    }
}

/// Whether the CI field announces the most significant byte first.
const fn most_first(ci: u8) -> bool {
    ci & 0x04 != 0
}

/// The members of the header, sorted. `body` begins with the CI field.
fn header(ci: u8, body: &[u8]) -> Result<String, NotDecoded> {
    if ci == 0x78 {
        return Ok(format!("            \"type\": \"{ci:#x}\"\n"));
    }
    let Some((&[_, i, j, k, l, m, n, version, medium, access_number, status], rest)) = body.split_first_chunk() else {
        return Err(NotDecoded::Ends { within: "the header" });
    };
    let mut signature: Vec<String> = rest.iter().take(2).map(|byte| format!("{byte:#x}")).collect();
    let (mut id, mut manufacturer) = ([l, k, j, i], [m, n]);
    if most_first(ci) {
        id.reverse();
        manufacturer.reverse();
        signature.reverse();
    }
    let id = id.map(|byte| format!("0x{byte:02x}")).join(", ");
    let manufacturer = crate::mbus::address::Manufacturer(u16::from_le_bytes(manufacturer));
    let manufacturer = text(&manufacturer.to_string());
    Ok(format!(
        "            \"access_no\": {access_number},\n            \"identification\": \"{id}\",\n            \"manufacturer\": {manufacturer},\n            \"medium\": \"{medium:#x}\",\n            \"sign\": \"{}\",\n            \"status\": \"{status:#x}\",\n            \"type\": \"{ci:#x}\",\n            \"version\": \"{version:#x}\"\n",
        signature.join(", ")
    ))
}

/// Every record as a JSON object.
fn records(ci: u8, body: &[u8]) -> Result<Vec<String>, NotDecoded> {
    let mut rest = body.get(if ci == 0x78 { 1 } else { 13 }..).unwrap_or_default();
    let mut records = Vec::new();
    while let Some((&dif, behind)) = rest.split_first() {
        match dif {
            0x1F => {
                records.push(object("MORE_RECORDS_FOLLOW", "None", "None", "null"));
                break;
            }
            0x0F => {
                records.push(object("SPECIAL_FUNCTION", "None", "None", &text(&raw(behind))));
                break;
            }
            0x2F => rest = behind,
            _ => {
                let (record, next) = Record::take(rest, most_first(ci))?;
                if let Some(record) = record {
                    records.push(record.to_json()?);
                }
                rest = next;
            }
        }
    }
    Ok(records)
}

fn object(function: &str, kind: &str, unit: &str, value: &str) -> String {
    format!(
        "\n            {{\n                \"function\": \"FunctionType.{function}\",\n                \"type\": {},\n                \"unit\": {},\n                \"value\": {value}\n            }}",
        text(kind),
        text(unit)
    )
}

/// A record as pyMeterBus cuts it out.
struct Record<'a> {
    dif: u8,
    vib: Vec<u8>,
    custom: &'a [u8],
    /// Least significant byte first; empty where the telegram ends before it does.
    data: Vec<u8>,
}

impl<'a> Record<'a> {
    /// `None` for a record without data, which is left out; then what follows it.
    fn take(bytes: &'a [u8], most_first: bool) -> Result<(Option<Self>, &'a [u8]), NotDecoded> {
        let &dif = bytes.first().ok_or(NotDecoded::Ends { within: "DIF" })?;
        let (_, behind) = chain(bytes);
        let (mut vib, mut custom, mut rest) = (Vec::new(), <&[u8]>::default(), behind);
        if let Some((&vif, behind)) = behind.split_first() {
            vib.push(vif);
            rest = behind;
            if vif & 0x7F == 0x7C {
                let (&length, behind) = rest.split_first().ok_or(NotDecoded::Ends { within: "a plain text unit" })?;
                (custom, rest) = behind.split_at(behind.len().min(usize::from(length)));
            }
            if vif & 0x80 != 0 {
                let (vifes, behind) = chain(rest);
                vib.extend_from_slice(vifes);
                rest = behind;
            }
        }
        let mut length = data_length(dif);
        if dif & 0x0F == 0x0D {
            let (&lvar, behind) = rest.split_first().ok_or(NotDecoded::Ends { within: "a variable length" })?;
            (length, rest) = (variable_length(lvar), behind);
        }
        let mut data = rest.get(..length).unwrap_or_default().to_vec();
        if most_first {
            data.reverse();
        }
        let record = Self { dif, vib, custom, data };
        Ok(((length > 0).then_some(record), rest.get(length..).unwrap_or_default()))
    }

    fn to_json(&self) -> Result<String, NotDecoded> {
        let Meaning { factor, unit, kind } = self.meaning()?;
        let function = match (self.dif >> 4) & 3 {
            0 => "INSTANTANEOUS_VALUE",
            1 => "MAXIMUM_VALUE",
            2 => "MINIMUM_VALUE",
            _ => "ERROR_STATE_VALUE",
        };
        let value = self.value(factor, &unit)?;
        Ok(object(function, &kind, &unit, &value))
    }

    fn meaning(&self) -> Result<Meaning, NotDecoded> {
        let Some(&vif) = self.vib.first() else {
            return Ok(Meaning { factor: Some(1.0), unit: "None".to_owned(), kind: "None".to_owned() });
        };
        let first = self.vib.get(1).map(|vife| vife & 0x7F);
        let ends = NotDecoded::Ends { within: "VIF and VIFEs" };
        let plain = |factor| Meaning { factor, unit: latin_1(self.custom), kind: "VIFUnit.VARIABLE_VIF".to_owned() };
        match vif {
            0xFB => Ok(meaning(0x200 | u16::from(first.ok_or(ends)?))),
            0xFD => Ok(meaning(0x100 | u16::from(first.ok_or(ends)?))),
            0x7C => Ok(plain(None)),
            0xFC => Ok(plain(match first.ok_or(ends)? {
                code @ 0x70..=0x77 => Some(float::power_of_ten(i32::from(code & 7) - 6)),
                code @ 0x78..=0x7B => Some(float::power_of_ten(i32::from(code & 3) - 3)),
                _ => None,
            })),
            _ if matches!(vif & 0x7F, 0x7B | 0x7D) => Err(NotDecoded::UnknownVif { vif }),
            _ => Ok(meaning(u16::from(vif & 0x7F))),
        }
    }

    /// The value in JSON, by rules 2 to 7 in their order. `factor` is `None` for the integer 1.
    fn value(&self, factor: Option<f64>, unit: &str) -> Result<String, NotDecoded> {
        let variable = self.dif & 0x0F == 0x0D;
        if !variable && self.data.len() != data_length(self.dif) {
            return Ok("null".to_owned());
        }
        match unit {
            "MeasureUnit.DATE" => return date(&self.data).map(|date| text(&date)),
            "MeasureUnit.DATE_TIME" => return date_time(&self.data).map(|at| text(&at)),
            "MeasureUnit.DBM" => {
                let level = integer(&self.data).and_then(|n| n.checked_mul(2)?.checked_sub(130));
                return Ok(level.ok_or(NotDecoded::TooLarge)?.to_string());
            }
            _ => {}
        }
        match self.dif & 0x0F {
            0x0D if self.data.iter().all(|byte| matches!(byte, 0x20..=0x7E | 0x09..=0x0D)) => {
                Ok(text(&latin_1(&self.data)))
            }
            0x0D => Ok(text(&raw(&self.data))),
            0x05 => {
                let bytes = self.data.as_slice().try_into().map_err(|_| NotDecoded::NotANumber)?;
                float::decimal(f64::from(f32::from_le_bytes(bytes)) * factor.unwrap_or(1.0))
                    .ok_or(NotDecoded::NotANumber)
            }
            0x09..=0x0C | 0x0E => float::scaled(bcd(&self.data), factor, false).ok_or(NotDecoded::NotANumber),
            _ => float::scaled(integer(&self.data).ok_or(NotDecoded::TooLarge)?, factor, true)
                .ok_or(NotDecoded::NotANumber),
        }
    }
}

/// The bytes up to and with the first that has no extension bit, and the rest.
fn chain(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).map_or(bytes.len(), |last| last + 1);
    bytes.split_at(length)
}

const fn data_length(dif: u8) -> usize {
    match dif & 0x0F {
        0x1 | 0x9 => 1,
        0x2 | 0xA => 2,
        0x3 | 0xB => 3,
        0x4 | 0x5 | 0xC => 4,
        0x6 | 0xE => 6,
        0x7 => 8,
        _ => 0,
    }
}

fn variable_length(lvar: u8) -> usize {
    let low = usize::from(lvar & 0x0F);
    match lvar {
        0x00..=0xBF => usize::from(lvar),
        0xC0..=0xDF => 2 * low,
        0xE0..=0xFA => low,
        // what it has reserved for "variable"
        _ => 6,
    }
}

fn integer(data: &[u8]) -> Option<i128> {
    use crate::mbus::octets::{ByteOrder, Octets};
    Octets::new(data, ByteOrder::LeastFirst).signed()
}

/// Nibbles added up as they are, whatever they are.
fn bcd(data: &[u8]) -> i128 {
    data.iter().rev().fold(0, |n, byte| (n * 10 + i128::from(byte >> 4)) * 10 + i128::from(byte & 0x0F))
}

/// Type G without any check of validity.
fn date(data: &[u8]) -> Result<String, NotDecoded> {
    let &[first, second, ..] = data else {
        return Err(NotDecoded::Ends { within: "a date" });
    };
    let year = u16::from((first >> 5) | ((second & 0xF0) >> 1));
    let year = if year < 81 { 2000 + year } else { 1900 + year };
    Ok(format!("{year:04}-{:02}-{:02}", second & 0x0F, first & 0x1F))
}

/// Type F without any check of validity.
fn date_time(data: &[u8]) -> Result<String, NotDecoded> {
    let &[minute, hour, ref day @ ..] = data else {
        return Err(NotDecoded::Ends { within: "a date" });
    };
    Ok(format!("{}T{:02}:{:02}", date(day)?, hour & 0x1F, minute & 0x3F))
}

fn raw(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| char::from(*byte)).collect()
}

/// A JSON string in ASCII.
fn text(string: &str) -> String {
    let mut out = String::from("\"");
    for c in string.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
