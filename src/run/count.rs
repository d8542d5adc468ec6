//! The source counted, a range of time after the other, through whatever passes.

use super::errand::{Conversation, wait_out};
use super::pacing::Pacing;
use crate::error::{Failure, notice};
use crate::source::{Stride, Tally, Trouble, WalkTable, tally};
use chrono::{DateTime, Utc};

/// Counts ranges of one table of the source, in one session.
pub struct SourceCount {
    conversation: Conversation,
    table: WalkTable,
    /// The hash expression, or [`crate::source::NO_HASH`].
    hash: String,
    pacing: Pacing,
    stride: Stride,
}

impl SourceCount {
    pub fn new(
        conversation: Conversation,
        pacing: Pacing,
        table: WalkTable,
        hash: String,
    ) -> SourceCount {
        SourceCount { conversation, table, hash, pacing, stride: Stride::default() }
    }

    /// Counts `[from, to)`: at once where the source manages that within its statement_timeout,
    /// else in parts, down to a microsecond.
    ///
    /// # Errors
    /// [`Failure`] as the source said it, when trying again is of no use.
    pub fn tally(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Tally, Failure> {
        let mut sum = Tally::default();
        let mut position = from;
        while position < to {
            let end = self.stride.end(position, to);
            let (table, hash) = (self.table.clone(), self.hash.clone());
            let answer = self
                .conversation
                .ask(move |session| tally(session, &table, (position, end), &hash))?;
            let error = match answer {
                Ok(part) => {
                    sum += part;
                    position = end;
                    self.pacing.succeeded();
                    self.stride.passed();
                    continue;
                }
                Err(error) => error,
            };
            if error.trouble == Trouble::StatementTimeout && self.stride.halve(position, end) {
                notice(&format!("{error}; the range is halved"));
                continue;
            }
            let Some(delay) = self.pacing.after(&error) else { return Err(error.into()) };
            wait_out(&error, delay);
        }
        Ok(sum)
    }
}
