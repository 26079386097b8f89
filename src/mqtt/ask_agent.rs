//! Requests to the running agent from another process: over its broker, as any other program makes them.
//!
//! Not here: the visit to the broker (`link::probe`), what may be asked (`request_json`).

use std::time::Duration;

use serde_json::Value;

use super::link::probe::{Asked, ask};
use super::topic::Topics;
use crate::config::Mqtt;

/// The agent's responses to these requests of one verb, JSON objects, in their order; `None` where none came
/// `within` the time. `who` asks is a part of the client id.
///
/// # Errors
/// In words, where no broker lets us in.
pub(crate) async fn ask_agent(
    mqtt: &Mqtt,
    who: &str,
    verb: &str,
    mut requests: Vec<Value>,
    within: Duration,
) -> Result<Vec<Option<Value>>, String> {
    let process = std::process::id();
    let transaction = |number: usize| format!("{who}-{process}-{number}");
    for (number, request) in requests.iter_mut().enumerate() {
        request["transaction"] = transaction(number).into();
    }
    let topics = Topics::new(&mqtt.base_topic);
    let asked = Asked {
        client_id: format!("mbushat-{who}-{process}"),
        request_topic: topics.request(verb),
        response_topic: topics.response(verb),
        requests: requests.iter().map(|request| request.to_string().into_bytes()).collect(),
        within,
    };
    let answered = ask(mqtt, &asked, answers_to).await;
    let mut answers =
        answered.map_err(|(broker, fault)| format!("the agent cannot be asked: the broker {broker} {fault}"))?;
    Ok((0..requests.len()).map(|number| answers.remove(&transaction(number))).collect())
}

/// The transaction of a response, and the whole of it.
fn answers_to(payload: &[u8]) -> Option<(String, Value)> {
    let response: Value = serde_json::from_slice(payload).ok()?;
    let transaction = response.get("transaction")?.as_str()?.to_owned();
    Some((transaction, response))
}
