//! `/health`: whether the agent makes progress, for whoever watches the process.

use std::time::Duration;

use axum::extract::State;
use tokio::time::timeout;

use super::house::App;
use super::problem::Problem;
use crate::request::{AgentRequest, Request};

/// As long as the agent waits for its outbox, and a moment more for the agent itself.
const ANSWERS_WITHIN: Duration = Duration::from_secs(6);

/// 200 while the watchdog of the service manager would be fed.
pub(super) async fn health(State(app): State<App>) -> Result<&'static str, Problem> {
    let answer = app.house().desk.ask(Request::Agent(AgentRequest::Ping));
    match timeout(ANSWERS_WITHIN, answer).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(why)) => Err(Problem::unavailable(why)),
        Err(_) => Err(Problem::unavailable("the agent makes no progress")),
    }
}
