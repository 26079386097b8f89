//! What is said of mistakes, and where.

use super::{METER, assert_one, config, problems};

#[test]
fn each_mistake_is_named_with_its_place() {
    for (text, place, words) in [
        ("[mqt]\n", "1:2", "unknown key `mqt` in the file, did you mean `mqtt`?"),
        ("\"a\\u001b[2J\" = 1\n", "1:1", "unknown key `a\u{FFFD}[2J` in the file"),
        ("[mqtt]\ninterval = 1\n", "2:1", "unknown key `interval` in [mqtt], it belongs in [[meter]]"),
        ("[[mqtt]]\n", "1:1", "expected one table [mqtt]"),
        ("[[meter.record]]\nhide = true\n", "1:3", "this [[meter.record]] has no [[meter]] above it, in the same file"),
        ("[meter]\nname = \"m\"\n", "1:1", "expected tables [[meter]]: double brackets"),
        ("meter = [1]\n", "1:10", "contains 1, expected tables [[meter]]"),
        ("agent.timezone = \"Mars\"\n", "1:18", "`timezone` is \"Mars\""),
        ("[mqtt]\nurl = \"tcp://x\"\n", "2:7", "expected \"mqtt://host\""),
        ("[mqtt]\nurl = []\n", "2:7", "`url` is an empty list"),
        ("[mqtt]\nurl = [\"mqtt://x\", 1]\n", "2:20", "expected \"mqtt://host\""),
        ("[mqtt]\nurl = [\"mqtt://x\", \"mqtts://y\"]\n", "2:20", "mixes mqtt:// and mqtts://"),
        ("[mqtt]\nurl = [\"mqtt://x\", \"mqtt://a:b@y\"]\n", "2:20", "use `username` and `password`"),
        ("[mqtt]\nurl = \"mqtt://a:b@x\"\nusername = \"a\"\n", "3:12", "also in `url`"),
        ("[mqtt]\npassword = \"p\"\n", "2:12", "set `username` too"),
        ("[mqtt]\nusername = \"u\"\npassword = \"p\"\npassword_file = \"f\"\n", "3:12", "one password too many"),
        ("[mqtt]\nca_file = \"c\"\n", "2:11", "needs an mqtts:// `url`"),
        ("[mqtt]\nurl = \"mqtts://x\"\nclient_key = \"c\"\n", "3:14", "without `client_cert`"),
        ("[mqtt]\nprotocol = 4\n", "2:12", "expected \"auto\", 5 or 3"),
        ("[mqtt]\nkeep_alive = \"1s\"\n", "2:14", "from 5s to 1h"),
        ("[mqtt]\nbase_topic = \"a/#\"\n", "2:14", "no + or #"),
        ("[homeassistant]\nversion = \"2025.13\"\n", "2:11", "a year and a month"),
        ("[store]\nmax_size = \"256MB\"\n", "2:12", "\"256MiB\""),
        ("[store]\ndurability = \"never\"\n", "2:14", "expected \"outage\" or \"always\""),
        ("[log]\nlevel = \"loud\"\n", "2:9", "\"info\""),
        ("[[bus]]\nport = \"/dev/ttyUSB0\"\n", "1:1", "no `name`"),
        ("[[bus]]\nname = \"b\"\nport = \"ttyUSB0\"\n", "3:8", "a serial device"),
        ("[[bus]]\nname = \"b\"\nport = \"tcp://host\"\n", "3:8", "tcp://host:port"),
        ("[[bus]]\nname = \"b\"\nbaud = 2401\n", "3:8", "`baud` is 2401, expected 300"),
        ("[[bus]]\nname = \"b\"\nport = \"tcp://h:1\"\nhat = true\n", "4:7", "set hat = false"),
        ("[[bus]]\nname = \"b\"\nport = \"/dev/x\"\npower_gpio = 4\n", "4:14", "set hat = true"),
        (
            "[[bus]]\nname = \"b\"\nport = \"/dev/x\"\n[[bus]]\nname = \"c\"\nport = \"/dev/x\"\n",
            "6:8",
            "of line 3 too",
        ),
        ("[[bus]]\nname = \"b\"\nport = \"/dev/x\"\n[[bus]]\nname = \"b\"\n", "5:8", "the name \"b\""),
        ("[[bus]]\nname = \"b\"\n[[bus]]\nname = \"c\"\nport = \"/dev/serial0\"\n", "5:8", "`power_gpio`"),
        ("[[meter]]\naddress = 1\n", "1:1", "no `name`"),
        ("[[meter]]\nname = \"bridge\"\naddress = 1\n", "2:8", "not \"bridge\""),
        ("[[meter]]\nname = \"Kalt\"\naddress = 1\n", "2:8", "a-z, 0-9 and _"),
        ("[[meter]]\nname = \"m\"\n", "1:1", "neither `address` nor `secondary`"),
        ("[[meter]]\nname = \"m\"\naddress = 1\nwake_up = \"0x55\"\n", "4:11", "a byte and how much of it"),
        ("[[meter]]\nname = \"m\"\naddress = 251\n", "3:11", "0 to 250, or 254"),
        ("[[meter]]\nname = \"m\"\naddress = 1\nsecondary = \"12345678\"\n", "4:13", "both"),
        ("[[meter]]\nname = \"m\"\nsecondary = \"1234567\"\n", "3:13", "8 digits"),
    ] {
        assert_one(text, place, words);
    }
    for (line, column, words) in [
        ("interval = \"7m\"", 12, "does not divide 24 h"),
        ("interval = \"36h\"", 12, "does not divide 24 h"),
        ("interval = 15", 12, "`interval` is 15, expected a duration"),
        ("offset = \"15m\"", 10, "shorter than the interval"),
        ("offset = \"1s\"\nalign = false", 10, "of no use with align = false"),
        ("parity = \"mark\"", 10, "\"even\", \"odd\" or \"none\""),
        ("align = \"true\"", 9, "without quotes"),
        ("profile = \"ats_ec2O\"", 11, "did you mean \"ats_ec20\"?"),
        ("bus = \"hatt\"", 7, "did you mean \"hat\"?"),
        ("key_file = \"bad.key\"", 12, "does not hold a key"),
        ("key_file = \"none.key\"", 12, "cannot read"),
        ("requests = [\"B1\", \"B\"]", 19, "`requests` contains \"B\""),
        ("requests = \"B1\"", 12, "expected a list of"),
        ("labels = { Flat = \"3\" }", 12, "`Flat` cannot be the name of a label, expected a-z"),
        ("labels = { unit = \"3\" }", 12, "none of meter, key, unit, agent, le, quantile"),
        ("labels = { 3rd = \"3\" }", 12, "not first a digit"),
        ("labels = { flat = 3 }", 19, "the label `flat` is 3, expected a text in quotes"),
        ("labels = \"flat\"", 10, "expected an inline table such as labels = { flat = \"3 left\" }"),
        ("area = \"\"", 8, "not empty"),
        ("expose = \"all\"", 10, "\"sensible\" or a list"),
        ("offline_after = 0", 17, "from 1 to 255"),
        ("records = 1", 1, "did you mean `record`?"),
    ] {
        assert_one(&format!("{METER}{line}\n"), &format!("4:{column}"), words);
    }
    for (line, column, words) in [
        ("key = \"a\"", 0, "selects nothing"),
        ("index = 1\nkey = \"seq\"", 7, "not read_at, seq, status"),
        ("quantity = \"volumes\"", 12, "did you mean \"volume\"?"),
        ("index = 1\nunit = \"kwh\"", 8, "did you mean \"kWh\"?"),
        ("index = 1\nunit = \"l\"", 8, "did you mean \"L\"?"),
        ("index = 1\nunit = \"furlong\"", 8, "expected a unit: Wh, kWh, "),
        (
            "quantity = \"on_time\"\nunit = \"L\"",
            8,
            "does not fit on_time, expected one of s ms μs min h d; or set `scale` too",
        ),
        ("dif = \"04\"\nvif = \"6D\"\nunit = \"L\"\nscale = 0", 9, "not 0"),
        ("dif = \"04\"\nvif = \"FD48\"\nunit = \"A\"", 8, "does not fit the VIF FD48, expected one of V mV μV kV MV;"),
        ("index = 1\nscale = 0", 9, "not 0"),
        ("bytes = { at = 0, length = 4, coding = \"bcd\" }", 9, "needs a `key`"),
        ("key = \"a\"\nbytes = { at = 0, length = 4 }", 9, "has no `coding`, expected { at = 30"),
        ("key = \"a\"\nbytes = { at = 0, length = 9, coding = \"bcd\" }", 28, "from 1 to 8"),
        ("key = \"a\"\nbytes = { at = 0, length = 2, coding = \"real\" }", 28, "set `length` to 4"),
        (
            "key = \"a\"\nbytes = { at = 0, length = 2, coding = \"float\" }",
            40,
            "\"uint\", \"int\", \"bcd\" or \"real\"",
        ),
        ("key = \"a\"\nbytes = \"0F\"", 9, "expected an inline table such as bytes = { at = 30"),
        ("index = 1\nscale = 1e-3", 9, "no exponent"),
        ("dif = \"0C\"\nvif = \"FD\"", 7, "such as \"7D\""),
        ("vif = \"FF 59 ??\"", 7, "such as \"FFD9??\""),
        ("vif = \"FF5900\"", 7, "such as \"FFD900\""),
        ("dif = \"04 8\"", 7, "such as \"8C10\""),
        ("dif = \"0C8?\"", 7, "such as \"8C0?\""),
        ("vif = \"FD3A\"\nkey = \"_*\"", 7, "or has _* in it"),
        ("vif = \"FD3A\"\nicon = \"water\"", 8, "such as \"mdi:water\""),
        ("vif = \"FD3A\"\nenabled = 1", 11, "true or false"),
        ("quantity = \"volume\"\ndevice_class = \"wather\"", 16, "did you mean \"water\"?"),
        ("index = 1\nstate_class = \"sum\"", 15, "\"total_increasing\""),
    ] {
        let (last, column) = if column == 0 { (4, 1) } else { (4 + line.lines().count(), column) };
        assert_one(&format!("{METER}[[meter.record]]\n{line}\n"), &format!("{last}:{column}"), words);
    }
}

#[test]
fn a_meter_has_sixteen_labels_at_most() {
    let labels = |count: u32| (0..count).map(|n| format!("l{n} = \"{n}\"")).collect::<Vec<_>>().join(", ");
    let meter = |count| format!("{METER}labels = {{ {} }}\n", labels(count));
    let read = &config(&meter(16)).meters[0].labels;
    assert_eq!((read.len(), read.get("l15").map(String::as_str)), (16, Some("15")));
    assert_one(&meter(17), "4:10", "`labels` has 17, at most 16");
}

#[test]
fn a_part_of_a_block_is_no_record() {
    let rule = "key = \"a\"\nindex = 3\nbytes = { at = 0, length = 4, coding = \"bcd\" }\n";
    assert_one(&format!("{METER}[[meter.record]]\n{rule}"), "6:9", "`index` selects records, `bytes` a part");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_lines() {
    let reported = problems(
        "[mqtt]\nurl = \"x\"\n[[meter]]\nname = \"a\"\nadress = 1\n[[meter]]\nname = \"a\"\naddress = 300\nbaud = 1\n",
    );
    let places: Vec<&str> = reported.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(places, ["2:7:", "5:1:", "7:8:", "8:11:", "9:8:"], "{reported:#?}");
}
