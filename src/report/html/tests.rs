use super::*;
use crate::report::sample;
use proptest::prelude::*;
use roxmltree::{Document, Node};

/// The body of the page, to be read as XML: stricter than any browser.
fn body(page: &str) -> &str {
    let begin = page.find("<body>").unwrap();
    let end = page.rfind("</body>").unwrap() + "</body>".len();
    &page[begin..end]
}

/// What the page's own templates are made of; anything else came from outside.
const ELEMENTS: &str = "body header main footer section div h1 h2 h3 p span strong i ul li dl dt dd figure \
     figcaption table caption thead tbody tr th td svg g title rect line path text";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_facts_make_a_well_formed_page_of_our_own_elements(facts in sample::any_facts()) {
        let page = render(&facts);
        let document = Document::parse(body(&page));
        prop_assert!(document.is_ok(), "{:?}", document.err());
        let document = document.unwrap();
        for node in document.descendants().filter(Node::is_element) {
            let name = node.tag_name().name();
            prop_assert!(ELEMENTS.split_whitespace().any(|e| e == name), "{}", name);
            for attribute in node.attributes() {
                prop_assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
            }
            if name == "rect" {
                let of = |name| node.attribute(name).unwrap().parse::<f64>().unwrap();
                prop_assert!(of("x") >= 0.0 && of("x") + of("width") <= 962.0);
                prop_assert!(of("y") >= 0.0 && of("height") >= 0.0);
            }
        }
        prop_assert!(page.len() < 600_000, "{}", page.len());
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = render(&sample::slowing(200));
    for foreign in ["<script", "http:", "https:", "src=", "href=", "url(", "@import", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.starts_with("<!DOCTYPE html>"));
}

#[test]
fn hostile_names_stay_text() {
    let mut facts = sample::slowing(50);
    let bite = "</td><script>alert('&')</script>";
    facts.run.pipeline = bite.into();
    facts.slices.iter_mut().for_each(|slice| slice.partition = bite.into());
    facts.rejects[0].example = format!("{bite}\u{202e}\u{1b}[31m");
    let page = render(&facts);
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert('&amp;')&lt;/script&gt;\\u{202E}\\x1B[31m"));
    let document = Document::parse(body(&page)).unwrap();
    let shown = document.descendants().filter(|n| n.text() == Some(bite)).count();
    assert!(shown >= facts.slices.len(), "{shown}");
}

#[test]
fn a_run_of_20000_batches_makes_a_small_page() {
    let page = render(&sample::slowing(20_000));
    assert!(page.len() < 150_000, "{}", page.len());
}

#[test]
fn what_the_bars_show_is_what_was_measured() {
    let facts = sample::slowing(200);
    let page = render(&facts);
    let document = Document::parse(body(&page)).unwrap();
    let drawings: Vec<_> = document.descendants().filter(|n| n.has_tag_name("svg")).collect();
    assert_eq!(drawings.len(), 4);
    assert!(drawings.iter().all(|d| d.attribute("aria-label").is_some_and(|l| l.len() > 20)));
    let is_insert = |n: &Node<'_, '_>| n.attribute("class") == Some("segment p-insert");
    let insert = document.descendants().find(is_insert).unwrap();
    let width: f64 = insert.attribute("width").unwrap().parse().unwrap();
    assert!((width / 960.0 - facts.shares.insert).abs() < 0.001, "{width}");
}
