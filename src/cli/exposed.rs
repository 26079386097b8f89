//! Files with secrets in them that every user of this machine can read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, PasswordSource};

/// A warning for each of them, with what to do.
pub(crate) fn exposed(config: &Config) -> Vec<String> {
    let mut secret: Vec<(PathBuf, &str)> = config.key_files.iter().map(|path| (path.clone(), "a key")).collect();
    secret.extend(config.secret_files.iter().cloned());
    let http = config.http.as_ref();
    for password in [&config.mqtt.password, &http.and_then(|http| http.password.clone())] {
        if let Some(PasswordSource::File(path)) = password {
            secret.push((path.clone(), "a password"));
        }
    }
    let of_client = config.mqtt.tls.as_ref().and_then(|tls| tls.client.clone());
    let of_page = http.and_then(|http| http.tls.clone());
    secret.extend([of_client, of_page].into_iter().flatten().map(|(_, key)| (key, "a key")));
    secret.sort();
    secret.dedup_by(|one, other| one.0 == other.0);
    // The mode of a folder or a device is not ours to advise on.
    let everybodys = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o004 != 0)
    };
    let say =
        |path: &Path, what: &str| format!("{0} holds {what} and every user can read it: chmod 640 {0}", path.display());
    secret.iter().filter(|(path, _)| everybodys(path)).map(|(path, what)| say(path, what)).collect()
}

/// A warning for each file that is named and not there: without it there is no page, or no connection.
pub(crate) fn missing(config: &Config) -> Vec<String> {
    let mqtt = &config.mqtt;
    let ca = mqtt.tls.iter().filter_map(|tls| Some(("ca_file", tls.ca_file.as_deref()?)));
    let client = mqtt.tls.iter().filter_map(|tls| tls.client.as_ref());
    let client = client.flat_map(|(cert, key)| [("client_cert", cert.as_path()), ("client_key", key)]);
    let of_mqtt = password_file(mqtt.password.as_ref()).into_iter().chain(ca).chain(client);
    let of_http = config.http.iter().flat_map(|http| {
        let tls = http.tls.iter().flat_map(|(cert, key)| [("cert", cert.as_path()), ("key", key)]);
        password_file(http.password.as_ref()).into_iter().chain(tls)
    });
    let of_mqtt = of_mqtt.map(|file| ("mqtt", file, "no connection to the broker"));
    let all = of_mqtt.chain(of_http.map(|file| ("http", file, "no page")));
    // One in a folder that is closed to this user is not missing.
    let gone = all.filter(|(_, (_, path), _)| path.try_exists().is_ok_and(|exists| !exists));
    gone.map(|(table, (key, path), nothing)| {
        format!("[{table}] {key} {} is not there: until it is, there is {nothing}", path.display())
    })
    .collect()
}

fn password_file(password: Option<&PasswordSource>) -> Option<(&'static str, &Path)> {
    match password {
        Some(PasswordSource::File(path)) => Some(("password_file", path)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn every_file_with_a_secret_is_named_once_where_all_may_read_it() {
        let folder = std::env::temp_dir().join(format!("mbushat-exposed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
            path
        };
        let key = "000102030405060708090A0B0C0D0E0F";
        let meter = |n: u8, key: &str| format!("[[meter]]\nname = \"m{n}\"\naddress = {n}\n{key}\n");
        let own = format!("key = \"{key}\"");
        let text = format!(
            "[mqtt]\nurl = \"mqtt://localhost\"\nusername = \"u\"\npassword_file = \"password\"\n{}{}{}",
            meter(1, "key_file = \"key\""),
            meter(2, "key_file = \"key\""),
            meter(3, &own)
        );
        let files = ["key", "password"].map(|name| write(name, key, 0o640));
        let file = write("mbushat.toml", &text, 0o640);
        let load = || config::load(&file).expect("a configuration");
        assert_eq!(exposed(&load()), [""; 0]);
        for path in files.iter().chain([&file]) {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("its mode");
        }
        let said = exposed(&load());
        assert_eq!(said.len(), 3, "{said:?}");
        for (path, said) in [&files[0], &file, &files[1]].into_iter().zip(&said) {
            assert!(said.starts_with(&format!("{} holds a ", path.display())), "{said}");
        }
        write("mbushat.toml", &text.replace(&own, ""), 0o644);
        assert_eq!(exposed(&load()).len(), 2, "it has no secret any more");
        let mut config = load();
        config.mqtt.password = Some(PasswordSource::File(std::env::temp_dir()));
        assert!(exposed(&config).iter().all(|said| !said.ends_with(&std::env::temp_dir().display().to_string())));
        std::fs::remove_dir_all(folder).expect("it was there");
    }

    #[test]
    fn each_secret_is_told_of_the_file_that_holds_it() {
        let folder = std::env::temp_dir().join(format!("mbushat-exposed-more-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("t.d")).expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("its mode");
            path
        };
        let key = "key = \"000102030405060708090A0B0C0D0E0F\"\ninterval = \"1h\"\n";
        let main =
            "[agent]\nmeters_file = \"meters.toml\"\n[http]\npassword_file = \"pw\"\ncert = \"c\"\nkey = \"k\"\n";
        let file = write("t.toml", main);
        let more = write("t.d/more.toml", &format!("[[meter]]\nname = \"more\"\naddress = 1\n{key}"));
        let adopted = write("meters.toml", &format!("[[meter]]\nname = \"found\"\naddress = 2\n{key}"));
        let load = || config::load(&file).expect("a configuration");
        let named = |said: &[String], path: &Path| said.iter().any(|said| said.contains(&path.display().to_string()));
        let said = exposed(&load());
        assert!(said.len() == 2 && named(&said, &more) && named(&said, &adopted), "{said:?}");
        assert_eq!(missing(&load()).len(), 3, "{:?}", missing(&load()));
        for name in ["pw", "c", "k"] {
            write(name, "x");
        }
        let said = exposed(&load());
        assert!(said.len() == 4 && named(&said, &folder.join("pw")) && named(&said, &folder.join("k")), "{said:?}");
        assert_eq!(missing(&load()), [""; 0]);
        write("t.toml", "[agent]\nmeters_file = \"meters.toml\"\n[http]\npassword = \"secret\"\n");
        assert!(named(&exposed(&load()), &file), "{:?}", exposed(&load()));
        let tls =
            "ca_file = \"ca\"\nclient_cert = \"cc\"\nclient_key = \"ck\"\nusername = \"u\"\npassword_file = \"mp\"\n";
        write("t.toml", &format!("[mqtt]\nurl = \"mqtts://h\"\n{tls}"));
        let gone = missing(&load());
        assert!(["ca", "cc", "ck", "mp"].iter().all(|name| named(&gone, &folder.join(name))), "{gone:?}");
        assert!(gone.len() == 4 && gone.iter().all(|said| said.ends_with("no connection to the broker")), "{gone:?}");
        write("t.toml", "[agent]\nmeters_file = \"meters.toml\"\n[http]\npassword = \"${HOSTNAME}\"\n");
        assert!(!named(&exposed(&load()), &file), "the environment has it");
        std::fs::remove_dir_all(folder).expect("it was there");
    }
}
