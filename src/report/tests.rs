use super::*;

#[test]
fn the_words_of_the_ledger_are_read_back() {
    for state in [
        RunState::Running,
        RunState::Done,
        RunState::Failed,
        RunState::Cancelled,
        RunState::Interrupted,
    ] {
        assert_eq!(RunState::parse(state.as_str()), Some(state));
    }
    assert_eq!(RunState::parse("Done"), None);
    assert_eq!(SliceState::parse("running"), Some(SliceState::Running));
    assert_eq!(SliceState::parse("partial"), None);
}

#[test]
fn the_format_is_one_of_its_words() {
    for word in Format::WORDS {
        assert!(Format::parse(word).is_some());
    }
    assert_eq!(Format::parse("pdf"), None);
}

#[test]
fn the_order_of_the_facts_changes_nothing() {
    let facts = sample::slowing(120);
    let mut turned = facts.clone();
    turned.batches.reverse();
    turned.slices.reverse();
    assert_eq!(render(&facts, Format::Text), render(&turned, Format::Text));
}
