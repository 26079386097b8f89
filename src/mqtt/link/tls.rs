//! The TLS side of a connection: authorities and client certificate from their files, read again
//! for each connection, so that a renewed certificate needs no restart.
//!
//! Not here: the handshake (`stream`), the words for its failures (`fault`).

mod pinned;

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Fault;
use crate::config::Tls;
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
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|error| Fault::of_file("client_key", key, &error))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| Fault::of_file("client_key", key, &error))?
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
    let certificates = pem("ca_file", file)?;
    if certificates.is_empty() {
        return Err(Fault::Tls(format!("cannot be asked: ca_file {} holds no certificate", file.display())));
    }
    Ok(certificates)
}

fn pem(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Fault::of_file(what, file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_file_is_named() {
        let missing = Tls { ca_file: Some("/no/such/ca.pem".into()), client: None };
        let fault = configuration(&missing).expect_err("no file");
        assert!(fault.to_string().contains("ca_file /no/such/ca.pem"), "{fault}");
        let empty = Tls { ca_file: Some("/dev/null".into()), client: None };
        assert!(configuration(&empty).expect_err("no certificate").to_string().contains("holds no certificate"));
    }
}
