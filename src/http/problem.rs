//! What is answered instead of what was asked for: `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::rights::Refusal;

/// So much of what was asked for is repeated.
const REPEATED: usize = 60;

/// A name that somebody sent, as far as it is worth repeating.
pub(super) fn shortened(name: &str) -> String {
    name.chars().take(REPEATED).collect()
}

/// A problem with a request.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Problem {
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) detail: String,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, title: status.canonical_reason().unwrap_or_default(), detail: detail.into() }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Too many wrong passwords.
    pub(super) fn wait() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords from this address; wait a minute")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, detail) = match refusal {
            Refusal::WrongHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "this agent is not known under the name in the address; add it to `hosts` in [http]",
            ),
            Refusal::CrossSite => (StatusCode::FORBIDDEN, "the page of another site may not ask for this"),
            Refusal::WrongPassword => (StatusCode::UNAUTHORIZED, "wrong user or password"),
            Refusal::NeedsPassword => (StatusCode::UNAUTHORIZED, "this needs the password"),
            Refusal::NotForOthers => (
                StatusCode::FORBIDDEN,
                "only the machine itself may do this: set `password` in [http] to do it from elsewhere",
            ),
        };
        Self::new(status, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"mbushat\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        // for a person it becomes a page (`guard`)
        response.extensions_mut().insert(self);
        response
    }
}
