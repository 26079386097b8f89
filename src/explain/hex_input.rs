//! Telegrams as people write them down: hex digits in any usual spelling, one telegram a line.
//!
//! `68 3D 3D`, `683d3d`, `0x68, 0x3D`, `68:3D`, `\x68\x3d` and `68h 3Dh` are all understood; `#`, `//`
//! and `;` begin a comment.

use std::io::{self, BufRead};

use crate::mbus::application::security::Key;
use crate::mbus::link::frame::{ACK, LONG_OVERHEAD, LONG_START, SHORT_LEN, SHORT_START};

/// The longest line that is read: many times what 261 bytes need in any spelling.
const MAX_LINE: usize = 16 * 1024;

/// One telegram of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// The key that stood behind them.
    pub(crate) key: Option<Key>,
}

/// One line of the input.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    /// Its telegram, or what is not a hex digit; `None` for an empty line or a comment.
    pub(crate) item: Option<Result<Item, String>>,
}

/// Reads line by line; no more than one line is held.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: usize,
    drained: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0, drained: false }
    }

    /// Whether the next line may have to be waited for.
    pub(crate) const fn is_drained(&self) -> bool {
        self.drained
    }

    /// Reads up to the next line feed and keeps the first [`MAX_LINE`] bytes; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut any = false;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = chunk.iter().position(|b| *b == b'\n');
            let used = end.map_or(chunk.len(), |end| end + 1);
            let room = (MAX_LINE + 1).saturating_sub(self.line.len());
            self.line.extend(chunk.iter().take(end.unwrap_or(used)).take(room));
            self.drained = used == chunk.len();
            self.input.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(false) => None,
            Ok(true) => {
                self.number += 1;
                let item = match self.line.len() {
                    0..=MAX_LINE => parse(&String::from_utf8_lossy(&self.line)),
                    _ => Some(Err(format!("a line of more than {MAX_LINE} characters"))),
                };
                Some(Ok(Line { number: self.number, item }))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The bytes of a text, however it spells them.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    match parse(text) {
        None => Err("no hex digits".to_owned()),
        Some(item) => item.map(|item| item.bytes),
    }
}

/// The telegram of one line.
fn parse(line: &str) -> Option<Result<Item, String>> {
    let line = line.trim_start_matches('\u{feff}');
    let code = ["#", "//", ";"].iter().fold(line, |code, mark| code.split(mark).next().unwrap_or_default());
    let words: Vec<&str> =
        code.split(|c: char| c.is_whitespace() || ",:-_.|'\"[](){}=".contains(c)).filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        return None;
    }
    Some(telegram(&words))
}

fn telegram(words: &[&str]) -> Result<Item, String> {
    if let Some((last, before)) = words.split_last() {
        if let (Some(key), Ok(bytes)) = (Key::from_hex(last), bytes_of(before)) {
            if is_whole(&bytes) {
                return Ok(Item { bytes, key: Some(key) });
            }
        }
    }
    Ok(Item { bytes: bytes_of(words)?, key: None })
}

/// Whether the bytes are as long as their first ones announce.
fn is_whole(bytes: &[u8]) -> bool {
    match *bytes {
        [ACK] => true,
        [SHORT_START, ..] => bytes.len() >= SHORT_LEN,
        [LONG_START, length, ..] => bytes.len() >= usize::from(length) + LONG_OVERHEAD,
        _ => false,
    }
}

fn bytes_of(words: &[&str]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in words {
        for part in word.split('\\').filter(|part| !part.is_empty()) {
            let digits = bare(part);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("not hex digits: {}", shown(part)));
            }
            // a single digit that stands alone is a byte, in longer runs every byte has two
            if digits.len() % 2 == 1 && digits.len() != 1 {
                return Err(format!("{} has an odd number of hex digits", shown(part)));
            }
            let pairs = (0..digits.len()).step_by(2).filter_map(|at| digits.get(at..digits.len().min(at + 2)));
            bytes.extend(pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()));
        }
    }
    Ok(bytes)
}

/// Without `0x`, `x`, `$` before and `h` behind.
fn bare(part: &str) -> &str {
    let part = part.strip_suffix(['h', 'H']).unwrap_or(part);
    ["0x", "0X", "x", "X", "$"].iter().find_map(|prefix| part.strip_prefix(prefix)).unwrap_or(part)
}

/// A word of the input in an error message.
fn shown(word: &str) -> String {
    let short: String = word.chars().take(20).collect();
    format!("`{}{}`", short.escape_debug(), if short.len() < word.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::{Item, Key, Lines, MAX_LINE};

    const KEY: &str = "000102030405060708090A0B0C0D0E0F";

    fn read(text: &str) -> Vec<Result<Item, String>> {
        Lines::new(text.as_bytes()).filter_map(|line| line.expect("memory").item).collect()
    }

    fn bytes(text: &str) -> Vec<u8> {
        let items = read(text);
        assert_eq!(items.len(), 1, "{text}");
        items.into_iter().next().expect("one").expect(text).bytes
    }

    #[test]
    fn every_usual_spelling_is_the_same_telegram() {
        for text in [
            "10 7B 05 80 16",
            "107b058016",
            "0x10, 0x7B, 0x05, 0x80, 0x16",
            "0x107B058016",
            "10:7b:05:80:16",
            "10-7B-05-80-16",
            "\\x10\\x7b\\x05\\x80\\x16",
            "{ 0x10, 0x7B, 0x5, 0x80, 0x16 };",
            "10h 7Bh 05h 80h 16h",
            "$10 $7B $05 $80 $16\r",
            "\u{feff}10 7B 05 80 16 # a request",
            "10 7B 05 80 16 // a request",
            "107B 0580 16",
        ] {
            assert_eq!(bytes(text), [0x10, 0x7B, 0x05, 0x80, 0x16], "{text}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_no_telegrams() {
        assert_eq!(read("# meters\n\n  \n// more\nE5\n").len(), 1);
    }

    #[test]
    fn thirty_two_digits_behind_a_whole_telegram_are_its_key() {
        let with = read(&format!("10 7B 05 80 16 {KEY}"));
        assert_eq!(with, [Ok(Item { bytes: vec![0x10, 0x7B, 0x05, 0x80, 0x16], key: Key::from_hex(KEY) })]);
        // the second half of a telegram, written in groups of 16 bytes
        let dump = read("681F1F68080272785634122440010755 000000031315310000DA023B13018B60");
        assert_eq!(dump.len(), 1);
        assert!(dump.iter().all(|item| item.as_ref().is_ok_and(|item| item.key.is_none() && item.bytes.len() == 32)));
    }

    #[test]
    fn what_is_no_hex_is_said_and_the_next_line_is_read() {
        let items = read("68 0G 16\n681\nE5");
        assert_eq!(items[0], Err("not hex digits: `0G`".to_owned()));
        assert_eq!(items[1], Err("`681` has an odd number of hex digits".to_owned()));
        assert!(items[2].is_ok());
    }

    #[test]
    fn a_line_without_end_is_refused_and_skipped() {
        let text = format!("{}\nE5\n", "68".repeat(MAX_LINE));
        let items = read(&text);
        assert!(items[0].as_ref().is_err_and(|error| error.contains("more than")));
        assert_eq!(items.len(), 2);
    }
}
