//! The pipeline's row, looked at while the run goes on: how the source is to be treated may change
//! at any time, what the run takes as given may not.

use super::place::Place;
use super::request::Request;
use super::step::{Puller, Walk};
use crate::backend::transaction::catching;
use crate::error::Failure;
use crate::ledger::{Care, Standing};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// How long a change may go unnoticed while no batch ends.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a run last saw of its pipeline's row.
pub struct Watch {
    pipeline: String,
    /// `None`: nobody else can change the row before the run's end.
    meaning: Option<String>,
    care: Care,
    looked: Instant,
}

impl Watch {
    pub fn new(request: &Request) -> Self {
        Watch {
            pipeline: request.pipeline.clone(),
            meaning: request.meaning.clone(),
            care: request.care.clone(),
            looked: Instant::now(),
        }
    }

    pub fn care(&self) -> &Care {
        &self.care
    }

    fn is_due(&self) -> bool {
        self.meaning.is_some() && self.looked.elapsed() >= INTERVAL
    }

    /// Looks at the row; true when the source is to be treated in another way from now on.
    ///
    /// # Errors
    /// 55000 when what the run takes as given has changed.
    fn look(&mut self) -> Result<bool, Failure> {
        let Some(meaning) = &self.meaning else { return Ok(false) };
        self.looked = Instant::now();
        match Standing::read(&self.pipeline)? {
            Some(standing) if standing.meaning == *meaning => {
                let changed = standing.care != self.care;
                self.care = standing.care;
                Ok(changed)
            }
            Some(standing) => Err(self.changed(&changes(meaning, &standing.meaning))),
            None => Err(self.changed("the row is gone, by delete or under another name")),
        }
    }

    fn changed(&self, what: &str) -> Failure {
        let message =
            format!("pipeline \"{}\" was changed while it was being pulled", self.pipeline);
        Failure::new("55000", message).with_detail(format!("Changed: {what}.")).with_hint(
            "Call pull again: it goes on by the pipeline as it is now. What came before came by the old one; to have that anew too, delete it and call lrs_extract.forget first.",
        )
    }
}

/// Which columns differ, in words: with both values, or for the mapping with the target columns.
fn changes(before: &str, now: &str) -> String {
    let read = |text| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let (before, now) = (read(before), read(now));
    let words = differing(&before, &now).into_iter().map(|column| {
        match (before.get(column), now.get(column)) {
            (Some(Value::Object(before)), Some(Value::Object(now))) => {
                format!("{column} ({})", differing(before, now).join(", "))
            }
            (Some(Value::String(before)), Some(Value::String(now))) => {
                format!("{column} ('{before}' is now '{now}')")
            }
            _ => column.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn differing<'a>(before: &'a Map<String, Value>, now: &'a Map<String, Value>) -> Vec<&'a str> {
    let gone = before.keys().filter(|key| !now.contains_key(*key));
    let new = now.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, _)| key);
    gone.chain(new).map(String::as_str).collect()
}

impl<P: Place> Puller<P> {
    /// Looks at the pipeline's row, inside the unit that is open, and passes on how the source is
    /// to be treated; true when that has changed.
    ///
    /// # Errors
    /// 55000 when what the run takes as given has changed.
    pub(super) fn heed(&mut self) -> Result<bool, Failure> {
        let changed = self.watch.look()?;
        let readers = self.place.readers();
        let care = self.watch.care();
        // Whoever is left when others have come to their end takes over their share.
        if changed || readers != self.readers {
            self.readers = readers;
            self.throttle.set(care.rate(readers), care.pause_while.as_deref());
        }
        if changed {
            self.pacing.set_patience(care.retries, care.retry_delay);
        }
        Ok(changed)
    }

    /// The same where the last look was a while ago, in the walk's unit or in one of its own.
    ///
    /// # Errors
    /// As [`Puller::heed`].
    pub(super) fn heed_now_and_then(&mut self, walk: &Walk) -> Result<bool, Failure> {
        if !self.watch.is_due() {
            return Ok(false);
        }
        if walk.has_unit() {
            return self.heed();
        }
        self.in_unit(Self::heed)
    }

    /// Does `f` in a unit of its own; only where none is open.
    ///
    /// # Errors
    /// That of `f`, or of the commit; everything is rolled back then.
    pub(super) fn in_unit<T>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let unit = self.place.begin();
        match catching(|| f(self)) {
            Ok(value) => unit.commit().map(|()| value),
            Err(failure) => {
                unit.roll_back();
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn a_change_names_the_columns_and_what_became_of_them() {
        let before = r#"{"name": "p", "server": "a", "mapping": {"id": {"path": ["id"]}, "n": 1}}"#;
        let now = r#"{"name": "p", "server": "b", "mapping": {"id": {"path": ["uid"]}, "m": 1}}"#;
        assert_eq!(changes(before, now), "mapping (n, id, m), server ('a' is now 'b')");
    }

    #[test]
    fn a_column_that_only_one_knows_is_named() {
        assert_eq!(changes(r#"{"a": 1}"#, r#"{"a": 1, "b": null}"#), "b");
    }
}
