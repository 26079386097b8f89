//! Meters whose values move plausibly with time: counters grow by the integral of the power or flow
//! that the same telegram shows.
//!
//! A day of use is squeezed into ten minutes, so that something can be seen.

use std::time::Duration;

use crate::mbus::application::calendar::{Date, DateTime};
use crate::mbus::application::dib::Dib;
use crate::mbus::application::value::{self, Value};
use crate::mbus::application::vib::Vib;
use crate::mbus::decimal::Decimal;
use crate::mbus::octets::ByteOrder;

/// A kind of meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Heat, outlet: energy, volume, power, flow, temperatures, last year's energy.
    Heat,
    /// Cooling, outlet.
    Cooling,
    /// Cold water: volume, flow, last month's volume.
    ColdWater,
    /// Warm water, with its temperature.
    WarmWater,
    /// Electricity with two tariffs, export, voltage and current.
    Electricity,
    /// Gas: volume and flow.
    Gas,
    /// Heat cost allocator.
    HeatCostAllocator,
    /// Two pulse inputs, as subunits 1 and 2.
    PulseConverter,
    /// Room temperature and humidity.
    RoomSensor,
}

impl Model {
    /// Every model with the name that a simulation file gives it.
    pub const ALL: [(&'static str, Self); 9] = [
        ("heat", Self::Heat),
        ("cooling", Self::Cooling),
        ("cold_water", Self::ColdWater),
        ("warm_water", Self::WarmWater),
        ("electricity", Self::Electricity),
        ("gas", Self::Gas),
        ("heat_cost_allocator", Self::HeatCostAllocator),
        ("pulse_converter", Self::PulseConverter),
        ("room_sensor", Self::RoomSensor),
    ];

    /// The model with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, model)| model)
    }

    /// The device type of its header (EN 13757-7 table 13).
    pub(super) const fn medium(self) -> u8 {
        match self {
            Self::Electricity => 0x02,
            Self::Gas => 0x03,
            Self::Heat => 0x04,
            Self::WarmWater => 0x06,
            Self::HeatCostAllocator => 0x08,
            Self::Cooling => 0x0A,
            Self::PulseConverter => 0x0F,
            Self::ColdWater => 0x16,
            Self::RoomSensor => 0x1B,
        }
    }

    /// The record areas of its telegrams, `since` after the start, when its clock shows `clock`
    /// seconds since 1970.
    pub(super) fn telegrams(self, since: Duration, clock: u64) -> Vec<Vec<u8>> {
        let t = Moment { millis: i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 1_000_000), clock };
        vec![match self {
            Self::Heat => t.heat([0x0C, 0x04], 4_873_000, &POWER, &SUPPLY),
            Self::Cooling => t.heat([0x0C, 0x04], 911_000, &COOLING_POWER, &COOLING_SUPPLY),
            Self::ColdWater => t.water(312_480, &WATER_FLOW, None),
            Self::WarmWater => t.water(101_963, &WARM_FLOW, Some(&WARM_SUPPLY)),
            Self::Electricity => t.electricity(),
            Self::Gas => t.water(2_871_300, &GAS_FLOW, None),
            Self::HeatCostAllocator => t.allocator(),
            Self::PulseConverter => t.pulses(),
            Self::RoomSensor => t.room(),
        }]
    }
}

/// A quantity that goes through `values` again and again, straight from one to the next.
struct Course {
    step_seconds: i64,
    values: &'static [i64],
}

/// W.
const POWER: Course =
    Course { step_seconds: 60, values: &[4200, 5100, 8300, 7600, 6100, 5200, 4900, 5600, 7900, 6400] };
const COOLING_POWER: Course = Course { step_seconds: 60, values: &[0, 0, 900, 2400, 3100, 3300, 2600, 1200, 300, 0] };
/// l/h.
const HEAT_FLOW: Course = Course { step_seconds: 60, values: &[240, 290, 430, 400, 330, 290, 270, 300, 410, 350] };
const WATER_FLOW: Course =
    Course { step_seconds: 20, values: &[0, 0, 480, 520, 0, 0, 0, 150, 0, 0, 720, 690, 60, 0, 0] };
const WARM_FLOW: Course = Course { step_seconds: 20, values: &[0, 310, 300, 0, 0, 0, 0, 420, 410, 0, 0, 0] };
const GAS_FLOW: Course = Course { step_seconds: 60, values: &[0, 820, 1900, 1700, 900, 400, 300, 700, 1500, 600] };
/// 0.1 °C.
const SUPPLY: Course = Course { step_seconds: 60, values: &[521, 540, 602, 590, 560, 538, 530, 545, 588, 552] };
const COOLING_SUPPLY: Course = Course { step_seconds: 60, values: &[124, 121, 118, 112, 109, 108, 110, 115, 119, 122] };
const WARM_SUPPLY: Course = Course { step_seconds: 60, values: &[548, 551, 560, 556, 550, 545, 552, 558, 561, 553] };
/// W.
const LOAD: Course =
    Course { step_seconds: 15, values: &[210, 260, 2310, 2290, 640, 610, 480, 1220, 1190, 350, 300, 240] };
