//! `mbushat simulate`: a virtual bus on a pseudo-terminal or a TCP port, for trying other software.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::arguments;
use super::runtime::run_until_interrupted;
use super::{Failure, print};
use crate::bus::serve::{PtyPort, serve_tcp};
use crate::config::simulation;
use crate::mbus::link::timing::Baud;
use crate::sim::plan::SegmentPlan;
use crate::sim::segment::Segment;

/// Arguments of `mbushat simulate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mbushat simulate --link /tmp/mbus\n  mbushat simulate --sample > bus.toml\n  mbushat simulate --tcp 127.0.0.1:10001 bus.toml"
)]
pub(crate) struct Args {
    /// What there is on the bus, as TOML; without it a sample of each kind of meter
    file: Option<PathBuf>,

    /// Baud rate, instead of the file's; on a pseudo-terminal the program on the other side may change it
    #[arg(long, value_parser = arguments::baud)]
    baud: Option<Baud>,

    /// Make a symbolic link to the pseudo-terminal, removed at the end
    #[arg(long, value_name = "PATH", conflicts_with = "tcp")]
    link: Option<PathBuf>,

    /// Print a file with every setting, to copy and change
    #[arg(long, conflicts_with_all = ["file", "baud", "link", "tcp"])]
    sample: bool,

    /// Serve on a TCP port, as a transparent gateway, instead of a pseudo-terminal
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen)]
    tcp: Option<SocketAddr>,
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port such as 127.0.0.1:10001".to_owned())
}

/// Prints where the bus is, then serves it until it is interrupted.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.sample {
        return print(simulation::sample());
    }
    let mut plan = match &args.file {
        Some(file) => simulation::load(file).map_err(Failure::of_load)?,
        None => simulation::built_in(),
    };
    plan.baud = args.baud.unwrap_or(plan.baud);
    let served = run_until_interrupted(async {
        match args.tcp {
            Some(address) => on_tcp(plan, address).await,
            None => on_pty(plan, args.link.as_deref()).await,
        }
    })?;
    served.unwrap_or(Ok(()))
}

async fn on_tcp(plan: SegmentPlan, address: SocketAddr) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot serve on {address}")).because(&error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tell(&plan);
    print(format!("tcp://{}\n", listener.local_addr().map_err(failed)?))?;
    let mut segment = Segment::new(plan, Instant::now().into_std());
    serve_tcp(&listener, &mut segment).await.map_err(failed)
}

async fn on_pty(plan: SegmentPlan, link: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new("cannot serve on a pseudo-terminal").because(&error);
    let port = PtyPort::open(plan.baud).map_err(failed)?;
    let link = link.map(|link| Link::new(port.path(), link)).transpose()?;
    let shown = link.as_ref().map_or(port.path(), |link| link.at.as_path());
    tell(&plan);
    print(format!("{}\n", shown.display()))?;
    let mut segment = Segment::new(plan, Instant::now().into_std());
    port.serve(&mut segment).await.map_err(failed)
}

/// The meters, for people: stdout holds the port alone, for scripts.
fn tell(plan: &SegmentPlan) {
    eprintln!("simulating {} meters at {} baud; Ctrl-C ends it", plan.meters.len(), plan.baud);
    for meter in &plan.meters {
        eprintln!("  {:>3}  {}{}", meter.address, meter.identity, if meter.silent { "  silent" } else { "" });
    }
}

/// A symbolic link, removed when dropped unless it leads elsewhere by then.
struct Link {
    at: PathBuf,
    target: PathBuf,
}

impl Link {
    /// An old link is replaced; anything else at that place is left alone.
    fn new(target: &Path, link: &Path) -> Result<Self, Failure> {
        if link.is_symlink() {
            std::fs::remove_file(link)?;
        }
        symlink(target, link)
            .map_err(|error| Failure::new(format!("cannot make the link {}", link.display())).because(&error))?;
        Ok(Self { at: link.to_owned(), target: target.to_owned() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Another simulator may have it now; one that somebody removed is gone all the same.
        if std::fs::read_link(&self.at).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.at);
        }
    }
}
