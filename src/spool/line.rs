//! One line of a file of the store: the CRC-32 of a text in hex, a space, the text, a line feed.
//!
//! A line stands for itself: whatever happened to its neighbours, it is found again at the next
//! line feed and believed if its sum is right. A text's own line feeds and backslashes are escaped.

/// Appends a line.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    out.extend_from_slice(format!("{:08x} {escaped}\n", crc32(escaped.as_bytes())).as_bytes());
}

/// The texts of all good lines, and how many pieces between line feeds were none.
pub(super) fn read(bytes: &[u8]) -> (Vec<String>, u64) {
    let mut texts = Vec::new();
    let mut bad = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        match piece.strip_suffix(b"\n").and_then(parse) {
            Some(text) => texts.push(text),
            None => bad += 1,
        }
    }
    (texts, bad)
}

fn parse(line: &[u8]) -> Option<String> {
    let (sum, text) = (line.get(..8)?, line.get(9..)?);
    // compared as text: a turned bit that makes an `a` an `A` is damage too
    if line.get(8) != Some(&b' ') || sum != format!("{:08x}", crc32(text)).as_bytes() {
        return None;
    }
    unescape(std::str::from_utf8(text).ok()?)
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                '\\' => '\\',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

/// CRC-32 of IEEE 802.3, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn texts_come_back_whatever_they_hold() {
        let texts = ["", "a", "1 m {\"x\":\"\\u00e4\\\\\"}", "two\nlines\\n\n", "m³"];
        let mut file = Vec::new();
        texts.iter().for_each(|text| write(text, &mut file));
        assert_eq!(read(&file), (texts.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn one_turned_bit_costs_one_line_or_two() {
        let texts: Vec<String> = (0..20).map(|n| format!("{n} meter {{\"value\":{n}.05}}")).collect();
        let mut file = Vec::new();
        texts.iter().for_each(|text| write(text, &mut file));
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (kept, bad) = read(&damaged);
            assert!(kept.len() >= 18 && bad >= 1, "bit {bit}: {} kept, {bad} bad", kept.len());
            assert!(kept.iter().all(|text| texts.contains(text)), "bit {bit}: a wrong text was believed");
        }
    }

    #[test]
    fn a_line_cut_short_is_none() {
        let mut file = Vec::new();
        write("first", &mut file);
        let whole = file.len();
        write("second", &mut file);
        for end in whole + 1..file.len() {
            assert_eq!(read(&file[..end]), (vec!["first".to_owned()], 1), "{end}");
        }
    }
}
