//! `mbushat decode` at the process boundary: what it reads, what it prints, how it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use mbushat::mbus::link::frame::{Control, Frame};

const ATS: &str = "68 3D 3D 68 08 30 72 15 73 13 30 93 06 01 04 70 00 00 00 0C 06 00 00 00 00 0C 14 05 00 00 00 \
                   0C 22 57 83 03 00 0C 2E 01 00 00 00 0C 3B 00 00 00 00 0A 59 01 00 0A 5D 01 00 0A 61 01 00 \
                   42 6C 8F 21 DD 16";
const SDM220: &str = "68 5D 5D 68 08 01 72 99 99 99 99 FF FF 01 02 55 00 00 00 \
                      0C 04 00 00 00 00 0C 04 00 00 00 00 0C 04 00 00 00 00 \
                      0C 04 00 00 00 00 0C 04 00 00 00 00 0C 04 00 00 00 00 \
                      0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 \
                      0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 27 16";
const ENCRYPTED: &str = "68 2F 2F 68 08 05 72 78 56 34 12 24 40 01 07 2A 00 20 05 08 CB A9 22 8D 27 DD EA EC 15 07 \
                         8D 7C 54 02 3A 4F 3E 60 8F 14 14 DF 9E D3 E9 1A C2 A2 E2 4E 66 F9 16";
const KEY: &str = "000102030405060708090A0B0C0D0E0F";

