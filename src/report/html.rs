//! The report as one HTML page: no script, nothing loaded from anywhere, light or dark as the
//! reader's system is, fit to print.

mod page;
mod tables;

use super::Facts;
use super::findings::Findings;
use super::legible::legible;

/// Writes the page.
///
/// The templates escape whatever they are given; what is left that does not show is spelt out here,
/// in the whole page at once, so that no place can be forgotten.
pub fn render(facts: &Facts) -> String {
    let findings = Findings::new(facts);
    let page = page::page(facts, &findings).into_string();
    legible(&page).into_owned()
}

#[cfg(test)]
mod tests;
