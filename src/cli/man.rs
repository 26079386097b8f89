//! `mbushat man`: the manual pages, made of what the program itself knows: mbushat(8) of the command
//! line's definition, mbushat.toml(5) of the sample configuration.

use std::io;

use clap::{CommandFactory, ValueEnum};
use clap_mangen::Man;

use super::{Cli, Failure, print};

/// Arguments of `mbushat man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mbushat man config | man -l -")]
pub(crate) struct Args {
    /// Which page
    #[arg(default_value = "commands")]
    page: Page,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Page {
    /// mbushat(8)
    Commands,
    /// mbushat.toml(5)
    Config,
}

/// Prints the page in the language of man.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let page = match args.page {
        Page::Commands => commands()?,
        Page::Config => config(),
    };
    print(page)
}

/// What a terminal of 80 columns leaves beside man's indentation.
const WIDTH: usize = 72;

/// clap_mangen makes a page of each subcommand; one page with all of them is easier to search.
fn commands() -> io::Result<String> {
    let mut command = Cli::command().disable_help_subcommand(true).term_width(WIDTH);
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).section("8").manual("mbushat");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    page += ".SH COMMANDS\n";
    for subcommand in command.get_subcommands() {
        let name = subcommand.get_name();
        page += &section(name, subcommand);
        for nested in subcommand.get_subcommands() {
            page += &section(&format!("{name} {}", nested.get_name()), nested);
        }
    }
    page += ".SH EXIT STATUS\n0, 1 for a failure, 2 for wrong usage, 78 for a bad configuration, 75 where the agent is to be started again.\n";
    page += ".SH ENVIRONMENT\n.TP\nRUST_LOG\nwhat is logged, instead of [log] level\n";
    page += ".TP\nNO_COLOR\nif set, no colours on a terminal\n";
    page += ".SH FILES\n.TP\n/etc/mbushat.toml\nthe configuration\n";
    page += ".TP\n/var/lib/mbushat\nreadings that the broker has not taken yet\n";
    page += ".SH SEE ALSO\nmbushat.toml(5)\n";
    Ok(page)
}

/// The help of a command, without what is the same for all and stands under OPTIONS.
fn section(name: &str, command: &clap::Command) -> String {
    let mut command = command.clone().mut_args(|arg| {
        let common = ["config", "help"].contains(&arg.get_id().as_str());
        if common { arg.hide(true) } else { arg }
    });
    format!(".SS {}\n{}", escaped(name), verbatim(&command.render_long_help().to_string()))
}

/// The sample configuration: its explanations as running text, its settings as they are.
fn config() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(".TH mbushat.toml 5 \"\" \"mbushat {version}\" mbushat\n");
    page += ".SH NAME\nmbushat.toml \\- configuration of mbushat(8)\n";
    page += ".SH DESCRIPTION\nThe file is TOML. What follows is all of it, each setting with its default.\n";
    let mut after_setting = true;
    for line in include_str!("../../config/mbushat.toml").lines() {
        let text = line.strip_prefix("##").map(str::trim_start).filter(|text| !is_setting(text));
        page += &match text {
            Some("") => ".PP\n".to_owned(),
            Some(text) if after_setting => format!(".PP\n{}\n", escaped(text)),
            Some(text) => format!("{}\n", escaped(text)),
            None if line.is_empty() => ".PP\n".to_owned(),
            None => format!(".RS 4\n{}.RE\n", verbatim(line)),
        };
        after_setting = text.is_none();
    }
    page += ".SH SEE ALSO\nmbushat(8)\n";
    page
}

/// `key = value` or the head of a table.
fn is_setting(text: &str) -> bool {
    let word = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.starts_with('[') || text.split_once(" = ").is_some_and(|(key, _)| word(key))
}

/// Lines as they are.
fn verbatim(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{}\n", escaped(line))).collect();
    format!(".nf\n{lines}.fi\n")
}

/// A line that roff neither obeys nor beautifies.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::{escaped, is_setting};

    #[test]
    fn settings_of_the_sample_are_told_from_explanations() {
        assert!(is_setting("key_file = \"x\"") && is_setting("[[meter.record]]"));
        assert!(!is_setting("Count from local midnight; then offset = 0 does nothing."));
    }

    #[test]
    fn what_roff_would_obey_is_escaped() {
        assert_eq!(escaped(".SH a-b\\c"), "\\&.SH a\\-b\\ec");
    }
}
