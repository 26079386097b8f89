//! The forms of date and time, and back.

use super::{Date, DateTime, Moment, Octets, Time, decode, decode_digits};
use crate::mbus::octets::ByteOrder;

fn read(bytes: &[u8]) -> String {
    show(decode(Octets::new(bytes, ByteOrder::LeastFirst)).expect("a length of a date"))
}

fn show(moment: Moment) -> String {
    match moment {
        Moment::Date(date) => date.to_string(),
        Moment::DateTime(at) => format!("{at}{}", if at.summer { " summer" } else { "" }),
        Moment::Time(time) => time.to_string(),
        Moment::Periodic(periodic) => format!("every {periodic}"),
        Moment::Invalid => "invalid".to_owned(),
    }
}

#[test]
fn each_type_reads_as_the_standard_says() {
    for (bytes, text) in [
        (&[0x8F_u8, 0x21][..], "2020-01-15"),
        (&[0x1E, 0xA6], "2080-06-30"),
        (&[0x7F, 0xCC], "1999-12-31"),
        (&[0x00, 0xAC, 0x01, 0x37], "2024-07-01T12:00 summer"),
        (&[0x00, 0x2C, 0x01, 0x37], "2024-07-01T12:00"),
        (&[0xBA, 0x3B, 0x97, 0x1D, 0x32, 0x09], "2024-02-29T23:59:58"),
        (&[0x3A, 0x3B, 0x17], "23:59:58"),
    ] {
        assert_eq!(read(bytes), text);
    }
}

#[test]
fn six_bytes_of_digits_are_second_to_year() {
    let digits = |bytes: [u8; 6]| decode_digits(Octets::new(&bytes, ByteOrder::LeastFirst)).map(show);
    assert_eq!(digits([0x59, 0x30, 0x23, 0x29, 0x02, 0x24]).as_deref(), Some("2024-02-29T23:30:59"));
    assert_eq!(digits([0x00, 0x00, 0x00, 0x01, 0x06, 0x99]).as_deref(), Some("1999-06-01T00:00:00"));
    for no_moment in [
        [0, 0, 0, 0, 0, 0],
        [0xFF; 6],
        [0x60, 0, 0, 1, 1, 0x24],
        [0, 0x60, 0, 1, 1, 0x24],
        [0, 0, 0x24, 1, 1, 0x24],
        [0, 0, 0, 0x29, 2, 0x23],
        [0, 0, 0, 1, 0x13, 0x24],
    ] {
        assert_eq!(digits(no_moment).as_deref(), Some("invalid"), "{no_moment:02X?}");
    }
    assert_eq!(digits([0x0A, 0, 0, 1, 1, 0x24]), None);
}

#[test]
fn moments_are_counted_from_1970() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00"),
        (946_643_400, "1999-12-31T12:30:00"),
        (1_709_251_199, "2024-02-29T23:59:59"),
        (1_709_251_200, "2024-03-01T00:00:00"),
        (1_767_225_600, "2026-01-01T00:00:00"),
        (4_107_542_400, "2100-03-01T00:00:00"),
    ] {
        let moment = DateTime::from_seconds(seconds);
        assert_eq!((moment.to_string().as_str(), moment.seconds()), (text, seconds));
    }
}

#[test]
fn every_year_is_no_point_in_time() {
    assert_eq!(read(&[0xFF, 0xFC]), "every *-12-31");
    assert_eq!(read(&[0x01, 0x0F]), "every 2000-*-01");
    assert_eq!(read(&[0x06, 0x1F, 0x1F, 0x3C]), "every 2024-12-31T*:06");
}

#[test]
fn what_is_no_day_is_invalid() {
    for bytes in [
        &[0xFF_u8, 0xFF][..],      // the marker
        &[0x00, 0x00],             // a clock never set
        &[0x3D, 0x12],             // 29 February 2009
        &[0x1F, 0x34],             // 31 April
        &[0x8F, 0x2E],             // month 14
        &[0x80, 0x00, 0x00, 0x00], // IV
        &[0x3C, 0x0C, 0x01, 0x37], // minute 60
        &[0x00, 0x18, 0x01, 0x37], // hour 24
        &[0xFF, 0xFF, 0xFF],       // type J's marker
        &[0x00, 0x80, 0, 0, 0, 0], // IV of type I
        &[0x8F, 0xD1],             // year 108
    ] {
        assert_eq!(read(bytes), "invalid", "{bytes:02X?}");
    }
    assert_eq!(decode(Octets::new(&[0; 5], ByteOrder::LeastFirst)), None);
}

#[test]
fn moments_read_back_as_written() {
    for year in [1981, 1999, 2000, 2024, 2080, 2081, 2100, 2299] {
        let date = Date { year, month: 2, day: 28 };
        let at = DateTime { date, time: Time { hour: 23, minute: 59, second: None }, summer: true };
        let back = decode(Octets::new(&at.to_f(), ByteOrder::LeastFirst));
        assert_eq!(back, Some(Moment::DateTime(at)), "{year}");
    }
    let at = DateTime {
        date: Date { year: 2024, month: 2, day: 29 },
        time: Time { hour: 1, minute: 2, second: Some(3) },
        summer: false,
    };
    assert_eq!(decode(Octets::new(&at.to_i(), ByteOrder::LeastFirst)), Some(Moment::DateTime(at)));
    assert_eq!(decode(Octets::new(&at.date.to_g(), ByteOrder::LeastFirst)), Some(Moment::Date(at.date)));
    assert_eq!(decode(Octets::new(&at.time.to_j(), ByteOrder::LeastFirst)), Some(Moment::Time(at.time)));
}
