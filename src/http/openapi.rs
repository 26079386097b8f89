//! `GET openapi.json`: what `/api/v1` takes and gives, described from the types themselves.
//!
//! Each function here stands for a route and is never called; a test holds them to the router.

#![expect(dead_code, reason = "it is described, not called")]

use std::collections::BTreeMap;

use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

use super::adopting::Adopted;
use super::problem::Problem;
use super::rest::{MeterJson, WholeMeter, as_json};
use super::writes::{Progress, Telegram};
use crate::mqtt::payload::ReadingJson;
use crate::status::{BusStatus, Info};

#[derive(OpenApi)]
#[openapi(
    info(title = "mbushat", description = "Reads M-Bus meters. Numbers have the digits of the meter: read them as decimals."),
    servers((url = "../..")),
    paths(
        meters, meter, adopt, change, forget, read, buses, read_at, wire, scan_progress, scan, end_scan, power, info, events, decode, reload,
        openapi, health, metrics
    ),
    components(schemas(Problem)),
    security(("password" = []), ()),
    modifiers(&Password)
)]
struct Description;

/// HTTP Basic, which who is on the same machine does not need.
struct Password;

impl utoipa::Modify for Password {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        openapi.components.get_or_insert_default().add_security_scheme("password", basic);
    }
}

/// The description.
pub(super) async fn document() -> axum::response::Response {
    as_json(Description::openapi().to_json().unwrap_or_default())
}

/// Sets of answers that say what went wrong, each by its status.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $what:literal),+;)+) => {$(
        $(#[$doc])*
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let problem = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                let response = |what| {
                    let response = ResponseBuilder::new().description(what);
                    RefOr::T(response.content("application/problem+json", problem()).build())
                };
                BTreeMap::from([$(($status.to_owned(), response($what))),+])
            }
        }
    )+};
}

problems! {
    /// What every route may answer.
    Refused:
        "401" "It needs the password.",
        "403" "Not from there: another site's page, or elsewhere than on this machine.",
        "421" "Sent to a name that is not this agent's.",
        "429" "Too many wrong passwords.";
    Missing: "404" "No such meter or bus.";
    /// What else a request can end with that a bus does.
    Undone:
        "404" "No such meter or bus.",
        "502" "The bus could not do it, or the meter did not answer: why.";
    /// A body that cannot be used.
    Unusable:
        "408" "It did not come in time.",
        "413" "More than 64 KiB.",
        "415" "Not `application/json`.",
        "422" "What is wrong with it.";
    Impossible: "422" "Why it cannot be done; nothing is changed.";
    Conflict: "409" "The bus cannot do it as it is: one goes on already, none goes on, or no Hat powers it.";
    Stuck: "503" "It makes no progress.";
    Misdirected: "421" "Sent to a name that is not this agent's.";
    Full: "503" "There are too many streams, to this address or in all.";
}

/// 0 to 250, or a secondary address in one of its spellings.
#[derive(ToSchema)]
#[schema(
    example = "30137315",
    pattern = "^([0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|250|[0-9A-Fa-f?]{8}([0-9A-Fa-f?]{8}|[A-Z]{3}[0-9A-Fa-f?]{4})?)$"
)]
struct Address(String);

/// The same, and 254 for whatever meter is alone on the bus.
#[derive(ToSchema)]
#[schema(
    example = "30137315",
    pattern = "^([0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|250|254|[0-9A-Fa-f?]{8}([0-9A-Fa-f?]{8}|[A-Z]{3}[0-9A-Fa-f?]{4})?)$"
)]
struct ReadAddress(String);

/// At which address.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct At {
    address: ReadAddress,
}

/// Which meters.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// By secondary address, among those that this mask matches; absent: every primary address.
    #[schema(example = "3013????")]
    secondary: Option<String>,
}

/// What an adopted meter is to be like; what is absent stays as it is, and `null` takes away.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Its name, and so its topic.
    #[schema(example = "heat")]
    name: Option<String>,
    title: Option<String>,
    #[schema(example = "15m")]
    interval: Option<String>,
    /// 32 hex digits; never shown again.
    key: Option<String>,
}

/// Which meter, and what it is to be like.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Find {
    /// Not needed where there is only one.
    bus: Option<String>,
    address: Address,
    name: Option<String>,
    title: Option<String>,
    #[schema(example = "15m")]
    interval: Option<String>,
    /// 32 hex digits; never shown again.
    key: Option<String>,
}

