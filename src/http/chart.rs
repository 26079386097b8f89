//! Lines and axes of a chart: where they are, in the units of its SVG. What is drawn with them is in the templates.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::history::{Point, Series};

/// So many times the usual distance of two points without one is a gap.
const GAP: u32 = 5;
/// Lines across, about.
const LINES: f64 = 4.0;
/// Seconds between two times on the axis.
const STEPS: [i64; 11] = [10, 30, 60, 300, 600, 1800, 3600, 7200, 10_800, 14_400, 21_600];
/// Times on the axis, at most.
const TIMES: i64 = 7;

/// The width of a digit of the axis.
const DIGIT: usize = 8;

/// The size of a chart.
pub(super) const WIDTH: f64 = 720.0;
pub(super) const HEIGHT: f64 = 220.0;

/// Where everything is.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) path: String,
    /// Lines across, with the number at each.
    pub(super) levels: Vec<Mark>,
    /// Lines up, with the time at each.
    pub(super) times: Vec<Mark>,
    /// Room that the numbers need on the left.
    pub(super) margin: usize,
}

/// A line of an axis.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) place: String,
    pub(super) label: String,
}

/// What a chart shows, and how large.
struct Frame {
    from: f64,
    to: f64,
    least: f64,
    most: f64,
    width: f64,
    height: f64,
}

impl Frame {
    fn x(&self, at: f64) -> f64 {
        (at - self.from) / (self.to - self.from) * self.width
    }

    fn y(&self, value: f64) -> f64 {
        self.height - (value - self.least) / (self.most - self.least) * self.height
    }
}

/// A line without axes: the form of a day.
pub(super) fn spark(series: &Series, interval: Duration, width: f64, height: f64) -> Option<String> {
    let (from, to) = span(series)?;
    let (least, most) = range(series)?;
    let frame = Frame { from, to, least, most, width, height };
    Some(path(series, interval, &frame))
}

/// A line with its axes.
pub(super) fn chart(series: &Series, interval: Duration, zone: &TimeZone) -> Option<Chart> {
    let (from, to) = span(series)?;
    let (frame, levels) = match constant(series) {
        Some(value) if value != 0.0 => {
            let (least, most) = range(series)?;
            let frame = Frame { from, to, least, most, width: WIDTH, height: HEIGHT };
            let level = Mark { place: format!("{:.1}", frame.y(value)), label: value.to_string() };
            (frame, vec![level])
        }
        constant => {
            let (least, most) = if constant.is_some() { (0.0, 1.0) } else { range(series)? };
            let step = nice((most - least) / LINES);
            let (least, most) = ((least / step).floor() * step, (most / step).ceil() * step);
            let frame = Frame { from, to, least, most, width: WIDTH, height: HEIGHT };
            let levels = levels(&frame, step);
            (frame, levels)
        }
    };
    let longest = levels.iter().map(|level| level.label.len()).max().unwrap_or(0);
    let margin = longest * DIGIT + 16;
    Some(Chart { path: path(series, interval, &frame), levels, times: times(&frame, zone), margin })
}

/// The first and the last second; a line needs two points.
fn span(series: &Series) -> Option<(f64, f64)> {
    let (first, last) = (series.points.first()?.at, series.points.last()?.at);
    (last > first).then_some((first.into(), last.into()))
}

/// The value that all points have.
fn constant(series: &Series) -> Option<f64> {
    let first = series.points.first()?.value;
    #[expect(clippy::float_cmp, reason = "the same number, not nearly the same")]
    series.points.iter().all(|point| point.value == first).then_some(first)
}

/// What does not change lies in the middle.
fn range(series: &Series) -> Option<(f64, f64)> {
    let values = || series.points.iter().map(|point| point.value);
    let (least, most) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let half = (most.abs() * 0.01).max(1e-6);
    Some(if most - least > half * 1e-6 { (least, most) } else { (least - half, most + half) })
}

/// 1, 2 or 5 times a power of ten, not less than this.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * 0.999).unwrap_or(10.0);
    factor * power
}

