//! `mbushat decode`: explains telegrams without any hardware.

use std::io::{BufRead, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{Failure, pymeterbus, style};
use crate::explain::hex_input::{Item, Lines};
use crate::explain::{Faulty, Memory, explain, json, libmbus, table};
use crate::mbus::application::opener::Buffers;
use crate::mbus::application::security::Key;
use crate::mbus::link::framer::frame_length;

/// Arguments of `mbushat decode`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat decode 68 04 04 68 08 05 70 08 85 16
  mbushat decode --key 000102030405060708090A0B0C0D0E0F telegram.hex
  mbushat read 48 --format hex | mbushat decode -

Each line is one telegram, as hex digits in any usual spelling; # and // begin
a comment. 32 hex digits after a whole telegram are its key. A file of bytes,
such as libmbus writes, holds one telegram after the other.

The XML is that of libmbus 0.10, except: what is not a value is empty (an
invalid date, BCD with digits beyond 9); non-ASCII characters are written as
references; two digits of a year from 81 on are 19xx; dates, times and series
of values are never read as numbers or text; data behind DIF 0F is in the order
of the wire.")]
pub(crate) struct Args {
    /// Hex digits, or a file with a telegram on each line, or - for standard input
    #[arg(value_name = "HEX|FILE")]
    input: Vec<String>,

    /// The meter's AES-128 key, for encrypted telegrams without one of their own. A telegram that
    /// announces security mode 5 but comes in the clear is read without it, and marked
    #[arg(long, value_name = "HEX")]
    key: Option<String>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What a telegram is printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Bytes, meaning and value side by side
    Table,
    /// A JSON object, indented
    Json,
    /// A JSON object on one line for each telegram
    Jsonl,
    /// What libmbus 0.10 prints
    Xml,
    /// What pyMeterBus 0.8.1 prints
    Pymeterbus,
}

/// Not clap's to check: it repeats what it refuses.
fn key(text: &str) -> Result<Key, Failure> {
    Key::from_hex(text)
        .ok_or_else(|| Failure::usage("--key cannot be used, expected 32 hex digits (it is not shown here)"))
}

/// Prints each telegram of the input as it comes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut printer = Printer::new(args.format, args.key.as_deref().map(key).transpose()?);
    match source(&args.input)? {
        Source::Text(text) => printer.all(text.as_bytes()),
        Source::File(path) => {
            let file = std::fs::File::open(&path)
                .map_err(|error| Failure::new(format!("cannot read {}", path.display())).because(&error))?;
            printer.all(std::io::BufReader::new(file))
        }
        Source::Stdin => {
            if std::io::stdin().is_terminal() {
                eprintln!("type or paste telegrams, one a line; Ctrl-D ends it");
            }
            printer.all(std::io::stdin().lock())
        }
    }?;
    if printer.refused == 0 {
        return Ok(());
    }
    let read = printer.read;
    Err(Failure::new(format!("{} of {read} telegrams could not be decoded whole", printer.refused)))
}

enum Source {
    Text(String),
    File(PathBuf),
    Stdin,
}

/// The name of an existing file wins over hex digits.
fn source(input: &[String]) -> Result<Source, Failure> {
    Ok(match input {
        [] => Source::Stdin,
        [dash] if dash == "-" => Source::Stdin,
        [name] if Path::new(name).is_dir() => {
            return Err(Failure::new(format!("cannot read {name}: it is a directory")));
        }
        [name] if Path::new(name).exists() => Source::File(PathBuf::from(name)),
        [name] if names_a_file(name) => return Err(Failure::new(format!("there is no file {name}"))),
        words => Source::Text(words.join(" ")),
    })
}

/// Whether an argument is more likely a file's name than digits with a slip among them.
fn names_a_file(input: &str) -> bool {
    input.contains('/') || Path::new(input).extension().is_some()
}

/// Whether what begins like this is not text.
fn is_binary(beginning: &[u8]) -> bool {
    let control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n' | 0x0C);
    // A character may be cut at the end of the portion.
    let cut = |error: std::str::Utf8Error| error.error_len().is_some();
    beginning.iter().any(control) || std::str::from_utf8(beginning).is_err_and(cut)
}

/// The first telegram of bytes, and how many bytes it has; what cannot be one is all of them.
fn first_telegram(bytes: &[u8]) -> &[u8] {
    let length = frame_length(bytes).ok().flatten().unwrap_or(bytes.len());
    bytes.get(..length).unwrap_or(bytes)
}

