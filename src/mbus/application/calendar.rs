//! Dates and times of a meter's clock: types F, G, I and J (EN 13757-3 annex A), and one of ABB's.
//!
//! They are the meter's local time; no zone is known. A field may say "every": every year, every
//! day. Such a moment is a rule for billing dates, not a point in time.

use core::fmt;

use crate::mbus::octets::Octets;

/// Seconds of a day.
const DAY_SECONDS: u64 = 86_400;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;

/// A day of the calendar, always one that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    /// 1900..=2299.
    pub year: u16,
    /// 1..=12.
    pub month: u8,
    /// 1..=31.
    pub day: u8,
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time {
    /// 0..=23.
    pub hour: u8,
    /// 0..=59.
    pub minute: u8,
    /// 0..=59; `None` where the coding has no seconds.
    pub second: Option<u8>,
}

/// A point in time by the meter's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// The time of day.
    pub time: Time,
    /// The meter says that this is summer time.
    pub summer: bool,
}

/// A moment that comes again, or of which a part is unspecified. `None`: every, or unspecified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Periodic {
    /// 1900..=2299.
    pub year: Option<u16>,
    /// 1..=12.
    pub month: Option<u8>,
    /// 1..=31.
    pub day: Option<u8>,
    /// 0..=23; `None` for a pure date too.
    pub hour: Option<u8>,
    /// 0..=59.
    pub minute: Option<u8>,
    /// 0..=59.
    pub second: Option<u8>,
}

/// What a date or time field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Type G.
    Date(Date),
    /// Types F and I.
    DateTime(DateTime),
    /// Type J.
    Time(Time),
    /// With "every" or unspecified fields.
    Periodic(Periodic),
    /// Marked invalid, or no day of the calendar.
    Invalid,
}

/// A field is marked invalid, or out of range: the whole moment is invalid.
struct Invalid;

/// The moment in a field of 2 (G), 3 (J), 4 (F) or 6 (I) bytes; `None` for other lengths.
#[must_use]
pub fn decode(field: Octets<'_>) -> Option<Moment> {
    let moment = match field.len() {
        2 => type_g(field.array()?),
        3 => type_j(field.array()?),
        4 => type_f(field.array()?),
        6 => type_i(field.array()?),
        _ => return None,
    };
    Some(moment.unwrap_or(Moment::Invalid))
}

/// The moment in six bytes of two decimal digits, second to year, as ABB sends it: no type of the
/// standard. `None` for another length and for what is not a digit.
#[must_use]
pub fn decode_digits(field: Octets<'_>) -> Option<Moment> {
    let bytes: [u8; 6] = field.array()?;
    if bytes.iter().any(|byte| byte >> 4 > 9 || byte & 0x0F > 9) {
        return field.all_ones().then_some(Moment::Invalid);
    }
    let [second, minute, hour, day, month, year] = bytes.map(|byte| 10 * (byte >> 4) + (byte & 0x0F));
    let is_moment = second < 60
        && minute < 60
        && hour < 24
        && (1..=12).contains(&month)
        && (1..=days_in(month, Some(full_year(u16::from(year), None)))).contains(&day);
    let date = Date { year: full_year(u16::from(year), None), month, day };
    let time = Time { hour, minute, second: Some(second) };
    Some(if is_moment { Moment::DateTime(DateTime { date, time, summer: false }) } else { Moment::Invalid })
}

/// Type G; the year has no century.
fn type_g(bytes: [u8; 2]) -> Result<Moment, Invalid> {
    if bytes == [0xFF; 2] {
        return Err(Invalid);
    }
    moment(day_month_year(bytes, None)?, None)
}

/// Type J.
fn type_j([second, minute, hour]: [u8; 3]) -> Result<Moment, Invalid> {
    let (second, minute, hour) = (below_60(second & 0x3F)?, below_60(minute & 0x3F)?, below_24(hour & 0x1F)?);
    match (hour, minute, second) {
        (Some(hour), Some(minute), Some(_)) => Ok(Moment::Time(Time { hour, minute, second })),
        (None, None, None) => Err(Invalid),
        _ => Ok(Moment::Periodic(Periodic { hour, minute, second, ..Periodic::default() })),
    }
}

/// Type F; IV is bit 7 of the minute, the summer bit is bit 7 of the hour.
fn type_f([minute, hour, day, month]: [u8; 4]) -> Result<Moment, Invalid> {
    if minute & 0x80 != 0 {
        return Err(Invalid);
    }
    let day = day_month_year([day, month], Some((hour >> 5) & 3))?;
    let clock = Clock { hour: below_24(hour & 0x1F)?, minute: below_60(minute & 0x3F)?, second: Seconds::Absent };
    moment(day, Some((clock, hour & 0x80 != 0)))
}

