//! A short hash of the configuration as meant, so that it can be compared from afar.
//!
//! It is made of the `Debug` texts, which show neither passwords nor keys; the built-in profiles, which
//! belong to the program, are left out. So it is the same in every build of one release.

use std::fmt::Write;

use super::{Config, built_in_profiles};

/// 16 hex digits.
#[must_use]
pub fn fingerprint(config: &Config) -> String {
    let Config { timezone, mqtt, homeassistant, store, http, log, buses, meters, disabled_meters, profiles, .. } =
        config;
    let built_in: Vec<_> = built_in_profiles().into_iter().map(|(profile, _)| profile).collect();
    let own: Vec<_> = profiles.iter().filter(|profile| !built_in.contains(profile)).collect();
    let mut text = String::new();
    // Writing to a text cannot fail.
    _ = write!(text, "{timezone:?} {mqtt:?} {homeassistant:?} {store:?} {http:?} {log:?} {buses:?} {meters:?}");
    _ = write!(text, " {disabled_meters:?} {own:?}");
    format!("{:016x}", fnv_1a(text.as_bytes()))
}

/// FNV-1a of 64 bits: the standard library promises no hash that another release would give, too.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, fnv_1a};
    use crate::config::load::tests::parsed;

    fn of(text: &str) -> String {
        fingerprint(&parsed(text))
    }

    fn with(password: &str, key: &str, more: &str) -> String {
        of(&format!(
            "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword = {password:?}\n\
             [[meter]]\nname = \"a\"\naddress = 1\nkey = {key:?}\n{more}"
        ))
    }

    const KEY: &str = "000102030405060708090A0B0C0D0E0F";

    #[test]
    fn it_is_the_same_for_the_same_meaning_and_another_for_another() {
        let plain = with("secret", KEY, "");
        assert_eq!(plain, with("secret", KEY, "# a comment\ninterval = \"900s\"\n"), "the default, written out");
        assert_ne!(plain, with("secret", KEY, "interval = \"16m\"\n"));
        assert_ne!(
            plain,
            with("secret", KEY, "[[profile]]\nname = \"mine\"\n[[profile.record]]\nindex = 0\nhide = true\n")
        );
        let brokers = |list: &str| of(&format!("[mqtt]\nurl = {list}\n"));
        assert_eq!(brokers("[\"mqtt://a\"]"), brokers("\"mqtt://a:1883\""));
        assert_ne!(brokers("[\"mqtt://a\"]"), brokers("[\"mqtt://a\", \"mqtt://b\"]"));
        assert!(plain.len() == 16 && plain.bytes().all(|digit| digit.is_ascii_hexdigit()), "{plain}");
    }

    #[test]
    fn no_secret_has_a_part_in_it() {
        assert_eq!(with("secret", KEY, ""), with("other", &KEY.replace('0', "1"), ""));
    }

    #[test]
    fn every_build_makes_the_same_of_the_same_bytes() {
        assert_eq!((fnv_1a(b""), fnv_1a(b"a")), (0xCBF2_9CE4_8422_2325, 0xAF63_DC4C_8601_EC8C));
    }
}
