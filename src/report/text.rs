//! The report as text: lines of at most 100 columns, as psql shows them in any terminal.

mod bar;
mod lines;
mod sections;
mod table;

use super::Facts;
use super::findings::Findings;
use lines::Lines;

/// No line is wider.
pub const COLUMNS: usize = 100;

/// Writes the report; each line ends with a line feed.
pub fn render(facts: &Facts) -> String {
    let findings = Findings::new(facts);
    let mut lines = Lines::new();
    sections::head(facts, &findings, &mut lines);
    sections::call(facts, &mut lines);
    sections::time(facts, &mut lines);
    sections::course(facts, &findings, &mut lines);
    sections::partitions(facts, &mut lines);
    sections::slowest(facts, &mut lines);
    sections::slices(facts, &mut lines);
    sections::rejects(facts, &mut lines);
    sections::stage(facts, &mut lines);
    sections::next(&findings, &mut lines);
    lines.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::legible::width;
    use crate::report::{any, sample};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_line_is_wider_than_the_terminal(facts in any::facts()) {
            for line in render(&facts).lines() {
                prop_assert!(width(line) <= COLUMNS, "{} {:?}", width(line), line);
                prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            }
        }
    }

    #[test]
    fn the_text_of_a_long_run_is_short() {
        let text = render(&sample::slowing(20_000));
        assert!(text.lines().count() < 110, "{text}");
    }

    #[test]
    fn the_text_answers_the_questions() {
        let text = render(&sample::slowing(200));
        for wanted in [
            "run 42",
            "Done: ",
            "Where the time went",
            "It slowed down",
            "acid.lrs_statement_2025_03",
            "Slowest batches",
            "22P02",
            "What to do next",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }

    #[test]
    fn an_error_is_told_with_detail_and_hint() {
        let text = render(&sample::failed(200, 0.4));
        for wanted in ["53100", "could not extend file", "While pulling", "Check free disk space."]
        {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}
