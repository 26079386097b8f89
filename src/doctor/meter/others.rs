//! Who else is on the bus of a meter that is silent.

use super::telegrams::identity;
use super::{CHECK, Finding, Question, file_of, named};
use crate::bus::line::{Character, LineError};
use crate::bus::session::{Query, Session, response_timeout};
use crate::mbus::address::{MeterAddress, PrimaryAddress, TEST_BROADCAST};
use crate::mbus::master::exchange::{Exchange, Exchanged};
use crate::mbus::master::readout::{Effort, LinkState, Turn};
use crate::mbus::master::reply::{ExchangeError, address_of};
use crate::mbus::master::request::Request;

impl Question<'_> {
    /// Whether any meter acknowledges a reset of all, even if replies collide.
    pub(super) async fn anybody(&self, session: &mut Session, character: Character) -> Result<bool, LineError> {
        let response_timeout = response_timeout(self.bus, Some(self.meter), character.baud);
        let timing = session.timing(character.baud, response_timeout, 1);
        session.wake(character, self.meter.wake_up.or(self.bus.wake_up)).await?;
        let mut everybody = Exchange::new(Request::snd_nke(TEST_BROADCAST), timing);
        let Exchanged { reply, .. } = session.converse(character, &mut everybody).await?;
        Ok(!matches!(reply, Err(ExchangeError::Silence | ExchangeError::NeverQuiet)))
    }

    /// The telegram of the meter that is alone on the bus; of several nothing comes through.
    pub(super) async fn only_meter(
        &self,
        session: &mut Session,
        character: Character,
    ) -> Result<Option<Vec<u8>>, LineError> {
        let mut query = Query::plain(self.bus, Turn::new(MeterAddress::Primary(PrimaryAddress::ONLY)));
        query.response_timeout = response_timeout(self.bus, Some(self.meter), character.baud);
        (query.character, query.turn.effort) = (character, Effort::Short);
        let frames = session.read(query, LinkState::default()).await?.frames;
        Ok(frames.ok().and_then(|frames| frames.into_iter().next()))
    }

    /// Whether a meter gives a reading at this address.
    pub(super) async fn answers_to(
        &self,
        session: &mut Session,
        character: Character,
        address: PrimaryAddress,
    ) -> Result<bool, LineError> {
        let turn = Turn { effort: Effort::Short, ..Turn::new(MeterAddress::Primary(address)) };
        let mut query = Query::plain(self.bus, turn);
        query.response_timeout = response_timeout(self.bus, Some(self.meter), character.baud);
        query.character = character;
        Ok(session.read(query, LinkState::default()).await?.frames.is_ok())
    }

    /// `address` is where the other meter says that it answers, if it does.
    pub(super) fn another_answers(
        &self,
        configured: Character,
        other: Option<&[u8]>,
        address: Option<PrimaryAddress>,
    ) -> Finding {
        let found =
            format!("{} does not answer at {}; but another meter does", named(self.meter), self.tried(configured));
        let Some(frame) = other else {
            return Finding::failure(CHECK, found).fix("Find out who is there:", ["mbushat scan --toml"]);
        };
        let identity = identity(frame);
        let Some(address) = address else {
            let says = address_of(frame).map_or_else(String::new, |a| format!(", says address {a}"));
            let found = format!("{found}: the only one on the bus{says}, where nothing answers{identity}");
            let say = "Read it by its secondary address, which this shows:";
            return Finding::failure(CHECK, found).fix(say, ["mbushat scan --secondary --toml"]);
        };
        let found = format!("{found}: the only one on the bus, at address {address}{identity}");
        let say = format!("If that is it, correct its [[meter]] in {}:", file_of(self.config, self.meter));
        Finding::failure(CHECK, found).fix(say, [format!("address = {address}")])
    }
}

/// The address that its telegram says.
pub(super) fn primary_of(frame: &[u8]) -> Option<PrimaryAddress> {
    address_of(frame).and_then(PrimaryAddress::new)
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::{Question, Session};
    use crate::bus::Machine;
    use crate::config;
    use std::path::Path;
    use tokio::time::{Duration, Instant};

    /// What is said of a meter at 7 where the only one on the bus is at 5.
    async fn said(folder: &Path, of_meter: &str) -> String {
        std::fs::create_dir_all(folder).expect("a folder");
        let simulated = folder.join("bus.toml");
        std::fs::write(&simulated, format!("[[meter]]\nmodel = \"heat\"\naddress = 5\n{of_meter}")).expect("a file");
        let text = format!(
            "[[bus]]\nname = \"b\"\nport = \"sim:{}\"\n[[meter]]\nname = \"m\"\naddress = 7\n",
            simulated.display()
        );
        std::fs::write(folder.join("mbushat.toml"), text).expect("a file");
        let config = config::load(&folder.join("mbushat.toml")).expect("a good configuration");
        let machine = Machine { device_tree: folder.to_owned(), open_pin: crate::bus::hat::open_pin };
        let (bus, meter) = (&config.buses[0], &config.meters[0]);
        let mut session = Session::open(bus, &machine, true).await.expect("a line");
        let question = Question { bus, meter, config: &config, until: Instant::now() + Duration::from_secs(60) };
        let Ok(Answer::Silent(finding)) = question.ask(&mut session).await else { panic!("it answers") };
        std::fs::remove_dir_all(folder).expect("the end of the folder");
        format!("{finding:?}")
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_advised_only_where_the_meter_answers_at_it() {
        let folder = std::env::temp_dir().join(format!("mbushat-doctor-others-{}", std::process::id()));
        let right = said(&folder, "").await;
        assert!(right.contains("address = 5"), "{right}");
        let wrong = said(&folder, "says_address = 0\n").await;
        assert!(wrong.contains("says address 0, where nothing answers"), "{wrong}");
        assert!(!wrong.contains("address = 0") && wrong.contains("mbushat scan --secondary"), "{wrong}");
    }
}
