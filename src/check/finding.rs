//! What a check has found.

use crate::error::Failure;
use std::collections::BTreeMap;

/// A check, in the order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Connection,
    Tls,
    Role,
    Table,
    Key,
    Index,
    Statistics,
    RowSecurity,
    Clock,
    Target,
    Mapping,
    Workers,
    Settings,
}

const ALL: [Name; 13] = [
    Name::Connection,
    Name::Tls,
    Name::Role,
    Name::Table,
    Name::Key,
    Name::Index,
    Name::Statistics,
    Name::RowSecurity,
    Name::Clock,
    Name::Target,
    Name::Mapping,
    Name::Workers,
    Name::Settings,
];

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Name::Connection => "connection",
            Name::Tls => "tls",
            Name::Role => "role",
            Name::Table => "table",
            Name::Key => "key",
            Name::Index => "index",
            Name::Statistics => "statistics",
            Name::RowSecurity => "row_security",
            Name::Clock => "clock",
            Name::Target => "target",
            Name::Mapping => "mapping",
            Name::Workers => "workers",
            Name::Settings => "settings",
        }
    }
}

/// A row of `check`.
#[derive(Clone, Debug)]
pub struct Finding {
    pub name: &'static str,
    /// `None`: it could not be looked at.
    pub ok: Option<bool>,
    pub found: String,
    /// What to type.
    pub advice: Option<String>,
}

/// For what fails without a hint of its own.
const NO_HINT: &str = "The log of the server that refused has more.";

/// The findings so far.
#[derive(Default)]
pub struct Findings(BTreeMap<Name, Finding>);

impl Findings {
    pub fn passes(&mut self, name: Name, found: impl Into<String>) {
        self.passes_with_advice(name, found, None);
    }

    /// The same of what works, and could be better.
    pub fn passes_with_advice(
        &mut self,
        name: Name,
        found: impl Into<String>,
        advice: Option<String>,
    ) {
        self.add(name, Some(true), found.into(), advice);
    }

    /// Says it in the words of the failure that a pull would meet. The first failure of a check stands.
    pub fn fails(&mut self, name: Name, failure: impl Into<Failure>) {
        let Failure { message, detail, hint, .. } = failure.into();
        let found = match detail {
            Some(detail) => format!("{message}. {detail}"),
            None => message,
        };
        self.add(name, Some(false), found, Some(hint.unwrap_or_else(|| NO_HINT.to_owned())));
    }

    /// Says that it could not be looked at, because `cause` failed.
    pub fn skip(&mut self, name: Name, cause: Name) {
        self.add(name, None, format!("not looked at: {} failed", cause.as_str()), None);
    }

    /// The same of all that were not looked at.
    pub fn skip_rest(&mut self, cause: Name) {
        // Beside the source, the stage is looked at in any case.
        let stage = [Name::Target, Name::Mapping, Name::Workers, Name::Settings];
        for name in ALL.into_iter().filter(|name| !stage.contains(name)) {
            self.skip(name, cause);
        }
    }

    pub fn has_failed(&self, name: Name) -> bool {
        self.0.get(&name).is_some_and(|finding| finding.ok == Some(false))
    }

    fn add(&mut self, name: Name, ok: Option<bool>, found: String, advice: Option<String>) {
        let finding = Finding { name: name.as_str(), ok, found, advice };
        match self.0.get(&name).map(|known| known.ok) {
            // A failure replaces what seemed to be right.
            Some(Some(true)) if ok == Some(false) => _ = self.0.insert(name, finding),
            Some(_) => {}
            None => _ = self.0.insert(name, finding),
        }
    }

    /// A row a check, in their order.
    pub fn into_rows(mut self) -> Vec<Finding> {
        self.skip_rest(Name::Connection);
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_of_a_check_stands() {
        let mut findings = Findings::default();
        findings.passes(Name::Mapping, "fits");
        findings.fails(Name::Mapping, Failure::argument("first"));
        findings.fails(Name::Mapping, Failure::argument("second"));
        findings.passes(Name::Mapping, "fits");
        findings.skip(Name::Mapping, Name::Target);
        let rows = findings.into_rows();
        let row = rows.iter().find(|row| row.name == "mapping").unwrap();
        assert_eq!((row.ok, &*row.found), (Some(false), "first"));
        assert_eq!(row.advice.as_deref(), Some(NO_HINT));
    }
}
