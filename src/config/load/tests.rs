use super::{load, load_with, parse};
use crate::config::check::Surroundings;
use crate::config::profiles::built_in;
use crate::config::{Config, Problems};
use crate::mbus::address::{MeterAddress, PrimaryAddress};
use std::fs;
use std::path::{Path, PathBuf};

/// A configuration and a file of adopted meters, in a folder of their own; removed at the end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, users: &str, adopted: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mbushat-load-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let store = format!("[store]\ndirectory = {:?}\n{users}", folder.join("store"));
        fs::write(folder.join("mbushat.toml"), store).expect("a file");
        fs::create_dir_all(folder.join("store")).expect("a folder");
        fs::write(folder.join("store/meters.toml"), adopted).expect("a file");
        Self(folder)
    }

    fn load(&self) -> Config {
        load(&self.file()).expect("a good configuration")
    }

    fn file(&self) -> PathBuf {
        self.0.join("mbushat.toml")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Of one file on a machine that has every time zone and no other file.
pub(in crate::config) fn parsed(text: &str) -> Config {
    read(text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is said of a bad one.
pub(in crate::config) fn problems(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    read(text, variable).expect_err("problems").to_string()
}

fn read(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, Problems> {
    let surroundings = Surroundings {
        folder: Path::new("/etc"),
        password_credential: None,
        variable,
        is_timezone: &|_| true,
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
        unfit: &|_| None,
        built_in: built_in().into_iter().map(|(profile, _)| profile).collect(),
    };
    parse(&[("t.toml".into(), text.to_owned())], &surroundings)
}

fn names(config: &Config) -> Vec<&str> {
    config.all_meters().map(|(meter, _)| meter.name.as_str()).collect()
}

const ADOPTED: &str = "\
[[meter]]
name = \"kam_67200512\"
bus = \"hat\"
secondary = \"672005122D2C1D04\"
[[meter]]
name = \"kam_67200513\"
bus = \"hat\"
address = 13
enabled = false
[[ignore]]
bus = \"hat\"
address = 7
";

#[test]
fn adopted_meters_stand_beside_the_users_and_an_empty_file_looks_for_more() {
    let config = Files::new("empty", "", ADOPTED).load();
    assert_eq!(names(&config), ["kam_67200512", "kam_67200513"]);
    assert!(config.assumed_bus && config.buses.iter().all(|bus| bus.discover));
    let seven = PrimaryAddress::new(7).map(MeterAddress::Primary).expect("an address");
    assert_eq!(config.adopted.ignored, [("hat".to_owned(), seven)]);
    let own = Files::new("own", "[[meter]]\nname = \"a\"\naddress = 1\nenabled = false\n", ADOPTED).load();
    assert_eq!(names(&own).len(), 3);
    assert!(own.buses.iter().all(|bus| !bus.discover), "a meter that is not enabled counts");
}

#[test]
fn a_meter_of_the_users_file_wins_by_its_address() {
    let users = "[[meter]]\nname = \"heat\"\nsecondary = \"67200512\"\n[[meter]]\nname = \"b\"\naddress = 13\n";
    let config = Files::new("wins", users, ADOPTED).load();
    assert_eq!(names(&config), ["heat", "b"]);
    let left_out: Vec<&str> = config.adopted.left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((left_out, config.adopted.names.len()), (vec!["kam_67200512", "kam_67200513"], 0));
    assert!(config.adopted.left_out[0].1.contains("as \"heat\""), "{:?}", config.adopted);
}

#[test]
fn an_adopted_meter_whose_name_the_user_gave_to_another_is_read_under_the_next_free_one() {
    let users = "[[meter]]\nname = \"kam_67200512\"\naddress = 3\n";
    let more = "[[meter]]\nname = \"kam_67200512_2\"\nbus = \"hat\"\naddress = 14\n";
    let config = Files::new("name", users, &format!("{ADOPTED}{more}")).load();
    assert_eq!(names(&config), ["kam_67200512", "kam_67200512_3", "kam_67200512_2", "kam_67200513"]);
    assert_eq!(config.adopted.left_out, []);
    assert!(config.adopted.names.contains("kam_67200512_3") && !config.adopted.names.contains("kam_67200512"));
    assert_eq!(config.adopted.in_file("kam_67200512_3"), "kam_67200512");
    assert_eq!(config.adopted.in_file("kam_67200513"), "kam_67200513");
}

#[test]
fn a_broken_file_of_adopted_meters_costs_only_its_own() {
    let users = "[[meter]]\nname = \"a\"\naddress = 1\n";
    for (broken, said) in [
        (ADOPTED.replace("address = 13", "address = 13\nkey = \"00\""), "meters.toml:9:7: `key` cannot be used"),
        (ADOPTED.replace("[[ignore]]", "[[ignored]]"), "did you mean `ignore`?"),
        (format!("{ADOPTED}["), "not valid TOML"),
        (ADOPTED.replace("bus = \"hat\"\naddress = 7", "address = 7"), "does not say its `bus`"),
    ] {
        let config = Files::new("broken", users, &broken).load();
        assert_eq!(names(&config), ["a"]);
        let trouble = config.adopted.trouble.expect("trouble");
        assert!(trouble.contains(said), "{trouble}");
    }
}

#[test]
fn a_file_of_adopted_meters_that_cannot_be_changed_is_broken() {
    let files = Files::new("changed", "", ADOPTED);
    let config = load_with(&files.file(), &|_| Err("write each meter as a table".to_owned())).expect("good");
    let trouble = config.adopted.trouble.clone().expect("trouble");
    assert!(trouble.ends_with("meters.toml: write each meter as a table"), "{trouble}");
    assert_eq!(names(&config), [""; 0]);
}

#[test]
fn adopted_meters_stay_beside_new_ones_of_the_user_where_their_file_is_broken() {
    let old = Files::new("stay", "", ADOPTED).load();
    let users = "[[bus]]\nname = \"usb\"\nport = \"/dev/ttyUSB0\"\n[[bus]]\nname = \"hat\"\nport = \"/dev/ttyAMA0\"\n";
    let heat = "[[meter]]\nname = \"heat\"\nbus = \"hat\"\naddress = 13\n";
    let mut new = Files::new("stay", &format!("{users}{heat}"), "[").load();
    assert_eq!(names(&new), ["heat"]);
    new.keep_adopted_of(&old);
    let places: Vec<_> = new.all_meters().map(|(meter, _)| (meter.name.as_str(), meter.bus)).collect();
    assert_eq!(places, [("heat", 1), ("kam_67200512", 1)]);
    assert_eq!(new.adopted.ignored, old.adopted.ignored);
    assert!(new.adopted.left_out[0].1.contains("as \"heat\"") && new.adopted.trouble.is_some());
}

#[test]
fn adopted_meters_of_a_bus_that_is_gone_are_left_out_and_the_others_read() {
    let users = "[[bus]]\nname = \"usb\"\nport = \"/dev/ttyUSB0\"\ndiscover = true\n";
    let more = "[[meter]]\nname = \"b\"\nbus = \"usb\"\naddress = 1\n";
    let config = Files::new("gone", users, &format!("{ADOPTED}{more}")).load();
    assert_eq!((names(&config), config.adopted.left_out.len()), (vec!["b"], 2));
    assert_eq!(config.adopted.trouble, None);
}

#[test]
fn the_file_may_be_missing_or_elsewhere_or_as_it_is_going_to_be() {
    let files = Files::new("elsewhere", "", ADOPTED);
    fs::remove_file(files.0.join("store/meters.toml")).expect("a file");
    assert_eq!(names(&files.load()), [""; 0]);
    let changed = load_with(&files.file(), &|text| Ok(format!("{text}{ADOPTED}"))).expect("good");
    assert_eq!(names(&changed).len(), 2);
    fs::write(files.file(), "agent.meters_file = \"mine.toml\"\n").expect("a file");
    assert_eq!(files.load().adopted.file, files.0.join("mine.toml"));
    fs::write(files.file(), "").expect("a file");
    assert_eq!(files.load().adopted.file, Path::new("/var/lib/mbushat/meters.toml"));
}

#[test]
fn files_of_the_folder_beside_it_add_buses_and_meters_and_name_themselves_in_what_is_wrong() {
    let files = Files::new("folder", "[[meter]]\nname = \"a\"\naddress = 1\n", "");
    let folder = files.0.join("mbushat.d");
    fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write("10-b.toml", "[mqtt]\nbase_topic = \"house\"\n[[meter]]\nname = \"b\"\naddress = 2\n");
    write("20-c.toml", "[[meter]]\nname = \"c\"\naddress = 3\n");
    write("30-notes.txt", "no TOML\n");
    write(".30-hidden.toml", "no TOML\n");
    let config = files.load();
    assert_eq!((names(&config), config.mqtt.base_topic.as_str()), (vec!["a", "b", "c"], "house"));
    write("20-c.toml", "[mqtt]\nretain_state = false\n[[meter]]\nname = \"b\"\naddress = 1\nwrong = 1\n");
    let said = load(&files.file()).expect_err("three problems").to_string();
    let place = |name: &str| folder.join(name).display().to_string();
    let (first, second, main) = (place("10-b.toml"), place("20-c.toml"), files.file().display().to_string());
    for expected in [
        format!("{main} has 4 problems"),
        format!("{second}:1:2: `mqtt` stands in line 1 of {first} too"),
        format!("{second}:4:8: the name \"b\" is that of the meter of line 4 of {first} too"),
        format!("{second}:5:11: this address is also that of meter \"a\" of line 5 of {main}, on the same bus"),
        format!("{second}:6:1: unknown key `wrong`"),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
    write("20-c.toml", "broken = \n");
    assert!(load(&files.file()).expect_err("no TOML").to_string().contains(&format!("{second}:1:")));
}

#[test]
fn a_pipe_in_place_of_a_file_that_is_read_later_is_said_at_once_and_a_missing_file_may_come() {
    let files = Files::new("pipe", "[mqtt]\nurl = \"mqtts://b\"\nusername = \"u\"\npassword_file = \"pf\"\n", "");
    let pipe = files.0.join("pf");
    assert!(load(&files.file()).is_ok());
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let said = load(&files.file()).expect_err("no file").to_string();
    let expected = format!("cannot read `password_file` {}: it is a pipe or a socket; name a file", pipe.display());
    assert!(said.ends_with(&expected), "{said}");
    let text = fs::read_to_string(files.file()).expect("the file").replace("password_file", "ca_file");
    fs::write(files.file(), format!("{text}[http]\ncert = \"pf\"\nkey = \"pf\"\n")).expect("a file");
    assert_eq!(load(&files.file()).expect_err("three").to_string().matches("it is a pipe").count(), 3);
}

#[test]
fn a_link_to_nothing_in_the_folder_is_no_file_to_write_anew() {
    let files = Files::new("link", "", "");
    fs::create_dir_all(files.0.join("mbushat.d")).expect("a folder");
    std::os::unix::fs::symlink("/nonexistent", files.0.join("mbushat.d/a.toml")).expect("a link");
    let error = load(&files.file()).expect_err("no file");
    let super::LoadError::Unreadable { file, error } = &error else { panic!("{error}") };
    assert!(file.ends_with("mbushat.d/a.toml") && error.kind() != std::io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "it is a link to a file that is not there");
}

#[test]
fn a_rule_without_its_meter_is_told_in_whichever_file_it_stands() {
    let files = Files::new("orphan", "[[meter]]\nname = \"a\"\naddress = 1\n", "");
    fs::create_dir_all(files.0.join("mbushat.d")).expect("a folder");
    fs::write(files.0.join("mbushat.d/a.toml"), "[[meter.record]]\nindex = 1\nhide = true\n").expect("a file");
    let said = load(&files.file()).expect_err("an orphan").to_string();
    let expected = "a.toml:1:3: this [[meter.record]] has no [[meter]] above it, in the same file";
    assert!(said.contains(" has 1 problem\n") && said.ends_with(expected), "{said}");
}
