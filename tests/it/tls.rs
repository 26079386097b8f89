//! The link to the broker over TLS, against a real mosquitto; the certificates are made by openssl.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mbushat::config::{Mqtt, Tls};
use mbushat::mqtt::link::{Fault, Version};

use crate::broker::{Broker, Folder, free_port};
use crate::mqtt::{Running, at, config};
use crate::tools::{skipped, tool};

/// Two authorities and what they have signed, in a folder.
struct Certificates(Folder);

impl Certificates {
    /// `None` where openssl is missing.
    fn new() -> Option<Self> {
        tool("openssl")?;
        let made = Self(Folder::new());
        for authority in ["ca", "other"] {
            made.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out \
                 {authority}.pem -addext basicConstraints=critical,CA:TRUE"
            ));
        }
        made.sign("server", "ca", "subjectAltName=DNS:localhost,IP:::1");
        made.sign("client", "ca", "extendedKeyUsage=clientAuth");
        made.sign("stranger", "other", "extendedKeyUsage=clientAuth");
        Some(made)
    }

    /// A key and a certificate with this extension.
    fn sign(&self, name: &str, authority: &str, extension: &str) {
        self.0.write("extensions", extension);
        self.openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile \
             extensions -out {name}.pem"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        let output = openssl.args(arguments.split(' ')).current_dir(self.0.path()).output().expect("openssl runs");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The lines of a mosquitto that shows `server` and wants a certificate of `ca`.
    fn lines(&self) -> String {
        let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| self.path(name));
        format!(
            "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
            ca.display(),
            certificate.display(),
            key.display()
        )
    }

    /// What a client needs.
    fn client(&self, name: &str) -> Tls {
        let client = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        Tls { ca_file: Some(self.path("ca.pem")), client: Some(client) }
    }
}

fn with(host: &str, port: u16, tls: &Tls) -> Mqtt {
    Mqtt { tls: Some(tls.clone()), ..at(host, port) }
}

#[tokio::test]
async fn tls_works_with_the_right_authority_name_and_client_certificate_only() {
    let Some(certificates) = Certificates::new() else { return };
    let Some(broker) = Broker::start_with(&certificates.lines()) else { return };
    let right = certificates.client("client");
    assert_eq!(Running::start(with("localhost", broker.port, &right)).up().await.1, Version::V5);

    let wrong_ca = Tls { ca_file: Some(certificates.path("other.pem")), ..right.clone() };
    let no_client = Tls { client: None, ..right.clone() };
    let stranger = certificates.client("stranger");
    for (host, tls, words) in [
        ("localhost", &wrong_ca, "unknown authority"),
        ("127.0.0.1", &right, "another name"),
        ("localhost", &no_client, "requires a client certificate"),
        ("localhost", &stranger, "refuses the client certificate"),
    ] {
        let fault = Running::start(with(host, broker.port, tls)).down().await;
        assert!(fault.to_string().contains(words), "{words}: {fault:?}");
    }
    let fault = Running::start(at("localhost", broker.port)).down().await;
    assert!(fault.to_string().contains("mqtts://"), "{fault:?}");
}

/// For certificates with dates of their own.
const CA_CNF: &str = "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\n\
     certificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\npolicy=any\nx509_extensions=names\n\
     unique_subject=no\n[any]\ncommonName=supplied\n[names]\nsubjectAltName=DNS:localhost\n";

