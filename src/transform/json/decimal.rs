//! Numbers as decimal digits.

/// A number in plain notation, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'d> {
    pub(crate) negative: bool,
    /// Digits before the point, without leading zeros.
    pub(crate) whole: &'d [u8],
    /// Digits after the point, all of them.
    pub(crate) fraction: &'d [u8],
}

impl<'d> Decimal<'d> {
    /// Takes apart a JSON number without exponent that has `whole` characters, the sign included,
    /// before the point.
    #[inline(always)]
    pub(crate) fn of_plain(number: &'d [u8], whole: usize) -> Self {
        let (before, after) = number.split_at(whole);
        let negative = before.first() == Some(&b'-');
        let mut digits = &before[usize::from(negative)..];
        if let [b'0', rest @ ..] = digits {
            // JSON allows a leading zero only alone.
            digits = rest;
        }
        Self { negative, whole: digits, fraction: after.get(1..).unwrap_or_default() }
    }
}

/// Writes a JSON number out as `numeric_out` writes what `numeric_in` makes of it: no exponent, no
/// negative zero, as many digits after the point as the exponent leaves
/// (`src/backend/utils/adt/numeric.c`, `set_var_from_str`).
pub(crate) fn expand(number: &str) -> String {
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // The parser let through only exponents that fit.
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits: String = [before, after].concat();
    let point = before.len() as i64 + exponent;
    let scale = (after.len() as i64 - exponent).max(0) as usize;

    let mut padded = "0".repeat((-point).max(0) as usize);
    padded.push_str(&digits);
    let missing = (point - digits.len() as i64).max(0) as usize;
    padded.push_str(&"0".repeat(missing));
    let (whole, fraction) = padded.split_at(point.max(0) as usize);
    debug_assert_eq!(fraction.len(), scale);

    let zero = padded.bytes().all(|digit| digit == b'0');
    let whole = whole.trim_start_matches('0');
    let sign = if negative && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn numbers_come_out_as_numeric_out_writes_them() {
        for (number, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("29.310", "29.310"),
            ("-29.310", "-29.310"),
            ("1e5", "100000"),
            ("1E+5", "100000"),
            ("1.5e3", "1500"),
            ("1.5e1", "15"),
            ("1.50e1", "15.0"),
            ("1.5E-3", "0.0015"),
            ("12.5e-1", "1.25"),
            ("0e5", "0"),
            ("0e-3", "0.000"),
            ("0.00e5", "0"),
            ("-0e-2", "0.00"),
            ("0.001e2", "0.1"),
            ("0.001e3", "1"),
            ("123e-2", "1.23"),
        ] {
            assert_eq!(expand(number), expected, "{number}");
        }
    }
}
