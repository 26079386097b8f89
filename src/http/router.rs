//! Every route, by what it needs.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::get;

use super::house::App;
use super::problem::Problem;
use super::{events, guard, health, metrics, rest};

/// All of them, behind the guard.
pub(super) fn router(app: App) -> Router {
    let readers = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/meters", get(rest::meters))
        .route("/api/v1/meters/{name}", get(rest::meter))
        .route("/api/v1/buses", get(rest::buses))
        .route("/api/v1/info", get(rest::info))
        .route("/api/v1/events", get(events::events))
        .route_layer(from_fn_with_state(app.clone(), guard::readers));
    let owners = Router::new()
        .route("/login", get(|| async { Redirect::to("./") }))
        .route_layer(from_fn_with_state(app.clone(), guard::owners));
    Router::new()
        .route("/health", get(health::health))
        .merge(readers)
        .merge(owners)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

async fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this address")
}

async fn not_so() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method")
}
