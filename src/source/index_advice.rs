//! What to type on the source for an index that serves a walk by key.

use super::describe::Table;
use super::sql::quote_identifier;

/// Statements that are spelled out.
const MOST: usize = 8;

/// How to create the index for these partitions, in words or in statements that run as they stand: a
/// partition that is partitioned itself cannot have one made concurrently, but its parts can.
pub fn index_advice(table: &Table, partitions: &[&str]) -> String {
    let named = partitions.join(", ");
    let columns = [&table.names.timestamp, &table.names.actor].map(|c| quote_identifier(c));
    let columns = columns.join(", ");
    match table.kind {
        b'v' => {
            return format!(
                "{named} is a view: create the index on the table below it, on the columns that are {columns} here"
            );
        }
        b'f' => {
            return format!(
                "{named} is a foreign table: create the index on ({columns}) where its rows are"
            );
        }
        _ => {}
    }
    let leaves: Vec<String> = partitions.iter().flat_map(|name| table.leaves_below(name)).collect();
    let mut statements: Vec<String> = leaves
        .iter()
        .take(MOST)
        .map(|leaf| format!("create index concurrently on {leaf} ({columns});"))
        .collect();
    if leaves.len() > MOST {
        statements.push(format!("-- and so on, for {} parts of {named}", leaves.len()));
    }
    format!("Create one on the source: {}", statements.join(" "))
}
