//! `[http]` made ready: the port open, the password and the certificate read. All of it is read again at each
//! reload, so that a renewed certificate needs no restart.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::{Http, PasswordSource, bytes_of, password_of};

/// Why the page cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// The port is taken, or the address is not this machine's.
    #[error("[http] cannot listen on {listen}: {source}")]
    Listen {
        /// As configured.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The password cannot be read.
    #[error("[http] cannot read password_file {}: {source}", file.display())]
    Password {
        /// As configured.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of TLS cannot be read.
    #[error("[http] cannot use {what} {}: {why}", file.display())]
    Pem {
        /// Which key names it.
        what: &'static str,
        /// As configured.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not fit each other.
    #[error("[http] cannot use cert and key: {0}")]
    Tls(#[from] rustls::Error),
}

/// What `[http]` says, with everything read that it names.
pub struct Settings {
    pub(super) http: Http,
    pub(super) password: Option<String>,
    /// Of this machine, in lower case.
    pub(super) names: Vec<String>,
    pub(super) tls: Option<TlsAcceptor>,
}

impl Settings {
    /// Whether who may see what is the same by these.
    pub(super) fn let_in_the_same(&self, other: &Self) -> bool {
        self.http == other.http && self.password == other.password
    }
}

impl std::fmt::Debug for Settings {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.http.fmt(f)
    }
}

/// The new port is opened before the old one is closed, which cannot be where both are one.
const OURS: &str = "the page has this port already, at another address: restart the agent";

/// Ready to be served.
#[derive(Debug)]
pub struct Prepared {
    /// What it says.
    pub settings: Settings,
    /// The open port; `None`: it is open already.
    pub listener: Option<TcpListener>,
}

impl Prepared {
    /// Opens the port, unless it is the one that `is_open` already, and reads what the table names.
    ///
    /// # Errors
    /// Where one of these cannot be done.
    pub async fn new(http: &Http, is_open: Option<SocketAddr>) -> Result<Self, Unopened> {
        let password = http.password.as_ref().map(password).transpose()?;
        let tls = http.tls.as_ref().map(|(cert, key)| tls(cert, key)).transpose()?;
        let listener = match is_open {
            Some(open) if open == http.listen => None,
            _ => {
                let ours = is_open.is_some_and(|open| open.port() == http.listen.port());
                let failed = |source: io::Error| {
                    let ours = ours && source.kind() == io::ErrorKind::AddrInUse;
                    let source = if ours { io::Error::other(OURS) } else { source };
                    Unopened::Listen { listen: http.listen, source }
                };
                Some(TcpListener::bind(http.listen).await.map_err(failed)?)
            }
        };
        Ok(Self { settings: Settings { http: http.clone(), password, names: names(), tls }, listener })
    }
}

/// `pi` and `pi.local`.
fn names() -> Vec<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    let short = name.split('.').next().unwrap_or_default();
    let local = format!("{short}.local");
    vec![short.to_owned(), local, name].into_iter().filter(|name| !name.is_empty()).collect()
}

fn password(source: &PasswordSource) -> Result<String, Unopened> {
    let file = match source {
        PasswordSource::Inline(password) => return Ok(password.clone()),
        PasswordSource::File(file) => file,
    };
    let failed = |source| Unopened::Password { file: file.clone(), source };
    let password = password_of(file).map_err(failed)?;
    if password.is_empty() {
        return Err(failed(io::Error::other("it is empty")));
    }
    Ok(password)
}

fn tls(cert: &Path, key: &Path) -> Result<TlsAcceptor, Unopened> {
    let failed = |what, file: &Path, why: String| Unopened::Pem { what, file: file.to_owned(), why };
    let bytes = |what, file| bytes_of(file).map_err(|error| failed(what, file, error.to_string()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes("cert", cert)?)
        .collect::<Result<_, _>>()
        .map_err(|error| failed("cert", cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("cert", cert, "it holds no certificate (PEM)".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(&bytes("key", key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => failed("key", key, "it holds no private key (PEM)".to_owned()),
        error => failed("key", key, error.to_string()),
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::{password, tls};
    use crate::config::PasswordSource;
    use std::path::Path;

    #[test]
    fn a_device_in_place_of_a_file_ends_and_is_named() {
        let said = password(&PasswordSource::File("/dev/zero".into())).expect_err("no text").to_string();
        assert_eq!(said, "[http] cannot read password_file /dev/zero: it has more than 4 MiB, so it is something else");
        let said = |cert| tls(Path::new(cert), Path::new("/dev/null")).err().map(|error| error.to_string());
        assert!(said("/dev/zero").is_some_and(|said| said.contains("cert /dev/zero: it has more than 4 MiB")));
        assert!(said("/dev/null").is_some_and(|said| said.ends_with("/dev/null: it holds no certificate (PEM)")));
    }
}
