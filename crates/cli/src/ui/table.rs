//! Text in columns.

use std::fmt;

/// To which side a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of `N` cells, two spaces apart.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    indent: String,
    columns: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(indent: &str, columns: [Align; N]) -> Self {
        Self { indent: indent.to_owned(), columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            let mut line = self.indent.clone();
            for ((cell, &width), align) in row.iter().zip(&widths).zip(self.columns) {
                line += &match align {
                    Align::Left => format!("{cell:<width$}  "),
                    Align::Right => format!("{cell:>width$}  "),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("  ", [Align::Left, Align::Right, Align::Left]);
        table.row(["a", "1", "x"].map(str::to_owned));
        table.row(["bcd", "100", ""].map(str::to_owned));
        assert_eq!(table.to_string(), "  a      1  x\n  bcd  100\n");
    }
}
