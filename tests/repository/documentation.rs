//! The Markdown files: the README stays a first page, and each relative link leads to a file that is
//! there, and to a heading that is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::files;

const MOST_LINES_OF_README: usize = 150;

#[test]
fn the_readme_has_at_most_150_lines() {
    let lines = files::text(Path::new("README.md")).lines().count();
    assert!(lines <= MOST_LINES_OF_README, "README.md has {lines} lines");
}

#[test]
fn no_link_in_a_markdown_file_is_dead() {
    let pages: Pages = files::with_extension("", "md")
        .into_iter()
        .map(|path| {
            let page = Page::of(&files::text(&path));
            (path, page)
        })
        .collect();
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

/// The pages by their paths from the root.
type Pages = BTreeMap<PathBuf, Page>;

/// What one page offers to links, and asks of them.
struct Page {
    /// The anchors that GitHub gives its headings.
    anchors: BTreeSet<String>,
    /// Where its links lead, as written; without those that leave the repository.
    links: Vec<String>,
}

impl Page {
    fn of(markdown: &str) -> Page {
        let text = without_fences(markdown);
        let mut anchors = BTreeSet::new();
        for slug in text.lines().filter_map(heading).map(slug) {
            // The second heading of the same words gets -1, the third -2.
            let numbered = (1..).map(|n| format!("{slug}-{n}"));
            let free = std::iter::once(slug.clone()).chain(numbered).find(|s| !anchors.contains(s));
            anchors.extend(free);
        }
        let prose: Vec<String> = text.split("\n\n").map(without_code_spans).collect();
        Page { anchors, links: links(&prose.join("\n\n")) }
    }
}

/// The links that lead nowhere, each with its page.
fn dead_links(pages: &Pages, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut dead = Vec::new();
    for (path, page) in pages {
        for link in &page.links {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => Some(path.clone()),
                _ => from_root(path, file).filter(|target| exists(target)),
            };
            // Anchors of other files, such as lines of a source, are not this test's.
            let is_there = target.is_some_and(|target| {
                let page = pages.get(&target);
                anchor.is_empty() || page.is_none_or(|page| page.anchors.contains(anchor))
            });
            if !is_there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    dead
}

/// The path from the root of what `page` calls `link`; `None` outside the repository.
fn from_root(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path = page.parent()?.to_owned();
    for component in Path::new(link).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

/// The text without its fenced blocks, in which a # begins a comment and brackets are code.
fn without_fences(markdown: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// A paragraph without its code spans: each runs to the next as many backticks as it began with.
fn without_code_spans(paragraph: &str) -> String {
    let mut text = String::new();
    let mut rest = paragraph;
    while let Some(begin) = rest.find('`') {
        text.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let fence = &rest[..rest.len() - rest.trim_start_matches('`').len()];
        rest = &rest[fence.len()..];
        if let Some(length) = rest.find(fence) {
            rest = &rest[length + fence.len()..];
        }
    }
    text + rest
}

/// The words of a heading.
fn heading(line: &str) -> Option<&str> {
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    ((1..=6).contains(&level) && words.starts_with(' ')).then(|| words.trim())
}

/// The anchor that GitHub makes of a heading: letters, digits, hyphens and underscores in lower
/// case, a hyphen for each blank, and nothing of the rest.
fn slug(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    heading.to_lowercase().chars().filter_map(kept).collect()
}

/// Where the links and images of a text lead, in Markdown and in HTML, inside the repository.
fn links(text: &str) -> Vec<String> {
    let inside = |begin: &str, end: &[char]| -> Vec<String> {
        let parts = text.split(begin).skip(1);
        parts.filter_map(|part| part.split(end).next()).map(str::to_owned).collect()
    };
    let mut found = inside("](", &[')', ' ', '\n']);
    found.extend(inside("src=\"", &['"']));
    found.extend(inside("href=\"", &['"']));
    found.retain(|link| !link.contains("://") && !link.starts_with("mailto:"));
    found
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

#[test]
fn anchors_are_those_of_github() {
    let page =
        Page::of("# `pull`, again!\n## Every Row once\n### Every row once\n#not\n```\n# no\n```");
    let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, ["every-row-once", "every-row-once-1", "pull-again"]);
    assert_eq!(slug("한국어 a_b-c & d"), "한국어-a_b-c--d");
}

#[test]
fn links_are_found_in_text_and_not_in_code() {
    let page = Page::of(
        "[one\nlink](a.md) ![two](b.svg \"title\") <img src=\"c.png\">\n\n\
         `[no](d.md)` ``[`](e.md)`` [![f](f.svg)](g.md) [out](https://example.org) a ` b [h](h.md)\n\
         ```\n[no](i.md)\n```",
    );
    let found: Vec<&str> = page.links.iter().map(String::as_str).collect();
    assert_eq!(found, ["a.md", "b.svg", "f.svg", "g.md", "h.md", "c.png"]);
}
