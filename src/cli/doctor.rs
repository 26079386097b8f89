//! `mbushat doctor`: everything between the configuration and a reading, and how to fix it.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::runtime::run_until_interrupted;
use super::{Failure, log, print, style};
use crate::adopt::keeping;
use crate::bus::hat;
use crate::config::Config;
use crate::doctor::{Finding, Patient, Root, Verdict, examine, without_configuration};

/// Exit codes.
const FAILED: u8 = 1;
const CONFIG: u8 = 78;
/// Columns of text; terminals have 80.
const WIDTH: usize = 80;
/// Where findings begin, behind verdict and check.
const MARGIN: usize = 25;

/// Arguments of `mbushat doctor`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mbushat doctor\n  mbushat doctor cold_water\n  mbushat doctor --json\n\nWhile the agent runs, it is asked to read the meters.\n\nExit code 0: nothing failed; 1: something did; 2: wrong usage; 78: the\nconfiguration is bad."
)]
pub(crate) struct Args {
    /// Names from the configuration: ask only these meters
    #[arg(value_name = "METER")]
    meters: Vec<String>,

    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,

    /// Show each frame on the wire on stderr, with the time and what it is
    #[arg(long = "wire")]
    trace: bool,

    /// A prepared root instead of this machine's, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

/// Prints each finding when it is made; ends with 0 where none is a failure.
pub(crate) fn run(args: &Args, file: &Path) -> Result<(), Failure> {
    let colours = style::colours();
    if args.trace {
        log::start_for_command(true)?;
    }
    let (root, open_pin): (Root, Option<hat::OpenPin>) = match &args.root {
        None => (Root::here(), Some(hat::open_pin)),
        Some(folder) => (Root::prepared(folder.clone()), None),
    };
    let patient = Patient { root, open_pin, only: args.meters.clone(), progress };
    let config = match keeping::load(file, &[]) {
        Ok(config) => config,
        Err(error) => {
            let finding = without_configuration(&error, file, &patient.root);
            print(if args.json { json(&[finding])? } else { text(&finding, colours) })?;
            return Err(Failure::said(CONFIG));
        }
    };
    known(&args.meters, &config)?;
    let mut findings = Vec::new();
    let mut printed = Ok(());
    let mut report = |finding: Finding| {
        progress("");
        if !args.json && printed.is_ok() {
            printed = print(text(&finding, colours));
        }
        findings.push(finding);
    };
    let done = run_until_interrupted(examine(&config, file, &patient, &mut report))?;
    printed?;
    if args.json {
        print(json(&findings)?)?;
    } else if done.is_some() {
        print(summary(&findings))?;
    }
    if done.is_some() && worst(&findings) != Verdict::Failure { Ok(()) } else { Err(Failure::said(FAILED)) }
}

/// Refuses names that are not configured.
fn known(names: &[String], config: &Config) -> Result<(), Failure> {
    let is_known = |name: &&String| config.meters.iter().any(|meter| meter.name == **name);
    match names.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let all: Vec<&str> = config.meters.iter().map(|meter| meter.name.as_str()).collect();
            Err(Failure::usage(format!("there is no meter {name} in the configuration, expected {}", all.join(", "))))
        }
    }
}

/// What takes long, on a line of a terminal that the next one replaces; an empty text ends it.
fn progress(text: &str) {
    if style::moves_on_stderr() {
        // Where stderr is closed there is no one to show it to.
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    }
}

/// Verdict, check, finding; then the remedies, whose lines to paste stand alone and unbroken.
fn text(finding: &Finding, colours: bool) -> String {
    let word = finding.verdict.word();
    let (on, off) = match (colours, finding.verdict) {
        (false, _) => ("", ""),
        (true, Verdict::Ok) => ("\x1b[32m", "\x1b[0m"),
        (true, Verdict::Skipped) => ("\x1b[2m", "\x1b[0m"),
        (true, Verdict::Warning) => ("\x1b[33m", "\x1b[0m"),
        (true, Verdict::Failure) => ("\x1b[1;31m", "\x1b[0m"),
    };
    let found = match &finding.bus {
        Some(bus) => format!("bus {bus}: {}", finding.found),
        None => finding.found.clone(),
    };
    let mut text = format!("{on}{word:<8}{off} {:<15} {}\n", finding.check, wrap(&found, MARGIN));
    for remedy in &finding.remedies {
        text += &format!("         -> {}\n", wrap(&remedy.say, 12));
        for line in &remedy.paste {
            text += &format!("    {line}\n");
        }
    }
    text
}

/// Breaks at spaces, so that it fits behind `margin` columns.
fn wrap(words: &str, margin: usize) -> String {
    let mut text = String::new();
    let mut column = margin;
    let lines = words.split('\n').flat_map(|line| line.split(' ').enumerate());
    for (place, word) in lines {
        let width = word.chars().count();
        let begins = place == 0 && !text.is_empty();
        if begins || (column > margin && column + 1 + width > WIDTH) {
            text += &format!("\n{}", " ".repeat(margin));
            column = margin;
        } else if column > margin {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width;
    }
    text
}

fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
}

fn summary(findings: &[Finding]) -> String {
    let count = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (count(Verdict::Failure), count(Verdict::Warning)) {
        (0, 0) => "\nEverything is as it should be.\n".to_owned(),
        (0, warnings) => format!("\nNothing failed; {}.\n", plural(warnings, "warning")),
        (failures, warnings) => format!(
            "\n{}, {}. Fix the first failure, then run the doctor again.\n",
            plural(failures, "failure"),
            plural(warnings, "warning")
        ),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    result: &'static str,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    check: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bus: Option<&'a str>,
    verdict: &'static str,
    found: &'a str,
    remedies: Vec<ToDo<'a>>,
}

#[derive(Serialize)]
struct ToDo<'a> {
    say: &'a str,
    paste: &'a [String],
}

fn json(findings: &[Finding]) -> Result<String, Failure> {
    let result = worst(findings).word();
    let findings = findings
        .iter()
        .map(|finding| Found {
            check: finding.check,
            bus: finding.bus.as_deref(),
            verdict: finding.verdict.word(),
            found: &finding.found,
            remedies: finding.remedies.iter().map(|r| ToDo { say: &r.say, paste: &r.paste }).collect(),
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&Report { result, findings })?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_end_before_column_80_and_long_words_stand_alone() {
        let long = "x".repeat(70);
        let text = wrap(&format!("{} {long} {}", "word ".repeat(12).trim(), "word ".repeat(20).trim()), 25);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().enumerate().all(|(i, l)| l.trim() == long || l.len() + if i == 0 { 25 } else { 0 } <= 80));
        assert_eq!(text.split_whitespace().count(), 33);
    }
}
