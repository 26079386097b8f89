//! What a maker's own codes mean: those behind FF after a VIF of the tables. Most makers of electricity
//! meters write the phases there, each in a way of his own.
//!
//! From the drivers of wmbusmeters and the VIFE tables of MBusParserCS, ABB's also from the manual of the A43
//! (2CMC48001M0201, chapter 10).
//!
//! Not here: codes behind a VIF FF, which differ by model (the profiles name those); the makers' names
//! (`mbus::maker`).

use crate::mbus::address::Manufacturer;
use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::application::vife::{Modifier, ReportedError};

/// What a code stands for.
#[derive(Clone, Copy)]
enum Code {
    /// What is not known.
    Open,
    /// The sum or the mean: nothing that belongs in a key.
    Sum,
    /// The same as a modifier of the standard.
    Is(Modifier),
}

struct Manner {
    maker: &'static str,
    /// The quantity for which it holds; `None`: any.
    quantity: Option<Known>,
    /// Codes 00 to 09.
    codes: [Code; 10],
    /// The last code of a record is its status.
    status: bool,
}

const OPEN: Code = Code::Open;
const SUM: Code = Code::Sum;
const L1: Code = Code::Is(Modifier::Extended(0x01));
const L2: Code = Code::Is(Modifier::Extended(0x02));
const L3: Code = Code::Is(Modifier::Extended(0x03));
const N: Code = Code::Is(Modifier::Extended(0x04));
const L12: Code = Code::Is(Modifier::Extended(0x05));
const L23: Code = Code::Is(Modifier::Extended(0x06));
const L31: Code = Code::Is(Modifier::Extended(0x07));
const EXPORT: Code = Code::Is(Modifier::EXPORT);

const VOLTAGE: Option<Known> = Some(Known::Voltage);
const CURRENT: Option<Known> = Some(Known::Current);
const ANY: Option<Known> = None;

/// The first line that fits counts. `@@@` is the code 0: meters that Saia makes for others.
#[rustfmt::skip]
const MANNERS: [Manner; 13] = [
    //            quantity 00    01   02   03   04    05    06    07    08    09      status
    of("ABB",     ANY,    [SUM,  L1,  L2,  L3,  N,    L12,  L23,  L31,  OPEN, OPEN],   true), // B and A series, Delta
    of("ALG",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   false), // Algodue
    of("ELT",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   false), // Eltako
    of("EMU",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   false), // EMU
    of("FIN",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   false), // Finder
    of("IME",     VOLTAGE,[SUM,  L1,  L2,  L3,  L12,  L23,  L31,  OPEN, OPEN, OPEN],   false), // Nemo
    of("IME",     CURRENT,[SUM,  L1,  L2,  L3,  N,    OPEN, OPEN, OPEN, OPEN, OPEN],   false),
    of("IME",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, OPEN, OPEN, OPEN, OPEN, OPEN],   false),
    of("SBC",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   false), // Saia
    of("@@@",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   false),
    // Schneider: 04 is the mean to neutral, 08 that between lines
    of("SEC",     VOLTAGE,[OPEN, L1,  L2,  L3,  SUM,  L12,  L23,  L31,  OPEN, OPEN],   false),
    of("SEC",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, OPEN, OPEN, OPEN, OPEN, EXPORT], false),
    of("ZPA",     ANY,    [SUM,  L1,  L2,  L3,  OPEN, L12,  L23,  L31,  OPEN, OPEN],   true),
];

const fn of(maker: &'static str, quantity: Option<Known>, codes: [Code; 10], status: bool) -> Manner {
    Manner { maker, quantity, codes, status }
}

/// FF once more behind a VIF FF: what follows are the same codes as behind a VIF of the tables.
const AGAIN: Modifier = Modifier::Manufacturer(0x7F);

/// A record's modifiers in the standard's terms, as far as its maker's manners are known, and the error that
/// it reports in a way of its own.
#[must_use]
pub fn understood(
    maker: Option<Manufacturer>,
    quantity: Quantity,
    modifiers: impl Iterator<Item = Modifier>,
) -> (Vec<Modifier>, Option<ReportedError>) {
    let mut all: Vec<Modifier> = modifiers.collect();
    let manner = MANNERS.iter().find(|manner| {
        maker.is_some_and(|maker| manner.maker.chars().eq(maker.letters()))
            && manner.quantity.is_none_or(|known| quantity == Quantity::Known(known))
    });
    let Some(manner) = manner else { return (all, None) };
    let error = manner.status.then(|| take_status(&mut all)).flatten();
    let own = |modifier: &&Modifier| matches!(modifier, Modifier::Manufacturer(_));
    let (first, again) = if quantity == Quantity::Known(Known::ManufacturerSpecific) {
        let again = all.iter().position(|modifier| *modifier == AGAIN);
        (again.map_or(all.len(), |again| again + 1), again)
    } else {
        (all.len() - all.iter().rev().take_while(own).count(), None)
    };
    let codes = all.split_off(first);
    let known = codes.iter().all(|code| !matches!(meaning(manner, *code), Code::Open));
    if !known || codes.is_empty() {
        all.extend(codes);
        return (all, error);
    }
    all.truncate(again.unwrap_or(first));
    all.extend(codes.into_iter().filter_map(|code| match meaning(manner, code) {
        Code::Is(modifier) => Some(modifier),
        Code::Sum | Code::Open => None,
    }));
    (all, error)
}