/// What people make at home: as the manual of mosquitto says (version 1), without names, signed by itself.
#[tokio::test]
async fn a_certificate_made_at_home_is_trusted_where_it_is_named_and_else_said_what_it_is() {
    let Some(certificates) = Certificates::new() else { return };
    let request = "-newkey rsa:2048 -nodes -subj /CN=localhost";
    let sign = |name: &str, more: &str| {
        certificates.openssl(&format!("req {request} -keyout {name}.key -out {name}.csr"));
        let by = "-CA ca.pem -CAkey ca.key -CAcreateserial";
        certificates.openssl(&format!("x509 -req -in {name}.csr {by} -out {name}.pem {more}"));
    };
    let oneself = |name: &str, more: &str| {
        certificates.openssl(&format!("req -x509 {request} -days 2 -keyout {name}.key -out {name}.pem {more}"));
    };
    sign("version_1", "-days 2");
    certificates.0.write("extensions", "basicConstraints=CA:FALSE");
    sign("no_name", "-days 2 -extfile extensions");
    certificates.0.write("extensions", "subjectAltName=DNS:broker.lan");
    sign("other_name", "-days 2 -extfile extensions");
    certificates.0.write("ca.cnf", CA_CNF);
    certificates.0.write("index.txt", "");
    certificates.0.write("serial", "10");
    for (name, from, to) in [("expired", "200101000000Z", "200102000000Z"), ("early", "400101000000Z", "400102000000Z")]
    {
        certificates.openssl(&format!("req {request} -keyout {name}.key -out {name}.csr"));
        let dates = format!("-startdate {from} -enddate {to}");
        certificates.openssl(&format!("ca -config ca.cnf -batch {dates} -in {name}.csr -out {name}.pem -notext"));
    }
    certificates.0.write("extensions", "subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth");
    sign("purpose", "-days 2 -extfile extensions");
    certificates.0.write("extensions", "basicConstraints=critical,CA:TRUE");
    sign("between", "-days 2 -extfile extensions");
    certificates.sign("alone", "between", "subjectAltName=DNS:localhost");
    oneself("own", "-addext subjectAltName=DNS:localhost");
    oneself("own_no_name", "-sha256");
    for (name, ca_file, words) in [
        ("version_1", "ca", "X.509 version 1"),
        ("no_name", "ca", "without a subject alternative name"),
        ("other_name", "ca", "it is for broker.lan"),
        ("expired", "ca", "expired at 2020-01-02T00:00:00Z"),
        ("early", "ca", "valid from 2040-01-01T00:00:00Z"),
        ("own", "ca", "self-signed certificate"),
        ("own_no_name", "other", "self-signed certificate"),
        ("own", "own_no_name", "self-signed certificate"),
        ("purpose", "ca", "not meant for a server"),
        ("alone", "ca", "unknown authority"),
    ] {
        let [certificate, key] = ["pem", "key"].map(|end| certificates.path(&format!("{name}.{end}")));
        let (certificate, key) = (certificate.display(), key.display());
        let lines = format!("allow_anonymous true\ncertfile {certificate}\nkeyfile {key}\n");
        let Some(broker) = Broker::start_with(&lines) else { return };
        let trusting = |file: &str| Tls { ca_file: Some(certificates.path(&format!("{file}.pem"))), client: None };
        let fault = Running::start(with("localhost", broker.port, &trusting(ca_file))).down().await;
        assert!(matches!(fault, Fault::Certificate(_)) && fault.to_string().contains(words), "{name}: {fault:?}");
        assert_eq!(Running::start(with("localhost", broker.port, &trusting(name))).up().await.1, Version::V5, "{name}");
    }
}

#[tokio::test]
async fn an_expired_client_certificate_is_said_to_be_one() {
    let Some(certificates) = Certificates::new() else { return };
    certificates.0.write("ca.cnf", CA_CNF);
    certificates.0.write("index.txt", "");
    certificates.0.write("serial", "10");
    certificates.openssl("req -newkey rsa:2048 -nodes -subj /CN=old -keyout old.key -out old.csr");
    let dates = "-startdate 200101000000Z -enddate 200102000000Z";
    certificates.openssl(&format!("ca -config ca.cnf -batch {dates} -in old.csr -out old.pem -notext"));
    let Some(broker) = Broker::start_with(&certificates.lines()) else { return };
    let fault = Running::start(with("localhost", broker.port, &certificates.client("old"))).down().await;
    assert!(fault.to_string().contains("the client certificate has expired"), "{fault:?}");
}

