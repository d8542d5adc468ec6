//! How the statements of a pipeline become hashes that are the same on both sides.

use super::connect::Session;
use super::describe::StatementKind;
use super::error::SourceError;
use super::sql::quote_literal;

/// What statements are hashed with: both sides must have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    Md5,
    /// Where md5 is not to be had, as in FIPS mode.
    Sha256,
}

impl Digest {
    /// A query that fails where md5 is not to be had.
    pub const ASK: &'static str = "select pg_catalog.md5(''::pg_catalog.text)";

    /// What the source has, where the stage has `stage`.
    ///
    /// # Errors
    /// [`SourceError`] as the source reports it.
    pub fn of_both(stage: Digest, session: &mut Session) -> Result<Digest, SourceError> {
        if stage == Digest::Sha256 {
            return Ok(stage);
        }
        match session.one("ask the source for md5", Digest::ASK) {
            Ok(_) => Ok(Digest::Md5),
            Err(_) if !session.is_closed() => Ok(Digest::Sha256),
            Err(error) => Err(error),
        }
    }
}

/// How the statements of a pipeline become text that is the same on both sides, and hashes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementHash {
    kind: StatementKind,
    /// Whether jsonb has the same order of keys on both sides.
    same_order: bool,
    /// What the mapping puts in the place of no statement.
    default: Option<String>,
    digest: Digest,
}

impl StatementHash {
    /// For statements of `kind` in a source database of `encoding`.
    pub fn new(
        kind: StatementKind,
        encoding: &str,
        default: Option<&str>,
        digest: Digest,
    ) -> StatementHash {
        StatementHash {
            kind,
            // jsonb keeps keys by the length and value of their bytes. SQL_ASCII is bytes as they
            // are, and what arrived at the stage was UTF-8.
            same_order: matches!(encoding, "UTF8" | "SQL_ASCII"),
            default: default.map(quote_literal),
            digest,
        }
    }

    /// The hash of the source's `column`.
    pub fn of_source(&self, column: &str) -> String {
        self.of_jsonb(&self.source_jsonb(column))
    }

    /// The hash of the target's `column`, be it jsonb, json or text.
    pub fn of_target(&self, column: &str) -> String {
        self.of_jsonb(&as_jsonb(column))
    }

    /// The hash of a text `column` that has the statements as the source sent them.
    pub fn of_sent(&self, column: &str) -> String {
        match self.kind {
            // It is jsonb's text already, and the stage's jsonb may not be able to hold it.
            StatementKind::Jsonb if self.same_order => self.of_text(&match &self.default {
                Some(default) => {
                    format!("coalesce({column}, {default}::pg_catalog.jsonb::pg_catalog.text)")
                }
                None => column.to_owned(),
            }),
            _ => self.of_jsonb(&as_jsonb(column)),
        }
    }

    /// The statement's id in the source's `column`, as text.
    pub fn id_of_source(&self, column: &str) -> String {
        id_of(&self.source_jsonb(column))
    }

    fn source_jsonb(&self, column: &str) -> String {
        match self.kind {
            StatementKind::Jsonb => column.to_owned(),
            StatementKind::Text => as_jsonb(column),
        }
    }

    fn of_jsonb(&self, value: &str) -> String {
        let value = match &self.default {
            Some(default) => format!("coalesce({value}, {default}::pg_catalog.jsonb)"),
            None => value.to_owned(),
        };
        if self.same_order {
            return self.of_text(&format!("({value})::pg_catalog.text"));
        }
        let bytes = include_str!("../../sql/compare/statement_paths.sql");
        self.of_bytes(&bytes.replace("{value}", &value))
    }

    fn of_text(&self, text: &str) -> String {
        match self.digest {
            Digest::Md5 => hash(include_str!("../../sql/compare/hash_md5.sql"), text),
            // The bytes as they are.
            Digest::Sha256 => self.of_bytes(&format!(
                "pg_catalog.convert_to({text}, pg_catalog.getdatabaseencoding())"
            )),
        }
    }

    fn of_bytes(&self, bytes: &str) -> String {
        hash(
            match self.digest {
                Digest::Md5 => include_str!("../../sql/compare/hash_md5.sql"),
                Digest::Sha256 => include_str!("../../sql/compare/hash_sha256.sql"),
            },
            bytes,
        )
    }
}

/// The statement's id in a `column` of the stage, be it jsonb, json or text.
pub fn id_of_stage(column: &str) -> String {
    id_of(&as_jsonb(column))
}

fn id_of(value: &str) -> String {
    format!("({value}) operator(pg_catalog.->>) 'id'")
}

fn as_jsonb(column: &str) -> String {
    format!("{column}::pg_catalog.jsonb")
}

fn hash(template: &str, value: &str) -> String {
    template.replace("{value}", value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: StatementKind, encoding: &str, default: Option<&str>) -> StatementHash {
        StatementHash::new(kind, encoding, default, Digest::Md5)
    }

    #[test]
    fn statements_are_hashed_as_jsonb_on_both_sides() {
        let jsonb = of(StatementKind::Jsonb, "UTF8", None);
        assert!(jsonb.of_source("\"s\"").contains("(\"s\")::pg_catalog.text"));
        assert!(jsonb.of_sent("s").contains("coalesce(s, '')"));
        let text = of(StatementKind::Text, "UTF8", None);
        assert!(text.of_source("\"s\"").contains("(\"s\"::pg_catalog.jsonb)::pg_catalog.text"));
        assert_eq!(text.of_source("x"), text.of_target("x"));
        assert_eq!(text.of_source("x"), text.of_sent("x"));
    }

    #[test]
    fn another_encoding_takes_the_order_of_keys_out_of_the_hash() {
        for (encoding, by_path) in [("UTF8", false), ("SQL_ASCII", false), ("EUC_KR", true)] {
            let hash = of(StatementKind::Jsonb, encoding, None);
            assert_eq!(hash.of_source("x").contains("recursive"), by_path, "{encoding}");
            assert_eq!(hash.of_target("x").contains("recursive"), by_path, "{encoding}");
            assert_eq!(hash.of_sent("x").contains("recursive"), by_path, "{encoding}");
        }
    }

    #[test]
    fn the_mappings_default_stands_in_for_no_statement() {
        let hash = of(StatementKind::Jsonb, "UTF8", Some("{\"a\": 'b'}"));
        for sql in [hash.of_source("x"), hash.of_target("x"), hash.of_sent("x")] {
            assert!(sql.contains("'{\"a\": ''b''}'::pg_catalog.jsonb"), "{sql}");
        }
    }

    #[test]
    fn without_md5_no_hash_needs_it() {
        for encoding in ["UTF8", "EUC_KR"] {
            let hash = StatementHash::new(StatementKind::Jsonb, encoding, None, Digest::Sha256);
            for sql in [hash.of_source("x"), hash.of_target("x"), hash.of_sent("x")] {
                assert!(sql.contains("sha256(") && !sql.contains("md5("), "{sql}");
            }
        }
    }
}
