//! The width of a slice: a calendar interval, added in UTC.

use chrono::{DateTime, Days, Months, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A PostgreSQL `interval`, in its three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Width {
    pub months: u32,
    pub days: u64,
    pub micros: i64,
}

impl Width {
    /// Whether adding it moves forward at all.
    pub fn is_positive(&self) -> bool {
        self.micros >= 0 && (self.months > 0 || self.days > 0 || self.micros > 0)
    }

    /// `start + n × self`, counted from `start` so that month ends do not drift; `None` past the
    /// end of the calendar.
    pub fn times_after(&self, start: DateTime<Utc>, n: u32) -> Option<DateTime<Utc>> {
        start
            .checked_add_months(Months::new(self.months.checked_mul(n)?))?
            .checked_add_days(Days::new(self.days.checked_mul(u64::from(n))?))?
            .checked_add_signed(TimeDelta::microseconds(self.micros.checked_mul(i64::from(n))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_from_the_start() {
        let start: DateTime<Utc> = "2025-01-31T00:00:00Z".parse().unwrap();
        let month = Width { months: 1, days: 0, micros: 0 };
        assert_eq!(month.times_after(start, 2), Some("2025-03-31T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        let day = Width { months: 0, days: 1, micros: 0 };
        assert_eq!(day.times_after(DateTime::<Utc>::MAX_UTC, 1), None);
    }
}
