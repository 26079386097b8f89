//! Why a certificate is not believed, and what to do.

use rustls::pki_types::UnixTime;

/// What is said of it.
pub(super) fn words(error: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Bad;
    match error {
        Bad::UnknownIssuer => {
            "shows a certificate of an unknown authority; name its CA in [mqtt] ca_file, and where another \
             certificate is between the two, let the broker show that too (mosquitto: append it to certfile)"
                .to_owned()
        }
        Bad::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "shows a certificate without a subject alternative name, which proves no name".to_owned()
        }
        Bad::NotValidForNameContext { presented, .. } => format!(
            "shows a certificate for another name than the one in [mqtt] url; it is for {}",
            presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
        ),
        Bad::NotValidForName => "shows a certificate for another name than the one in [mqtt] url".to_owned(),
        Bad::ExpiredContext { not_after, .. } => {
            format!("shows a certificate that expired at {}; renew it there", moment(*not_after))
        }
        Bad::NotValidYetContext { not_before, time } => format!(
            "shows a certificate that is valid from {}, and here it is {}; set the clock of this machine",
            moment(*not_before),
            now(*time, *not_before)
        ),
        Bad::Expired | Bad::NotValidYet => {
            "shows a certificate that is not valid now; check its dates and the clock of this machine".to_owned()
        }
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "shows a certificate that is not meant for a server (its extended key usage); make another one there"
                .to_owned()
        }
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "shows a certificate that is signed in a way no longer held for safe, such as SHA-1 or a short key; \
             make another one there"
                .to_owned()
        }
        Bad::Other(other) => match format!("{other:?}") {
            text if text.contains("UnsupportedCertVersion") => {
                "shows a certificate of X.509 version 1, which proves no name".to_owned()
            }
            text if text.contains("CaUsedAsEndEntity") => {
                "shows a self-signed certificate, or that of an authority, which is not named in [mqtt] ca_file"
                    .to_owned()
            }
            _ => format!("shows a bad certificate: {error}"),
        },
        other => format!("shows a bad certificate: {other}"),
    }
}

/// The present time; without its seconds where the day tells enough, so that the same fault is told once.
fn now(time: UnixTime, not_before: UnixTime) -> String {
    let (time, not_before) = (moment(time), moment(not_before));
    match (time.split_once('T'), not_before.split_once('T')) {
        (Some((today, _)), Some((day, _))) if today != day => today.to_owned(),
        _ => time,
    }
}

/// `2026-11-22T19:15:00Z`
fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s"), |time| time.to_string())
}

/// `broker.lan` of `DnsName("broker.lan")`, as rustls shows the names of a certificate.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_valid_yet_is_the_same_fault_at_each_try_of_a_day() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let said = |not_before, time| {
            let (not_before, time) = (at(not_before), at(time));
            words(&rustls::CertificateError::NotValidYetContext { not_before, time })
        };
        let day = 86_400;
        assert_eq!(said(9 * day, day), said(9 * day, day + 60));
        assert!(said(9 * day, day).contains("valid from 1970-01-10T00:00:00Z, and here it is 1970-01-02;"));
        assert!(said(day + 60, day).contains("here it is 1970-01-02T00:00:00Z;"), "the day alone tells nothing");
    }
}