/// Bus power.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Power {
    on: bool,
}

/// Every meter with its newest values.
#[utoipa::path(get, path = "/api/v1/meters", responses((status = 200, body = [MeterJson]), Refused))]
const fn meters() {}

/// One meter with the whole of its newest reading.
#[utoipa::path(get, path = "/api/v1/meters/{name}", params(("name" = String, Path)), responses((status = 200, body = WholeMeter), Missing, Refused))]
const fn meter() {}

/// Adopts a meter that a search found, or that was forgotten.
#[utoipa::path(post, path = "/api/v1/meters", request_body = Find, responses((status = 201, body = Adopted), Unusable, Refused))]
const fn adopt() {}

/// Changes a meter that the agent adopted.
#[utoipa::path(patch, path = "/api/v1/meters/{name}", params(("name" = String, Path)), request_body = Wanted, responses((status = 200, body = Adopted), Missing, Unusable, Refused))]
const fn change() {}

/// Forgets a meter that the agent adopted: it is read no more, and not adopted again.
#[utoipa::path(delete, path = "/api/v1/meters/{name}", params(("name" = String, Path)), responses((status = 204), Missing, Impossible, Refused))]
const fn forget() {}

/// Reads a meter now.
#[utoipa::path(post, path = "/api/v1/meters/{name}/read", params(("name" = String, Path)), responses((status = 200, body = ReadingJson), Undone, Refused))]
const fn read() {}

/// The buses by name.
#[utoipa::path(get, path = "/api/v1/buses", responses((status = 200, body = BTreeMap<String, BusStatus>), Refused))]
const fn buses() {}

/// Reads whatever meter is at an address; the reading is neither stored nor published.
#[utoipa::path(post, path = "/api/v1/buses/{bus}/read", params(("bus" = String, Path)), request_body = At, responses((status = 200, body = ReadingJson), Undone, Unusable, Refused))]
const fn read_at() {}

/// The last 200 frames, then each as it comes.
#[utoipa::path(get, path = "/api/v1/buses/{bus}/wire", params(("bus" = String, Path)), responses((status = 200, content_type = "text/event-stream", body = String), Full, Missing, Refused))]
const fn wire() {}

/// How far the search is, and what it has found; or the last one.
#[utoipa::path(get, path = "/api/v1/buses/{bus}/scan", params(("bus" = String, Path)), responses((status = 200, body = Progress), Missing, Refused))]
const fn scan_progress() {}

/// Starts a search. The readings go on.
#[utoipa::path(post, path = "/api/v1/buses/{bus}/scan", params(("bus" = String, Path)), request_body = Option<Search>, responses((status = 202, body = Progress), Conflict, Undone, Unusable, Refused))]
const fn scan() {}

/// Ends the search.
#[utoipa::path(delete, path = "/api/v1/buses/{bus}/scan", params(("bus" = String, Path)), responses((status = 200, body = Progress), Conflict, Undone, Refused))]
const fn end_scan() {}

/// Switches bus power.
#[utoipa::path(post, path = "/api/v1/buses/{bus}/power", params(("bus" = String, Path)), request_body = Power, responses((status = 204), Conflict, Undone, Unusable, Refused))]
const fn power() {}

/// What `bridge/info` says.
#[utoipa::path(get, path = "/api/v1/info", responses((status = 200, body = Info), Refused))]
const fn info() {}

/// Readings (`reading`), events (`event`) and changes (`info`) as they happen.
#[utoipa::path(get, path = "/api/v1/events", responses((status = 200, content_type = "text/event-stream", body = String), Full, Refused))]
const fn events() {}

/// Explains a telegram.
#[utoipa::path(post, path = "/api/v1/decode", request_body = Telegram, responses((status = 200, body = Object), Unusable, Refused))]
const fn decode() {}

/// Reads the configuration again.
#[utoipa::path(post, path = "/api/v1/reload", responses((status = 204), Impossible, Refused))]
const fn reload() {}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, body = Object), Refused))]
const fn openapi() {}

/// Whether the agent makes progress.
#[utoipa::path(get, path = "/health", responses((status = 200, content_type = "text/plain", body = String), Misdirected, Stuck))]
const fn health() {}

/// For Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text"))), Refused))]
const fn metrics() {}