/// Type I; IV is bit 7 of the minute, the summer bit is bit 6 of the second.
fn type_i([second, minute, hour, day, month, _week]: [u8; 6]) -> Result<Moment, Invalid> {
    if minute & 0x80 != 0 {
        return Err(Invalid);
    }
    let date = day_month_year([day, month], None)?;
    let clock = Clock {
        hour: below_24(hour & 0x1F)?,
        minute: below_60(minute & 0x3F)?,
        second: below_60(second & 0x3F)?.map_or(Seconds::Every, Seconds::Second),
    };
    moment(date, Some((clock, second & 0x40 != 0)))
}

/// The time fields as sent: `None` means every.
struct Clock {
    hour: Option<u8>,
    minute: Option<u8>,
    second: Seconds,
}

/// The seconds of a coding.
enum Seconds {
    /// It has none.
    Absent,
    Every,
    Second(u8),
}

impl Seconds {
    fn get(&self) -> Option<u8> {
        if let Self::Second(second) = self { Some(*second) } else { None }
    }
}

/// Day, month and year, `None` for every or unspecified.
type Day = (Option<u8>, Option<u8>, Option<u16>);

/// The two bytes that types F, G and I share. `century` is type F's hundred-year field.
fn day_month_year([first, second]: [u8; 2], century: Option<u8>) -> Result<Day, Invalid> {
    let (day, month) = (first & 0x1F, second & 0x0F);
    let year = (first >> 5) | ((second & 0xF0) >> 1);
    let month = match month {
        1..=12 => Some(month),
        15 => None,
        0 if day == 0 => None,
        _ => return Err(Invalid),
    };
    let year = match year {
        0..=99 => Some(full_year(u16::from(year), century)),
        127 => None,
        _ => return Err(Invalid),
    };
    Ok(((day != 0).then_some(day), month, year))
}

/// Years 0 to 80 without a century are 20xx (EN 13757-3 annex A, type F; used for G and I as well).
fn full_year(year: u16, century: Option<u8>) -> u16 {
    match century {
        None | Some(0) if year <= 80 => 2000 + year,
        None => 1900 + year,
        Some(hundreds) => 1900 + 100 * u16::from(hundreds) + year,
    }
}

fn moment((day, month, year): Day, clock: Option<(Clock, bool)>) -> Result<Moment, Invalid> {
    // 00-00-00 is how meters without a clock fill the field
    if (day, month, year) == (None, None, Some(2000)) {
        return Err(Invalid);
    }
    if let (Some(day), Some(month)) = (day, month) {
        (day <= days_in(month, year)).then_some(()).ok_or(Invalid)?;
    }
    let date = match (year, month, day) {
        (Some(year), Some(month), Some(day)) => Some(Date { year, month, day }),
        _ => None,
    };
    let rest = Periodic { year, month, day, ..Periodic::default() };
    Ok(match (date, clock) {
        (Some(date), None) => Moment::Date(date),
        (Some(date), Some((Clock { hour: Some(hour), minute: Some(minute), second }, summer)))
            if !matches!(second, Seconds::Every) =>
        {
            Moment::DateTime(DateTime { date, time: Time { hour, minute, second: second.get() }, summer })
        }
        (_, Some((Clock { hour, minute, second }, _))) => {
            Moment::Periodic(Periodic { hour, minute, second: second.get(), ..rest })
        }
        (None, None) => Moment::Periodic(rest),
    })
}

const fn days_in(month: u8, year: Option<u16>) -> u8 {
    match (month, year) {
        (4 | 6 | 9 | 11, _) => 30,
        (2, Some(year)) if year % 4 != 0 || (year % 100 == 0 && year % 400 != 0) => 28,
        (2, _) => 29,
        _ => 31,
    }
}

/// Minutes and seconds: 63 means every, `None`.
fn below_60(n: u8) -> Result<Option<u8>, Invalid> {
    match n {
        0..=59 => Ok(Some(n)),
        63 => Ok(None),
        _ => Err(Invalid),
    }
}

/// Hours: 31 means every, `None`.
fn below_24(n: u8) -> Result<Option<u8>, Invalid> {
    match n {
        0..=23 => Ok(Some(n)),
        31 => Ok(None),
        _ => Err(Invalid),
    }
}

