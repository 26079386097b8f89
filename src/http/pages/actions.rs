//! What the buttons of the pages do. Each leads back to its page, or to one that says why it was not done.

use axum::extract::State;
use axum::response::Redirect;
use serde::Deserialize;

use super::super::asks;
use super::super::house::App;
use super::super::part::{Form, Path};
use super::super::problem::Problem;
use crate::request::Scan;

/// *Read now*.
pub(crate) async fn read(State(app): State<App>, Path(name): Path<String>) -> Result<Redirect, Problem> {
    asks::read(&app, &name).await?;
    Ok(Redirect::to(&format!("../{name}")))
}

/// Which meters are looked for.
#[derive(Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    secondary: String,
    by: Option<String>,
}

/// *Scan*.
pub(crate) async fn scan(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(search): Form<Search>,
) -> Result<Redirect, Problem> {
    let scan = match search.by.as_deref() {
        Some("secondary") => Scan::Secondary(asks::mask(&search.secondary)?),
        _ => Scan::Primary,
    };
    asks::scan(&app, &name, scan).await?;
    Ok(Redirect::to(&format!("../{name}#scan")))
}

/// *End the scan*.
pub(crate) async fn end_scan(State(app): State<App>, Path(name): Path<String>) -> Result<Redirect, Problem> {
    asks::end_scan(&app, &name).await?;
    Ok(Redirect::to(&format!("../{name}#scan")))
}

/// On or off.
#[derive(Deserialize)]
pub(crate) struct Power {
    on: bool,
}

/// *Power on*, *Power off*.
pub(crate) async fn power(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(power): Form<Power>,
) -> Result<Redirect, Problem> {
    asks::power(&app, &name, power.on).await?;
    Ok(Redirect::to(&format!("../{name}")))
}
