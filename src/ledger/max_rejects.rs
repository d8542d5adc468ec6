//! How many rows a run may reject before it ends: the pipeline's column `max_rejects`.

use serde::{Deserialize, Serialize};

/// So many first rows of a run, all of them refused, end it where the pipeline says nothing.
const FIRST_ROWS: u64 = 10_000;
/// A share is looked at from so many rows on.
const SHARE_FROM: u64 = 1_000;

/// The bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxRejects {
    /// All may be refused but the first rows of the run together.
    #[default]
    NotAllOfTheFirst,
    Rows(u64),
    /// Of the rows read, in percent.
    Percent(f64),
}

impl MaxRejects {
    /// Reads the column: a number of rows, or a percentage.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(MaxRejects::Percent),
            None => text.trim().parse().ok().map(MaxRejects::Rows),
        }
    }

    /// Whether `rejected` of the `read` rows that a run began with are too many.
    pub fn is_passed(self, read: u64, rejected: u64) -> bool {
        match self {
            MaxRejects::NotAllOfTheFirst => rejected >= FIRST_ROWS && rejected >= read,
            MaxRejects::Rows(most) => rejected > most,
            MaxRejects::Percent(most) => {
                read >= SHARE_FROM && rejected as f64 > most / 100.0 * read as f64
            }
        }
    }
}

impl std::fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MaxRejects::NotAllOfTheFirst => {
                write!(f, "A run ends when its first {FIRST_ROWS} rows were all refused")
            }
            MaxRejects::Rows(most) => write!(f, "max_rejects is {most}"),
            MaxRejects::Percent(most) => write!(f, "max_rejects is {most} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_share_are_read() {
        for (text, read) in [
            ("0", Some(MaxRejects::Rows(0))),
            ("1000", Some(MaxRejects::Rows(1_000))),
            ("5%", Some(MaxRejects::Percent(5.0))),
            ("0.5 %", Some(MaxRejects::Percent(0.5))),
            ("many", None),
        ] {
            assert_eq!(MaxRejects::parse(text), read, "{text}");
        }
    }

    #[test]
    fn a_run_whose_first_rows_were_all_refused_ends() {
        let bound = MaxRejects::default();
        assert!(bound.is_passed(10_000, 10_000));
        assert!(!bound.is_passed(9_999, 9_999), "too few to say");
        assert!(!bound.is_passed(10_001, 10_000), "one fits");
    }

    #[test]
    fn a_number_counts_rejects_and_a_share_counts_rows_too() {
        assert!(MaxRejects::Rows(3).is_passed(1_000_000, 4));
        assert!(!MaxRejects::Rows(3).is_passed(3, 3));
        assert!(MaxRejects::Rows(0).is_passed(1, 1));
        assert!(MaxRejects::Percent(5.0).is_passed(1_000, 51));
        assert!(!MaxRejects::Percent(5.0).is_passed(1_000, 50));
        assert!(!MaxRejects::Percent(5.0).is_passed(999, 999), "too few to say");
    }
}
