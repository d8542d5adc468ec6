//! The report as text: lines of at most 100 columns, as psql shows them in any terminal.

mod bar;
mod table;

use super::content::{self, Table};
use super::course::Course;
use super::facts::Facts;
use super::legible::{cut, shorten, width, wrap};
use super::parts::{Part, Parts};
use super::words::{self, percent, span};
use bar::{bar, heights};

/// No line is wider.
const COLUMNS: usize = 100;
const INDENT: &str = "  ";
/// Of the slices, so many are listed.
const MOST_SLICES: usize = 24;
/// Errors and advice are cut at this many characters.
const MOST_CHARACTERS: usize = 1_000;

/// Writes the report; each line ends with a line feed.
pub fn render(facts: &Facts) -> String {
    let mut page = Page(String::new());
    page.head(facts);
    page.heading("Where the time went");
    page.time(facts);
    page.heading("Over time");
    page.over_time(facts);
    page.heading("Slices");
    page.table(&content::slices(facts, MOST_SLICES));
    content::warnings(facts).iter().for_each(|warning| page.say("", warning));
    if let Some(rejects) = content::rejects(facts) {
        page.heading("Rejected rows");
        page.table(&rejects);
    }
    page.heading("The run (times are UTC)");
    page.pairs(&content::run(facts));
    page.heading("The stage during the run");
    page.pairs(&content::stage(facts));
    page.0
}

/// The lines of a report in the making; whatever is put in, none is too wide.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(&cut(line.trim_end(), COLUMNS));
        self.0.push('\n');
    }

    /// The title of a section, ruled to the right edge.
    fn heading(&mut self, title: &str) {
        let rule = "─".repeat(COLUMNS.saturating_sub(width(title) + 1));
        self.line("");
        self.line(&format!("{title} {rule}"));
    }

    /// A text of some length, indented; its lines after the first as deep as the first one's text.
    fn say(&mut self, lead: &str, text: &str) {
        let hang = " ".repeat(width(lead));
        let columns = COLUMNS - INDENT.len() - width(lead);
        for (n, line) in wrap(&shorten(text, MOST_CHARACTERS), columns).iter().enumerate() {
            let lead = if n == 0 { lead } else { &hang };
            self.line(&format!("{INDENT}{lead}{line}"));
        }
    }

    fn pairs(&mut self, pairs: &[(&str, String)]) {
        pairs.iter().for_each(|(name, value)| self.say(&format!("{name:<15}"), value));
    }

    fn table(&mut self, table: &Table) {
        for line in table::lines(table, COLUMNS - INDENT.len()) {
            self.line(&format!("{INDENT}{line}"));
        }
        table.remark.iter().for_each(|remark| self.say("", remark));
    }

    fn head(&mut self, facts: &Facts) {
        let run = &facts.run;
        let title =
            format!("lrs_extract: run {} of pipeline {}", run.run_id, cut(&run.pipeline, 50));
        let state = content::state(run.state).to_uppercase();
        let gap = COLUMNS.saturating_sub(width(&title) + width(&state)).max(2);
        self.line(&format!("{title}{}{state}", " ".repeat(gap)));
        self.line(&"═".repeat(COLUMNS));
        self.say("", &content::headline(facts));
        self.line(&format!("{INDENT}{} {}", bar(run.share_done, 60), percent(run.share_done)));
        if let Some(error) = &run.error {
            let sqlstate = run.sqlstate.as_deref().unwrap_or_default();
            self.line("");
            self.say("ERROR   ", &format!("{sqlstate}: {error}"));
            for (lead, text) in [("DETAIL  ", &run.detail), ("HINT    ", &run.hint)] {
                text.iter().for_each(|text| self.say(lead, text));
            }
        }
    }

    fn time(&mut self, facts: &Facts) {
        let parts = Parts::from(&facts.shares);
        for part in Part::ALL.into_iter().filter(|_| parts.total() > 0.0) {
            let share = parts.share(part);
            self.line(&format!(
                "{INDENT}{:<10}{} {:>7}  {}",
                part.name(),
                bar(share, 32),
                percent(share),
                part.description()
            ));
        }
        self.say(
            "",
            &format!("Verdict: {}. {}", cut(&facts.shares.verdict, 20), facts.shares.advice),
        );
    }

    /// The rate and the batches as bars over time, and the quarters.
    fn over_time(&mut self, facts: &Facts) {
        const STEPS: usize = 84;
        let Some(course) = Course::new(facts, STEPS) else {
            return self.say("", "No batch was committed.");
        };
        let seconds = course.bin_seconds();
        let rates: Vec<f64> = course.bins.iter().map(|bin| bin.rows / seconds).collect();
        let of_a_batch = |bin: &super::course::Bin| bin.parts_of_a_batch().unwrap_or_default();
        let times: Vec<f64> = course.bins.iter().map(|bin| of_a_batch(bin).total()).collect();
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        self.line(&format!("{INDENT}rows/s       {}", heights(&rates)));
        self.line(&format!("{INDENT}time/batch   {}", heights(&times)));
        self.line(&format!(
            "               a column: {} from {} on; full height: {} rows/s, {}",
            span(seconds),
            words::clock(course.from),
            words::number(most(&rates)),
            words::millis(most(&times)),
        ));
        if let Some(quarters) = content::quarters(facts) {
            self.line("");
            self.table(&quarters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_line_is_wider_than_the_terminal(facts in sample::any_facts()) {
            for line in render(&facts).lines() {
                prop_assert!(width(line) <= COLUMNS, "{} {:?}", width(line), line);
                prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            }
        }
    }

    #[test]
    fn the_text_of_a_long_run_fits_two_screens() {
        let text = render(&sample::slowing(20_000));
        assert!(text.lines().count() < 75, "{text}");
    }

    #[test]
    fn an_error_is_told_with_detail_and_hint() {
        let text = render(&sample::failed(200));
        for wanted in ["53100: could not extend", "While pulling", "Check free disk space."] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}
