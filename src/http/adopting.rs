//! Meters that nobody wrote down: adopted, changed and forgotten, over REST and with a button of a page.
//!
//! Not here: the file of adopted meters (`adopt`).

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::asks::bus_index;
use super::house::App;
use super::problem::Problem;
use super::rest::json;
use super::writes::{Body, unusable};
use crate::mqtt::request_json;
use crate::request::{AdoptRequest, Answer, KeyText, Request, Wanted, Which};

/// What became of it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Adopted {
    /// Its name.
    meter: String,
    /// Whether that is in the file; else it is written as soon as it can be.
    kept: bool,
}

/// `POST meters` `{"bus":"hat","address":"67200512","name":"heat"}`: adopts what a search found.
pub(super) async fn adopt(State(app): State<App>, Body(body): Body) -> Result<Response, Problem> {
    match asked("adopt", &body)? {
        what @ AdoptRequest::Adopt { which: Which::At { .. }, .. } => {
            Ok((StatusCode::CREATED, json(&done(&app, what).await?)).into_response())
        }
        _ => Err(unusable("say at which \"address\"")),
    }
}

/// `PATCH meters/<name>` `{"title":"Heat"}`: changes one that is adopted.
pub(super) async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Result<Response, Problem> {
    is_adopted(&app, &name)?;
    let mut wanted: Map<String, Value> = serde_json::from_str(&body).map_err(|error| unusable(error.to_string()))?;
    if ["meter", "bus", "address"].into_iter().any(|key| wanted.contains_key(key)) {
        return Err(unusable("the address of the request says which meter; expected name, title, interval or key"));
    }
    wanted.insert("meter".to_owned(), name.into());
    Ok(json(&done(&app, asked("adopt", &Value::from(wanted).to_string())?).await?))
}

/// `DELETE meters/<name>`: it is read no more, and not adopted again.
pub(super) async fn forget(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    is_adopted(&app, &name)?;
    done(&app, AdoptRequest::Forget { meter: name }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a form of a page says of a meter; nothing written leaves it as it is.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    address: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    interval: String,
    #[serde(default)]
    key: String,
}

impl Wish {
    fn wanted(self) -> Wanted {
        let said = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Wanted {
            name: said(self.name),
            title: said(self.title),
            interval: said(self.interval),
            key: said(self.key).map(KeyText::new),
        }
    }
}

/// *Adopt*: leads to the page of the meter.
pub(super) async fn adopt_form(
    State(app): State<App>,
    Path(bus): Path<String>,
    Form(wish): Form<Wish>,
) -> Result<Redirect, Problem> {
    bus_index(&app.house(), &bus)?;
    let address = request_json::address(&wish.address).ok_or_else(|| unusable("this is not the address of a meter"))?;
    let which = Which::At { bus: Some(bus), address };
    let adopted = done(&app, AdoptRequest::Adopt { which, wanted: wish.wanted() }).await?;
    Ok(Redirect::to(&format!("../../meter/{}", adopted.meter)))
}

/// *Save*: the meter may have another name afterwards.
pub(super) async fn change_form(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(wish): Form<Wish>,
) -> Result<Redirect, Problem> {
    is_adopted(&app, &name)?;
    let adopted = done(&app, AdoptRequest::Adopt { which: Which::Named(name), wanted: wish.wanted() }).await?;
    Ok(Redirect::to(&format!("../{}", adopted.meter)))
}

/// *Forget*.
pub(super) async fn forget_form(state: State<App>, name: Path<String>) -> Result<Redirect, Problem> {
    forget(state, name).await?;
    Ok(Redirect::to("../../"))
}

fn is_adopted(app: &App, name: &str) -> Result<(), Problem> {
    match app.house().config.adopted.names.contains(name) {
        true => Ok(()),
        false => Err(Problem::not_found(format!(
            "no such adopted meter: {}; what stands in your own file is changed there",
            name.chars().take(60).collect::<String>()
        ))),
    }
}

fn asked(verb: &str, body: &str) -> Result<AdoptRequest, Problem> {
    match request_json::request(verb, body.as_bytes()).0 {
        Ok(Request::Adopt(what)) => Ok(what),
        Ok(_) => Err(unusable("no request to adopt")),
        Err(why) => Err(unusable(why)),
    }
}

async fn done(app: &App, what: AdoptRequest) -> Result<Adopted, Problem> {
    let name = match &what {
        AdoptRequest::Forget { meter } => meter.clone(),
        AdoptRequest::Adopt { .. } => String::new(),
    };
    match app.house().desk.ask(Request::Adopt(what)).await {
        Ok(Answer::Adopted { meter, kept }) => Ok(Adopted { meter, kept }),
        Ok(_) => Ok(Adopted { meter: name, kept: true }),
        Err(why) => Err(unusable(why)),
    }
}
