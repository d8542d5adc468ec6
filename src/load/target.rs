//! What the target is: its name as SQL writes it, and the columns that a mapping may fill.

#![allow(unsafe_code)]

use crate::backend::role;
use crate::backend::transaction::Subtransaction;
use crate::error::Failure;
use crate::transform::toast::Method;
use crate::transform::{ColumnKind, Mapping, MappingError, Origin, TargetColumn};
use crate::{pg_compat, settings};
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use std::ffi::CString;

/// The target of a pipeline, in a form that travels to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Schema and table, quoted where needed.
    pub sql_name: String,
    pub oid: u32,
    /// Whether no other session sees its rows.
    is_temporary: bool,
    /// Whether its triggers and rules, or whatever is behind a foreign table or a view, may leave a row
    /// neither inserted nor refused.
    pub may_take_away: bool,
    /// Its schema, where the role may not use that.
    closed_schema: Option<String>,
    pub columns: Vec<Column>,
}

/// A column of the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub type_oid: u32,
    pub type_modifier: i32,
    generated: bool,
    identity_always: bool,
    may_insert: bool,
    /// `attstorage`: plain, external, extended, main.
    storage: char,
    /// `attcompression`: pglz or lz4; none before 14, and where the column leaves it to the setting.
    compression: Option<char>,
}

