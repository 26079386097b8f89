//! The profiles that ship in the binary: TOML of the same form as a user's `[[profile]]`.

use super::{check, file};
use crate::measure::profile::Profile;

const FILES: &[&str] = &[
    include_str!("../../config/profiles/ats_ec20.toml"),
    include_str!("../../config/profiles/eastron_sdm220.toml"),
    include_str!("../../config/profiles/kamstrup_multical_401.toml"),
];

/// Each built-in profile and its file. A test proves that they have no problems.
#[must_use]
pub fn built_in() -> Vec<(Profile, &'static str)> {
    let profiles = |text: &&'static str| check::profiles_only(&file::read(text).0, &mut Vec::new());
    FILES.iter().flat_map(|text| profiles(text).into_iter().map(|profile| (profile, *text))).collect()
}

#[cfg(test)]
mod tests {
    use super::FILES;
    use crate::config::{check, file};

    #[test]
    fn every_built_in_profile_is_without_a_problem() {
        for text in FILES {
            let (table, mut problems) = file::read(text);
            let profiles = check::profiles_only(&table, &mut problems);
            assert_eq!((profiles.len(), problems.as_slice()), (1, [].as_slice()), "{text}");
        }
    }
}