fn path(series: &Series, interval: Duration, frame: &Frame) -> String {
    let usual = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(series.spacing).max(1);
    let longest = usual.saturating_mul(GAP) / 2;
    let (mut path, mut before): (String, Option<u32>) = (String::new(), None);
    for Point { at, value } in &series.points {
        let joined = before.is_some_and(|before| at - before <= longest);
        // a point alone is a line of no length, which a round end makes a dot
        let (command, dot) = if joined { ('L', "") } else { ('M', "h0") };
        // writing to a text cannot fail
        _ = write!(path, "{command}{:.1} {:.1}{dot}", frame.x((*at).into()), frame.y(*value));
        before = Some(*at);
    }
    path
}

fn levels(frame: &Frame, step: f64) -> Vec<Mark> {
    let digits = usize::try_from(-whole(step.log10().floor())).unwrap_or(0);
    let count = whole(((frame.most - frame.least) / step).round()).clamp(1, 12);
    let level = |index: i32| frame.least + f64::from(index) * step;
    let mark = |value: f64| Mark { place: format!("{:.1}", frame.y(value)), label: format!("{value:.digits$}") };
    (0..=i32::try_from(count).unwrap_or(0)).map(level).map(mark).collect()
}

fn times(frame: &Frame, zone: &TimeZone) -> Vec<Mark> {
    let (from, to) = (whole(frame.from), whole(frame.to));
    let step = STEPS.into_iter().find(|step| (to - from) / step <= TIMES).unwrap_or(21_600);
    let ahead = Timestamp::from_second(from).map_or(0, |at| i64::from(zone.to_offset(at).seconds()));
    let first = (from + ahead + step - 1).div_euclid(step) * step - ahead;
    let form = if step < 60 { "%H:%M:%S" } else { "%H:%M" };
    let marks = (0..).map(|index| first + index * step).take_while(|at| *at <= to);
    marks
        .filter_map(|at| {
            let label = Timestamp::from_second(at).ok()?.to_zoned(zone.clone()).strftime(form).to_string();
            #[expect(clippy::cast_precision_loss, reason = "a place on a chart")]
            let place = format!("{:.1}", frame.x(at as f64));
            Some(Mark { place, label })
        })
        .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "seconds, and places on a chart")]
const fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(u32, f64)]) -> Series {
        Series { points: points.iter().map(|&(at, value)| Point { at, value }).collect(), spacing: 0 }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn where_nothing_was_read_there_is_a_gap() {
        let line = series(&[(0, 0.0), (60, 1.0), (120, 2.0), (1000, 3.0), (1060, 4.0)]);
        let path = spark(&line, MINUTE, 106.0, 40.0).expect("a line");
        assert_eq!(path, "M0.0 40.0h0L6.0 30.0L12.0 20.0M100.0 10.0h0L106.0 0.0");
    }

    #[test]
    fn axes_have_round_numbers_and_local_times() {
        let line = series(&[(1_700_000_000, 0.034), (1_700_003_600, 0.121)]);
        let zone = TimeZone::get("Europe/Zurich").expect("a zone");
        let chart = chart(&line, MINUTE, &zone).expect("a chart");
        let labels = |marks: &[Mark]| marks.iter().map(|mark| mark.label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&chart.levels), ["0.00", "0.05", "0.10", "0.15"]);
        assert_eq!(labels(&chart.times), ["23:20", "23:30", "23:40", "23:50", "00:00", "00:10"]);
    }

    #[test]
    fn one_point_is_no_line_and_a_constant_lies_in_the_middle() {
        assert!(spark(&series(&[(0, 5.0)]), MINUTE, 100.0, 40.0).is_none());
        let flat = spark(&series(&[(0, 5.0), (60, 5.0)]), MINUTE, 100.0, 40.0).expect("a line");
        assert_eq!(flat, "M0.0 20.0h0L100.0 20.0");
        let levels = |value: f64| {
            let chart = chart(&series(&[(0, value), (60, value)]), MINUTE, &TimeZone::UTC).expect("a chart");
            chart.levels.into_iter().map(|level| level.label).collect::<Vec<_>>()
        };
        assert_eq!((levels(12.34), levels(-3.0)), (vec!["12.34".to_owned()], vec!["-3".to_owned()]));
        assert_eq!(levels(0.0), ["0.0", "0.5", "1.0"]);
    }
}
