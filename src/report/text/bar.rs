//! Bars of block characters, to an eighth of a column.

const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for `share` (0 to 1), padded to `columns`.
pub fn bar(share: f64, columns: usize) -> String {
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    let mut eighths = (share * columns as f64 * 8.0).round() as usize;
    if share > 0.0 {
        eighths = eighths.max(1);
    }
    let mut out = EIGHTHS[8].to_string().repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        out.push(EIGHTHS[eighths % 8]);
    }
    let filled = eighths.div_ceil(8);
    out + &" ".repeat(columns.saturating_sub(filled))
}

/// One column for each value, as high as it is against the greatest; nothing where it is 0.
pub fn heights(values: &[f64]) -> String {
    let greatest = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let height = |value: &f64| match value / greatest {
        share if share > 0.0 => HEIGHTS[((share * 8.0).ceil() as usize).clamp(1, 8) - 1],
        _ => ' ',
    };
    values.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bars_count_eighths() {
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(0.28, 4), "█▏  ");
        assert_eq!(bar(0.000_1, 2), "▏ ");
        assert_eq!(bar(0.0, 2), "  ");
        assert_eq!(heights(&[0.0, 1.0, 4.0, 8.0]), " ▁▄█");
        assert_eq!(heights(&[0.0, 0.0]), "  ");
    }

    proptest! {
        #[test]
        fn a_bar_is_as_wide_as_its_column(share in any::<f64>(), columns in 1usize..50) {
            prop_assert_eq!(bar(share, columns).chars().count(), columns);
        }

        #[test]
        fn any_values_have_heights(values in prop::collection::vec(any::<f64>(), 0..90)) {
            prop_assert_eq!(heights(&values).chars().count(), values.len());
        }
    }
}
