//! Tables of aligned columns.

use crate::report::content::{Align, Table};
use crate::report::legible::{cut, width};

const GAP: &str = "  ";
/// No left-aligned column is made narrower than this.
const NARROWEST: usize = 6;
/// Longer cells are cut in any case.
const WIDEST: usize = 90;

/// The lines of a table. Where the whole is too wide, the widest left-aligned columns give way.
pub fn lines(table: &Table, columns: usize) -> Vec<String> {
    let cut_row = |row: &Vec<String>| row.iter().map(|cell| cut(cell, WIDEST)).collect();
    let mut rows: Vec<Vec<String>> = vec![table.heads.iter().map(|h| h.0.to_owned()).collect()];
    rows.extend(table.rows.iter().map(cut_row));
    let widths = widths(&rows, table, columns);
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&table.heads).zip(&widths);
        let padded = cells.map(|((cell, (_, align)), width)| pad(cell, *align, *width));
        padded.collect::<Vec<_>>().join(GAP)
    };
    rows.iter().map(line).collect()
}

fn widths(rows: &[Vec<String>], table: &Table, columns: usize) -> Vec<usize> {
    let widest = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|c| width(c)).max();
    let mut widths: Vec<usize> =
        (0..table.heads.len()).map(|n| widest(n).unwrap_or_default()).collect();
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        let flexible = widths.iter_mut().zip(&table.heads);
        let left =
            flexible.filter(|(width, (_, align))| *align == Align::Left && **width > NARROWEST);
        let Some((width, _)) = left.max_by_key(|(width, _)| **width) else { break };
        *width -= 1;
    }
    widths
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

    fn table(rows: &[[&str; 2]]) -> Table {
        let rows = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        Table { heads: vec![("name", Align::Left), ("rows", Align::Right)], rows, remark: None }
    }

    #[test]
    fn columns_are_aligned_whatever_the_script() {
        let table = table(&[["학습", "1"], ["a_b", "1,000"]]);
        assert_eq!(lines(&table, 80), ["name   rows", "학습      1", "a_b   1,000"]);
    }

    #[test]
    fn words_give_way_to_numbers() {
        let table = table(&[["a_rather_long_name", "123,456,789"]]);
        assert_eq!(lines(&table, 24)[1], "a_rather_l…  123,456,789");
    }
}
