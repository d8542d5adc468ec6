//! Both sides asked, the source again after transient errors.

use super::source_sums::Inquiry;
use crate::backend::transaction::in_transaction;
use crate::error::{Failure, notice};
use crate::ledger::PipelineVersion;
use crate::source::{PAUSE, Session, SourceError, Trouble};
use crate::threads::{RetryPolicy, SourceClient, stand_by, wait_out};

/// Questions to the source, one after the other, in one session; none while it asks for a pause.
pub struct Queries {
    client: SourceClient,
    retry: RetryPolicy,
    /// Whose `pause_while` holds the questions back.
    pipeline: String,
    paused: bool,
    within: Within,
}

/// In whose transactions the stage is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// In that which the caller has open.
    Caller,
    /// Each question in one of its own.
    Worker,
}

impl Within {
    fn run<T>(self, f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        match self {
            Within::Caller => f(),
            Within::Worker => in_transaction(f),
        }
    }
}

impl Inquiry for Queries {
    fn ask<T: Send + 'static>(
        &mut self,
        divisible: bool,
        question: impl Fn(&mut Session) -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        loop {
            let (pause_while, question) = (self.pause_while()?, question.clone());
            let answer = self.client.call(move |session| {
                if let Some(query) = pause_while
                    && session.ask(&query)?
                {
                    return Ok(None);
                }
                question(session).map(Some)
            })?;
            let error = match answer {
                Ok(None) => {
                    self.pause();
                    continue;
                }
                Ok(answer) => {
                    self.paused = false;
                    self.retry.succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.trouble == Trouble::StatementTimeout && divisible {
                notice(&format!("{error}; the range is halved"));
                return Ok(None);
            }
            let Some(delay) = self.retry.after(&error) else { return Err(error.into()) };
            wait_out(&error, delay, &self.retry);
        }
    }

    fn on_stage<T>(&mut self, question: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
        self.within.run(question)
    }
}

impl Queries {
    pub fn new(
        client: SourceClient,
        retry: RetryPolicy,
        pipeline: &str,
        within: Within,
    ) -> Queries {
        Queries { client, retry, pipeline: pipeline.to_owned(), paused: false, within }
    }

    /// The pipeline's `pause_while` as it is now: it may change at any time.
    fn pause_while(&self) -> Result<Option<String>, Failure> {
        Ok(self
            .within
            .run(|| PipelineVersion::read(&self.pipeline))?
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