impl Date {
    /// The day `days` after 1970-01-01; years beyond 2299 are that year.
    #[must_use]
    pub fn from_days(days: u64) -> Self {
        // Counts in eras of 400 years from 0000-03-01, so that leap days end the year.
        let since = days + DAYS_TO_1970;
        let (era, day_of_era) = (since / ERA_DAYS, since % ERA_DAYS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let (later, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
        let year = (era * 400 + year_of_era + later).min(2299);
        let day = day_of_year - (153 * ((month + 9) % 12) + 2) / 5 + 1;
        let small = |n: u64| n.to_le_bytes()[0];
        Self { year: u16::try_from(year).unwrap_or(2299), month: small(month), day: small(day) }
    }

    /// Days since 1970-01-01; 0 before that.
    #[must_use]
    pub fn days(self) -> u64 {
        let (year, month, day) = (u64::from(self.year), u64::from(self.month), u64::from(self.day));
        let year = if month > 2 { year } else { year.saturating_sub(1) };
        let (era, of_era) = (year / 400, year % 400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day;
        let days = era * ERA_DAYS + of_era * 365 + of_era / 4 + day_of_year;
        days.saturating_sub(of_era / 100 + 1 + DAYS_TO_1970)
    }

    /// As type G; the century is lost.
    #[must_use]
    pub fn to_g(self) -> [u8; 2] {
        let year = (self.year % 100).to_le_bytes()[0];
        [(self.day & 0x1F) | ((year & 7) << 5), (self.month & 0x0F) | ((year & 0x78) << 1)]
    }
}

impl DateTime {
    /// The moment `seconds` after 1970-01-01T00:00 by the same clock, in winter time.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        let part = |of: u64, modulus: u64| (of % modulus).to_le_bytes()[0];
        let second = Some(part(seconds, 60));
        let time = Time { hour: part(seconds / 3600, 24), minute: part(seconds / 60, 60), second };
        Self { date: Date::from_days(seconds / DAY_SECONDS), time, summer: false }
    }

    /// Seconds since 1970-01-01T00:00 by the same clock; 0 before that.
    #[must_use]
    pub fn seconds(self) -> u64 {
        let Time { hour, minute, second } = self.time;
        let of_day = u64::from(hour) * 3600 + u64::from(minute) * 60 + u64::from(second.unwrap_or(0));
        self.date.days() * DAY_SECONDS + of_day
    }

    /// As type F, with the hundred-year field for what the ≤ 80 rule would not give back.
    #[must_use]
    pub fn to_f(self) -> [u8; 4] {
        let Self { date, time, summer } = self;
        let plain = full_year(date.year % 100, Some(0)) == date.year;
        let hundreds = if plain { 0 } else { (date.year.saturating_sub(1900) / 100).to_le_bytes()[0] & 3 };
        let [day, month] = date.to_g();
        [time.minute & 0x3F, (time.hour & 0x1F) | (hundreds << 5) | (u8::from(summer) << 7), day, month]
    }

    /// As type I, without day of the week, week and deviation.
    #[must_use]
    pub fn to_i(self) -> [u8; 6] {
        let Self { date, time, summer } = self;
        let [day, month] = date.to_g();
        let leap = u8::from(days_in(2, Some(date.year)) == 29);
        let second = (time.second.unwrap_or(0) & 0x3F) | (u8::from(summer) << 6) | (leap << 7);
        [second, time.minute & 0x3F, time.hour & 0x1F, day, month, 0]
    }
}

impl Time {
    /// As type J.
    #[must_use]
    pub fn to_j(self) -> [u8; 3] {
        [self.second.unwrap_or(0), self.minute, self.hour]
    }
}

impl fmt::Display for Date {
    /// `2020-01-15`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    /// `02:15`, or `02:15:58` where there are seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)?;
        self.second.map_or(Ok(()), |second| write!(f, ":{second:02}"))
    }
}

impl fmt::Display for DateTime {
    /// `2024-03-31T02:15`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)
    }
}

impl fmt::Display for Periodic {
    /// `*-12-31`, with `*` for every.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let two = |f: &mut fmt::Formatter<'_>, n: Option<u8>| match n {
            Some(n) => write!(f, "{n:02}"),
            None => f.write_str("*"),
        };
        match self.year {
            Some(year) => write!(f, "{year:04}-")?,
            None => f.write_str("*-")?,
        }
        two(f, self.month)?;
        f.write_str("-")?;
        two(f, self.day)?;
        if self.hour.is_none() && self.minute.is_none() {
            return Ok(());
        }
        f.write_str("T")?;
        two(f, self.hour)?;
        f.write_str(":")?;
        two(f, self.minute)
    }
}

#[cfg(test)]
mod tests;