/// A dump has no more: ten thousand telegrams.
const MOST_BYTES: u64 = 4 << 20;

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new("cannot read the input").because(&error)
}

/// Prints telegrams one after the other and remembers what later ones need.
struct Printer {
    format: Format,
    key: Option<Key>,
    colour: bool,
    memory: Memory,
    read: usize,
    refused: usize,
}

impl Printer {
    fn new(format: Format, key: Option<Key>) -> Self {
        let colour = style::colours();
        Self { format, key, colour, memory: Memory::default(), read: 0, refused: 0 }
    }

    fn all(&mut self, mut input: impl BufRead) -> Result<(), Failure> {
        if is_binary(input.fill_buf().map_err(unreadable)?) {
            return self.dump(input);
        }
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut lines = Lines::new(input);
        while let Some(line) = lines.next() {
            let line = line.map_err(unreadable)?;
            let Some(item) = line.item else { continue };
            self.read += 1;
            let text = self.one(line.number, item);
            out.write_all(text.as_bytes()).map_err(Failure::of_stdout)?;
            // who types or pipes telegram by telegram sees each answer at once
            if lines.is_drained() {
                out.flush().map_err(Failure::of_stdout)?;
            }
        }
        out.flush().map_err(Failure::of_stdout)
    }

    /// Bytes as they were on a wire, one telegram after the other.
    fn dump(&mut self, input: impl Read) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        input.take(MOST_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        let mut rest = bytes.as_slice();
        let mut out = BufWriter::new(std::io::stdout().lock());
        while !rest.is_empty() {
            let telegram = first_telegram(rest);
            self.read += 1;
            let item = Item { bytes: telegram.to_vec(), key: None };
            let text = self.one(self.read, Ok(item)).replacen("error: line ", "error: telegram ", 1);
            out.write_all(text.as_bytes()).map_err(Failure::of_stdout)?;
            rest = rest.get(telegram.len()..).unwrap_or_default();
        }
        out.flush().map_err(Failure::of_stdout)
    }

    fn one(&mut self, number: usize, item: Result<Item, String>) -> String {
        let rendered = match item {
            Ok(item) => {
                let key = item.key.as_ref().or(self.key.as_ref());
                render(&item.bytes, key, self.format, self.colour, &mut self.memory)
            }
            Err(error) => refuse(error, self.format),
        };
        self.refused += usize::from(rendered.error.is_some());
        match (rendered.text.is_empty(), rendered.error) {
            (true, Some(error)) => format!("error: line {number}: {error}\n"),
            _ => rendered.text,
        }
    }
}

/// A telegram as it is printed.
pub(crate) struct Rendered {
    /// Ends with a line feed; empty where the format can only show what is whole.
    pub(crate) text: String,
    /// What of the telegram could not be decoded.
    pub(crate) error: Option<String>,
}

/// One telegram in any format.
pub(crate) fn render(bytes: &[u8], key: Option<&Key>, format: Format, colour: bool, memory: &mut Memory) -> Rendered {
    if format == Format::Pymeterbus {
        return match pymeterbus::to_json(bytes) {
            Ok(json) => Rendered { text: format!("{json}\n"), error: None },
            Err(error) => Rendered { text: String::new(), error: Some(error.to_string()) },
        };
    }
    let mut buffers = Buffers::default();
    let explained = explain(bytes, key, memory, &mut buffers);
    let text = match format {
        Format::Xml => match &explained {
            Ok(explained) => {
                let mut document = libmbus::Document::new(false, None);
                document.push(bytes, explained);
                document.finish()
            }
            Err(_) => String::new(),
        },
        Format::Json => json::indented(&explained),
        Format::Jsonl => json::line(&explained),
        Format::Table | Format::Pymeterbus => table::text(bytes, &explained, colour),
    };
    let error = match explained {
        Ok(explained) => explained.error,
        Err(faulty) => faulty.error,
    };
    let end = if format == Format::Xml { "" } else { "\n" };
    Rendered { text: format!("{text}{end}"), error }
}

/// A line that is not a telegram: in JSON an object like any other.
fn refuse(error: String, format: Format) -> Rendered {
    let faulty = Err(Faulty { frame: None, error: Some(error.clone()) });
    let text = match format {
        Format::Json => format!("{}\n", json::indented(&faulty)),
        Format::Jsonl => format!("{}\n", json::line(&faulty)),
        Format::Table | Format::Xml | Format::Pymeterbus => String::new(),
    };
    Rendered { text, error: Some(error) }
}
