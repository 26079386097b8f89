//! Files with secrets in them that every user of this machine can read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, PasswordSource};

/// A warning for each of them, with what to do; `file` is the configuration's own.
pub(crate) fn exposed(file: &Path, config: &Config) -> Vec<String> {
    let mut secret: Vec<(PathBuf, &str)> = config.key_files.iter().map(|path| (path.clone(), "a key")).collect();
    let keys = config.all_meters().filter(|(meter, _)| meter.key.is_some()).count();
    match &config.mqtt.password {
        Some(PasswordSource::Inline(_)) => secret.push((file.to_owned(), "a password")),
        _ if keys > config.key_files.len() => secret.push((file.to_owned(), "a key")),
        _ => {}
    }
    if let Some(PasswordSource::File(path)) = &config.mqtt.password {
        secret.push((path.clone(), "a password"));
    }
    if let Some((_, key)) = config.mqtt.tls.as_ref().and_then(|tls| tls.client.clone()) {
        secret.push((key, "a key"));
    }
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
        assert_eq!(exposed(&file, &load()), [""; 0]);
        for path in files.iter().chain([&file]) {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("its mode");
        }
        let said = exposed(&file, &load());
        assert_eq!(said.len(), 3, "{said:?}");
        for (path, said) in [&files[0], &file, &files[1]].into_iter().zip(&said) {
            assert!(said.starts_with(&format!("{} holds a ", path.display())), "{said}");
        }
        write("mbushat.toml", &text.replace(&own, ""), 0o644);
        assert_eq!(exposed(&file, &load()).len(), 2, "it has no secret any more");
        let mut config = load();
        config.mqtt.password = Some(PasswordSource::File(std::env::temp_dir()));
        assert!(
            exposed(&file, &config).iter().all(|said| !said.ends_with(&std::env::temp_dir().display().to_string()))
        );
        std::fs::remove_dir_all(folder).expect("it was there");
    }
}
