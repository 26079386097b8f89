//! What a hunt is told as, in words: where it is, and what to do about meters that cannot be adopted.

use core::fmt::Display;

use super::hunt::{Progress, Stage, Trouble};
use crate::mbus::address::MeterAddress;
use crate::status::said::{
    AT_ONE_ADDRESS, AT_ONE_IDENTITY, NEVER_QUIET, NO_DATA, ONLY, PRIMARY, SECONDARY, SHARED_IDENTITY,
};

/// `looking at 2400 baud for secondary addresses`; `None` where the hunt is over.
#[must_use]
pub fn doing(progress: &Progress) -> Option<String> {
    let (baud, stage) = progress.stage.as_ref()?;
    let what = match stage {
        Stage::Secondary(_) => SECONDARY,
        Stage::Only => ONLY,
        Stage::Primary(_) => PRIMARY,
    };
    Some(what.replace("{}", &baud.to_string()))
}

/// `3 found, 40 % done, about 2 min left`.
#[must_use]
pub fn so_far(progress: &Progress) -> String {
    let Progress { percent, left, found, .. } = progress;
    let left = match left.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    };
    format!("{found} found, {percent} % done, about {left} left")
}

/// Which fifth of the whole it is in: the log tells of each.
#[must_use]
pub const fn fifth(progress: &Progress) -> u32 {
    progress.percent / 20
}

/// Who it is, why it cannot be adopted, and what to do.
#[must_use]
pub fn advice(trouble: Trouble) -> String {
    let said = |template: &str, address: &dyn Display| template.replace("{}", &address.to_string());
    match trouble {
        Trouble::Collision(MeterAddress::Primary(address)) => said(AT_ONE_ADDRESS, &address),
        Trouble::Collision(MeterAddress::Secondary(address)) => said(AT_ONE_IDENTITY, &address),
        Trouble::SharedIdentity(address) => said(SHARED_IDENTITY, &address),
        Trouble::NoData(address) => said(NO_DATA, &address),
        Trouble::Noise => NEVER_QUIET.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{advice, doing, so_far};
    use crate::adopt::hunt::{Progress, Stage, Trouble};
    use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
    use crate::mbus::link::timing::Baud;
    use crate::mbus::master::reply::{ExchangeError, FIND_THE_NOISE};
    use std::time::Duration;

    #[test]
    fn each_stage_and_each_trouble_has_its_words() {
        let at = |stage| Progress { stage: Some((Baud::DEFAULT, stage)), percent: 0, left: Duration::ZERO, found: 0 };
        let words = |stage| doing(&at(stage)).expect("it goes on");
        assert_eq!(words(Stage::Secondary(Vec::new())), "looking at 2400 baud for secondary addresses");
        assert_eq!(words(Stage::Primary(7)), "looking at 2400 baud at primary addresses");
        assert_eq!(words(Stage::Only), "looking at 2400 baud for a meter that is alone");
        assert_eq!(doing(&Progress { stage: None, ..at(Stage::Only) }), None);
        let half = Progress { percent: 40, left: Duration::from_secs(118), found: 3, ..at(Stage::Only) };
        assert_eq!(so_far(&half), "3 found, 40 % done, about 2 min left");
        let five = PrimaryAddress::new(5).map(MeterAddress::Primary).expect("an address");
        let any = SecondaryAddress::ANY;
        for trouble in
            [Trouble::Collision(five), Trouble::SharedIdentity(any), Trouble::Collision(MeterAddress::Secondary(any))]
        {
            assert!(advice(trouble).contains("set-address"), "{}", advice(trouble));
        }
        assert!(advice(Trouble::NoData(five)).contains("at 5 acknowledges"));
        assert!(advice(Trouble::NoData(five)).contains("`mbushat read 5 --wire`"));
        let noise = advice(Trouble::Noise);
        assert!(
            noise.starts_with(&ExchangeError::NeverQuiet.to_string()) && noise.ends_with(FIND_THE_NOISE),
            "{noise}"
        );
    }
}
