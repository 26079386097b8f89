//! `mbushat demo`: simulated meters, a broker, the agent, and nothing to set up.

use super::{Failure, log, print};
use crate::demo::Demo;

/// Arguments of `mbushat demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mbushat demo\n  mbushat demo --empty")]
pub(crate) struct Args {
    /// Begin with an empty configuration: the agent finds eight meters and adopts them
    #[arg(long)]
    empty: bool,
}

/// Runs until Ctrl-C.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let demo = if args.empty { Demo::empty()? } else { Demo::new()? };
    let log = log::start(&demo.config().log)?;
    if let Some(page) = demo.page() {
        print(format_args!("Open {page} in a browser on this machine.\n\n"))?;
    }
    print(greeting(args.empty, demo.port(), &demo.config().mqtt.base_topic))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut closed = Ok(());
    let outcome = runtime.block_on(demo.run(&log, |line| {
        if closed.is_ok() {
            closed = print(format_args!("{line}\n"));
        }
    }));
    runtime.shutdown_background();
    outcome?;
    closed
}

fn greeting(empty: bool, port: u16, base: &str) -> String {
    let what = if empty {
        format!(
            "Eight meters are on a simulated bus at 2400 baud, and none is configured: they\n\
         are looked for, adopted, read every 15 minutes and published to an MQTT broker\n\
         in this program, on 127.0.0.1 port {port}."
        )
    } else {
        format!(
            "Four simulated meters are read over a simulated bus at 2400 baud, every 10\n\
         seconds, and published to an MQTT broker in this program,\n\
         on 127.0.0.1 port {port}."
        )
    };
    format!(
        "{what}\n\
         To see every message, paste this into another terminal:\n\n  \
         mosquitto_sub -h 127.0.0.1 -p {port} -v -t '{base}/#' -t 'homeassistant/#'\n\n\
         Ctrl-C ends it. Readings, as a subscriber gets them:\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn the_port_stands_beside_its_address_and_no_line_is_too_long() {
        for empty in [true, false] {
            let text = greeting(empty, 65_535, "mbushat");
            assert!(text.contains("on 127.0.0.1 port 65535.\n"), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
