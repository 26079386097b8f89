//! Columns for people: as wide as their widest cell, two spaces between them.

use std::fmt;

/// A heading and rows.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Starts with the headings; a column whose heading begins with a space is aligned to the right.
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |cell: &String| cell.trim().chars().count();
        let widest = |place: usize| self.rows.iter().filter_map(|row| row.get(place)).map(width).max().unwrap_or(0);
        let right: Vec<bool> = self.rows.iter().take(1).flatten().map(|heading| heading.starts_with(' ')).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (place, (cell, right)) in row.iter().zip(&right).enumerate() {
                let gap = " ".repeat(widest(place) - width(cell));
                let between = if place == 0 { "" } else { "  " };
                let cell = cell.trim();
                line += &if *right { format!("{between}{gap}{cell}") } else { format!("{between}{cell}{gap}") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", " VALUE", "UNIT"]);
        table.row(["volume".into(), "0.05".into(), "m³".into()]);
        table.row(["on".into(), "38357".into(), String::new()]);
        assert_eq!(table.to_string(), "NAME    VALUE  UNIT\nvolume   0.05  m³\non      38357\n");
    }
}