/// `openssl s_server`, which does what no mosquitto of today lets itself be told.
struct OldServer(Child);

impl OldServer {
    fn start(certificates: &Certificates, arguments: &str) -> (Self, u16) {
        let port = free_port();
        let all = format!("s_server -accept {port} -quiet -cipher DEFAULT@SECLEVEL=0 {arguments}");
        let mut openssl = Command::new("openssl");
        let server = openssl
            .args(all.split(' '))
            .current_dir(certificates.0.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let server = Self(server.expect("openssl runs"));
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "it does not listen: {all}");
            std::thread::sleep(Duration::from_millis(50));
        }
        (server, port)
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_and_one_whose_certificate_is_are_said_to_be_that() {
    let Some(certificates) = Certificates::new() else { return };
    certificates.0.write("extensions", "subjectAltName=DNS:localhost");
    let by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions";
    certificates.openssl(&format!("x509 -req -in server.csr {by} -out weak.pem -sha1"));
    let trusting = Tls { ca_file: Some(certificates.path("ca.pem")), client: None };
    for (arguments, words) in [
        ("-cert server.pem -key server.key -tls1_1", "speaks no TLS newer than 1.1"),
        ("-cert weak.pem -key server.key", "no longer held for safe"),
    ] {
        let (_server, port) = OldServer::start(&certificates, arguments);
        let fault = Running::start(with("localhost", port, &trusting)).down().await;
        assert!(fault.to_string().contains(words), "{arguments}: {fault:?}");
    }
}

#[tokio::test]
async fn a_bare_ipv6_address_is_checked_against_a_certificate_for_it() {
    let Some(certificates) = Certificates::new() else { return };
    let Some(mut broker) = Broker::prepare("") else { return };
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        skipped("this machine has no IPv6 loopback");
        return;
    }
    let port = free_port();
    let plain = format!("user root\nallow_anonymous true\nlistener {} 127.0.0.1\n", broker.port);
    broker.folder().write("mosquitto.conf", &format!("{plain}listener {port} ::1\n{}", certificates.lines()));
    broker.run();
    let right = certificates.client("client");
    assert_eq!(Running::start(with("::1", port, &right)).up().await.1, Version::V5);
    certificates.sign("server", "ca", "subjectAltName=DNS:localhost,IP:::2");
    broker.kill();
    broker.run();
    let fault = Running::start(with("::1", port, &right)).down().await;
    assert!(fault.to_string().contains("another name"), "{fault:?}");
}

#[tokio::test]
async fn renewed_files_are_read_without_a_restart() {
    let Some(certificates) = Certificates::new() else { return };
    let Some(broker) = Broker::start_with(&certificates.lines()) else { return };
    let used = certificates.client("used");
    let authority = certificates.path("authority.pem");
    let copy =
        |from: &str, to: &str| _ = std::fs::copy(certificates.path(from), certificates.path(to)).expect("a copy");
    copy("other.pem", "authority.pem");
    copy("stranger.pem", "used.pem");
    copy("stranger.key", "used.key");
    let mut link = Running::start(with("localhost", broker.port, &Tls { ca_file: Some(authority), ..used }));
    assert!(link.down().await.to_string().contains("unknown authority"));
    copy("ca.pem", "authority.pem");
    assert!(link.down().await.to_string().contains("refuses the client certificate"));
    copy("client.pem", "used.pem");
    copy("client.key", "used.key");
    assert_eq!(link.up().await.1, Version::V5);
}

#[tokio::test]
async fn a_port_without_tls_is_said_to_be_one() {
    let Some(broker) = Broker::start() else { return };
    let mut link = Running::start(Mqtt { tls: Some(Tls::default()), ..config(broker.port) });
    let fault = link.down().await;
    assert!(matches!(fault, Fault::Tls(_) | Fault::Closed | Fault::Silent), "{fault:?}");
}
