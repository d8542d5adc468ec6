//! The outside of a value: the varlena header, and compression where it is worth it.
//!
//! In: a value's content, such as [`super::jsonb`]'s. Out: the complete datum, ready to be copied
//! to an aligned place: with a plain 4-byte header, or compressed inline. Sources:
//! `src/include/varatt.h` (`postgres.h` before 16), `toast_compress_datum` in
//! `src/backend/access/common/toast_internals.c`, `toast_compression.c` beside it.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::pglz::Compressor;
use serde::{Deserialize, Serialize};

/// The size, in bytes and with its header, from which a tuple is toasted: `TOAST_TUPLE_THRESHOLD`
/// for pages of 8 kB (`src/include/access/heaptoast.h`). Below it the server stores values plain,
/// and so should the caller.
pub const TUPLE_THRESHOLD: usize = 2_032;

/// How a column's values are compressed (`pg_attribute.attcompression`, or the setting
/// `default_toast_compression`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// PostgreSQL's own.
    Pglz,
    /// LZ4 blocks, which servers know from 14 on, if they were built with it.
    Lz4,
}

/// A server that cannot read what it would be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PostgreSQL {major} cannot read lz4: it came with 14")]
pub struct UnknownMethod {
    /// The server's major version.
    pub major: u32,
}

/// Whether the value was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A 4-byte header and the content.
    Plain,
    /// Compressed inline.
    Compressed,
}

/// The last bits of a 4-byte header's first byte, little-endian: bit 1 says "compressed".
const COMPRESSED: u32 = 0b10;
/// The compressed header: length and raw size.
const COMPRESSED_HEADER: usize = 8;
const PLAIN_HEADER: usize = 4;
/// The method stands above the raw size's 30 bits. A 13 has no method there, and the bits it reads
/// as size are pglz' zeros: the same word.
const METHOD_SHIFT: u32 = 30;
/// The largest content that a varlena can hold.
pub const MAX_CONTENT: usize = (1 << 30) - 1 - COMPRESSED_HEADER;

/// A maker of datums. One a thread, kept from value to value.
pub struct Toaster {
    method: Method,
    pglz: Compressor,
    lz4: CompressTable,
}

impl Toaster {
    /// A maker for a column with this method, on a server of this major version.
    ///
    /// # Errors
    ///
    /// [`UnknownMethod`] where the server cannot read the method.
    pub fn new(method: Method, server_major: u32) -> Result<Self, UnknownMethod> {
        if method == Method::Lz4 && server_major < 14 {
            return Err(UnknownMethod { major: server_major });
        }
        Ok(Self { method, pglz: Compressor::new(), lz4: CompressTable::small() })
    }

    /// Appends the datum of `content`, compressed if it is worth it, to `out`.
    ///
    /// Worth it means, for lz4, the server's rule: smaller by more than two bytes, header
    /// included. A "compressed" datum that is not smaller would be read as plain once it goes out
    /// of line, so this is a matter of correctness. For pglz the server asks for a quarter saved;
    /// here an eighth is enough, on purpose: this compressor finds a little less than the server's,
    /// and a value that fell between the two would go to the server plain, to be compressed there
    /// at several times the cost. Below an eighth it does go there plain, and the server decides.
    pub fn compressed(&mut self, content: &[u8], out: &mut Vec<u8>) -> Form {
        debug_assert!(content.len() <= MAX_CONTENT);
        let start = out.len();
        out.extend_from_slice(&[0; COMPRESSED_HEADER]);
        let size = match self.method {
            Method::Pglz => {
                pglz_limit(content.len()).and_then(|limit| self.pglz.compress(content, limit, out))
            }
            Method::Lz4 => compress_lz4(&mut self.lz4, content, out),
        };
        let Some(size) = size else {
            out.truncate(start);
            return plain(content, out);
        };
        let header = ((COMPRESSED_HEADER + size) as u32) << 2 | COMPRESSED;
        let method = match self.method {
            Method::Pglz => 0,
            Method::Lz4 => 1 << METHOD_SHIFT,
        };
        let info = content.len() as u32 | method;
        out[start..start + 4].copy_from_slice(&header.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&info.to_le_bytes());
        Form::Compressed
    }
}

/// Appends the datum of `content` as it is to `out`.
pub fn plain(content: &[u8], out: &mut Vec<u8>) -> Form {
    debug_assert!(content.len() <= MAX_CONTENT);
    let header = ((PLAIN_HEADER + content.len()) as u32) << 2;
    out.extend_from_slice(&header.to_le_bytes());
    out.extend_from_slice(content);
    Form::Plain
}

/// The largest compressed size, without header, that a datum may have to be stored at all:
/// `VARSIZE(compressed) < content - 2`.
fn limit(content: usize) -> Option<usize> {
    content.checked_sub(COMPRESSED_HEADER + 3)
}

/// The largest compressed size worth storing as pglz: an eighth saved, header included.
fn pglz_limit(content: usize) -> Option<usize> {
    let eighth_saved = (content - content / 8).checked_sub(COMPRESSED_HEADER)?;
    limit(content).map(|limit| limit.min(eighth_saved))
}

/// Appends the lz4 block to `out` if it is small enough.
fn compress_lz4(table: &mut CompressTable, content: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let limit = limit(content.len())?;
    let start = out.len();
    out.resize(start + get_maximum_output_size(content.len()), 0);
    let size = compress_into_with_table(content, &mut out[start..], table).ok();
    let size = size.filter(|size| *size <= limit);
    out.truncate(start + size.unwrap_or(0));
    size
}

impl std::fmt::Debug for Toaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toaster").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
