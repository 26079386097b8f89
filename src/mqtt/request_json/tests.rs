//! Requests as users write them, and their responses.

use super::*;

fn asked(verb: &str, payload: &str) -> Result<Request, String> {
    request(verb, payload.as_bytes()).0
}

fn on_bus(name: Option<&str>, what: BusRequest) -> Result<Request, String> {
    Ok(Request::Bus { name: name.map(str::to_owned), what })
}

fn secondary(text: &str) -> SecondaryAddress {
    SecondaryAddress::parse(text).expect("a secondary address")
}

#[test]
fn each_verb_is_read_with_its_fields() {
    assert_eq!(asked("read", r#"{"meter":"a"}"#), on_bus(None, BusRequest::Read { meter: "a".to_owned() }));
    assert_eq!(asked("power", r#"{"bus":"b","on":false}"#), on_bus(Some("b"), BusRequest::Power(false)));
    let five = MeterAddress::Primary(PrimaryAddress::new(5).expect("an address"));
    assert_eq!(asked("read", r#"{"address":5,"telegrams":true}"#), on_bus(None, BusRequest::TelegramsAt(five)));
    assert_eq!(asked("read", r#"{"address":5,"telegrams":false}"#), on_bus(None, BusRequest::ReadAt(five)));
    assert_eq!(asked("scan", " "), on_bus(None, BusRequest::Scan(Scan::Primary)));
    let masked = BusRequest::Scan(Scan::Secondary(secondary("3013????")));
    assert_eq!(asked("scan", r#"{"secondary":"3013????"}"#), on_bus(None, masked));
    assert_eq!(asked("reload", ""), Ok(Request::Agent(AgentRequest::Reload)));
    assert_eq!(asked("restart", "{}"), Ok(Request::Agent(AgentRequest::Restart)));
    for level in ["debug", "wire", "info,mbushat::bus=debug"] {
        let wanted = Request::Agent(AgentRequest::LogLevel(level.to_owned()));
        assert_eq!(asked("log_level", &format!(r#"{{"level":"{level}"}}"#)), Ok(wanted));
    }
}

#[test]
fn what_an_adopted_meter_is_to_be_like_is_read_and_its_key_is_not_shown() {
    let wanted = Wanted {
        name: Some("heat".to_owned()),
        interval: Change::Is("30m".to_owned()),
        key: Change::Is(KeyText::new("0011".to_owned())),
        ..Wanted::default()
    };
    let which = Which::At { bus: Some("b".to_owned()), address: MeterAddress::Secondary(secondary("30137315")) };
    let adopt = asked("adopt", r#"{"bus":"b","address":"30137315","name":"heat","interval":"30m","key":"0011"}"#);
    assert!(!format!("{adopt:?}").contains("0011"), "{adopt:?}");
    assert_eq!(adopt, Ok(Request::Adopt(AdoptRequest::Adopt { which, wanted })));
    let which = Which::Named("heat".to_owned());
    let wanted = Wanted { interval: Change::Gone, key: Change::Gone, ..Wanted::default() };
    let taken_away = asked("adopt", r#"{"meter":"heat","name":null,"interval":null,"key":null}"#);
    assert_eq!(taken_away, Ok(Request::Adopt(AdoptRequest::Adopt { which, wanted })));
    let forget = AdoptRequest::Forget { meter: "heat".to_owned() };
    assert_eq!(asked("forget", r#"{"meter":"heat"}"#), Ok(Request::Adopt(forget)));
    assert_eq!(asked("adopt", r#"{"meter":"a","key":11}"#), Err("\"key\" is not a text in quotes".to_owned()));
}

#[test]
fn an_address_is_a_number_or_a_text() {
    let five = MeterAddress::Primary(PrimaryAddress::new(5).expect("an address"));
    for (address, meant) in [
        ("5", five),
        ("\"5\"", five),
        ("254", MeterAddress::Primary(PrimaryAddress::ONLY)),
        ("\"254\"", MeterAddress::Primary(PrimaryAddress::ONLY)),
        ("\"30137315\"", MeterAddress::Secondary(secondary("30137315"))),
        ("30137315", MeterAddress::Secondary(secondary("30137315"))),
        ("\"3013731593060104\"", MeterAddress::Secondary(secondary("3013731593060104"))),
    ] {
        let request = asked("read", &format!(r#"{{"bus":"b","address":{address}}}"#));
        assert_eq!(request, on_bus(Some("b"), BusRequest::ReadAt(meant)), "{address}");
    }
    assert!(asked("adopt", r#"{"bus":"b","address":254}"#).is_err(), "it is not a meter's own");
    for bad in ["251", "-1", "1.5", "\"\"", "\"123\\u0000\"", "[5]", "\"bathroom\"", "1e2", "true"] {
        let error = asked("read", &format!(r#"{{"address":{bad}}}"#)).expect_err(bad);
        assert!(error.starts_with("\"address\" is ") && error.contains("0 to 250"), "{error}");
    }
}

#[test]
fn a_request_that_makes_no_sense_is_answered_with_why_and_its_transaction() {
    for (verb, bad, why) in [
        ("read", r#"{"transaction":7,"meter":1}"#, r#""meter" is 1, expected a text in quotes"#),
        ("read", r#"{"transaction":7}"#, "say which \"meter\", or at which \"address\""),
        (
            "read",
            r#"{"transaction":7,"meter":"a","address":5}"#,
            "both \"meter\" and \"address\" are set, expected one",
        ),
        ("power", r#"{"on":"no","transaction":7}"#, r#""on" is "no", expected true or false"#),
        (
            "log_level",
            r#"{"transaction":7,"level":"loud"}"#,
            r#""level" is "loud", expected a level such as "debug" or "wire""#,
        ),
        ("log_level", r#"{"transaction":7}"#, "say which \"level\", such as \"debug\""),
        ("power", r#"{"transaction":7}"#, "say \"on\": true or false"),
        ("scan", r#"{"transaction":7,"bus":{}}"#, r#""bus" is {}, expected a text in quotes"#),
        (
            "scan",
            r#"{"transaction":7,"secondary":"all"}"#,
            r#""secondary" is "all", expected a mask such as "3013????""#,
        ),
        (
            "format",
            r#"{"transaction":7}"#,
            "no such request; there are read, scan, adopt, forget, power, reload, resend, restart and log_level",
        ),
    ] {
        let (request, transaction) = request(verb, bad.as_bytes());
        assert_eq!(request.expect_err(bad), why);
        assert_eq!(transaction.expect(bad).get(), "7");
    }
    let long = format!(r#"{{"meter":"m","transaction":"{}"}}"#, "x".repeat(1023));
    let (refused, transaction) = request("read", long.as_bytes());
    assert_eq!((refused, transaction.is_none()), (Err("\"transaction\" has more than 1024 bytes".to_owned()), true));
    for bad in [&b"[]"[..], b"{", b"\xFF", b"{\"meter\":\"\xFF\"}"] {
        assert!(request("read", bad).0.is_err_and(|why| why.contains("expected a JSON object")), "{bad:?}");
    }
}

#[test]
fn a_response_gives_back_the_transaction_and_the_reading_as_they_came() {
    let transaction = request("read", br#"{"meter":"heat","transaction":{"n":1.10}}"#).1;
    let reading = Ok(Answer::Reading(r#"{"meter":"heat","value":0.050}"#.to_owned()));
    assert_eq!(
        response(&reading, transaction.as_deref()),
        r#"{"status":"ok","data":{"meter":"heat","value":0.050},"error":null,"transaction":{"n":1.10}}"#
    );
    assert_eq!(
        response(&Err("no such meter".to_owned()), transaction.as_deref()),
        r#"{"status":"error","data":{},"error":"no such meter","transaction":{"n":1.10}}"#
    );
    assert_eq!(response(&Ok(Answer::Done), None), r#"{"status":"ok","data":{},"error":null,"transaction":null}"#);
    let telegrams = Ok(Answer::Telegrams(vec![vec![0x68, 0x0A], vec![0xE5]]));
    assert_eq!(
        response(&telegrams, None),
        r#"{"status":"ok","data":{"telegrams":["680A","E5"]},"error":null,"transaction":null}"#
    );
}

#[test]
fn a_scan_is_answered_with_meters_and_collisions() {
    let identity = secondary("30137315ATS0104");
    let address = MeterAddress::Secondary(identity);
    let found = vec![
        Found::Meter { address, identity: Some(identity), fabrication_number: None, frame: None },
        Found::Collision(address),
    ];
    let answer = response(&Ok(Answer::Found(found)), None);
    assert!(answer.contains(r#""id":"30137315""#) && answer.contains(r#""medium":"heat""#), "{answer}");
    assert!(answer.contains(r#""collisions":["3013731593060104"]"#), "{answer}");
}
