//! What a person sees instead of a page.

use askama::Template;
use axum::http::request::Parts;
use axum::response::Response;

use super::super::house::App;
use super::super::problem::Problem;
use super::frame::{Frame, show};

#[derive(Template)]
#[template(path = "refused.html")]
struct Page {
    frame: Frame,
    problem: Problem,
}

/// The problem as a page, with its status and headers.
pub(crate) fn page(app: &App, parts: &Parts, problem: Problem, response: Response) -> Response {
    let mut page = show(&Page { frame: Frame::new(app, parts), problem });
    *page.status_mut() = response.status();
    for (name, value) in response.headers() {
        page.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    page
}
