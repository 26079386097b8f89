//! The routes of mbus-httpd 0.3.5, for programs that were made for it: the same paths, codes and media types, and the
//! XML of libmbus. The bus does each between two readings, so that "in use" is never the answer.
//!
//! `device` is the port of a configured bus, as it is called in `/dev`, or the name of a bus.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::house::{App, House};
use crate::bus::Machine;
use crate::bus::device_tree::{Hat, mbus_master_hat};
use crate::config::{Bus, Meter, Port};
use crate::explain::libmbus::document;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress, TEST_BROADCAST};
use crate::mbus::application::security::Key;
use crate::mbus::application::telegram::Telegram;
use crate::mbus::link::frame::Frame;
use crate::mbus::master::search::Found;
use crate::request::{Answer, BusRequest, Request, Scan};

const RATES: [&str; 6] = ["300", "600", "1200", "2400", "4800", "9600"];
const NO_ADDRESS: &str = "Not a valid primary or secondary address";
const NOBODYS: &str = "Failed to query M-Bus: no meter has this address";

/// Status, media type and text of an answer.
pub(super) struct Answered(StatusCode, &'static str, String);

impl IntoResponse for Answered {
    fn into_response(self) -> Response {
        (self.0, [(header::CONTENT_TYPE, self.1)], self.2).into_response()
    }
}

/// A part of an address that is no text is refused as mbus-httpd does.
pub(super) struct Path<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Answered;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Answered> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parts)) => Ok(Self(parts)),
            Err(_) => Err(refused(StatusCode::BAD_REQUEST, "A part of this path is not UTF-8 text")),
        }
    }
}

/// Whether a path is one of mbus-httpd's.
pub(super) fn is_here(path: &str) -> bool {
    path == "/mbus" || path.starts_with("/mbus/")
}

/// Gives an answer the number that mbus-httpd gives each, whoever made it.
pub(super) fn number(response: &mut Response) {
    static SPAN: AtomicU32 = AtomicU32::new(1);
    let span = format!("{:016x}", SPAN.fetch_add(1, Ordering::Relaxed));
    if let Ok(span) = span.parse() {
        response.headers_mut().insert(HeaderName::from_static("x-span-id"), span);
    }
}

/// Where there is no such path.
pub(super) fn nothing_here() -> Response {
    missing(String::new()).into_response()
}

/// Where a path takes another method.
pub(super) fn not_so() -> Response {
    refused(StatusCode::METHOD_NOT_ALLOWED, String::new()).into_response()
}

fn ok(kind: &'static str, text: String) -> Answered {
    Answered(StatusCode::OK, kind, text)
}

/// The shortest way out: what mbus-httpd says in plain text.
fn refused(status: StatusCode, why: impl Into<String>) -> Answered {
    Answered(status, "text/plain", why.into())
}

fn missing(why: impl Into<String>) -> Answered {
    refused(StatusCode::NOT_FOUND, why)
}

