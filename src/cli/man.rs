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

/// clap_mangen makes a page of each subcommand; one page with all of them is easier to search.
fn commands() -> io::Result<String> {
    let mut command = Cli::command().disable_help_subcommand(true);
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
    for subcommand in command.get_subcommands_mut() {
        let name = subcommand.get_name().to_owned();
        page += &section(&name, subcommand);
        for nested in subcommand.get_subcommands_mut() {
            page += &section(&format!("{name} {}", nested.get_name()), nested);
        }
    }
    page += ".SH EXIT STATUS\n0, 1 for a failure, 2 for wrong usage, 78 for a bad configuration.\n";
    page += ".SH SEE ALSO\nmbushat.toml(5)\n";
    Ok(page)
}

fn section(name: &str, command: &mut clap::Command) -> String {
    format!(".SS {}\n{}", escaped(name), verbatim(&command.render_long_help().to_string()))
}

fn config() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(".TH mbushat.toml 5 \"\" \"mbushat {version}\" mbushat\n");
    page += ".SH NAME\nmbushat.toml \\- configuration of mbushat(8)\n";
    page += ".SH DESCRIPTION\nThe file is TOML. What follows is all of it, each setting with its default.\n";
    page += &verbatim(include_str!("../../config/mbushat.toml"));
    page += ".SH SEE ALSO\nmbushat(8)\n";
    page
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
    use super::escaped;

    #[test]
    fn what_roff_would_obey_is_escaped() {
        assert_eq!(escaped(".SH a-b\\c"), "\\&.SH a\\-b\\ec");
    }
}
