//! Meters that nobody wrote down: adopted, changed and forgotten, over REST and with a button of a page.
//!
//! Not here: the file of adopted meters (`adopt`).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asks::bus_index;
use super::house::App;
use super::part::{Form, Path};
use super::problem::{Problem, shortened};
use super::rest::json;
use super::writes::{Body, object, unusable};
use crate::mqtt::request_json;
use crate::request::{AdoptRequest, Answer, Change, KeyText, Request, Wanted, Which};

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
    object(&body, &["bus", "address", "name", "title", "interval", "key"])?;
    match asked("adopt", &body)? {
        what @ AdoptRequest::Adopt { which: Which::At { .. }, .. } => {
            Ok((StatusCode::CREATED, json(&done(&app, what).await?)).into_response())
        }
        _ => Err(unusable("say at which \"address\"")),
    }
}

/// `PATCH meters/<name>` `{"title":"Heat","interval":null}`: changes one that is adopted; `null` takes away.
pub(super) async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(body): Body,
) -> Result<Response, Problem> {
    is_adopted(&app, &name)?;
    let mut wanted = object(&body, &["name", "title", "interval", "key"])?;
    wanted.insert("meter".to_owned(), name.into());
    Ok(json(&done(&app, asked("adopt", &Value::from(wanted).to_string())?).await?))
}

/// `DELETE meters/<name>`: it is read no more, and not adopted again.
pub(super) async fn forget(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    is_adopted(&app, &name)?;
    done(&app, AdoptRequest::Forget { meter: name }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a form of a page says of a meter.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    address: String,
    name: Option<String>,
    title: Option<String>,
    interval: Option<String>,
    key: Option<String>,
    /// Ticked: it has no key any more.
    no_key: Option<String>,
    /// What the page showed of these. It need not be what a person wrote in the file: a text may have `${HOSTNAME}`
    /// in it, and a default may stand there.
    shown_title: Option<String>,
    shown_interval: Option<String>,
}

impl Wish {
    /// `empty` is what an empty field means; a field that is not there changes nothing.
    fn wanted(self, empty: &Change<String>) -> Wanted {
        let said = |text: Option<String>| text.map(|text| text.trim().to_owned());
        let filled = |text| said(text).filter(|text| !text.is_empty());
        let change = |text, shown: Option<String>| match said(text) {
            None => Change::Stays,
            text if shown.is_some() && text == said(shown) => Change::Stays,
            Some(text) if text.is_empty() => empty.clone(),
            Some(text) => Change::Is(text),
        };
        // a key is not shown again, so that its field is empty where it stays
        let no_key = if self.no_key.is_some() { Change::Gone } else { Change::Stays };
        Wanted {
            name: filled(self.name),
            title: change(self.title, self.shown_title),
            interval: change(self.interval, self.shown_interval),
            key: filled(self.key).map_or(no_key, |key| Change::Is(KeyText::new(key))),
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
    let adopted = done(&app, AdoptRequest::Adopt { which, wanted: wish.wanted(&Change::Stays) }).await?;
    Ok(Redirect::to(&format!("../../meter/{}", adopted.meter)))
}

/// *Save*: the form shows what is, so that a field that was emptied takes away, and one that is as it was shown stays
/// as it is in the file. The meter may have another name afterwards.
pub(super) async fn change_form(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(wish): Form<Wish>,
) -> Result<Redirect, Problem> {
    is_adopted(&app, &name)?;
    let wanted = wish.wanted(&Change::Gone);
    let wanted = Wanted { name: wanted.name.filter(|new| *new != name), ..wanted };
    let which = Which::Named(name);
    let adopted = done(&app, AdoptRequest::Adopt { which, wanted }).await?;
    Ok(Redirect::to(&format!("../{}", adopted.meter)))
}

/// *Forget*.
pub(super) async fn forget_form(state: State<App>, name: Path<String>) -> Result<Redirect, Problem> {
    forget(state, name).await?;
    Ok(Redirect::to("../../"))
}

fn is_adopted(app: &App, name: &str) -> Result<(), Problem> {
    let house = app.house();
    // With a broken file it is not known who is adopted, and the answer says so.
    match house.config.adopted.names.contains(name) || house.config.adopted.trouble.is_some() {
        true => Ok(()),
        false => Err(Problem::not_found(format!(
            "no such adopted meter: {}; what stands in your own file is changed there",
            shortened(name)
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