impl Target {
    /// The column of that name, as the transform sees it.
    ///
    /// # Errors
    /// [`MappingError`] when there is none, or it takes no value from outside.
    pub fn find(&self, name: &str) -> Result<TargetColumn, MappingError> {
        let column = self.column(name).ok_or_else(|| MappingError::NoSuchColumn {
            column: name.to_owned(),
            target: self.sql_name.clone(),
        })?;
        let refuse = |reason| {
            Err(MappingError::NotInsertable {
                column: name.to_owned(),
                target: self.sql_name.clone(),
                reason,
            })
        };
        if column.generated {
            return refuse("it is a generated column");
        }
        if column.identity_always {
            return refuse("it is an identity column, generated always");
        }
        Ok(TargetColumn { name: name.to_owned(), kind: column.kind() })
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Checks that the columns take the mapping's own texts: constants, and what stands in for null.
    ///
    /// # Errors
    /// 22023 with what the server says of one.
    pub fn check_texts(&self, mapping: &Mapping) -> Result<(), Failure> {
        for mapped in &mapping.columns {
            let constant = match &mapped.origin {
                Origin::Const(text) => text.as_deref(),
                _ => None,
            };
            for (key, text) in [("const", constant), ("default", mapped.default.as_deref())] {
                let (Some(text), Some(column)) = (text, self.column(&mapped.column)) else {
                    continue;
                };
                match column.check(text) {
                    Err(failure) if failure.is_about_a_row() => {
                        return Err(Failure::argument(format!(
                            "{key} of column \"{}\" in the mapping does not fit {}: {}",
                            column.name, self.sql_name, failure.message
                        ))
                        .with_hint("For json and jsonb, write JSON: {\"default\": {\"a\": 1}}, or \"\\\"text\\\"\" for a text."));
                    }
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }

    /// Checks that a worker sees the same table as the caller.
    ///
    /// # Errors
    /// 0A000 where it is temporary.
    pub fn check_seen_by_workers(&self) -> Result<(), Failure> {
        if !self.is_temporary {
            return Ok(());
        }
        Err(Failure::new("0A000", format!("a worker cannot use the temporary table {}", self.sql_name))
            .with_detail("A temporary table belongs to one session.")
            .with_hint("Name a permanent table, with its schema, in target_table of the pipeline; pull also takes commit => 'caller', and then loads in the caller's own session."))
    }

    /// Checks, before anything is read, that the current role, which the target was described for, may
    /// insert into the columns of `names`.
    ///
    /// # Errors
    /// 42501 naming the schema or the column.
    pub fn check_privileges<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        if let Some(schema) = &self.closed_schema {
            let failure = Failure::new("42501", format!("permission denied for schema {schema}"));
            return Err(failure.with_hint(format!(
                "grant usage on schema {schema} to {};",
                pgrx::spi::quote_identifier(role::current_role_name()?)
            )));
        }
        for name in names {
            if self.column(name).is_some_and(|c| !c.may_insert) {
                return Err(Failure::new(
                    "42501",
                    format!("permission denied for column \"{name}\" of {}", self.sql_name),
                )
                .with_hint(format!(
                    "grant insert on {} to {};",
                    self.sql_name,
                    pgrx::spi::quote_identifier(role::current_role_name()?)
                )));
            }
        }
        Ok(())
    }
}

impl Column {
    fn kind(&self) -> ColumnKind {
        let type_oid = pg_sys::Oid::from(self.type_oid);
        match type_oid {
            pg_sys::UUIDOID => ColumnKind::Uuid,
            pg_sys::TEXTOID => ColumnKind::Text { max_chars: None },
            pg_sys::VARCHAROID => ColumnKind::Text {
                // The modifier counts the varlena header's four bytes in; -1 is no limit.
                max_chars: u32::try_from(self.type_modifier - 4).ok(),
            },
            pg_sys::TIMESTAMPTZOID => ColumnKind::TimestampTz,
            pg_sys::JSONBOID if settings::fast_jsonb() => {
                ColumnKind::Jsonb { compression: self.method() }
            }
            // A domain's input function makes it from JSON, and checks it, too.
            _ => match base_type(type_oid) {
                pg_sys::JSONBOID | pg_sys::JSONOID => ColumnKind::Json,
                pg_sys::TIMESTAMPOID | pg_sys::DATEOID | pg_sys::TIMEOID => ColumnKind::Local,
                _ => ColumnKind::Other,
            },
        }
    }

    /// Whether the column takes `text`, by its type's input function.
    ///
    /// # Errors
    /// What the server says of it.
    fn check(&self, text: &str) -> Result<(), Failure> {
        let text = CString::new(text).map_err(|_| Failure::argument("the text holds \\u0000"))?;
        Subtransaction::run(|| {
            let (mut function, mut io_param) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            // SAFETY: catalog lookups and an input function, on the main thread inside a transaction;
            // the text is only read.
            unsafe {
                pg_sys::getTypeInputInfo(self.type_oid.into(), &mut function, &mut io_param);
                pg_sys::OidInputFunctionCall(
                    function,
                    text.as_ptr().cast_mut(),
                    io_param,
                    self.type_modifier,
                );
            }
        })
    }
}

impl Column {
    /// How the server would compress the column's values inline; `None` where it would not.
    fn method(&self) -> Option<Method> {
        if !matches!(self.storage, 'x' | 'm') {
            return None;
        }
        match self.compression.unwrap_or_else(pg_compat::default_compression) {
            'l' => Some(Method::Lz4),
            _ => Some(Method::Pglz),
        }
    }
}

/// Reads the target's description from the catalog, for `role`.
///
/// # Errors
/// 42P01 when there is no such table, 42809 when nothing can be inserted into it.
pub fn describe(table: &str, role: pg_sys::Oid) -> Result<Target, Failure> {
    let (relkind, target) = role::as_owner(|| {
        Spi::connect(|client| {
            let sql = include_str!("../../sql/target/columns.sql");
            let found = client.select(sql, None, &[table.into(), role.into()])?;
            let mut relkind = None;
            let mut target = Target {
                sql_name: table.to_owned(),
                oid: 0,
                is_temporary: false,
                may_take_away: false,
                closed_schema: None,
                columns: Vec::new(),
            };
            for row in found {
                relkind = row.get_by_name::<String, _>("relkind")?;
                if let Some(name) = row.get_by_name::<String, _>("name")? {
                    target.sql_name = name;
                }
                let oid = row.get_by_name::<pg_sys::Oid, _>("oid")?;
                target.oid = oid.unwrap_or(pg_sys::InvalidOid).to_u32();
                target.is_temporary = row.get_by_name("is_temporary")?.unwrap_or(false);
                target.may_take_away = row.get_by_name("may_take_away")?.unwrap_or(true);
                target.closed_schema = row.get_by_name("closed_schema")?;
                target.columns.push(Column {
                    name: row.get_by_name::<String, _>("column_name")?.unwrap_or_default(),
                    type_oid: row
                        .get_by_name::<pg_sys::Oid, _>("type_oid")?
                        .unwrap_or(pg_sys::InvalidOid)
                        .to_u32(),
                    type_modifier: row.get_by_name::<i32, _>("type_modifier")?.unwrap_or(-1),
                    generated: row.get_by_name("generated")?.unwrap_or(false),
                    identity_always: row.get_by_name("identity_always")?.unwrap_or(false),
                    may_insert: row.get_by_name("may_insert")?.unwrap_or(false),
                    storage: character(row.get_by_name("storage")?).unwrap_or('p'),
                    compression: character(row.get_by_name("compression")?),
                });
            }
            Ok::<_, pgrx::spi::Error>((relkind, target))
        })
    })?;
    match relkind.as_deref() {
        Some("r" | "p" | "f" | "v") => Ok(target),
        Some(_) => Err(Failure::new("42809", format!("cannot insert into {table}"))
            .with_hint("target_table of the pipeline must name a table.")),
        None => Err(Failure::new("42P01", format!("target table {table} does not exist"))
            .with_hint(
                "target_table of the pipeline is read with its schema: 'pipeline.aidt_raw'.",
            )),
    }
}

/// Whether `role` may read the table.
///
/// # Errors
/// [`Failure`] when the catalog cannot be read.
pub fn may_select(target: &Target, role: pg_sys::Oid) -> Result<bool, Failure> {
    let sql = "select has_table_privilege($2, to_regclass($1), 'select')";
    let arguments = [target.sql_name.as_str().into(), role.into()];
    // Not by get_one, which takes a transaction id.
    let may = role::as_owner(|| {
        Spi::connect(|client| client.select(sql, Some(1), &arguments)?.first().get_one::<bool>())
    })?;
    Ok(may.unwrap_or(false))
}

fn character(text: Option<String>) -> Option<char> {
    text.and_then(|t| t.chars().next())
}

/// The type itself, or that under a domain.
pub(super) fn base_type(type_oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a catalog lookup inside a transaction.
    unsafe { pg_sys::getBaseType(type_oid) }
}
