//! The TLS side of a connection: authorities and client certificate from their files, read again
//! for each connection, so that a renewed certificate needs no restart.
//!
//! Not here: the handshake (rumqttc and rustls), the words for its failures (`fault`).

use std::sync::Arc;

use rumqttc::TlsConfiguration;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Fault;
use crate::config::Tls;

/// What rustls needs to know for one connection.
pub(super) fn configuration(tls: &Tls) -> Result<TlsConfiguration, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls(format!("cannot be asked over TLS: {error}")))?
        .with_root_certificates(roots(tls)?);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| Fault::of_file("client_cert", certificate, &error))?;
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|error| Fault::of_file("client_key", key, &error))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| Fault::of_file("client_key", key, &error))?
        }
    };
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}

fn roots(tls: &Tls) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &tls.ca_file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Fault::Tls(
                "cannot be asked: this system has no certificate authorities; install ca-certificates or set [mqtt] \
                 ca_file"
                    .to_owned(),
            ));
        }
        return Ok(roots);
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Fault::of_file("ca_file", file, &error))?;
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(Fault::Tls(format!("cannot be asked: ca_file {} holds no certificate", file.display())));
    }
    Ok(roots)
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
