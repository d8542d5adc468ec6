//! What a session on the source is like: whose it is, and what holds for it.

use super::{Kind, Session};
use crate::source::dial::protection::Protection;
use crate::source::error::SourceError;

/// A session, its role and its server, as the source describes them.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// `server_version`.
    pub version: String,
    pub is_standby: bool,
    /// Whether a pooler gives it to others, too.
    pub is_pooled: bool,
    pub protection: Protection,
    /// The version of TLS, as the server has it: behind a pooler, that of the pooler's own connection.
    pub tls: Option<String>,
    /// The database's encoding.
    pub encoding: String,
    pub role: String,
    pub is_superuser: bool,
    /// Whether it may read `pg_stat_wal_receiver`.
    pub reads_all_stats: bool,
    /// Connections that the role may have; `None`: no limit of its own.
    pub connection_limit: Option<u32>,
    /// The limits that hold for a statement, in milliseconds; 0: none.
    pub limits: Vec<(String, i64)>,
}

const ACTION: &str = "ask what the source session is like";

impl SessionFacts {
    /// Asks the source.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn ask(session: &mut Session) -> Result<SessionFacts, SourceError> {
        let failed = |e| SourceError::from_client(ACTION, &e);
        let row = session.one(ACTION, include_str!("../../../sql/source/session_facts.sql"))?;
        let names: Vec<String> = row.try_get("limit_names").map_err(failed)?;
        let values: Vec<i64> = row.try_get("limit_values").map_err(failed)?;
        let connections: i32 = row.try_get("connection_limit").map_err(failed)?;
        Ok(SessionFacts {
            version: row.try_get("version").map_err(failed)?,
            is_standby: row.try_get("is_standby").map_err(failed)?,
            is_pooled: matches!(session.kind, Kind::Pooled { .. }),
            protection: session.canceller.route.protection(),
            tls: row.try_get("tls").map_err(failed)?,
            encoding: row.try_get("encoding").map_err(failed)?,
            role: row.try_get("role").map_err(failed)?,
            is_superuser: row.try_get("is_superuser").map_err(failed)?,
            reads_all_stats: row.try_get("reads_all_stats").map_err(failed)?,
            connection_limit: u32::try_from(connections).ok(),
            limits: names.into_iter().zip(values).collect(),
        })
    }

    /// A limit by its name, in milliseconds; `None` where there is none.
    pub fn limit(&self, name: &str) -> Option<i64> {
        self.limits.iter().find(|(known, _)| known == name).map(|(_, ms)| *ms).filter(|ms| *ms > 0)
    }
}
