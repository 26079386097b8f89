//! One meter that is read in two ways: each gets the telegram of its application, whoever was read before.

use super::*;

fn segment() -> String {
    format!("{}applications = [\"50 {}\"]\n", at(5), short_telegram().0)
}

fn often() -> String {
    short("10s")
}

/// The one that selects the short telegram.
fn short(interval: &str) -> String {
    meter("often", 5, interval, "application_select = 0x50")
}

#[tokio::test(start_paused = true)]
async fn two_readouts_of_one_meter_each_get_the_telegram_of_their_application() {
    let mut bus = Bench::start(&segment(), "", &(often() + &meter("daily", 5, "60s", "")));
    let (mut often, mut daily) = (0, 0);
    while bus.started.elapsed() < Duration::from_secs(600) {
        let (readout, _) = bus.readout().await;
        let length = readout.frames.expect("it answers").remove(0).len();
        if readout.meter == "often" {
            assert_eq!(length, short_telegram().1, "the short one");
            often += 1;
        } else {
            assert!(length > 60, "the whole one");
            daily += 1;
        }
    }
    assert!(often >= 58 && daily >= 9, "{often} {daily}");
    bus.stop().await;
}

/// A telegram of one record, as hex, and how long it is.
fn short_telegram() -> (String, usize) {
    let data = [0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 1, 7, 7, 0, 0, 0, 0x01, 0x13, 0x2A];
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x72, data: &data }.to_vec().expect("fits");
    let digits: Vec<String> = frame.iter().map(|byte| format!("{byte:02X}")).collect();
    (digits.join(" "), frame.len())
}

fn is_short(frames: Result<Vec<Vec<u8>>, ReadoutError>) -> bool {
    frames.expect("it answers").remove(0).len() == short_telegram().1
}

#[tokio::test(start_paused = true)]
async fn a_meter_whose_other_readout_is_gone_gives_its_own_telegram_again() {
    let meters = meter("daily", 5, "60s", "") + &often();
    let mut bus = Bench::start(&segment(), "", &meters);
    assert!(!is_short(bus.readout_of("daily").await.0.frames));
    assert!(is_short(bus.readout_of("often").await.0.frames), "that is selected now");
    bus.exchange(&meter("daily", 5, "60s", ""));
    for _ in 0..3 {
        assert!(!is_short(bus.readout_of("daily").await.0.frames));
    }
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_meter_beside_one_that_is_read_in_two_ways_is_left_alone() {
    let mut bus = Bench::start(&(segment() + &at(6)), "", &(often() + &meter("other", 6, "10s", "")));
    bus.readout_of("other").await;
    assert_eq!(bus.health.borrow().traffic.sends, 3 + 2, "reset, select and request; reset and request");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_readout_by_address_is_that_of_the_first_and_spoils_neither() {
    let five = MeterAddress::Primary(primary(5));
    for (meters, first_is_short) in
        [(short("1h") + &meter("daily", 5, "20s", ""), true), (meter("daily", 5, "1h", "") + &short("20s"), false)]
    {
        let mut bus = Bench::start(&segment(), "", &meters);
        bus.readout().await;
        for _ in 0..10 {
            let asked = bus.ask(BusRequest::TelegramsAt(five)).await;
            let (readout, _) = bus.readout().await;
            assert_eq!(is_short(readout.frames), readout.meter == "often");
            let Ok(Answer::Telegrams(frames)) = asked.await else { panic!("it answers") };
            assert_eq!(is_short(Ok(frames)), first_is_short);
        }
        bus.stop().await;
    }
}
