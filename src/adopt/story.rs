//! What a hunt is told as, in words: where it is, and what to do about meters that cannot be adopted.

use super::hunt::{Progress, Stage, Trouble};
use crate::mbus::address::MeterAddress;
use crate::mbus::master::reply::{ExchangeError, FIND_THE_NOISE};

/// `looking at 2400 baud for secondary addresses`; `None` where the hunt is over.
#[must_use]
pub fn doing(progress: &Progress) -> Option<String> {
    let (baud, stage) = progress.stage.as_ref()?;
    let what = match stage {
        Stage::Secondary(_) => "for secondary addresses",
        Stage::Only => "for a meter that is alone",
        Stage::Primary(_) => "at primary addresses",
    };
    Some(format!("looking at {baud} baud {what}"))
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
    match trouble {
        Trouble::Collision(MeterAddress::Primary(address)) => format!(
            "several meters answer at address {address}, or the line is noisy: connect them one at a time, give each \
             an address of its own with `mbushat meter set-address`, then scan again"
        ),
        Trouble::Collision(MeterAddress::Secondary(address)) => format!(
            "several meters answer to {address} and cannot be told apart, or the line is noisy: connect them one at a \
             time, give each a primary address of its own with `mbushat meter set-address`, then scan again"
        ),
        Trouble::SharedIdentity(address) => format!(
            "several meters say that they are {address}: connect them one at a time, give each a primary address of \
             its own with `mbushat meter set-address`, then scan again"
        ),
        Trouble::NoData(address) => format!(
            "a meter at {address} acknowledges but gives no data: `mbushat read {address} --wire` shows what it \
             answers; it may need to be woken or reset first"
        ),
        Trouble::Noise => format!(
            "{}, so no meter can be looked for (the agent tries again every ten minutes): {FIND_THE_NOISE}",
            ExchangeError::NeverQuiet
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{advice, doing, so_far};
    use crate::adopt::hunt::{Progress, Stage, Trouble};
    use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
    use crate::mbus::link::timing::Baud;
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
    }
}
