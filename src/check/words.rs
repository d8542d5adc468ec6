//! Names and numbers in words.

/// Names that are spelled out.
const MOST: usize = 3;

/// "a, b, c and 4 more".
pub fn list(names: &[&str]) -> String {
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Statements that are spelled out.
const MOST_STATEMENTS: usize = 8;

/// Statements to be pasted, not all of many.
pub fn statements(all: impl ExactSizeIterator<Item = String>) -> String {
    let number = all.len();
    let mut shown: Vec<String> = all.take(MOST_STATEMENTS).collect();
    if number > MOST_STATEMENTS {
        shown.push(format!("-- and so on, {number} in all"));
    }
    shown.join(" ")
}

/// "1 partition", "5 partitions".
pub fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as `pg_size_pretty` has them.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    while number >= 10_240.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.0} {}", UNITS[unit])
}

/// Milliseconds: "300 s", "250 ms".
pub fn time(milliseconds: i64) -> String {
    match milliseconds % 1_000 {
        0 => format!("{} s", milliseconds / 1_000),
        _ => format!("{milliseconds} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(&["a", "b", "c"]), "a, b, c");
        assert_eq!(list(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }

    #[test]
    fn many_statements_are_cut_and_said_to_be_more() {
        let of = |number: usize| statements((0..number).map(|n| format!("{n};")));
        assert_eq!(of(2), "0; 1;");
        assert_eq!(of(9), "0; 1; 2; 3; 4; 5; 6; 7; -- and so on, 9 in all");
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!([size(8_192), size(50 << 20), size(3 << 40)], ["8 kB", "50 MB", "3072 GB"]);
        assert_eq!([time(300_000), time(250)], ["300 s", "250 ms"]);
    }
}