const SUN: Course = Course { step_seconds: 120, values: &[0, 0, 350, 1400, 600, 0] };
/// 0.1 V.
const VOLTAGE: Course = Course { step_seconds: 25, values: &[2298, 2304, 2311, 2306, 2289, 2295, 2318] };
/// Allocator units an hour; pulses an hour.
const UNITS: Course = Course { step_seconds: 60, values: &[20, 45, 90, 80, 60, 30] };
const PULSES: Course = Course { step_seconds: 30, values: &[0, 400, 900, 300, 0, 0] };
/// 0.01 °C and 0.1 %.
const ROOM: Course = Course { step_seconds: 90, values: &[2080, 2105, 2162, 2190, 2150, 2110] };
const HUMIDITY: Course = Course { step_seconds: 110, values: &[431, 440, 462, 455, 447] };

impl Course {
    fn at(&self, millis: i64) -> i64 {
        let (from, to, into) = self.piece(millis / (self.step_seconds * 1000), millis);
        from + (to - from) * into / (self.step_seconds * 1000)
    }

    /// The integral from the start, in value × hours.
    fn sum(&self, millis: i64) -> i64 {
        let step = self.step_seconds * 1000;
        let count = i64::try_from(self.values.len()).unwrap_or(1);
        let (round, piece) = (millis / (step * count), millis / step % count);
        // twice the area, in value × milliseconds; a whole round is twice the sum of its values
        let whole: i64 = self.values.iter().sum::<i64>() * 2 * step;
        let pieces: i64 = (0..piece).map(|n| self.piece(n, 0)).map(|(from, to, _)| (from + to) * step).sum();
        let (from, _, into) = self.piece(piece, millis);
        (round * whole + pieces + (from + self.at(millis)) * into) / 7_200_000
    }

    /// The values at both ends of a piece, and the milliseconds into it.
    fn piece(&self, number: i64, millis: i64) -> (i64, i64, i64) {
        let value = |n: i64| {
            let index = usize::try_from(n).unwrap_or(0) % self.values.len().max(1);
            self.values.get(index).copied().unwrap_or(0)
        };
        (value(number), value(number + 1), millis % (self.step_seconds * 1000))
    }
}

struct Moment {
    millis: i64,
    clock: u64,
}

impl Moment {
    /// `energy` is the DIF and VIF of the counter, in 10 Wh, which starts at `start`.
    fn heat(&self, energy: [u8; 2], start: i64, power: &Course, supply: &Course) -> Vec<u8> {
        let (watts, flow) = (power.at(self.millis), HEAT_FLOW.at(self.millis).max(1));
        // 1.163 Wh warm a litre of water by a kelvin
        let difference = watts * 10_000 / (flow * 1163);
        let hot = supply.at(self.millis);
        let cool = if supply.at(0) > 300 { hot - difference } else { hot + difference };
        let mut records = Vec::new();
        push(&mut records, &energy, start + power.sum(self.millis) / 10);
        push(&mut records, &[0x0C, 0x13], 1_734_211 + HEAT_FLOW.sum(self.millis));
        push(&mut records, &[0x0C, 0x2B], watts);
        push(&mut records, &[0x0B, 0x3B], flow);
        push(&mut records, &[0x0A, 0x5A], hot);
        push(&mut records, &[0x0A, 0x5E], cool);
        push(&mut records, &[0x0A, 0x62], difference);
        push(&mut records, &[0x0B, 0x26], 21_344 + self.millis / 3_600_000);
        push(&mut records, &[0x1C, 0x2B], 11_250);
        self.push_clock(&mut records);
        push(&mut records, &[0x4C, 0x04], start - 41_200);
        self.push_set_day(&mut records);
        records
    }

    fn water(&self, start: i64, flow: &Course, supply: Option<&Course>) -> Vec<u8> {
        let mut records = Vec::new();
        push(&mut records, &[0x0C, 0x13], start + flow.sum(self.millis));
        push(&mut records, &[0x0B, 0x3B], flow.at(self.millis));
        if let Some(supply) = supply {
            push(&mut records, &[0x0A, 0x5A], supply.at(self.millis));
        }
        self.push_clock(&mut records);
        push(&mut records, &[0x4C, 0x13], start - 9_812);
        self.push_set_day(&mut records);
        records
    }

