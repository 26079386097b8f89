//! The page while it is open: opened at the start, exchanged at a reload, closed at the end.
//!
//! Not here: what it serves (`http`).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{broadcast, oneshot, watch};

use super::buses::Buses;
use crate::adopt::edit::Edit;
use crate::config::{Config, Http};
use crate::http::{House, Prepared, Sources, serve};
use crate::request::Desk;
use crate::status::{News, Status};

/// Open, or not.
#[derive(Debug)]
pub(super) struct Page {
    open: Option<Open>,
    status: watch::Sender<Status>,
    news: broadcast::Sender<News>,
}

#[derive(Debug)]
struct Open {
    /// As configured.
    listen: SocketAddr,
    house: watch::Sender<Arc<House>>,
    /// It is closed where this is dropped; requests in progress end first.
    _close: oneshot::Sender<()>,
}

impl Page {
    /// Not open yet.
    pub(super) fn new(status: watch::Sender<Status>, news: broadcast::Sender<News>) -> Self {
        Self { open: None, status, news }
    }

    /// Whether there is a page.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens and reads what the configuration needs; the page that is open stays as it is.
    pub(super) async fn prepare(&self, config: &Config) -> Result<Option<Prepared>, String> {
        let Some(http) = &config.http else { return Ok(None) };
        let is_open = self.open.as_ref().map(|open| open.listen);
        Prepared::new(http, is_open).await.map(Some).map_err(|error| error.to_string())
    }

    /// Shows this from now on.
    pub(super) fn show(
        &mut self,
        prepared: Option<Prepared>,
        config: &Config,
        file: Option<&Path>,
        pending: &[Edit],
        desk: Desk,
        buses: &Buses,
    ) {
        let (Some(Prepared { settings, listener }), Some(http)) = (prepared, &config.http) else {
            self.open = None;
            return;
        };
        let (health, tapes) = (buses.health(), buses.tapes());
        let (config, file, not_kept) = (config.clone(), file.map(Path::to_owned), not_kept(pending));
        let house = Arc::new(House { config, file, not_kept, desk, health, tapes, settings });
        match (listener, &self.open) {
            (None, Some(open)) => _ = open.house.send_replace(house),
            (None, None) => {} // never: what is not open was opened
            (Some(listener), _) => {
                say(http, listener.local_addr().unwrap_or(http.listen));
                let house = watch::Sender::new(house);
                let status = self.status.subscribe();
                let sources = Sources { house: house.subscribe(), status, news: self.news.clone() };
                let (close, closed) = oneshot::channel();
                tokio::spawn(serve(listener, sources, closed));
                self.open = Some(Open { listen: http.listen, house, _close: close });
            }
        }
    }
}

/// The meters that changes which are not in the file are about.
fn not_kept(pending: &[Edit]) -> BTreeSet<String> {
    let names = |edit: &Edit| match edit {
        Edit::Add(entry) => vec![entry.name.clone()],
        Edit::Change { name, wanted } => wanted.name.iter().chain([name]).cloned().collect(),
        Edit::Forget { .. } => Vec::new(),
    };
    pending.iter().flat_map(names).collect()
}

fn say(http: &Http, listen: SocketAddr) {
    tracing::info!("the page is at {}", place(http, listen));
    if http.password.is_none() && !listen.ip().is_loopback() {
        tracing::warn!("[http] has no password: everybody who reaches {listen} may read all values, and nothing more");
    } else if http.tls.is_none() && http.password.is_some() && !listen.ip().is_loopback() {
        tracing::warn!("[http] has no cert: the password goes over the network in the clear");
    }
}

/// Where to find it. Nobody can open the address that stands for every one of this machine.
fn place(http: &Http, listen: SocketAddr) -> String {
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    match http.url.as_deref().filter(|_| listen.ip().is_unspecified()) {
        // the port is the system's choice where 0 is written
        Some(url) => {
            let url = url.replacen(&format!(":{}", http.listen.port()), &format!(":{}", listen.port()), 1);
            format!("{url}/ (it listens on {listen})")
        }
        None => format!("{scheme}://{listen}{}/", http.path),
    }
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::config::{Http, load};

    fn http(lines: &str) -> Http {
        let file = std::env::temp_dir().join(format!("mbushat-page-{}.toml", std::process::id()));
        std::fs::write(&file, format!("[http]\n{lines}\n")).expect("a file");
        let config = load(&file).expect("a configuration");
        std::fs::remove_file(file).expect("a file");
        config.http.expect("a page")
    }

    #[test]
    fn the_log_names_an_address_that_can_be_opened() {
        for (lines, listen, said) in [
            (
                "listen = \"0.0.0.0:6287\"\nhosts = [\"pi.local\"]",
                "0.0.0.0:6287",
                "http://pi.local:6287/ (it listens on 0.0.0.0:6287)",
            ),
            (
                "listen = \"[::]:0\"\nhosts = [\"pi.local\"]\npath = \"/meters-page\"",
                "[::]:8080",
                "http://pi.local:8080/meters-page/ (it listens on [::]:8080)",
            ),
            ("listen = \"192.0.2.7:80\"", "192.0.2.7:80", "http://192.0.2.7:80/"),
            ("", "127.0.0.1:6287", "http://127.0.0.1:6287/"),
        ] {
            assert_eq!(place(&http(lines), listen.parse().expect("an address")), said);
        }
    }
}
