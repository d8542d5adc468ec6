//! The source counted, a range of time after the other, again after transient errors.

use crate::error::{Failure, notice};
use crate::ledger::PipelineVersion;
use crate::source::{Checksum, NO_HASH, PAUSE, RangeSize, Trouble, WalkTable, actors_at, checksum};
use crate::threads::{RetryPolicy, SourceClient, stand_by, wait_out};
use chrono::{DateTime, Utc};

/// Counts ranges of one table of the source, in one session.
pub struct SourceCount {
    client: SourceClient,
    table: WalkTable,
    /// The hash expression, or [`crate::source::NO_HASH`].
    hash: String,
    retry: RetryPolicy,
    range_size: RangeSize,
    /// Whose `pause_while` holds the questions back.
    pipeline: String,
    paused: bool,
}

impl SourceCount {
    pub fn new(
        client: SourceClient,
        retry: RetryPolicy,
        table: WalkTable,
        hash: String,
        pipeline: &str,
    ) -> SourceCount {
        SourceCount {
            client,
            table,
            hash,
            retry,
            range_size: RangeSize::default(),
            pipeline: pipeline.to_owned(),
            paused: false,
        }
    }

    /// Counts `[from, to)`: at once where the source manages that within its statement_timeout,
    /// else in parts, down to a microsecond. Nothing is counted while the source asks for a pause.
    ///
    /// # Errors
    /// [`Failure`] as the source said it, when another attempt would not help.
    pub fn checksum(
        &mut self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Checksum, Failure> {
        self.sum(from, to, &self.hash.clone())
    }

    /// Counts the rows of `[from, to)` without reading their statements.
    ///
    /// # Errors
    /// As [`SourceCount::checksum`].
    pub fn rows(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<i64, Failure> {
        self.sum(from, to, NO_HASH).map(|sum| sum.rows)
    }

    /// The actors of a timestamp, some of them where they are many.
    ///
    /// # Errors
    /// [`Failure`] as the source said it.
    pub fn actors_at(&mut self, timestamp: DateTime<Utc>) -> Result<Vec<Option<i64>>, Failure> {
        let table = self.table.clone();
        self.client.call(move |session| actors_at(session, &table, timestamp))?.map_err(Into::into)
    }

    fn sum(
        &mut self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        hash: &str,
    ) -> Result<Checksum, Failure> {
        let mut sum = Checksum::default();
        let mut position = from;
        while position < to {
            let end = self.range_size.end(position, to);
            let (table, hash) = (self.table.clone(), hash.to_owned());
            let pause_while = self.pause_while()?;
            let answer = self.client.call(move |session| {
                if let Some(query) = pause_while
                    && session.ask(&query)?
                {
                    return Ok(None);
                }
                checksum(session, &table, (position, end), &hash).map(Some)
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
                    self.retry.succeeded();
                    self.range_size.passed();
                    continue;
                }
                Err(error) => error,
            };
            if error.trouble == Trouble::StatementTimeout && self.range_size.halve(position, end) {
                notice(&format!("{error}; the range is halved"));
                continue;
            }
            let Some(delay) = self.retry.after(&error) else { return Err(error.into()) };
            wait_out(&error, delay, &self.retry);
        }
        Ok(sum)
    }

    /// The pipeline's `pause_while` as it is now: it may change at any time.
    fn pause_while(&self) -> Result<Option<String>, Failure> {
        Ok(PipelineVersion::read(&self.pipeline)?
            .and_then(|version| version.source_limits.pause_while))
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