/// `GET /mbus/api`.
pub(super) async fn api() -> Response {
    ok("text/x-yaml", include_str!("assets/mbus-httpd.yaml").to_owned()).into_response()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HatJson {
    product: String,
    product_id: String,
    product_ver: String,
    uuid: String,
    vendor: String,
}

/// `GET /mbus/hat`.
pub(super) async fn hat() -> Response {
    match mbus_master_hat(&Machine::here().device_tree) {
        Err(_) => missing("Hat not present").into_response(),
        Ok(Hat { vendor, product, product_id, product_ver, uuid }) => {
            let hat = HatJson { product, product_id, product_ver, uuid, vendor };
            ok("application/json", serde_json::to_string(&hat).unwrap_or_default()).into_response()
        }
    }
}

/// `POST /mbus/hat/on`.
pub(super) async fn on(State(app): State<App>) -> Response {
    power(&app, true).await
}

/// `POST /mbus/hat/off`.
pub(super) async fn off(State(app): State<App>) -> Response {
    power(&app, false).await
}

async fn power(app: &App, on: bool) -> Response {
    let house = app.house();
    let Some(bus) = house.config.buses.iter().find(|bus| bus.hat.is_some()) else {
        return missing("M-Bus Master Hat not installed").into_response();
    };
    match ask(&house, bus, BusRequest::Power(on)).await {
        Ok(_) => ok("text/plain", String::new()).into_response(),
        Err(why) => missing(why).into_response(),
    }
}

/// `POST /mbus/scan/{device}/{baud}`: as libmbus' mbus-serial-scan prints it.
pub(super) async fn scan(State(app): State<App>, Path((device, baud)): Path<(String, String)>) -> Response {
    let house = app.house();
    let bus = match bus(&house, &device, &baud) {
        Ok(bus) => bus,
        Err(answered) => return answered.into_response(),
    };
    let line = |found: &Found| match found {
        Found::Meter { address, .. } => format!("Found a M-Bus device at address {address}\n"),
        Found::Collision(address) => format!("Collision at address {address}\n"),
    };
    match ask(&house, bus, BusRequest::Scan(Scan::Primary)).await {
        Ok(Answer::Found(found) | Answer::FoundSome { found, .. }) => {
            ok("text/plain", found.iter().map(line).collect()).into_response()
        }
        Ok(_) => missing("Internal error").into_response(),
        Err(why) => missing(format!("Failed to scan M-Bus: {why}")).into_response(),
    }
}

/// `POST /mbus/get/{device}/{baud}/{address}`: the first telegram.
pub(super) async fn get(
    State(app): State<App>,
    Path((device, baud, address)): Path<(String, String, String)>,
) -> Response {
    read(&app, &device, &baud, &address, 1).await.into_response()
}

/// `POST /mbus/getMulti/{device}/{baud}/{address}/{frames}`: so many at most.
pub(super) async fn get_multi(
    State(app): State<App>,
    Path((device, baud, address, frames)): Path<(String, String, String, String)>,
) -> Response {
    let digits = frames.bytes().all(|byte| byte.is_ascii_digit());
    match frames.parse().ok().filter(|frames| digits && (1..=250).contains(frames)) {
        Some(frames) => read(&app, &device, &baud, &address, frames).await.into_response(),
        None => refused(StatusCode::BAD_REQUEST, "maxframes is not a number from 1 to 250").into_response(),
    }
}

async fn read(app: &App, device: &str, baud: &str, address: &str, most: usize) -> Answered {
    let Some(address) = meter_address(address) else { return refused(StatusCode::BAD_REQUEST, NO_ADDRESS) };
    let Asked::Meter(address) = address else { return missing(NOBODYS) };
    let house = app.house();
    let bus = match bus(&house, device, baud) {
        Ok(bus) => bus,
        Err(answered) => return answered,
    };
    match ask(&house, bus, BusRequest::TelegramsAt(address)).await {
        Ok(Answer::Telegrams(mut frames)) => {
            frames.truncate(most);
            let here = house.config.buses.iter().position(|other| other.name == bus.name);
            let here = house.config.meters.iter().filter(|meter| Some(meter.bus) == here);
            let key = key(here, address, frames.first().map(Vec::as_slice).unwrap_or_default());
            ok("application/xml", document(&frames, key.as_ref(), Timestamp::now()).0)
        }
        Ok(_) => missing("Internal error"),
        Err(why) => missing(format!("Failed to query M-Bus: {why}")),
    }
}

/// The key of the meter that was asked, which may be configured by its other address.
fn key<'c>(meters: impl Iterator<Item = &'c Meter>, asked: MeterAddress, frame: &[u8]) -> Option<Key> {
    let frame = Frame::parse(frame).ok();
    let identity = frame.as_ref().and_then(|frame| Telegram::parse(frame).ok()?.identity());
    let is_it = |address: MeterAddress| match (address, &frame) {
        (MeterAddress::Secondary(mask), _) => identity.is_some_and(|identity| mask.matches(identity)),
        (MeterAddress::Primary(own), Some(Frame::Long { a, .. })) => own.get() == *a,
        _ => false,
    };
    let mut keyed = meters.filter(|meter| meter.key.is_some());
    keyed.find(|meter| meter.address == asked || is_it(meter.address)).and_then(|meter| meter.key)
}

