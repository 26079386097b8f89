//! Rules beside what a meter was ever seen to send: the heads of its records, which an opener keeps.
//!
//! Not here: where they are kept over a restart (`spool`), who warns of a rule (`cli`).

use crate::mbus::application::dib::{Dib, IDLE_FILLER};
use crate::mbus::application::opener::Opener;
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::value::Value;
use crate::mbus::application::vib::Vib;
use crate::mbus::octets::ByteOrder;
use crate::measure::meaning::{facts, what};
use crate::measure::profile::{RecordRule, Selector};

/// The places of those rules that select no record of a meter that answers in so many telegrams. None where
/// it may have sent more than is known, and none that select a part of the manufacturer's block.
#[must_use]
pub fn idle(rules: &[RecordRule], opener: &Opener, telegrams: usize) -> Vec<usize> {
    let formats: Vec<&[u8]> = opener.formats().collect();
    if opener.has_all_formats() || formats.len() < telegrams.max(1) {
        return Vec::new();
    }
    let records: Vec<DataRecord<'_>> = formats.iter().flat_map(|heads| records(heads)).collect();
    let selects = |select: &Selector| records.iter().any(|record| select.selects(&facts(record, what(record).0, 0)));
    let is_idle = |rule: &RecordRule| {
        // which telegram comes first is not known
        let index = rule.select.index.filter(|_| formats.len() == 1);
        rule.select.bytes.is_none() && !selects(&Selector { index, ..rule.select.clone() })
    };
    rules.iter().enumerate().filter(|(_, rule)| is_idle(rule)).map(|(place, _)| place).collect()
}

/// The records without their values; none where the heads are damaged.
fn records(mut heads: &[u8]) -> Vec<DataRecord<'_>> {
    let mut records = Vec::new();
    while let Some((&dif, behind)) = heads.split_first() {
        if dif == IDLE_FILLER {
            heads = behind;
            continue;
        }
        let Ok((dib, rest)) = Dib::parse(heads) else { return Vec::new() };
        let Ok((vib, rest)) = Vib::parse(rest, ByteOrder::LeastFirst) else { return Vec::new() };
        records.push(DataRecord { index: records.len(), dib, vib, data: &[], value: Ok(Value::None) });
        heads = rest;
    }
    records
}

#[cfg(test)]
mod tests {
    use super::idle;
    use crate::mbus::application::opener::Opener;
    use crate::mbus::application::quantity::Known;
    use crate::mbus::application::record::{Part, PartCoding};
    use crate::measure::profile::{Pattern, RecordRule, Selector};

    fn rule(select: Selector) -> RecordRule {
        RecordRule { select, ..RecordRule::default() }
    }

    fn rules() -> [RecordRule; 6] {
        let any = Selector::default;
        [
            rule(Selector { quantity: Some(Known::Energy.into()), ..any() }),
            rule(Selector { quantity: Some(Known::Power.into()), ..any() }),
            rule(Selector { quantity: Some(Known::Energy.into()), storage: Some(1), ..any() }),
            rule(Selector { index: Some(2), ..any() }),
            rule(Selector { dif: Pattern::parse("44"), vif: Pattern::parse("FF07"), ..any() }),
            rule(Selector { bytes: Some(Part { at: 0, length: 1, coding: PartCoding::Uint }), ..any() }),
        ]
    }

    fn known(formats: &str) -> Opener {
        let mut opener = Opener::default();
        opener.recall(&format!("- {formats}"));
        opener
    }

    #[test]
    fn a_rule_for_what_a_meter_never_sent_is_found() {
        // energy; energy of storage 1 under the maker's code
        assert_eq!(idle(&rules(), &known("040644FF07"), 1), [1, 2, 3]);
        assert_eq!(idle(&rules(), &known("0406 4406"), 2), [1, 4], "the telegrams may come in any order");
    }

    #[test]
    fn nothing_is_said_where_not_all_is_known() {
        for (formats, telegrams) in [("", 0), ("", 1), ("0406", 2)] {
            assert_eq!(idle(&rules(), &known(formats), telegrams), [0; 0], "{formats} {telegrams}");
        }
        let full: Vec<String> = (0x10..0x18).map(|vif| format!("04{vif:02X}")).collect();
        assert_eq!(idle(&rules(), &known(&full.join(" ")), 8), [0; 0]);
    }
}
