//! This extension as the catalog has it: whose it is, and of which version its SQL objects are.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::{FromDatum, pg_sys};

/// The version of this library.
const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// Refuses to work with the SQL objects of another version: what they hold, and how, is another library's to know.
///
/// # Errors
/// 55000 with both versions, and what to type.
pub fn check_version() -> Result<(), Failure> {
    // SAFETY: the column is a text, read while the scan holds its row.
    let objects = unsafe {
        row(|tuple, descriptor| {
            let mut null = false;
            let column = pg_sys::Anum_pg_extension_extversion as i32;
            let version = pg_sys::heap_getattr(tuple, column, descriptor, &mut null);
            String::from_datum(version, null)
        })
    };
    // Without a row, it is being created or dropped.
    match objects.flatten() {
        Some(objects) if objects != LIBRARY => Err(differing(&objects)),
        _ => Ok(()),
    }
}

fn differing(objects: &str) -> Failure {
    let hint = if numbers(objects) < numbers(LIBRARY) {
        "alter extension lrs_extract update;".to_owned()
    } else {
        format!(
            "Reconnect: a session keeps the library that it began with. If the new session has the same error, install the package of version {objects} on this server."
        )
    };
    Failure::new("55000", "the library of lrs_extract is of another version than its SQL objects")
        .with_detail(format!(
            "The library is of version {LIBRARY}, the extension in this database of version {objects}."
        ))
        .with_hint(hint)
}

/// 0.10.2 comes after 0.9.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The owner of this extension. (That of its schema could be somebody else, who made it before.)
pub fn owner() -> pg_sys::Oid {
    // SAFETY: the fixed part of the row, read while the scan holds it.
    let owner = unsafe {
        row(|tuple, _| (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_extension>()).extowner)
    };
    owner.unwrap_or(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID))
}

/// Reads this extension's row of pg_extension as it is committed now; `None` where there is none.
///
/// # Safety
/// Inside a transaction. What `read` returns must not point into the row.
unsafe fn row<T>(read: impl FnOnce(pg_sys::HeapTuple, pg_sys::TupleDesc) -> T) -> Option<T> {
    // SAFETY: a catalog scan, its parts closed in reverse order; the tuple is read while the scan holds it.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"lrs_extract".as_ptr(), false);
        let relation =
            pg_sys::table_open(pg_sys::ExtensionRelationId, pg_sys::AccessShareLock as i32);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_oid as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(extension),
        );
        // 13's bindings have the number bare.
        #[allow(clippy::useless_conversion)]
        let index = pg_sys::Oid::from(pg_sys::ExtensionOidIndexId);
        let scan =
            pg_sys::systable_beginscan(relation, index, true, std::ptr::null_mut(), 1, &mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = (!tuple.is_null()).then(|| read(tuple, (*relation).rd_att));
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_library_is_told_from_a_newer_one() {
        let hint = |objects| differing(objects).hint.unwrap_or_default();
        for older in ["0.1.0", "0.1", "0.1.12"] {
            assert_eq!(hint(older), "alter extension lrs_extract update;", "{older}");
        }
        for newer in ["0.2.1", "0.10.0", "1.0"] {
            assert!(hint(newer).contains(&format!("version {newer}")), "{newer}");
        }
    }
}
