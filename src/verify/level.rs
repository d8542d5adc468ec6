//! How much of a row is compared.

use crate::error::Failure;

/// How much of a row is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Count,
    Hash,
    /// By hashes, down to the rows that differ.
    Keys,
}

impl Level {
    /// Reads the argument `level` of `verify`.
    ///
    /// # Errors
    /// 22023 for another word.
    pub fn parse(word: &str) -> Result<Level, Failure> {
        match word {
            "count" => Ok(Level::Count),
            "hash" => Ok(Level::Hash),
            "keys" => Ok(Level::Keys),
            _ => Err(Failure::argument(format!("level => '{word}' is not known"))
                .with_detail("It is 'count' (the numbers of rows and their times), 'hash' (the statements too) or 'keys' (which statements differ).")
                .with_hint("select * from lrs_extract.verify('2025-03-01', '2025-04-01', level => 'hash');")),
        }
    }
}
