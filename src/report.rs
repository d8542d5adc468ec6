//! What one run was like, for the operator: how far, how fast, where the time went,
//! and whether it changed over time.
//!
//! In: the [`Facts`] of a run, as the ledger has them. Out: text for a terminal of 100 columns, or
//! one HTML page that needs nothing but itself. Names and messages come from anywhere and are
//! taken for hostile: escaped, made visible, cut. The advice is that of the view
//! `bottleneck`, in its words. Pure Rust, no clock: the same facts make the same
//! report. Called by `api`.
//!
//! | module | what it does |
//! | --- | --- |
//! | `facts` | what the ledger knows of a run |
//! | `parts`, `course` | the time of a batch by what it was spent on; batches summed over time |
//! | `content` | sentences, lists and tables: the same in the text and on the page |
//! | `text`, `html`, `plot` | the text; the page, and its drawings |
//! | `words`, `legible` | numbers in words; foreign text made fit to print |

mod content;
mod course;
mod facts;
mod html;
mod legible;
mod parts;
mod plot;
#[cfg(test)]
mod sample;
mod text;
mod words;

pub use facts::Facts;

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of at most 100 columns, for psql.
    Text,
    /// One HTML page with its drawings inside.
    Html,
}

impl Format {
    /// Reads the argument `format` of the SQL function.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Format::Text),
            "html" => Some(Format::Html),
            _ => None,
        }
    }
}

/// Writes the report of a run.
pub fn render(facts: &Facts, format: Format) -> String {
    match format {
        Format::Text => text::render(facts),
        Format::Html => html::render(facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_one_of_two_words() {
        assert_eq!(Format::parse("text"), Some(Format::Text));
        assert_eq!(Format::parse("html"), Some(Format::Html));
        assert_eq!(Format::parse("HTML"), None);
    }
}
