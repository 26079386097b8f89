//! Where requests go: to the bus, the agent or whoever adopts meters. One that cannot be passed on is answered at
//! once.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::{Asked, AskedOfAgent, AskedToAdopt, BusRequest, GIVEN_UP, Reply, Request, Response, reply};
use crate::config::Config;

/// Hands each request to whoever does it. Made again with each configuration.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Every bus and its channel, in the order of the configuration.
    buses: Vec<(String, mpsc::Sender<Asked>)>,
    /// The index of each meter's bus.
    meters: BTreeMap<String, usize>,
    agent: mpsc::Sender<AskedOfAgent>,
    adopt: mpsc::Sender<AskedToAdopt>,
}

impl Desk {
    /// `buses` are the channels of the buses in the order of the configuration, `agent` is the agent's, `adopt`
    /// that of whoever adopts meters.
    #[must_use]
    pub fn new(
        config: &Config,
        buses: impl IntoIterator<Item = mpsc::Sender<Asked>>,
        agent: mpsc::Sender<AskedOfAgent>,
        adopt: mpsc::Sender<AskedToAdopt>,
    ) -> Self {
        Self {
            buses: config.buses.iter().map(|bus| bus.name.clone()).zip(buses).collect(),
            meters: config.meters.iter().map(|meter| (meter.name.clone(), meter.bus)).collect(),
            agent,
            adopt,
        }
    }

    /// Passes a request on; one that cannot be is answered at once.
    #[must_use]
    pub fn ask(&self, request: Request) -> Response {
        let (reply, response) = reply();
        match request {
            Request::Resend => reply.refuse("only the owner of the store can send readings again"),
            Request::Bus { name, what } => match self.channel(name.as_deref(), &what) {
                Ok(bus) => send(bus, Asked { what, reply }),
                Err(why) => reply.refuse(why),
            },
            Request::Adopt(what) => {
                let asked = AskedToAdopt { what, reply };
                self.adopt.try_send(asked).unwrap_or_else(|full| full.into_inner().reply.refuse(TOO_MANY));
            }
            Request::Agent(what) => {
                let asked = AskedOfAgent { what, reply };
                self.agent.try_send(asked).unwrap_or_else(|full| full.into_inner().reply.refuse(TOO_MANY));
            }
        }
        response
    }

    /// Reads a configured meter once more, for those who still wait for its reading.
    pub fn read_again(&self, meter: &str, waiting: Vec<Reply>) {
        let what = BusRequest::Read { meter: meter.to_owned() };
        let waiting = if waiting.is_empty() { vec![reply().0] } else { waiting };
        for reply in waiting {
            match self.channel(None, &what) {
                Ok(bus) => send(bus, Asked { what: what.clone(), reply }),
                Err(why) => reply.refuse(why),
            }
        }
    }

    /// The channel of the bus that is meant.
    fn channel(&self, name: Option<&str>, what: &BusRequest) -> Result<&mpsc::Sender<Asked>, String> {
        let index = match (what, name) {
            (BusRequest::Read { meter }, _) => {
                *self.meters.get(meter).ok_or_else(|| format!("no such meter: {meter}"))?
            }
            (_, None) if self.buses.len() == 1 => 0,
            (_, None) if self.buses.is_empty() => return Err(NO_BUS.to_owned()),
            (_, None) => return Err(format!("say which \"bus\": {}", self.names())),
            (_, Some(name)) => {
                let index = self.buses.iter().position(|(bus, _)| bus == name);
                index.ok_or_else(|| format!("no such bus: {name}; there is {}", self.names()))?
            }
        };
        self.buses.get(index).map(|(_, channel)| channel).ok_or_else(|| GIVEN_UP.to_owned())
    }

