//! All places that the rows of some blocks can have, as an array of tid.

use bytes::{BufMut, BytesMut};
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres_protocol::types::{ArrayDimension, array_to_sql};
use std::error::Error;
use std::ops::Range;

/// The places of blocks, for `ctid = any (…)` on a server that has no TID Range Scan. Sent in binary:
/// an array in text costs the source more than the rows do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    blocks: Range<u32>,
    /// Line pointers that a block can have.
    a_block: u16,
}

impl Places {
    pub fn of(blocks: Range<u32>, block_size: u32) -> Places {
        Places { blocks, a_block: most_line_pointers(block_size) }
    }
}

/// As many as there are in a page of tuples without data: `MaxHeapTuplesPerPage` of
/// `access/htup_details.h`. The server refuses to add more, dead ones included.
fn most_line_pointers(block_size: u32) -> u16 {
    const PAGE_HEADER: u32 = 24;
    const TUPLE_HEADER: u32 = 24;
    const LINE_POINTER: u32 = 4;
    let most = block_size.saturating_sub(PAGE_HEADER) / (TUPLE_HEADER + LINE_POINTER);
    u16::try_from(most).unwrap_or(u16::MAX)
}

impl ToSql for Places {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let len = self.blocks.len() * usize::from(self.a_block);
        let dimension = ArrayDimension { len: i32::try_from(len)?, lower_bound: 1 };
        let places =
            self.blocks.clone().flat_map(|block| (1..=self.a_block).map(move |n| (block, n)));
        out.reserve(len * 10);
        array_to_sql(
            [dimension],
            Type::TID.oid(),
            places,
            |(block, number), out| {
                out.put_u32(block);
                out.put_u16(number);
                Ok(postgres_protocol::IsNull::No)
            },
            out,
        )?;
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TID_ARRAY
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_as_many_places_as_the_server_says() {
        // MaxHeapTuplesPerPage of blocks of 8 kB and 32 kB.
        assert_eq!(most_line_pointers(8_192), 291);
        assert_eq!(most_line_pointers(32_768), 1_169);
    }

    #[test]
    fn an_array_holds_every_place_of_its_blocks() {
        let mut out = BytesMut::new();
        Places::of(7..9, 8_192).to_sql(&Type::TID_ARRAY, &mut out).expect("an array");
        // Dimensions, nulls, element type; length and lower bound; then (length, block, number).
        assert_eq!(out.len(), 12 + 8 + 2 * 291 * 10);
        assert_eq!(out[12..16], 582_u32.to_be_bytes());
        assert_eq!(out[20..30], [0, 0, 0, 6, 0, 0, 0, 7, 0, 1]);
        assert_eq!(out[out.len() - 6..], [0, 0, 0, 8, 1, 35]);
    }
}
