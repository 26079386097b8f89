//! A telegram that somebody pastes, explained byte by byte.

use askama::Template;
use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use serde::Deserialize;

use super::frame::{Frame, show};
use super::telegram::{self, Explained};
use crate::explain::hex_input;
use crate::mbus::application::security::Key;

#[derive(Template)]
#[template(path = "decode.html")]
struct Page {
    frame: Frame,
    hex: String,
    error: Option<String>,
    telegrams: Vec<Explained>,
}

/// What is pasted. The key is not shown again.
#[derive(Default, Deserialize)]
struct Pasted {
    #[serde(default)]
    hex: String,
    #[serde(default)]
    key: String,
}

/// `GET /decode`, and `POST /decode` with a telegram.
pub(crate) async fn decode(frame: Frame, request: Request) -> Response {
    let pasted = match Form::<Pasted>::from_request(request, &()).await {
        Ok(Form(pasted)) => pasted,
        Err(_) => {
            let error = Some("this form does not belong to this page".to_owned());
            return show(&Page { frame, hex: String::new(), error, telegrams: Vec::new() });
        }
    };
    let t = frame.t;
    let key = Some(pasted.key.trim()).filter(|key| !key.is_empty()).map(Key::from_hex);
    let (telegrams, error) = match (pasted.hex.trim(), key) {
        ("", _) => (Vec::new(), None),
        (_, Some(None)) => (Vec::new(), Some(t.of("A key has 32 hex digits").to_owned())),
        (hex, key) => match hex_input::bytes(hex) {
            Ok(bytes) => (telegram::all([bytes.as_slice()], key.flatten().as_ref()), None),
            Err(error) => (Vec::new(), Some(error)),
        },
    };
    show(&Page { frame, hex: pasted.hex, error, telegrams })
}
