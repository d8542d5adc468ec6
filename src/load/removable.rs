//! Whether rows of a target can be removed by their places: a ctid names a row of one heap on one server; and
//! whether all rows of it are in sight.

use super::target::Target;
use crate::backend::role;
use crate::error::Failure;
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;
use pgrx::{Spi, pg_sys};

/// What is known of a target and its parts.
struct Parts {
    oids: Vec<pg_sys::Oid>,
    may_delete: bool,
    /// A part that is a foreign table or a view.
    elsewhere: Option<String>,
    /// A part that is in no heap, and its access method.
    in_no_heap: Option<(String, String)>,
    /// A part that Citus spreads over nodes.
    distributed: Option<String>,
    /// A part that TimescaleDB has compressed.
    compressed: Option<String>,
}

impl Parts {
    fn of(target: &str, role: pg_sys::Oid) -> Result<Parts, Failure> {
        let sql = include_str!("../../sql/target/removable.sql");
        role::as_owner(|| {
            Spi::connect(|client| {
                let found = client.select(sql, Some(1), &[target.into(), role.into()])?.first();
                let oids: Vec<pg_sys::Oid> = found.get_by_name("parts")?.unwrap_or_default();
                let among = |has: &str, sql: &str| {
                    if found.get_by_name::<bool, _>(has)? != Some(true) {
                        return Ok(None);
                    }
                    first(client, sql, &[oids.clone().into()])
                };
                Ok::<_, pgrx::spi::Error>(Parts {
                    may_delete: found.get_by_name("may_delete")? == Some(true),
                    elsewhere: found.get_by_name("elsewhere")?,
                    in_no_heap: found
                        .get_by_name("in_no_heap")?
                        .zip(found.get_by_name("access_method")?),
                    distributed: among(
                        "has_citus",
                        include_str!("../../sql/target/distributed.sql"),
                    )?,
                    compressed: among(
                        "has_timescaledb",
                        include_str!("../../sql/target/compressed.sql"),
                    )?,
                    oids,
                })
            })
        })
        .map_err(Failure::from)
    }

    /// A prepared transaction that has written to one of them.
    fn prepared(self) -> Result<Option<String>, Failure> {
        let is_distributed = self.distributed.is_some();
        let prepared = role::as_owner(|| {
            Spi::connect(|client| {
                let sql = include_str!("../../sql/target/prepared.sql");
                let here = first(client, sql, &[self.oids.into(), is_distributed.into()])?;
                if here.is_some() || !is_distributed {
                    return Ok(here);
                }
                first(client, include_str!("../../sql/target/prepared_elsewhere.sql"), &[])
            })
        });
        prepared.map_err(|error: pgrx::spi::Error| error.into())
    }
}

/// The text in the first row of a query, which writes nothing and takes no transaction id.
fn first(
    client: &SpiClient<'_>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<String>, pgrx::spi::Error> {
    client.select(sql, Some(1), arguments)?.first().get(1)
}

/// Checks that `role` may remove rows of the target, and that they have a place to be found again by; `what`
/// they are, in words.
///
/// # Errors
/// 42501 or 0A000.
pub fn check_removable(target: &str, role: pg_sys::Oid, what: &str) -> Result<(), Failure> {
    let parts = Parts::of(target, role)?;
    if !parts.may_delete {
        return Err(Failure::new("42501", format!("permission denied for table {target}"))
            .with_hint(format!("grant select, delete on {target} to …;")));
    }
    let refused = |part: &str, is: &str| {
        Failure::new("0A000", format!("{what} cannot be removed from {part}, which is {is}"))
    };
    if let Some(part) = parts.distributed {
        return Err(refused(&part, "distributed by Citus")
            .with_detail("Each node has rows at the same places: what is deleted by its place may be another row, or one copy of several.")
            .with_hint(format!("Of a table that is distributed by id, each shard has all rows of one: select * from run_command_on_shards('{part}', $$delete from %s where ctid in (select ctid from (select ctid, row_number() over (partition by id order by inserted_at) as n from %s) d where n > 1)$$);")));
    }
    if let Some(part) = parts.compressed {
        return Err(refused(&part, "a compressed chunk of TimescaleDB").with_hint(format!(
            "select decompress_chunk('{part}'); and compress it again afterwards."
        )));
    }
    if let Some(part) = parts.elsewhere {
        return Err(refused(&part, "a foreign table or a view")
            .with_detail("What is deleted there by its place may be another row.")
            .with_hint("Remove them where the rows are stored; for the other partitions of a target, add a pipeline whose target_table is one of them."));
    }
    if let Some((part, method)) = parts.in_no_heap {
        return Err(refused(&part, &format!("stored by the access method {method}"))
            .with_detail("Its rows may have no place by which they are found again.")
            .with_hint(format!("Copy the rows that are to stay into a new table, or convert {part} to heap: alter table … set access method heap; (from 15 on), or alter_table_set_access_method('{part}', 'heap') of Citus.")));
    }
    Ok(())
}

/// Checks that no prepared transaction holds rows of the target back: they would be taken for missing ones, and come
/// twice when it commits.
///
/// # Errors
/// 55000 where there is one.
pub fn check_nothing_prepared(target: &Target) -> Result<(), Failure> {
    let prepared = Parts::of(&target.sql_name, role::current_role())?.prepared()?;
    let Some(gid) = prepared else { return Ok(()) };
    Err(Failure::new("55000", format!("a prepared transaction holds rows of {} back", target.sql_name))
        .with_detail(format!("The transaction '{gid}' has written to it and is neither committed nor rolled back: what it inserted would be taken for missing."))
        .with_hint("commit prepared '…'; or rollback prepared '…'; in the database where it was prepared (pg_prepared_xacts). What a lost node of Citus has left: select recover_prepared_transactions();"))
}
