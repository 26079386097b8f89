//! The TLS side of a connection: authorities and client certificate from their files, read again
//! for each connection, so that a renewed certificate needs no restart.
//!
//! Not here: the handshake (`stream`), the words for its failures (`fault`).

mod pinned;

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Fault;
use crate::config::{Tls, bytes_of};
use pinned::Verifier;

/// What rustls needs to know for one connection.
pub(super) fn configuration(tls: &Tls) -> Result<Arc<ClientConfig>, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls(format!("cannot be asked over TLS: {error}")))?;
    let builder = match &tls.ca_file {
        None => builder.with_root_certificates(authorities_of_the_system()?),
        Some(file) => {
            let verifier = Verifier::new(certificates_of(file)?, provider);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = pem("client_cert", certificate)?;
            let secret = private_key(key)?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| Fault::of_file("client_key", key, &format!("cannot be used: {error}")))?
        }
    };
    Ok(Arc::new(config))
}

fn authorities_of_the_system() -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Fault::Tls(
            "cannot be asked: this system has no certificate authorities; install ca-certificates or set [mqtt] \
             ca_file"
                .to_owned(),
        ));
    }
    Ok(roots)
}

fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    match pem("ca_file", file)? {
        certificates if certificates.is_empty() => Err(Fault::of_file("ca_file", file, "holds no certificate (PEM)")),
        certificates => Ok(certificates),
    }
}

fn pem(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    CertificateDer::pem_slice_iter(&bytes(what, file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Fault::of_file(what, file, &format!("cannot be used: {error}")))
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(&bytes("client_key", file)?).map_err(|error| match error {
        pem::Error::NoItemsFound => Fault::of_file("client_key", file, "holds no private key (PEM)"),
        error => Fault::of_file("client_key", file, &format!("cannot be used: {error}")),
    })
}

fn bytes(what: &str, file: &Path) -> Result<Vec<u8>, Fault> {
    bytes_of(file)
        .map_err(|error| Fault::Tls(format!("cannot be asked: cannot read {what} {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough of one to be read as PEM.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_missing_or_empty_file_is_named() {
        let missing = Tls { ca_file: Some("/no/such/ca.pem".into()), client: None };
        let fault = configuration(&missing).expect_err("no file");
        assert!(fault.to_string().contains("cannot read ca_file /no/such/ca.pem: No such file"), "{fault}");
        let client = |key: &str| {
            let folder = std::env::temp_dir().join(format!("mbushat-tls-{}", std::process::id()));
            std::fs::write(&folder, CERTIFICATE).expect("a temporary file");
            let client = Some((folder.clone(), key.replace("CERT", &folder.display().to_string()).into()));
            let fault = configuration(&Tls { ca_file: Some(folder.clone()), client }).expect_err("no key").to_string();
            std::fs::remove_file(folder).expect("ours");
            fault
        };
        assert!(client("/dev/null").ends_with("client_key /dev/null holds no private key (PEM)"));
        assert!(client("/dev/zero").contains("cannot read client_key /dev/zero: it has more than 4 MiB"));
        assert!(client("CERT").ends_with("holds no private key (PEM)"));
        let empty = Tls { ca_file: Some("/dev/null".into()), client: None };
        assert!(configuration(&empty).expect_err("no certificate").to_string().contains("holds no certificate"));
    }
}
