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
    let mut page = String::from_utf8_lossy(&page).into_owned() + DESCRIPTION;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    page += &String::from_utf8_lossy(&options);
    page += ".SH COMMANDS\n";
    for subcommand in command.get_subcommands() {
        let name = subcommand.get_name();
        page += &section(name, subcommand);
        for nested in subcommand.get_subcommands() {
            page += &section(&format!("{name} {}", nested.get_name()), nested);
        }
    }
    Ok(page + ENDING)
}

const DESCRIPTION: &str = "\
.SH DESCRIPTION
mbushat reads heat, water, gas and electricity meters over wired M\\-Bus (EN 13757), through the M\\-Bus Master Hat, a
serial port or a TCP gateway, and publishes each reading over MQTT. The agent, \\fBmbushat run\\fR, does so until it is
stopped; the systemd unit \\fBmbushat\\fR starts it. The other commands set it up, look for faults, or do one thing and
end.
";

const ENDING: &str = "\
.SH EXIT STATUS
.TP
0
success
.TP
1
a failure: what was asked for could not be done, or not all of it
.TP
2
wrong usage
.TP
75
the agent was asked to restart and is to be started again
.TP
78
a bad configuration
.SH ENVIRONMENT
.TP
RUST_LOG
what is logged, instead of [log] level
.TP
NO_COLOR
if set, no colours on a terminal
.SH FILES
.TP
/etc/mbushat.toml
the configuration
.TP
/etc/mbushat.d/*.toml
more of it, read after that file
.TP
/var/lib/mbushat
readings that the broker has not taken yet, and what is known of each meter
.TP
/var/lib/mbushat/meters.toml
the meters that the agent found and adopted, yours to edit
.SH SEE ALSO
mbushat.toml(5)
";

/// The help of a command, without what is the same for all and stands under OPTIONS.
fn section(name: &str, command: &clap::Command) -> String {
    let mut command = command.clone().mut_args(|arg| {
        let common = ["config", "help"].contains(&arg.get_id().as_str());
        if common { arg.hide(true) } else { arg }
    });
    if let Some(help) = command.get_after_help().map(|help| unwrapped(&help.to_string())) {
        command = command.after_help(help);
    }
    format!(".SS {}\n{}", escaped(name), verbatim(&command.render_long_help().to_string()))
}

/// Paragraphs without line breaks of their own, so that they are wrapped once; lines that begin with a space stay.
fn unwrapped(text: &str) -> String {
    let mut all: Vec<String> = Vec::new();
    for line in text.lines() {
        match all.last_mut().filter(|last| runs_on(last) && runs_on(line)) {
            Some(last) => *last += &format!(" {line}"),
            None => all.push(line.to_owned()),
        }
    }
    all.join("\n")
}

fn runs_on(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(' ')
}

/// The sample configuration: its explanations as running text, its settings as they are.
fn config() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(".TH mbushat.toml 5 \"\" \"mbushat {version}\" mbushat\n");
    page += ".SH NAME\nmbushat.toml \\- configuration of mbushat(8)\n";
    page +=
        ".SH DESCRIPTION\nThe file is TOML and may be empty. What follows is every setting there is; those without ";
    page += "the remark \\(lqthe default\\(rq are examples.\n";
    let sample = include_str!("../../config/mbushat.toml");
    let (mut table, mut after_setting) = ("", true);
    // the first two paragraphs say how the sample is to be edited
    for line in sample.lines().skip_while(|line| *line != "##").skip(1).skip_while(|line| *line != "##") {
        let setting = line.trim_start_matches('#').trim_start();
        let text = line.strip_prefix("##").map(str::trim_start).filter(|text| !is_setting(text));
        if setting.starts_with('[') {
            table = setting;
        }
        page += &match text {
            Some("") => ".PP\n".to_owned(),
            Some(text) if after_setting => format!(".PP\n{}\n", escaped(text)),
            Some(text) => format!("{}\n", escaped(text)),
            None if line.is_empty() => ".PP\n".to_owned(),
            None => format!(".RS 4\n{}.RE\n", verbatim(&with_remark(setting, line.starts_with("##"), table))),
        };
        after_setting = text.is_none();
    }
    page += ".SH SEE ALSO\nmbushat(8)\n";
    page
}

/// A setting as it is written, and whether that is the default. What every `[[meter]]` needs has none.
fn with_remark(setting: &str, is_example: bool, table: &str) -> String {
    let is_needed = table == "[[meter]]" && ["name = ", "address = "].iter().any(|key| setting.starts_with(key));
    if is_example || is_needed || setting.starts_with('[') {
        setting.to_owned()
    } else {
        format!("{setting} # the default")
    }
}

/// `key = value` or the head of a table.
fn is_setting(text: &str) -> bool {
    let word = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.starts_with('[') || text.split_once(" = ").is_some_and(|(key, _)| word(key))
}

/// Lines as they are.
fn verbatim(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{}\n", escaped(line.trim_end()))).collect();
    format!(".nf\n{lines}.fi\n")
}

/// A line that roff neither obeys nor beautifies.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::{escaped, is_setting, unwrapped};

    #[test]
    fn settings_of_the_sample_are_told_from_explanations() {
        assert!(is_setting("key_file = \"x\"") && is_setting("[[meter.record]]"));
        assert!(!is_setting("Count from local midnight; then offset = 0 does nothing."));
    }

    #[test]
    fn paragraphs_are_made_one_line_and_examples_stay() {
        let help = "Examples:\n  mbushat check\n  mbushat run\n\nIt reads\nthe meters\n(all).\n\nExit code 1.";
        let want = "Examples:\n  mbushat check\n  mbushat run\n\nIt reads the meters (all).\n\nExit code 1.";
        assert_eq!(unwrapped(help), want);
    }

    #[test]
    fn what_roff_would_obey_is_escaped() {
        assert_eq!(escaped(".SH a-b\\c"), "\\&.SH a\\-b\\ec");
    }
}
