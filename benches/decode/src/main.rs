//! Telegrams per second of this decoder and of m-bus-parser 0.5, on the same telegrams, in one run.
//!
//! `cargo run --release --manifest-path benches/decode/Cargo.toml [FILE...]`
//!
//! FILE has a telegram on each line, in hex digits; without one, the telegrams of `tests/telegrams`.
//! Only those count that both decoders read whole, so that neither is timed for giving up. Ours
//! reads the header and every record with its exact, scaled value and its modifiers; theirs is its
//! typed iterator alone, without the labels and units that it leaves for later. The two take turns,
//! and the median of the rounds is told. Each round is in another order of many copies, so that the
//! processor's branch predictor cannot learn the telegrams by heart.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use m_bus_parser::WiredFrame;
use m_bus_parser::mbus_data::MbusData;
use mbushat::mbus::link::frame::Frame;
use mbushat::mbus::application::telegram::Telegram;

const ROUNDS: usize = 61;
const ROUND: Duration = Duration::from_millis(100);
/// Of each telegram, in one order.
const COPIES: usize = 50;

fn main() {
    let telegrams: Vec<Vec<u8>> = telegrams().into_iter().filter(|bytes| both_read_whole(bytes)).collect();
    let records: usize = telegrams.iter().filter_map(|bytes| ours(bytes)).sum();
    println!("{} telegrams with {records} records", telegrams.len());
    assert!(!telegrams.is_empty(), "no telegram that both decoders read");
    // warm up, then take turns
    let (mut mine, mut other, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS + 5 {
        let order = shuffled(&telegrams, round);
        let (a, b) = (per_second(&order, ours), per_second(&order, theirs));
        if round >= 5 {
            mine.push(a);
            other.push(b);
            ratios.push(a / b);
        }
    }
    println!("mbushat      {:>12.0} telegrams/s", median(&mut mine));
    println!("m-bus-parser {:>12.0} telegrams/s", median(&mut other));
    println!("ratio        {:>12.2}  (median of {ROUNDS} rounds)", median(&mut ratios));
}

fn telegrams() -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/telegrams");
        files = std::fs::read_dir(folder).expect("the telegrams").map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
    }
    let mut all = Vec::new();
    for file in files {
        let content = std::fs::read_to_string(&file).expect("a readable file");
        let lines = content.lines().take_while(|line| !line.starts_with("---"));
        for line in lines.filter(|line| line.starts_with("68")) {
            let digits: String = line.split_whitespace().collect();
            let pairs = (0..digits.len() / 2).filter_map(|n| digits.get(2 * n..2 * n + 2));
            all.push(pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect());
        }
    }
    all
}

fn both_read_whole(bytes: &[u8]) -> bool {
    matches!((ours(bytes), theirs(bytes)), (Some(a), Some(b)) if a == b && a > 0)
}

/// The number of records, each with its value; `None` where anything is amiss.
fn ours(bytes: &[u8]) -> Option<usize> {
    let telegram = Telegram::parse(&Frame::parse(bytes).ok()?).ok()?;
    black_box((telegram.header, telegram.status()));
    let mut records = telegram.records();
    let mut count = 0;
    for record in &mut records {
        let record = record.ok()?;
        for modifier in record.vib.modifiers() {
            black_box(modifier.name());
        }
        black_box(&record);
        count += 1;
    }
    // it counts what stands behind DIF 0F or 1F as a record
    Some(count + usize::from(!records.manufacturer_data().is_empty() || records.more_records_follow()))
}

/// The same of m-bus-parser.
fn theirs(bytes: &[u8]) -> Option<usize> {
    let parsed = MbusData::<WiredFrame>::try_from(bytes).ok()?;
    black_box(&parsed.user_data);
    let mut count = 0;
    for record in parsed.data_records? {
        black_box(&record.ok()?);
        count += 1;
    }
    Some(count)
}

/// Many copies in an order of this round's own.
fn shuffled(telegrams: &[Vec<u8>], round: usize) -> Vec<&[u8]> {
    let mut order: Vec<&[u8]> = (0..COPIES).flat_map(|_| telegrams.iter().map(Vec::as_slice)).collect();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64 ^ round as u64;
    for last in (1..order.len()).rev() {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        order.swap(last, (random % (last as u64 + 1)) as usize);
    }
    order
}

fn per_second(order: &[&[u8]], decode: fn(&[u8]) -> Option<usize>) -> f64 {
    let (start, mut count) = (Instant::now(), 0_usize);
    while start.elapsed() < ROUND {
        for telegram in order {
            black_box(decode(black_box(telegram)));
        }
        count += order.len();
    }
    count as f64 / start.elapsed().as_secs_f64()
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