/// The status that stands last, behind another code: 00 is good.
fn take_status(modifiers: &mut Vec<Modifier>) -> Option<ReportedError> {
    let [.., Modifier::Manufacturer(_), Modifier::Manufacturer(status @ (0x00 | 0x15..=0x18))] = modifiers.as_slice()
    else {
        return None;
    };
    let status = *status;
    modifiers.pop();
    (status != 0).then_some(ReportedError(status))
}

fn meaning(manner: &Manner, code: Modifier) -> Code {
    let Modifier::Manufacturer(code) = code else { return Code::Open };
    manner.codes.get(usize::from(code)).copied().unwrap_or(Code::Open)
}

#[cfg(test)]
mod tests {
    use super::understood;
    use crate::mbus::address::Manufacturer;
    use crate::mbus::application::vib::Vib;
    use crate::mbus::octets::ByteOrder;

    fn names(maker: &str, vib: &[u8]) -> String {
        let (vib, _) = Vib::parse(vib, ByteOrder::LeastFirst).expect("a block");
        let (modifiers, error) = understood(Manufacturer::from_letters(maker), vib.quantity, vib.modifiers());
        let names = modifiers.iter().filter_map(|modifier| modifier.name());
        names.chain(error.map(|error| error.name())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn codes_behind_a_table_vif_are_phases_for_those_makers_who_have_them_so() {
        for (maker, vib, expected) in [
            ("SBC", &[0xFD, 0xC9, 0xFF, 0x01][..], "l1"),
            ("SBC", &[0xAC, 0xFF, 0x00], ""),
            ("EMU", &[0xAB, 0xBC, 0xFF, 0x03], "export l3"),
            ("ALG", &[0xFD, 0xC8, 0xFF, 0x07], "l3_l1"),
            ("ALG", &[0xFD, 0xC8, 0xFF, 0x11], "manufacturer_11"),
            ("IME", &[0xFD, 0xC8, 0xFF, 0x04], "l1_l2"),
            ("IME", &[0xFD, 0xD9, 0xFF, 0x04], "neutral"),
            ("IME", &[0xFD, 0xBA, 0xFF, 0x02], "l2"),
            ("SEC", &[0xFD, 0xC9, 0xFF, 0x04], ""),
            ("SEC", &[0xFD, 0xC9, 0xFF, 0x08], "manufacturer_08"),
            ("SEC", &[0x83, 0xFF, 0x09], "export"),
            ("SEC", &[0xFD, 0xDC, 0xFF, 0x05], "manufacturer_05"),
            ("PAD", &[0xFD, 0xC9, 0xFF, 0x01], "manufacturer_01"),
            ("KAM", &[0x86, 0xFF, 0x02], "manufacturer_02"),
        ] {
            assert_eq!(names(maker, vib), expected, "{maker} {vib:02X?}");
        }
    }

    #[test]
    fn a_status_that_stands_last_is_no_name_but_may_be_an_error() {
        for (vib, expected) in [
            (&[0xFD, 0xC8, 0xFF, 0x81, 0x00][..], "l1"),
            (&[0xFD, 0xC8, 0xFF, 0x85, 0x15], "l1_l2 no data available"),
            (&[0xA9, 0xFF, 0x82, 0x18], "l2 data error"),
            (&[0x84, 0xFF, 0xF2, 0x00], "manufacturer_72"),
            (&[0xFF, 0xD9, 0x00], "manufacturer_59"),
            (&[0xFF, 0xD9, 0x15], "manufacturer_59 no data available"),
            (&[0xFF, 0xE0, 0xFF, 0x83, 0x00], "manufacturer_60 l3"),
            (&[0xFF, 0xF9, 0xC4, 0x00], "manufacturer_79 manufacturer_44"),
            (&[0xFF, 0x18], "manufacturer_18"),
        ] {
            assert_eq!(names("ABB", vib), expected, "{vib:02X?}");
        }
        assert_eq!(names("EMU", &[0xFF, 0xE1, 0xFF, 0x01]), "manufacturer_61 l1");
    }
}
