//! mbushat: M-Bus meters to MQTT. See the library's first page for how it is built.

use std::process::ExitCode;

fn main() -> ExitCode {
    mbushat::cli::main()
}
