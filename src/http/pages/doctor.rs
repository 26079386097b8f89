//! What the doctor finds between the configuration and a reading.

use std::path::Path;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;

use super::super::house::{App, Examined};
use super::super::problem::Problem;
use super::frame::{Frame, show};
use super::when::When;
use crate::bus::hat;
use crate::config::{self, Config};
use crate::doctor::{Finding, Patient, Root, examine};

#[derive(Template)]
#[template(path = "doctor.html")]
struct Page {
    frame: Frame,
    at: Option<When>,
    findings: Arc<Vec<Finding>>,
    has_file: bool,
}

/// `GET /doctor`: what was found last.
pub(crate) async fn doctor(State(app): State<App>, frame: Frame) -> Response {
    let house = app.house();
    let zone = house.config.time_zone();
    let Examined { at, findings } = app.examined();
    let at = at.map(|at| When::new(at, Timestamp::now(), &zone, frame.t));
    show(&Page { frame, at, findings, has_file: house.file.is_some() })
}

/// The configuration with the bus of a Hat that is not there, which the agent goes without: why there is none, is what
/// the doctor is asked.
fn whole(config: &Config, file: &Path) -> Config {
    let whole = Some(config).filter(|config| config.buses.is_empty()).and_then(|_| config::load(file).ok());
    whole.unwrap_or_else(|| config.clone())
}

/// `POST /doctor`: looks at everything again, one at a time.
pub(crate) async fn look(State(app): State<App>) -> Response {
    let house = app.house();
    let Some(file) = house.file.clone() else {
        return Problem::not_found("the agent was started without a configuration file").into_response();
    };
    let _turn = app.doctor().lock().await;
    // it reads files and waits for what a device says: not in the agent's own thread
    let examined = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<Finding>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let patient = Patient { root: Root::here(), open_pin: Some(hat::open_pin), only: Vec::new(), progress: |_| {} };
        let mut findings = Vec::new();
        let config = whole(&house.config, &file);
        runtime.block_on(examine(&config, &file, &patient, &mut |finding| findings.push(finding)));
        Ok(findings)
    });
    match examined.await {
        Ok(Ok(findings)) => {
            app.keep_examined(Examined { at: Some(Timestamp::now()), findings: Arc::new(findings) });
            Redirect::to("./doctor").into_response()
        }
        Ok(Err(error)) => Problem::unavailable(error.to_string()).into_response(),
        Err(error) => Problem::unavailable(error.to_string()).into_response(),
    }
}