    fn names(&self) -> String {
        self.buses.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// No `[[bus]]` is written, and the Hat is not there.
const NO_BUS: &str = "there is no bus: no [[bus]] is configured, and no M-Bus Master Hat is found";
const TOO_MANY: &str = "too many requests wait; try again later";

fn send(bus: &mpsc::Sender<Asked>, asked: Asked) {
    match bus.try_send(asked) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(asked)) => asked.reply.refuse(TOO_MANY),
        Err(mpsc::error::TrySendError::Closed(asked)) => asked.reply.refuse(GIVEN_UP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{AgentRequest, Answer, Scan};

    /// Two buses, `a` with the meter `m`; what arrives at each, and at the agent.
    struct Ends {
        desk: Desk,
        a: mpsc::Receiver<Asked>,
        b: mpsc::Receiver<Asked>,
        agent: mpsc::Receiver<AskedOfAgent>,
    }

    fn ends() -> Ends {
        let ((a_in, a), (b_in, b), (agent_in, agent)) = (mpsc::channel(2), mpsc::channel(2), mpsc::channel(1));
        let buses = vec![("a".to_owned(), a_in), ("b".to_owned(), b_in)];
        let (adopt, _) = mpsc::channel(1);
        let desk = Desk { buses, meters: BTreeMap::from([("m".to_owned(), 0)]), agent: agent_in, adopt };
        Ends { desk, a, b, agent }
    }

    fn on(name: Option<&str>, what: BusRequest) -> Request {
        Request::Bus { name: name.map(str::to_owned), what }
    }

    fn read(meter: &str) -> BusRequest {
        BusRequest::Read { meter: meter.to_owned() }
    }

    #[tokio::test]
    async fn a_request_reaches_the_bus_that_is_meant_and_its_answer_the_asker() {
        let mut ends = ends();
        let (response, other) =
            (ends.desk.ask(on(None, read("m"))), ends.desk.ask(on(Some("b"), BusRequest::Power(true))));
        let asked = ends.a.recv().await.expect("a request");
        assert_eq!(asked.what, read("m"));
        asked.reply.answer(Ok(Answer::Reading("{}".to_owned())));
        assert_eq!(response.await, Ok(Answer::Reading("{}".to_owned())));
        ends.b.recv().await.expect("a request").reply.refuse("no Hat");
        assert_eq!(other.await, Err("no Hat".to_owned()));
        let response = ends.desk.ask(Request::Agent(AgentRequest::Restart));
        let asked = ends.agent.recv().await.expect("a request");
        assert_eq!(asked.what, AgentRequest::Restart);
        asked.reply.answer(Ok(Answer::Done));
        assert_eq!(response.await, Ok(Answer::Done));
    }

    #[tokio::test]
    async fn a_request_for_what_is_not_there_is_answered_with_what_is() {
        let Ends { desk, .. } = ends();
        for (request, why) in [
            (on(None, read("x")), "no such meter: x"),
            (on(Some("c"), BusRequest::Power(true)), "no such bus: c; there is a, b"),
            (on(None, BusRequest::Scan(Scan::Primary)), "say which \"bus\": a, b"),
        ] {
            assert_eq!(desk.ask(request).await, Err(why.to_owned()));
        }
    }

    #[tokio::test]
    async fn requests_are_bounded_and_one_that_is_dropped_is_answered() {
        let Ends { desk, mut a, agent, .. } = ends();
        let first = desk.ask(on(None, read("m")));
        let _second = desk.ask(on(None, read("m")));
        assert_eq!(desk.ask(on(None, read("m"))).await, Err(TOO_MANY.to_owned()));
        drop(a.recv().await);
        assert_eq!(first.await, Err(GIVEN_UP.to_owned()));
        drop((a, agent));
        assert_eq!(desk.ask(on(None, read("m"))).await, Err(GIVEN_UP.to_owned()));
    }

    #[tokio::test]
    async fn a_meter_is_read_again_for_all_who_wait_and_where_no_one_does() {
        let Ends { desk, mut a, .. } = ends();
        desk.read_again("m", Vec::new());
        assert_eq!(a.recv().await.expect("a request").what, read("m"));
        let (replies, responses): (Vec<_>, Vec<_>) = (0..3).map(|_| reply()).unzip();
        desk.read_again("m", replies);
        let mut answers = Vec::new();
        while let Ok(asked) = a.try_recv() {
            asked.reply.answer(Ok(Answer::Done));
        }
        for response in responses {
            answers.push(response.await);
        }
        assert_eq!(answers, [Ok(Answer::Done), Ok(Answer::Done), Err(TOO_MANY.to_owned())]);
    }
}
