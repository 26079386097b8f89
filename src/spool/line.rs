//! One line of a file of the store: the CRC-32 (IEEE 802.3) of a text in hex, a space, the text, a line feed.
//!
//! A line stands for itself: whatever happened to its neighbours or its line feeds, it is found again
//! and believed if its sum is right. A text's own line feeds and backslashes are escaped.

/// Appends a line.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    out.extend_from_slice(format!("{:08x} {escaped}\n", crc32fast::hash(escaped.as_bytes())).as_bytes());
}

/// The texts of all good lines, and how many pieces between line feeds were not one.
pub(super) fn read(bytes: &[u8]) -> (Vec<String>, u64) {
    let mut texts = Vec::new();
    let mut bad = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        match piece.strip_suffix(b"\n").and_then(parse) {
            Some(text) => texts.push(text),
            None => {
                texts.extend(without_line_feed(piece));
                bad += 1;
            }
        }
    }
    (texts, bad)
}

/// Whether the last piece is a good line.
pub(super) fn ends_well(bytes: &[u8]) -> bool {
    let last = bytes.split_inclusive(|byte| *byte == b'\n').next_back();
    last.and_then(|piece| piece.strip_suffix(b"\n")).and_then(parse).is_some()
}

/// What is whole in a piece that is not a line: a text whose line feed was cut off or hit, or two lines
/// of which the line feed between, or the first one's text, was hit.
fn without_line_feed(piece: &[u8]) -> Vec<String> {
    let last = parse(piece).or_else(|| parse(piece.split_last()?.1));
    if let Some(text) = last {
        return vec![text];
    }
    let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
    // only where a sum may stand is it worth computing: a damaged file may be one long piece
    let is_sum = |at: usize| piece.get(at..at + 8).is_some_and(|sum| sum.iter().all(u8::is_ascii_hexdigit));
    let mut starts = (1..piece.len()).filter(|at| piece.get(at + 8) == Some(&b' ') && is_sum(*at));
    let second = starts.find_map(|at| Some((at, parse(piece.get(at..)?)?)));
    let Some((at, second)) = second else { return Vec::new() };
    piece.get(..at - 1).and_then(parse).into_iter().chain([second]).collect()
}

fn parse(line: &[u8]) -> Option<String> {
    let (sum, text) = (line.get(..8)?, line.get(9..)?);
    // compared as text: a turned bit that makes an `a` an `A` is damage too
    if line.get(8) != Some(&b' ') || sum != format!("{:08x}", crc32fast::hash(text)).as_bytes() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_usual_one() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn texts_come_back_whatever_they_hold() {
        let texts = ["", "a", "1 m {\"x\":\"\\u00e4\\\\\"}", "two\nlines\\n\n", "m³"];
        let mut file = Vec::new();
        texts.iter().for_each(|text| write(text, &mut file));
        assert_eq!(read(&file), (texts.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn one_turned_bit_costs_the_line_it_is_in_and_none_where_it_hits_a_line_feed() {
        let texts: Vec<String> = (0..20).map(|n| format!("{n} meter {{\"value\":{n}.05, \"unit\":\"m³\"}}")).collect();
        let mut file = Vec::new();
        texts.iter().for_each(|text| write(text, &mut file));
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let lines_before = file[..bit / 8].iter().filter(|byte| **byte == b'\n').count();
            let mut whole = texts.clone();
            if file[bit / 8] != b'\n' {
                whole.remove(lines_before);
            }
            let (kept, bad) = read(&damaged);
            assert_eq!(kept, whole, "bit {bit}");
            assert!(bad >= 1, "bit {bit}");
        }
    }

    #[test]
    fn a_large_file_of_one_piece_is_soon_given_up() {
        assert_eq!(read(&vec![b' '; 4 << 20]), (Vec::new(), 1));
    }

    #[test]
    fn a_file_cut_anywhere_keeps_every_text_before_the_cut() {
        let texts: Vec<String> = (0..5).map(|n| format!("{n} meter {{\"value\":{n}}}")).collect();
        let mut file = Vec::new();
        texts.iter().for_each(|text| write(text, &mut file));
        let ends: Vec<usize> = (0..file.len()).filter(|at| file[*at] == b'\n').collect();
        for cut in 0..file.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (kept, bad) = read(&file[..cut]);
            assert_eq!(kept, texts[..whole], "{cut}");
            assert_eq!(bad == 0, cut == 0 || ends.contains(&(cut - 1)), "{cut}");
        }
    }
}
