//! What pages load: files of the source tree, in the program itself.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::part::Path;
use super::problem::Problem;

/// Name, type and text.
const FILES: [(&str, &str, &str); 4] = [
    ("style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("assets/live.js")),
    ("wire.js", "text/javascript; charset=utf-8", include_str!("assets/wire.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// `GET assets/<name>`. Pages ask for it with the version, so that a browser may keep it.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let file = FILES.iter().find(|(known, ..)| *known == name);
    let (_, kind, text) = file.ok_or_else(|| Problem::not_found("no such file"))?;
    Ok(([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "max-age=86400")], *text).into_response())
}
