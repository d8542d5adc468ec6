//! The source's version: the oldest that can be read, and the refusal of what is older.

use super::error::SourceError;

/// `server_version_num` of the oldest source.
pub(super) const OLDEST: i32 = 130_000;

/// What a server says of its version as it lets a client in.
pub(super) const PARAMETER: &str = "server_version";

/// Asks for the name of the product, which may be another one.
pub(super) const PRODUCT: &str = "select pg_catalog.version()";

/// `server_version_num` of such a text: "9.6.24", "15.6 (Debian 15.6-1)", "17beta1".
pub(super) fn number(said: &str) -> Option<i32> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let mut parts = said.split('.').map(|part| digits(part).parse::<i32>().ok());
    let major = parts.next()??;
    let mut next = || parts.next().flatten().unwrap_or(0);
    // From 10 on, a version has two parts.
    let rest = if major < 10 { next().min(99) * 100 + next().min(99) } else { next().min(9_999) };
    major.checked_mul(10_000)?.checked_add(rest)
}

fn text(version: i32) -> String {
    let (major, rest) = (version / 10_000, version % 10_000);
    if major < 10 {
        return format!("{major}.{}.{}", rest / 100, rest % 100);
    }
    format!("{major}.{rest}")
}

/// The refusal of a source of that version, met while doing `action`; `said` is the [`PARAMETER`],
/// `product` the answer to [`PRODUCT`].
pub(super) fn too_old(
    action: &str,
    version: i32,
    said: Option<&str>,
    product: Option<&str>,
) -> SourceError {
    let version = match said {
        Some(said) if number(said) == Some(version) => said.to_owned(),
        _ => text(version),
    };
    let message =
        format!("the source is PostgreSQL {version}; lrs_extract needs PostgreSQL 13 or later");
    let error = SourceError::permanent(action, "0A000", message).with_hint("Upgrade the source, or name a server of PostgreSQL 13 or later that has the same rows: alter server … options (set host '…', set port '…');");
    match product {
        Some(product) => error.with_detail(format!("The source calls itself \"{product}\".")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_however_they_are_written() {
        for (said, version) in [
            ("8.0.2", Some(80_002)),
            ("9.6.24", Some(90_624)),
            ("9.6", Some(90_600)),
            ("12.19 (Debian 12.19-1.pgdg110+1)", Some(120_019)),
            ("11.2-YB-2.20.1.0-b0", Some(110_002)),
            ("13.0", Some(130_000)),
            ("17beta1", Some(170_000)),
            ("19devel", Some(190_000)),
            ("", None),
            ("Console", None),
            ("99999999.1", None),
        ] {
            assert_eq!(number(said), version, "{said}");
        }
    }

    #[test]
    fn a_refusal_names_the_version_that_was_found() {
        let refused = |said| too_old("x", 90_624, said, None).message;
        assert!(refused(None).contains("PostgreSQL 9.6.24; "));
        assert!(refused(Some("9.6.24 (Ubuntu)")).contains("9.6.24 (Ubuntu); "));
        // Who stands between says something else.
        assert!(refused(Some("15.2")).contains("PostgreSQL 9.6.24; "));
        assert!(too_old("x", 120_019, None, None).message.contains("PostgreSQL 12.19; "));
    }
}
