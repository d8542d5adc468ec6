//! A source that is filled by logical replication: its own clock says nothing of what it has not applied
//! yet.

use super::connect::Session;
use super::error::SourceError;
use chrono::{DateTime, Utc};
use postgres::types::Type;

/// What a subscriber knows of the tables that a publisher fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The table's name, as the source prints it.
    table: String,
    /// The time of the publisher's last message that was worked off; `None`: nobody works them off.
    pub(super) heard: Option<DateTime<Utc>>,
    /// Whether rows that were there before are still being copied.
    copying: bool,
}

const ACTION: &str = "ask whether the source is a subscriber";

impl Subscription {
    /// Asks for that of the table of that oid; `None` where it is no subscriber's.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(
        session: &mut Session,
        oid: u32,
        table: &str,
    ) -> Result<Option<Subscription>, SourceError> {
        let failed = |e| SourceError::from_client(ACTION, &e);
        let sql = include_str!("../../sql/source/subscription.sql");
        let rows = session.query(sql, &[(&oid, Type::OID)]).map_err(failed)?;
        let Some(row) = rows.first() else { return Ok(None) };
        if !row.try_get::<_, bool>("subscriber").map_err(failed)? {
            return Ok(None);
        }
        let heard: Option<i64> = row.try_get("heard_micros").map_err(failed)?;
        Ok(Some(Subscription {
            table: table.to_owned(),
            heard: heard.and_then(DateTime::from_timestamp_micros),
            copying: row.try_get("copying").map_err(failed)?,
        }))
    }

    /// What is to be known of its rows, where they may be incomplete.
    pub fn warning(&self) -> Option<String> {
        let table = &self.table;
        if self.copying {
            return Some(format!(
                "{table} is filled by logical replication, and its first copy is not complete: rows of any time may be missing"
            ));
        }
        self.heard.is_none().then(|| {
            format!(
                "{table} is filled by logical replication, and no worker applies what its publisher sends: what was committed there since is missing, however old it is by the source's clock"
            )
        })
    }
}