fn decode(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .arg("decode")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    // a program that reads no input closes the pipe
    let _ = writer.join().expect("no panic");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn lines(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON on every line")).collect()
}

/// A telegram without header around the records.
fn framed(records: &[u8]) -> String {
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x78, data: records };
    frame.to_vec().expect("short enough").iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn the_documents_of_pymeterbus_are_reproduced_byte_for_byte() {
    for (telegram, document) in
        [(ATS, include_str!("../pymeterbus/ats.json")), (SDM220, include_str!("../pymeterbus/sdm220.json"))]
    {
        let output = decode(&["--format", "pymeterbus", "-"], telegram);
        assert_eq!(text(&output.stdout), document);
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn pymeterbus_gives_an_error_where_the_original_would_crash() {
    let nan = "68 09 09 68 08 05 78 05 2B 00 00 C0 7F F4 16";
    let output = decode(&["--format", "pymeterbus", "-"], &format!("{nan}\nE5\n{ATS}\n"));
    let printed = text(&output.stdout);
    assert!(printed.starts_with("error: line 1: a real number without value"), "{printed}");
    assert!(printed.contains("error: line 2: pyMeterBus decodes long frames only"), "{printed}");
    assert!(printed.ends_with("}\n"), "{printed}");
    assert_eq!(output.status.code(), Some(1));
    // a radio level of 16 bytes, which no integer of ours holds twice
    let level = decode(
        &["--format", "pymeterbus", "-"],
        &framed(b"\x0D\xFD\x71\x10\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F"),
    );
    assert_eq!(text(&level.stdout), "error: line 1: a number of 16 bytes or more\n");
}

#[test]
fn every_line_gives_one_object_errors_included() {
    let input =
        format!("# meters\n{ATS}\n\n68 04 04 68 08 05 70 08 85 16\nE5\nnonsense\n10 40 05 44 16\n{ENCRYPTED}\n");
    let output = decode(&["--format", "jsonl", "-"], &input);
    let objects = lines(&output);
    assert_eq!(objects.len(), 6);
    assert_eq!(objects[0]["header"]["id"], "30137315");
    assert_eq!(objects[0]["records"][1]["value"].to_string(), "0.05");
    assert_eq!(objects[0]["records"][8]["value"], "2020-01-15");
    assert_eq!(objects[0]["error"], serde_json::Value::Null);
    assert_eq!(objects[1]["application_error"]["code"], 8);
    assert_eq!(objects[2]["error"], serde_json::Value::Null, "an acknowledgement is in order");
    assert_eq!(objects[3]["error"], "not hex digits: `nonsense`");
    assert_eq!(objects[4]["error"], "broken frame: checksum 44, expected 45");
    assert_eq!(objects[5]["error"], "encrypted in security mode 5: the meter's key is needed");
    assert_eq!(objects[5]["records"], serde_json::json!([]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("3 of 6 telegrams"), "{}", text(&output.stderr));
}

#[test]
fn a_series_counts_from_the_value_and_not_from_a_maximum_that_comes_before_it() {
    let output = decode(&["--format", "jsonl", "-"], "681717680805781406c80000000406640000000d8613e471fe0102d116\n");
    assert_eq!(lines(&output)[0]["records"][2]["profile"]["values"], serde_json::json!([99000, 97000]));
}

#[test]
fn a_key_stands_behind_its_telegram_or_on_the_command_line() {
    for output in [
        decode(&["--format", "jsonl", "-"], &format!("{ENCRYPTED} {KEY}\n")),
        decode(&["--format", "jsonl", "--key", KEY, "-"], ENCRYPTED),
    ] {
        let objects = lines(&output);
        assert_eq!(objects[0]["records"][0]["value"].to_string(), "2850.427");
        assert_eq!(output.status.code(), Some(0));
    }
    let wrong = decode(&["--format", "jsonl", "-"], &format!("{ENCRYPTED} {}\n", KEY.replace('0', "F")));
    assert_eq!(lines(&wrong)[0]["records"], serde_json::json!([]));
    assert!(lines(&wrong)[0]["error"].as_str().is_some_and(|error| error.starts_with("wrong key")));
    assert_eq!(decode(&["--key", "12", "E5"], "").status.code(), Some(2));
}

#[test]
fn a_file_that_cannot_be_read_is_said_to_be_one() {
    let missing = decode(&["nowhere/telegrams.hex"], "");
    assert!(text(&missing.stderr).contains("error: there is no file nowhere/telegrams.hex"), "{missing:?}");
    assert_eq!(missing.status.code(), Some(1));
    let folder = decode(&[env!("CARGO_MANIFEST_DIR")], "");
    assert!(text(&folder.stderr).contains("it is a directory"), "{folder:?}");
    assert_eq!(folder.status.code(), Some(1));
    let slip = decode(&["--format", "jsonl", "zz"], "");
    assert_eq!(lines(&slip)[0]["error"], "not hex digits: `zz`");
}

#[test]
fn hex_digits_come_from_arguments_a_file_or_standard_input() {
    let folder = std::env::temp_dir().join(format!("mbushat-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("E5"), ATS).expect("written");
    let of_file = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["decode", "--format", "jsonl", "E5"])
        .current_dir(&folder)
        .output()
        .expect("the program starts");
    assert_eq!(lines(&of_file)[0]["header"]["id"], "30137315", "the name of an existing file wins");
    std::fs::remove_dir_all(&folder).expect("removed");
    let words: Vec<&str> = ["--format", "jsonl"].into_iter().chain(ATS.split_whitespace()).collect();
    assert_eq!(decode(&words, "").stdout, of_file.stdout);
    assert_eq!(decode(&["--format", "jsonl"], ATS).stdout, of_file.stdout);
    assert_eq!(decode(&["--format", "jsonl", &ATS.replace(' ', "")], "").stdout, of_file.stdout);
}

#[test]
fn the_table_shows_bytes_meaning_and_value_side_by_side() {
    let table = text(&decode(&["-"], ATS).stdout);
    let line = table.lines().find(|line| line.starts_with("0C 14 05 00 00 00")).expect("the volume");
    assert!(line.contains("8-digit BCD; volume × 0.01 m³") && line.ends_with("0.05 m³"), "{line}");
    assert!(!table.contains('\u{1b}'), "colour only on a terminal");
}

#[test]
fn two_frames_on_one_line_are_told_from_a_broken_one() {
    let output = decode(&["--format", "jsonl", "-"], &format!("E5 {ATS}\n"));
    assert_eq!(lines(&output)[0]["error"], "broken frame: 68 bytes, expected 1; each frame has a line of its own");
}

#[test]
fn text_from_a_meter_does_not_steer_the_terminal() {
    // customer: ESC [ 3 1 m
    let output = decode(&["-"], &framed(b"\x0D\xFD\x11\x05m13[\x1b"));
    assert!(!output.stdout.contains(&0x1B));
    assert!(text(&output.stdout).contains("[31m"));
}

#[test]
fn many_lines_need_no_more_memory_than_few() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["decode", "--format", "jsonl", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let status = format!("/proc/{}/status", child.id());
    let peak = || -> u64 {
        let status = std::fs::read_to_string(&status).expect("a running process");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("kB")
    };
    let mut exchange = |lines: usize| {
        let input = format!("{ATS}\n").repeat(lines);
        let mut answer = String::new();
        for _ in 0..lines {
            stdin.write_all(&input.as_bytes()[..ATS.len() + 1]).expect("it reads");
            answer.clear();
            stdout.read_line(&mut answer).expect("it answers");
            assert!(answer.contains("30137315"));
        }
    };
    exchange(100);
    let few = peak();
    exchange(10_000);
    let many = peak();
    assert!(many <= few + 256, "{few} kB after 100 lines, {many} kB after 10,100");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}
