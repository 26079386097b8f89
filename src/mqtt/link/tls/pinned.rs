//! `ca_file` may hold the broker's own certificate, as people make them at home: then exactly this one is
//! trusted, whatever its version, names, issuer or dates. Whoever has its key is the broker.
//!
//! Not here: the rules for all others (rustls and webpki).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

#[derive(Debug)]
pub(super) struct Verifier {
    trusted: Vec<CertificateDer<'static>>,
    /// `None`: no certificate of the file can be an authority.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Trusts these certificates, and what they have signed where they are authorities.
    pub(super) fn new(trusted: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Self { trusted, authorities: builder.build().ok(), provider }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authorities {
            Some(authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    /// By the key alone: webpki does not read certificates of version 1.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The `subjectPublicKeyInfo` of a certificate (RFC 5280 section 4.1).
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    const VERSION: u8 = 0xA0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // serialNumber, signature, issuer, validity, subject
    for _ in 0..5 {
        fields = element(fields)?.2;
    }
    Some(element(fields)?.0)
}

/// The first element of DER (X.690): the whole of it, its contents, and what follows.
fn element(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (header, length) = match der.get(1)? {
        short @ 0..=0x7F => (2, usize::from(*short)),
        long => {
            let count = usize::from(long & 0x7F);
            let bytes = der.get(2..2 + count).filter(|bytes| (1..=4).contains(&bytes.len()))?;
            (2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    let (whole, rest) = der.split_at_checked(header + length)?;
    Some((whole, whole.get(header..)?, rest))
}

#[cfg(test)]
mod tests {
    use super::public_key;

    #[test]
    fn the_key_is_found_with_and_without_a_version_and_no_cut_panics() {
        let fields = |version: &[u8]| {
            let tbs: Vec<u8> =
                [version, b"\x02\x01\x07\x30\x00\x30\x00\x30\x00\x30\x00", b"\x30\x03\x03\x01\x00"].concat();
            let tbs = [&[0x30, u8::try_from(tbs.len()).expect("short")][..], &tbs].concat();
            [&[0x30, 0x81, u8::try_from(tbs.len()).expect("short")][..], &tbs].concat()
        };
        for version in [&b""[..], b"\xA0\x03\x02\x01\x02"] {
            let certificate = fields(version);
            assert_eq!(public_key(&certificate), Some(&b"\x30\x03\x03\x01\x00"[..]));
            for end in 0..certificate.len() {
                assert_eq!(public_key(certificate.get(..end).expect("a part")), None);
            }
        }
        assert_eq!(public_key(b"\x30\x84\xFF\xFF\xFF\xFF\x30"), None);
    }
}
