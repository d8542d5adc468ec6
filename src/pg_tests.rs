//! Tests inside a server: what needs its catalogs, its types or a transaction, but no second
//! session. Whatever needs commits, crashes or two servers is in `tests/integration`.

mod catalog;
mod check;
mod coverage;
mod duplicates;
mod encoding;
mod interrupts;
mod load;
mod roles;
#[cfg(feature = "pg_test")]
pub mod stand_in;
mod values;
