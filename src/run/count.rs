//! The source counted, a range of time after the other, through whatever passes.

use super::errand::{Conversation, stand_by, wait_out};
use super::pacing::Pacing;
use crate::error::{Failure, notice};
use crate::ledger::Standing;
use crate::source::{PAUSE, Stride, Tally, Trouble, WalkTable, tally};
use chrono::{DateTime, Utc};

/// Counts ranges of one table of the source, in one session.
pub struct SourceCount {
    conversation: Conversation,
    table: WalkTable,
    /// The hash expression, or [`crate::source::NO_HASH`].
    hash: String,
    pacing: Pacing,
    stride: Stride,
    /// Whose `pause_while` holds the questions back.
    pipeline: String,
    paused: bool,
}

impl SourceCount {
    pub fn new(
        conversation: Conversation,
        pacing: Pacing,
        table: WalkTable,
        hash: String,
        pipeline: &str,
    ) -> SourceCount {
        SourceCount {
            conversation,
            table,
            hash,
            pacing,
            stride: Stride::default(),
            pipeline: pipeline.to_owned(),
            paused: false,
        }
    }

    /// Counts `[from, to)`: at once where the source manages that within its statement_timeout,
    /// else in parts, down to a microsecond. Nothing is counted while the source asks for a pause.
    ///
    /// # Errors
    /// [`Failure`] as the source said it, when trying again is of no use.
    pub fn tally(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Tally, Failure> {
        let mut sum = Tally::default();
        let mut position = from;
        while position < to {
            let end = self.stride.end(position, to);
            let (table, hash) = (self.table.clone(), self.hash.clone());
            let pause_while = self.pause_while()?;
            let answer = self.conversation.ask(move |session| {
                if let Some(query) = pause_while
                    && session.ask(&query)?
                {
                    return Ok(None);
                }
                tally(session, &table, (position, end), &hash).map(Some)
            })?;
            let error = match answer {
                Ok(None) => {
                    self.pause();
                    continue;
                }
                Ok(Some(part)) => {
                    self.paused = false;
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

    /// The pipeline's `pause_while` as it is now: it may change at any time.
    fn pause_while(&self) -> Result<Option<String>, Failure> {
        Ok(Standing::read(&self.pipeline)?.and_then(|standing| standing.care.pause_while))
    }

    fn pause(&mut self) {
        if !self.paused {
            notice(&format!(
                "pause_while of pipeline \"{}\" is true: waiting until it is not",
                self.pipeline
            ));
            self.paused = true;
        }
        stand_by(PAUSE);
    }
}
