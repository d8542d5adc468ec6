//! Lines within the terminal's width; whatever is put in.

use super::COLUMNS;
use super::table::Table;
use crate::report::legible::{cut_line, width, wrap};

const INDENT: &str = "  ";

/// The lines of a report in the making.
pub struct Lines(String);

impl Lines {
    pub fn new() -> Lines {
        Lines(String::new())
    }

    pub fn finish(self) -> String {
        self.0
    }

    /// A line as it is, its end cut where it is too wide.
    pub fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if width(line) > COLUMNS {
            self.0.push_str(&cut_line(line, COLUMNS));
        } else {
            self.0.push_str(line);
        }
        self.0.push('\n');
    }

    pub fn blank(&mut self) {
        self.line("");
    }

    /// The title of a section, ruled to the right edge.
    pub fn heading(&mut self, title: &str) {
        self.blank();
        let rule = "─".repeat(COLUMNS.saturating_sub(width(title) + 1));
        self.line(&format!("{title} {rule}"));
    }

    /// A text of any length, indented; its lines after the first by `hang` columns more.
    pub fn say(&mut self, lead: &str, text: &str) {
        let hang = " ".repeat(width(lead));
        let columns = COLUMNS - INDENT.len() - width(lead);
        for (n, line) in wrap(text, columns).iter().enumerate() {
            let lead = if n == 0 { lead } else { &hang };
            self.line(&format!("{INDENT}{lead}{line}"));
        }
    }

    /// The same, with no more than the beginning of a very long text.
    pub fn say_briefly(&mut self, lead: &str, text: &str) {
        self.say(lead, &crate::report::legible::shorten(text, 1_000));
    }

    pub fn table(&mut self, table: &Table) {
        for line in table.lines(COLUMNS - INDENT.len()) {
            self.line(&format!("{INDENT}{line}"));
        }
    }
}
