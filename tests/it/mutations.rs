//! Telegrams with random faults and right checksums: nothing panics, nothing loops, memory stays in
//! proportion, and what is whole can be written back. `MBUSHAT_TELEGRAMS=FILE cargo test mutations`
//! writes those of a file back as well: one a line, as a JSON object with a member "hex".

use mbushat::mbus::application::opener::{Buffers, Opener};
use mbushat::mbus::application::security::Key;
use mbushat::mbus::application::telegram::{Content, Telegram};
use mbushat::mbus::link::frame::{Frame, LONG_START, checksum};
use mbushat::mbus::octets::ByteOrder;

use super::records;

/// Xorshift: the same telegrams in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).expect("small")).expect("small")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// The long frames among our own telegrams.
fn telegrams() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telegrams");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let content = std::fs::read_to_string(entry.expect("an entry").path()).expect("a telegram");
        let lines = content.lines().take_while(|line| !line.starts_with("---")).filter(|line| line.starts_with("68 "));
        all.extend(lines.map(|line| line.split_whitespace().filter_map(|b| u8::from_str_radix(b, 16).ok()).collect()));
    }
    all.sort();
    assert!(all.len() > 40);
    all
}

/// A telegram with some bytes changed, inserted or taken away, and lengths and checksum repaired.
fn mutated(telegram: &[u8], random: &mut Random) -> Vec<u8> {
    let mut body: Vec<u8> = telegram[4..telegram.len() - 2].to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(body.len());
        match random.below(4) {
            0 => body[at] = random.byte(),
            1 => body[at] ^= 1 << random.below(8),
            2 if body.len() < 255 => body.insert(at, random.byte()),
            _ if body.len() > 4 => {
                body.remove(at);
            }
            _ => {}
        }
    }
    let length = u8::try_from(body.len().min(255)).expect("at most 255");
    body.truncate(255);
    let mut frame = vec![LONG_START, length, length, LONG_START];
    frame.extend(&body);
    frame.extend([checksum(&body), 0x16]);
    frame
}

/// Reads everything there is to read; the number of records.
fn read_all(bytes: &[u8], opener: &mut Opener) -> usize {
    let Ok(telegram) = Frame::parse(bytes).map_err(|_| ()).and_then(|f| Telegram::parse(&f).map_err(|_| ())) else {
        return 0;
    };
    let mut buffers = Buffers::default();
    let telegram = opener.open(&telegram, &mut buffers).unwrap_or(telegram);
    let mut count = 0;
    for record in telegram.records().flatten() {
        count += 1;
        assert!(!format!("{record:?}").is_empty());
        records::check(&record, order(&telegram), from_meter(&telegram));
    }
    assert!(count <= bytes.len(), "each record takes a byte at least");
    count
}

/// The byte order of a telegram's records.
fn order(telegram: &Telegram<'_>) -> ByteOrder {
    if telegram.ci == 0x76 { ByteOrder::MostFirst } else { ByteOrder::LeastFirst }
}

/// Whether codes of errors in its VIFEs are a meter's words.
fn from_meter(telegram: &Telegram<'_>) -> bool {
    !matches!(telegram.ci, 0x51 | 0x52 | 0x5A | 0x5B)
}

fn run(count: u64) {
    let telegrams = telegrams();
    let mut random = Random(0x6D62_7573_6861_7421);
    let mut opener = Opener::new(Some(Key::new([7; 16])));
    let mut records = 0;
    for _ in 0..count {
        let telegram = &telegrams[random.below(telegrams.len())];
        let bytes = mutated(telegram, &mut random);
        let info = allocation_counter::measure(|| records += read_all(&bytes, &mut opener));
        let bound = 64 * 1024 + 64 * u64::try_from(bytes.len()).expect("small");
        assert!(info.bytes_max <= bound, "{} bytes for {bytes:02X?}", info.bytes_max);
    }
    // the faults must not be so many that nothing is left to read
    assert!(records > usize::try_from(count).expect("small"), "{records} records");
}

#[test]
fn twenty_thousand_mutated_telegrams_do_no_harm() {
    run(20_000);
}

#[test]
#[ignore = "takes minutes without --release"]
fn a_million_mutated_telegrams_do_no_harm() {
    run(1_000_000);
}

#[test]
fn iterating_records_allocates_nothing() {
    let telegrams = telegrams();
    let mut numbers = 0;
    let info = allocation_counter::measure(|| {
        for bytes in &telegrams {
            let Some(telegram) = Frame::parse(bytes).ok().and_then(|frame| Telegram::parse(&frame).ok()) else {
                continue;
            };
            for record in telegram.records().flatten() {
                numbers += usize::from(record.number().is_some());
                numbers += record.vib.modifiers().filter(|m| m.name().is_some()).count();
            }
        }
    });
    assert!(numbers > 90, "{numbers} values");
    assert_eq!(info.count_total, 0);
    let seen = allocation_counter::measure(|| drop(std::hint::black_box(vec![numbers])));
    assert_eq!(seen.count_total, 1, "the counter counts");
}

#[test]
fn every_telegram_is_written_back_byte_for_byte() {
    let (mut written, mut whole) = (0, 0);
    for bytes in telegrams().into_iter().chain(more_telegrams()) {
        let Ok(frame) = Frame::parse(&bytes) else { continue };
        assert_eq!(frame.to_vec(), Ok(bytes.clone()));
        let Ok(telegram) = Telegram::parse(&frame) else { continue };
        for record in telegram.records().flatten() {
            records::check(&record, order(&telegram), from_meter(&telegram));
            written += 1;
        }
        whole += usize::from(is_rebuilt(&telegram, &bytes));
    }
    println!("{written} records, {whole} whole telegrams written back");
    assert!(written >= 114 && whole >= 19, "{written} records, {whole} whole telegrams");
}

/// Those of the file that `MBUSHAT_TELEGRAMS` names.
pub(crate) fn more_telegrams() -> Vec<Vec<u8>> {
    let Some(file) = std::env::var_os("MBUSHAT_TELEGRAMS") else { return Vec::new() };
    let content = std::fs::read_to_string(file).expect("a readable file");
    let hex = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["hex"].to_string();
    let bytes = |hex: String| {
        let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks_exact(2).filter_map(|pair| u8::try_from(16 * pair[0] + pair[1]).ok()).collect()
    };
    content.lines().map(|line| bytes(hex(line))).collect()
}

/// Whether the whole telegram is the same, made again of header, records and manufacturer data. It
/// is not where these do not say it all: fillers, spare bits of a date, records without a value.
fn is_rebuilt(telegram: &Telegram<'_>, bytes: &[u8]) -> bool {
    let mut out = bytes[..7].to_vec();
    telegram.header.encode(&mut out);
    let mut records = telegram.records();
    for record in &mut records {
        let Ok(Ok(())) = record.map(|record| records::write(&record, order(telegram), &mut out)) else { return false };
    }
    match (records.more_records_follow(), records.manufacturer_data()) {
        (false, []) => {}
        (more, own) => {
            out.push(if more { 0x1F } else { 0x0F });
            out.extend_from_slice(own);
        }
    }
    matches!(telegram.content, Content::Records(_)) && out == bytes[..bytes.len() - 2]
}
