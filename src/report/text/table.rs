//! Tables of aligned columns.

use crate::report::legible::{cut, width};

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Cells under heads. Where the whole is too wide, the widest left-aligned columns give way.
pub struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

const GAP: &str = "  ";
/// No left-aligned column is made narrower than this.
const NARROWEST: usize = 6;
/// Longer cells are cut in any case.
const WIDEST: usize = 90;

impl Table {
    pub fn new(heads: &[(&'static str, Align)]) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell for each head.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|cell| cut(&cell, WIDEST)).collect());
    }

    pub fn lines(&self, columns: usize) -> Vec<String> {
        let widths = self.widths(columns);
        let heads = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(|cells: &Vec<String>| {
                let cells = cells.iter().zip(&self.heads).zip(&widths);
                let padded = cells.map(|((cell, (_, align)), width)| pad(cell, *align, *width));
                padded.collect::<Vec<_>>().join(GAP)
            })
            .collect()
    }

    fn widths(&self, columns: usize) -> Vec<usize> {
        let widest = |n: usize| self.rows.iter().filter_map(|r| r.get(n)).map(|c| width(c)).max();
        let mut widths: Vec<usize> = (0..self.heads.len())
            .map(|n| width(self.heads[n].0).max(widest(n).unwrap_or(0)))
            .collect();
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > columns {
            let flexible = widths.iter_mut().zip(&self.heads);
            let left =
                flexible.filter(|(width, (_, align))| *align == Align::Left && **width > NARROWEST);
            let Some((width, _)) = left.max_by_key(|(width, _)| **width) else { break };
            *width -= 1;
        }
        widths
    }
}

fn pad(cell: &str, align: Align, columns: usize) -> String {
    let cell = cut(cell, columns);
    let blanks = " ".repeat(columns.saturating_sub(width(&cell)));
    match align {
        Align::Left => cell + &blanks,
        Align::Right => blanks + &cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_the_script() {
        let mut table = Table::new(&[("name", Align::Left), ("rows", Align::Right)]);
        table.row(["학습".into(), "1".into()]);
        table.row(["a_b".into(), "1,000".into()]);
        assert_eq!(table.lines(80), ["name   rows", "학습      1", "a_b   1,000"]);
    }

    #[test]
    fn words_give_way_to_numbers() {
        let mut table = Table::new(&[("name", Align::Left), ("rows", Align::Right)]);
        table.row(["a_rather_long_name".into(), "123,456,789".into()]);
        assert_eq!(table.lines(24)[1], "a_rather_l…  123,456,789");
    }
}
