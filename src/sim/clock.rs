//! A meter's clock: seconds since 1970 of its local time, and the date fields made of them
//! (EN 13757-3 annex A, types F and G).

const DAY: u64 = 86_400;

/// Year, month, day.
fn civil(days: u64) -> (u64, u64, u64) {
    // Counts in eras of 400 years from 0000-03-01, so that leap days end the year.
    let since = days + 719_468;
    let (era, day_of_era) = (since / 146_097, since % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year_of_era + year, month, day)
}

fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year).checked_sub(719_468)
}

/// Type G: the date.
pub(super) fn type_g(seconds: u64) -> [u8; 2] {
    let (year, month, day) = civil(seconds / DAY);
    let year = year % 100;
    [byte(day | ((year & 7) << 5)), byte(month | ((year >> 3) << 4))]
}

/// Type F: date, hour and minute.
pub(super) fn type_f(seconds: u64) -> [u8; 4] {
    let (century, [day, month]) = (civil(seconds / DAY).0 / 100 - 19, type_g(seconds));
    [byte(seconds / 60 % 60), byte((seconds / 3600 % 24) | (century << 5)), day, month]
}

/// The seconds of a type F field; `None` where it is invalid.
pub(super) fn seconds_of_type_f(field: &[u8]) -> Option<u64> {
    let &[minute, hour, day, month] = field else { return None };
    let of_century = u64::from((day >> 5) | ((month >> 4) << 3));
    // without a century, years up to 80 are of this one (EN 13757-3 annex A)
    let century = u64::from((hour >> 5) & 3).max(u64::from(of_century <= 80));
    let year = 1900 + 100 * century + of_century;
    let days = days(year, u64::from(month & 0xF), u64::from(day & 0x1F))?;
    (minute & 0x80 == 0).then(|| days * DAY + u64::from(hour & 0x1F) * 3600 + u64::from(minute & 0x3F) * 60)
}

fn byte(n: u64) -> u8 {
    n.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::{seconds_of_type_f, type_f, type_g};

    #[test]
    fn dates_are_the_bytes_of_the_standard() {
        // 2026-01-01T00:00, 2024-02-29T23:59, 1999-12-31T12:30
        for (seconds, field) in [
            (1_767_225_600, [0x00, 0x20, 0x41, 0x31]),
            (1_709_251_140, [59, 0x37, 0x1D, 0x32]),
            (946_643_400, [30, 0x0C, 0x7F, 0xCC]),
        ] {
            assert_eq!(type_f(seconds), field);
            assert_eq!(seconds_of_type_f(&field), Some(seconds));
            assert_eq!(type_g(seconds), field[2..]);
        }
        assert_eq!(seconds_of_type_f(&[0x00, 0x00, 0x41, 0x31]), Some(1_767_225_600), "no century");
        assert_eq!(type_g(1_579_046_400), [0x8F, 0x21], "2020-01-15, as an ATS sends it");
        assert_eq!(seconds_of_type_f(&[0x80, 0, 1, 1]), None);
    }
}