/// Whom an address names.
#[derive(Debug, PartialEq)]
enum Asked {
    Meter(MeterAddress),
    /// No meter has it.
    Nobody,
}

/// 0 to 255 in up to three digits, or 16 hex digits. 254 is whatever meter is alone; none has 251 to 253 or 255.
fn meter_address(text: &str) -> Option<Asked> {
    if text.len() == 16 {
        return SecondaryAddress::parse(text).ok().map(MeterAddress::Secondary).map(Asked::Meter);
    }
    let digits = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let address = match text.parse().ok().filter(|_| digits)? {
        TEST_BROADCAST => Some(PrimaryAddress::ONLY),
        number => PrimaryAddress::new(number),
    };
    Some(address.map(MeterAddress::Primary).map_or(Asked::Nobody, Asked::Meter))
}

fn bus<'a>(house: &'a House, device: &str, baud: &str) -> Result<&'a Bus, Answered> {
    if !RATES.contains(&baud) {
        return Err(refused(StatusCode::BAD_REQUEST, format!("Not a baud rate: {}", RATES.join(", "))));
    }
    let is_meant = |bus: &&Bus| match &bus.port {
        Port::Serial(path) => path.strip_prefix("/dev").is_ok_and(|name| name.as_os_str() == device),
        _ => false,
    };
    let bus = house.config.buses.iter().find(is_meant).or(house.config.buses.iter().find(|bus| bus.name == device));
    let bus = bus.ok_or_else(|| missing("No bus in the configuration has this device"))?;
    if bus.baud.bits_per_second().to_string() == baud {
        Ok(bus)
    } else {
        Err(missing(format!("Bus {} runs at {} baud", bus.name, bus.baud)))
    }
}

async fn ask(house: &House, bus: &Bus, what: BusRequest) -> Result<Answer, String> {
    house.desk.ask(Request::Bus { name: Some(bus.name.clone()), what }).await
}

#[cfg(test)]
mod tests {
    use super::{Asked, key, meter_address};
    use crate::config;
    use crate::mbus::address::{MeterAddress, PrimaryAddress};

    #[test]
    fn a_meter_is_opened_with_its_key_by_whichever_address_it_is_asked() {
        let file = std::env::temp_dir().join(format!("mbushat-httpd-{}.toml", std::process::id()));
        let keyed = "key = \"00112233445566778899AABBCCDDEEFF\"\ninterval = \"1h\"\n";
        let text = format!(
            "[[meter]]\nname = \"a\"\nsecondary = \"12345678\"\n{keyed}[[meter]]\nname = \"b\"\naddress = 9\n{keyed}"
        );
        std::fs::write(&file, text).expect("a file");
        let config = config::load(&file).expect("a configuration");
        std::fs::remove_file(file).expect("a file");
        let telegram = |address: u8, id: u8| {
            let body = [0x08, address, 0x72, id, 0x56, 0x34, 0x12, 0x2D, 0x4D, 0x01, 0x07, 1, 0, 0, 0];
            let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            [&[0x68, 15, 15, 0x68], body.as_slice(), &[sum, 0x16]].concat()
        };
        let asked = MeterAddress::Primary(PrimaryAddress::new(5).expect("an address"));
        let opens = |address, id| key(config.meters.iter(), asked, &telegram(address, id)).is_some();
        assert!(opens(5, 0x78), "by its identity");
        assert!(opens(9, 0x79), "by the primary address in its telegram");
        assert!(!opens(5, 0x79), "another meter");
    }

    #[test]
    fn an_address_is_up_to_three_digits_or_sixteen() {
        for good in ["0", "048", "250", "254", "3013731593060104", "30137315FFFFFFFF"] {
            assert!(matches!(meter_address(good), Some(Asked::Meter(_))), "{good}");
        }
        for nobodys in ["251", "253", "255"] {
            assert_eq!(meter_address(nobodys), Some(Asked::Nobody), "{nobodys}");
        }
        for bad in ["", "256", "1000", "-1", "+5", "30137315", "xyz", "30137315ATS0104"] {
            assert!(meter_address(bad).is_none(), "{bad}");
        }
    }
}
