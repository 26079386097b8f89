//! Two meters whose telegrams are known byte for byte: those behind the readings that the author of
//! the Hat published.

use crate::mbus::address::{PrimaryAddress, SecondaryAddress};
use crate::sim::plan::{Content, FcbHandling, MeterPlan};

/// The records of an Atlas EC-20 flow meter: energy, volume, on time, power, flow, two temperatures
/// and their difference, date.
const ATS_RECORDS: [u8; 46] = [
    0x0C, 0x06, 0x00, 0x00, 0x00, 0x00, // 0 kWh
    0x0C, 0x14, 0x05, 0x00, 0x00, 0x00, // 0.05 m³
    0x0C, 0x22, 0x57, 0x83, 0x03, 0x00, // 38357 h
    0x0C, 0x2E, 0x01, 0x00, 0x00, 0x00, // 1 kW
    0x0C, 0x3B, 0x00, 0x00, 0x00, 0x00, // 0 l/h
    0x0A, 0x59, 0x01, 0x00, // 0.01 °C
    0x0A, 0x5D, 0x01, 0x00, // 0.01 °C
    0x0A, 0x61, 0x01, 0x00, // 0.01 K
    0x42, 0x6C, 0x8F, 0x21, // 2020-01-15
];

/// The flow meter at address 48, id 30137315.
#[must_use]
pub fn ats(address: PrimaryAddress) -> MeterPlan {
    let identity = SecondaryAddress::from_wire([0x15, 0x73, 0x13, 0x30, 0x93, 0x06, 0x01, 0x04]);
    let content = Content::Telegrams(vec![ATS_RECORDS.to_vec()]);
    MeterPlan { access_number: 0x70, counts_access: false, ..MeterPlan::new(address, identity, content) }
}

/// An Eastron SDM220 electricity meter at address 1: twelve energies, and on the extra request B1
/// voltage, current, active, reactive and apparent power, power factor and frequency.
#[must_use]
pub fn sdm220(address: PrimaryAddress) -> MeterPlan {
    let identity = SecondaryAddress::from_wire([0x99, 0x99, 0x99, 0x99, 0xFF, 0xFF, 0x01, 0x02]);
    let mut records = [0x0C, 0x04, 0, 0, 0, 0].repeat(6);
    records.extend([0x0C, 0xFD, 0x3A, 0, 0, 0, 0].repeat(6));
    let instantaneous = vec![
        0x0C, 0xFD, 0x47, 0x20, 0x31, 0x02, 0x00, // 231.20 V
        0x0C, 0xFD, 0x59, 0x52, 0x04, 0x00, 0x00, // 0.452 A
        0x0C, 0x2B, 0x98, 0x00, 0x00, 0x00, // 98 W
        0x0C, 0xFD, 0x3A, 0x35, 0x00, 0x00, 0x00, // reactive power
        0x0C, 0xFD, 0x3A, 0x04, 0x01, 0x00, 0x00, // apparent power
        0x0A, 0xFD, 0x3A, 0x94, 0x00, // power factor
        0x0A, 0xFD, 0x3A, 0x99, 0x49, // 49.99 Hz
    ];
    MeterPlan {
        access_number: 0x55,
        counts_access: false,
        fcb: FcbHandling::Simple,
        requests: vec![(0xB1, instantaneous)],
        ..MeterPlan::new(address, identity, Content::Telegrams(vec![records]))
    }
}

#[cfg(test)]
mod tests {
    use super::{ats, sdm220};
    use crate::mbus::address::PrimaryAddress;
    use crate::mbus::link::frame::{Control, Frame};
    use crate::mbus::link::timing::Baud;
    use crate::sim::meter::Meter;
    use crate::sim::plan::MeterPlan;
    use std::time::Duration;

    fn answer(plan: MeterPlan) -> Vec<u8> {
        let a = plan.address.get();
        let request = Frame::Short { c: Control::req_ud2(true), a };
        Meter::new(plan, Baud::DEFAULT).answer(request, Duration::ZERO, 0).expect("an answer")
    }

    #[test]
    fn the_published_telegrams_come_out_byte_for_byte() {
        let telegram = answer(ats(PrimaryAddress::new(48).expect("a meter")));
        assert_eq!(telegram.len(), 67);
        assert_eq!(
            telegram[..18],
            [0x68, 61, 61, 0x68, 8, 48, 0x72, 0x15, 0x73, 0x13, 0x30, 0x93, 6, 1, 4, 0x70, 0, 0]
        );
        assert_eq!(telegram[65..], [0xDD, 0x16]);
        let telegram = answer(sdm220(PrimaryAddress::new(1).expect("a meter")));
        assert_eq!((telegram.len(), &telegram[97..]), (99, &[0x27, 0x16][..]));
    }
}
