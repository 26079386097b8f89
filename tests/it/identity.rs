//! Which meter a reading is of, and how it says it is, through the whole agent.

use rustix::process::Signal;

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Folder, Subscriber};

#[test]
fn meters_that_cannot_be_told_apart_are_known_by_their_names_and_the_log_says_so() {
    let Some(broker) = Broker::start() else { return };
    let folder = Folder::new();
    let meter = |address: u8, id: &str| {
        format!("[[meter]]\nmodel = \"cold_water\"\naddress = {address}\nid = \"{id}\"\nstatus = {}\n", address * 4)
    };
    let simulated = meter(1, "00000000") + &meter(2, "11111111") + &meter(3, "22222222") + &meter(4, "11111111");
    let port = folder.write("bus.toml", &format!("baud = 9600\n{simulated}"));
    let mut config = format!("[[bus]]\nname = \"b\"\nbaud = 9600\nport = \"sim:{}\"\n", port.display());
    for address in 1..=4 {
        config += &format!("[[meter]]\nname = \"m{address}\"\naddress = {address}\n");
    }
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let mut agent = Agent::start(broker.port, &config);
    let mut last = String::new();
    let all = subscriber.wait_for(SOON, |m| {
        if m.topic.starts_with("homeassistant/device/mbushat/mbushat_m4_") {
            last.clone_from(&m.payload);
        }
        m.topic == "mbushat/m4/reading"
    });
    let reading = all.expect("the last reading").payload;
    assert!(reading.contains(r#""status":["temporary_error"]"#), "{reading}");
    assert!(last.contains(r#""uniq_id":"mbushat_m4_SIM_01_16_volume""#), "{last}");
    // What is logged is written behind the readings, and is whole once the agent has ended.
    assert!(agent.end(Signal::TERM).0.success());
    let log = agent.log();
    let told = |meter: &str| log.lines().filter(|l| l.contains(meter) && l.contains("knows it by its name")).count();
    assert_eq!(["m1", "m2", "m3", "m4"].map(|name| told(&format!("meter=\"{name}\""))), [1, 1, 0, 1], "{log}");
}