    fn electricity(&self) -> Vec<u8> {
        let (load, used, volts) = (LOAD.at(self.millis), LOAD.sum(self.millis), VOLTAGE.at(self.millis));
        let (day, night) = (8_204_117, 4_133_906);
        let mut records = Vec::new();
        push(&mut records, &[0x0E, 0x03], day + night + used);
        push(&mut records, &[0x8E, 0x10, 0x03], day + used);
        push(&mut records, &[0x8E, 0x20, 0x03], night);
        push(&mut records, &[0x0E, 0x83, 0x3C], 1_902_330 + SUN.sum(self.millis));
        push(&mut records, &[0x0C, 0x2B], load);
        push(&mut records, &[0x0C, 0xAB, 0x3C], SUN.at(self.millis));
        push(&mut records, &[0x0A, 0xFD, 0x48], volts);
        push(&mut records, &[0x0B, 0xFD, 0x59], load * 10_000 / volts.max(1));
        push(&mut records, &[0x02, 0xFD, 0x17], 0);
        records
    }

    fn allocator(&self) -> Vec<u8> {
        let mut records = Vec::new();
        push(&mut records, &[0x0B, 0x6E], 1_217 + UNITS.sum(self.millis));
        push(&mut records, &[0x4B, 0x6E], 3_904);
        self.push_set_day(&mut records);
        push(&mut records, &[0x02, 0x65], ROOM.at(self.millis));
        records
    }

    fn pulses(&self) -> Vec<u8> {
        let mut records = Vec::new();
        push(&mut records, &[0x8C, 0x40, 0xFD, 0x61], 88_120 + PULSES.sum(self.millis));
        push(&mut records, &[0x8C, 0x80, 0x40, 0xFD, 0x61], 1_733);
        records
    }

    fn room(&self) -> Vec<u8> {
        let mut records = Vec::new();
        push(&mut records, &[0x02, 0x65], ROOM.at(self.millis));
        push(&mut records, &[0x02, 0xFB, 0x1A], HUMIDITY.at(self.millis));
        records
    }

    fn push_clock(&self, records: &mut Vec<u8>) {
        let now = DateTime::from_seconds(self.clock);
        write(records, &[0x04, 0x6D], |_| Some(Value::DateTime(now)));
    }

    /// Storage 1 is of the first day of the month.
    fn push_set_day(&self, records: &mut Vec<u8>) {
        let today = DateTime::from_seconds(self.clock).date;
        write(records, &[0x42, 0x6C], |_| Some(Value::Date(Date { day: 1, ..today })));
    }
}

/// Appends a record: `block` is its DIF, DIFEs, VIF and VIFEs; `count` is the value in steps of the VIF.
fn push(records: &mut Vec<u8>, block: &[u8], count: i64) {
    let number = |exponent| Decimal::from(count).shift(exponent).map(Value::Number);
    write(records, block, |vib| number(vib.exponent));
}

/// Appends a record with this value. What cannot be written is left out.
fn write<'v>(records: &mut Vec<u8>, block: &[u8], value: impl FnOnce(&Vib<'_>) -> Option<Value<'v>>) {
    let Ok((dib, rest)) = Dib::parse(block) else { return };
    let Ok((vib, _)) = Vib::parse(rest, ByteOrder::LeastFirst) else { return };
    let mut record = block.to_vec();
    let written =
        value(&vib).map(|value| value::write(dib.coding, 0, &vib, &value, ByteOrder::LeastFirst, &mut record));
    if written == Some(Ok(())) {
        records.append(&mut record);
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, Model, POWER, push};
    use std::time::Duration;

    #[test]
    fn a_counter_is_the_integral_of_what_is_shown() {
        let mut area = 0;
        for millis in (0..3_600_000).step_by(1000) {
            assert!((POWER.sum(millis) - area / 3600).abs() <= 2, "at {millis} ms");
            area += (POWER.at(millis) + POWER.at(millis + 1000)) / 2;
        }
        let flat = Course { step_seconds: 7, values: &[36, 36, 36] };
        assert_eq!(flat.sum(3_600_000 * 5 + 100_000), 181);
    }

    #[test]
    fn every_model_has_telegrams_that_fit_and_moves() {
        for (name, model) in Model::ALL {
            assert_eq!(Model::from_name(name), Some(model));
            let at = |seconds| model.telegrams(Duration::from_secs(seconds), 1_767_225_600 + seconds);
            assert!(at(0).iter().all(|records| records.len() <= 240), "{name}");
            assert_ne!(at(0), at(61), "{name}");
        }
    }

    #[test]
    fn values_are_written_as_the_data_field_says() {
        let written = |block: &[u8], value| {
            let mut records = Vec::new();
            push(&mut records, block, value);
            records
        };
        assert_eq!(written(&[0x0C, 0x13], 12_345_678), [0x0C, 0x13, 0x78, 0x56, 0x34, 0x12]);
        assert_eq!(written(&[0x0A, 0x5A], -12), [0x0A, 0x5A, 0x12, 0xF0]);
        assert_eq!(written(&[0x02, 0x65], -2), [0x02, 0x65, 0xFE, 0xFF]);
        assert_eq!(written(&[0x0E, 0x03], 1), [0x0E, 0x03, 1, 0, 0, 0, 0, 0]);
    }
}
