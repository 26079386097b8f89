//! What happens to readings when things break: real processes, a real mosquitto, fixed seeds.
//!
//! `cargo test --release --test it -- --ignored chaos --nocapture` runs all of it and prints a table;
//! it fails where a row breaks its promise. `MBUSHAT_CHAOS=frozen` runs the rows whose name holds
//! that word. All of it takes about half an hour.
//!
//! Taken are the readings that the meters gave; delivered those of which the broker's PUBACK passed.
//! An answer that was on the wire when the agent was killed was never taken: each row that kills the
//! agent says how many, and proves of each that a kill followed it at once.

mod agent_rows;
mod broker_rows;
mod clock_row;
mod gateway_rows;
mod load_rows;
mod scene;
mod store_rows;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

const ANONYMOUS: &str = "allow_anonymous true\n";
const PERSISTENT: &str = "allow_anonymous true\npersistence true\npersistence_location FOLDER/\nautosave_interval 1\n";
const ALWAYS: &str = "[store]\ndurability = \"always\"\n";
const OUTAGE: &str = "[store]\ndurability = \"outage\"\n";

/// One line of the table.
struct Row {
    fault: &'static str,
    times: u64,
    taken: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    /// Of one meter, an older one after a newer one.
    disordered: u64,
    remark: String,
    /// What was promised and is not so.
    broken: Vec<String>,
}

impl Row {
    /// Notes it where what the row promises does not hold.
    fn promise(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.broken.push(what.into());
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, times, taken, delivered, lost, duplicated, disordered, remark, broken } = self;
        write!(f, "{fault:<44} | {times:>5} | {taken:>6} | {delivered:>9} | {lost:>4} | {duplicated:>10} | ")?;
        write!(f, "{disordered:>12} | {remark}")?;
        broken.iter().try_for_each(|what| write!(f, "; BROKEN: {what}"))
    }
}

/// A row's name for `MBUSHAT_CHAOS`, and what runs it: `None` where the machine lacks something.
type Fault = (&'static str, fn() -> Option<Row>);

const FAULTS: [Fault; 20] = [
    ("killed broker forgotten session", broker_rows::killed),
    ("killed broker persistent", broker_rows::killed_with_persistence),
    ("frozen broker", broker_rows::frozen),
    ("cut connection", broker_rows::connection_cut),
    ("refused topic", broker_rows::topic_refused),
    ("hangs up at an announcement", broker_rows::hangs_up),
    ("refuses for a moment", broker_rows::refuses_for_a_moment),
    ("acknowledges nothing", broker_rows::mute),
    ("gateway hangs up", gateway_rows::hangs_up),
    ("removed store", store_rows::removed),
    ("killed agent always", agent_rows::killed_always),
    ("killed agent outage", agent_rows::killed_outage),
    ("full disk", store_rows::disk_full),
    ("read-only disk", store_rows::disk_read_only),
    ("full store", store_rows::full),
    ("damaged store", store_rows::damaged),
    ("set clock", clock_row::clock_set),
    ("reload", agent_rows::reloads),
    ("many meters", load_rows::many_meters),
    ("thirty days", load_rows::thirty_days),
];

#[test]
#[ignore = "takes half an hour"]
fn chaos() {
    let wanted = std::env::var("MBUSHAT_CHAOS").unwrap_or_default();
    let (start, mut rows, mut failed) = (Instant::now(), Vec::new(), Vec::new());
    for (name, run) in FAULTS.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Some(row)) => {
                println!("{row}");
                if !row.broken.is_empty() {
                    failed.push(name);
                }
                rows.push(row);
            }
            Ok(None) => {}
            Err(_) => failed.push(name),
        }
    }
    println!("\n{:<44} | times |  taken | delivered | lost | duplicated | out of order | remark", "fault");
    rows.iter().for_each(|row| println!("{row}"));
    println!("{} rows in {:.0?}", rows.len(), start.elapsed());
    assert!(failed.is_empty(), "these rows break their promise: {failed:?}");
    assert!(!rows.is_empty(), "no row is named {wanted}");
}
