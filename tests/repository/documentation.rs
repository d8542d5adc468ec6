//! The Markdown files: the README stays a first page, and each relative link leads to a file that is
//! there, and to a heading that is in it.

use std::path::{Path, PathBuf};

use crate::files;
use crate::markdown::{Page, Pages, from_root, leads_outside, pages};

const MOST_LINES_OF_README: usize = 150;

#[test]
fn the_readme_has_at_most_150_lines() {
    let lines = files::text(Path::new("README.md")).lines().count();
    assert!(lines <= MOST_LINES_OF_README, "README.md has {lines} lines");
}

#[test]
fn no_link_in_a_markdown_file_is_dead() {
    let pages = pages();
    let links: usize = pages.values().map(|page| page.links.len()).sum();
    assert!(pages.len() >= 10 && links >= 50, "{} pages, {links} links", pages.len());
    let dead = dead_links(&pages, |path| files::root().join(path).exists());
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn the_map_in_lib_rs_names_a_test_of_each_promise_and_all_of_them_exist() {
    let map = files::text(Path::new("src/lib.rs"));
    let promises = map.lines().filter(|line| {
        let number = line.strip_prefix("//! | ").and_then(|row| row.split_once(". "));
        number.is_some_and(|(number, _)| number.parse::<u8>().is_ok())
    });
    let untested: Vec<&str> =
        promises.clone().filter(|row| !row.trim_end().ends_with("`] |")).collect();
    assert!(promises.count() >= 8 && untested.is_empty(), "promises without a test: {untested:?}");
    let gone: Vec<&str> = map
        .lines()
        .filter_map(|line| line.split_once("]: ")?.1.strip_prefix("../"))
        .filter(|path| !files::root().join(path).exists())
        .collect();
    assert!(gone.is_empty(), "{gone:?}");
}

/// The links that lead nowhere, each with its page.
fn dead_links(pages: &Pages, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut dead = Vec::new();
    for (path, page) in pages {
        for link in page.links.iter().filter(|link| !leads_outside(link)) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => Some(path.clone()),
                _ => from_root(path, file).filter(|target| exists(target)),
            };
            // Anchors of other files, such as lines of a source, are not this test's.
            let is_there = target.is_some_and(|target| {
                let page = pages.get(&target);
                anchor.is_empty() || page.is_none_or(|page| page.has_anchor(anchor))
            });
            if !is_there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    dead
}

#[test]
fn a_link_to_a_missing_file_or_heading_is_dead() {
    let page =
        "# A\n[b](docs/b.md#two) [gone](docs/c.md) [no](docs/b.md#three) [self](#a) [out](../x)";
    let pages: Pages = [
        (PathBuf::from("a.md"), Page::of(page)),
        (PathBuf::from("docs/b.md"), Page::of("## Two\n[a](../a.md#a) [dead](../a.md#b)")),
    ]
    .into();
    let dead = dead_links(&pages, |path| pages.contains_key(path));
    assert_eq!(
        dead,
        ["a.md: docs/c.md", "a.md: docs/b.md#three", "a.md: ../x", "docs/b.md: ../a.md#b"]
    );
}
