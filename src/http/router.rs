//! Every route, by what it needs.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::house::App;
use super::problem::Problem;
use super::{adopting, assets, events, guard, health, httpd, metrics, openapi, pages, rest, wire, writes};

/// All of them, behind the guard.
pub(super) fn router(app: App) -> Router {
    let readers = Router::new()
        .route("/", get(pages::meters::meters))
        .route("/meter/{name}", get(pages::meter::meter))
        .route("/bus/{name}", get(pages::bus::bus))
        .route("/decode", get(pages::decode::decode).post(pages::decode::decode))
        .route("/assets/{name}", get(assets::asset))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/metrics", get(metrics::metrics))
        .route("/mbus/api", get(httpd::api))
        .route("/mbus/hat", get(httpd::hat))
        .route("/api/v1/meters", get(rest::meters))
        .route("/api/v1/meters/{name}", get(rest::meter))
        .route("/api/v1/buses", get(rest::buses))
        .route("/api/v1/info", get(rest::info))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/decode", post(writes::decode))
        .route_layer(from_fn_with_state(app.clone(), guard::readers));
    let owners = Router::new()
        .route("/login", get(|| async { Redirect::to("./") }))
        .route("/doctor", get(pages::doctor::doctor).post(pages::doctor::look))
        .route("/meter/{name}/read", post(pages::actions::read))
        .route("/meter/{name}/change", post(adopting::change_form))
        .route("/meter/{name}/forget", post(adopting::forget_form))
        .route("/bus/{name}/adopt", post(adopting::adopt_form))
        .route("/bus/{name}/scan", post(pages::actions::scan))
        .route("/bus/{name}/end-scan", post(pages::actions::end_scan))
        .route("/bus/{name}/power", post(pages::actions::power))
        .route("/api/v1/meters", post(adopting::adopt))
        .route("/api/v1/meters/{name}", axum::routing::patch(adopting::change).delete(adopting::forget))
        .route("/api/v1/meters/{name}/read", post(writes::read))
        .route("/api/v1/buses/{bus}/wire", get(wire::wire))
        .route("/api/v1/buses/{bus}/read", post(writes::read_at))
        .route("/api/v1/buses/{bus}/scan", get(writes::scan_progress).post(writes::scan).delete(writes::end_scan))
        .route("/api/v1/buses/{bus}/power", post(writes::power))
        .route("/api/v1/reload", post(writes::reload))
        .route("/mbus/hat/on", post(httpd::on))
        .route("/mbus/hat/off", post(httpd::off))
        .route("/mbus/scan/{device}/{baud}", post(httpd::scan))
        .route("/mbus/get/{device}/{baud}/{address}", post(httpd::get))
        .route("/mbus/getMulti/{device}/{baud}/{address}/{frames}", post(httpd::get_multi))
        .route_layer(from_fn_with_state(app.clone(), guard::owners));
    Router::new()
        .route("/health", get(health::health))
        .merge(readers)
        .merge(owners)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(DefaultBodyLimit::max(guard::BODY))
        .with_state(app)
}

async fn nothing_here(uri: Uri) -> Response {
    match httpd::is_here(uri.path()) {
        true => httpd::nothing_here(),
        false => Problem::not_found("there is nothing at this address").into_response(),
    }
}

async fn not_so(uri: Uri) -> Response {
    match httpd::is_here(uri.path()) {
        true => httpd::not_so(),
        false => Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method").into_response(),
    }
}
