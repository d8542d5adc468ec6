//! The pipeline's row, looked at while the run goes on: how the source is treated may change at any
//! time, what the run takes as given may not.

use super::request::PullRequest;
use crate::error::Failure;
use crate::ledger::{PipelineVersion, SourceLimits};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// How long a change may go unnoticed while no batch ends.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a run last saw of its pipeline's row.
pub struct PipelineWatch {
    pipeline: String,
    /// `None`: nobody else can change the row before the run's end.
    definition: Option<String>,
    source_limits: SourceLimits,
    looked: Instant,
}

impl PipelineWatch {
    pub fn new(request: &PullRequest) -> Self {
        PipelineWatch {
            pipeline: request.pipeline.clone(),
            definition: request.definition.clone(),
            source_limits: request.source_limits.clone(),
            looked: Instant::now(),
        }
    }

    pub fn source_limits(&self) -> &SourceLimits {
        &self.source_limits
    }

    /// Whether the last look was a while ago.
    pub fn is_due(&self) -> bool {
        self.definition.is_some() && self.looked.elapsed() >= INTERVAL
    }

    /// Looks at the row; true when the source must be treated in another way from now on.
    ///
    /// # Errors
    /// 55000 when what the run takes as given has changed.
    pub fn look(&mut self) -> Result<bool, Failure> {
        let Some(definition) = &self.definition else { return Ok(false) };
        self.looked = Instant::now();
        match PipelineVersion::read(&self.pipeline)? {
            Some(version) if version.definition == *definition => {
                let changed = version.source_limits != self.source_limits;
                self.source_limits = version.source_limits;
                Ok(changed)
            }
            Some(version) => Err(self.changed(&changes(definition, &version.definition))),
            None => Err(self.changed("the row is gone, by delete or under another name")),
        }
    }

    fn changed(&self, what: &str) -> Failure {
        let message =
            format!("pipeline \"{}\" was changed while it was being pulled", self.pipeline);
        Failure::new("55000", message).with_detail(format!("Changed: {what}.")).with_hint(
            "Call pull again: it continues with the pipeline as it is now. Rows pulled before follow the old definition; to pull them again, delete them and call lrs_extract.forget first.",
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
