//! The profiles that ship in the binary: TOML of the same form as a user's `[[profile]]`.

use super::{check, file};
use crate::measure::profile::Profile;

const FILES: &[&str] = &[
    include_str!("../../config/profiles/abb.toml"),
    include_str!("../../config/profiles/algodue.toml"),
    include_str!("../../config/profiles/apator_na1.toml"),
    include_str!("../../config/profiles/ats_ec20.toml"),
    include_str!("../../config/profiles/eastron_sdm220.toml"),
    include_str!("../../config/profiles/emu_professional.toml"),
    include_str!("../../config/profiles/engelmann_sensostar.toml"),
    include_str!("../../config/profiles/gavazzi_em.toml"),
    include_str!("../../config/profiles/gossen_u18x.toml"),
    include_str!("../../config/profiles/ime_conto_d4.toml"),
    include_str!("../../config/profiles/ime_nemo96.toml"),
    include_str!("../../config/profiles/itron_cyble.toml"),
    include_str!("../../config/profiles/janitza_umg96.toml"),
    include_str!("../../config/profiles/kamstrup_multical.toml"),
    include_str!("../../config/profiles/kamstrup_multical_401.toml"),
    include_str!("../../config/profiles/saia_ale3.toml"),
    include_str!("../../config/profiles/schneider_iem3000.toml"),
    include_str!("../../config/profiles/svm_f4.toml"),
    include_str!("../../config/profiles/tip_sinus85.toml"),
    include_str!("../../config/profiles/zpa.toml"),
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
