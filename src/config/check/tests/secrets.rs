//! Passwords and keys.

use super::{METER, config, config_with, problems};
use crate::config::PasswordSource;

#[test]
fn a_secret_is_never_repeated() {
    let secret = "hunter2";
    for text in [
        "[mqtt]\nurl = \"mqt://u:hunter2@h\"\n",
        "[mqtt]\nurl = \"mqtt://u:hunter2@h h\"\n",
        "[mqtt]\npassword = [\"hunter2\"]\n",
        "[mqtt]\npassword = hunter2\n",
        "[mqtt]\nusername = \"u\"\npassword = \"hunter2\n",
        "[[meter]]\nname = \"m\"\naddress = 1\nkey = \"hunter2\"\n",
    ] {
        let reported = problems(text);
        assert!(!reported.is_empty() && !reported.join("\n").contains(secret), "{reported:?}");
    }
    let config = config(&format!(
        "[mqtt]\nurl = \"mqtt://u:hunter2@h\"\n{METER}key = \"0102030405060708090A0B0C0D0E0F{:02X}\"\n",
        0xAB
    ));
    let shown = format!("{config:?}");
    assert!(!shown.contains(secret) && !shown.contains("171"), "{shown}");
}

#[test]
fn the_credential_counts_where_the_file_has_no_password() {
    let password = |text: &str| config_with(text, Some("/run/c/mqtt-password")).expect("good").mqtt.password;
    let in_file = "[mqtt]\nusername = \"u\"\npassword = \"p\"\n";
    assert!(
        matches!(password("[mqtt]\nusername = \"u\"\n"), Some(PasswordSource::File(path)) if path.ends_with("mqtt-password"))
    );
    assert!(matches!(password(in_file), Some(PasswordSource::Inline(_))));
    assert!(password("").is_none());
}

#[test]
fn a_user_or_password_longer_than_mqtt_can_carry_is_a_problem() {
    for (bytes, expected) in [(65_535, 0), (65_536, 1)] {
        let long = "x".repeat(bytes);
        for text in [
            format!("username = \"{long}\"\n"),
            format!("username = \"u\"\npassword = \"{long}\"\n"),
            format!("url = \"mqtt://u:{long}@h\"\n"),
            format!("url = \"mqtt://{long}:p@h\"\n"),
        ] {
            let said = config_with(&format!("[mqtt]\n{text}"), None).err().map(|all| all.to_string());
            let said = said.unwrap_or_default().matches("65535").count();
            assert_eq!(said, expected, "{}", text.get(..20).unwrap_or_default());
        }
    }
}
