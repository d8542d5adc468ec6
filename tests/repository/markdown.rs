//! Markdown as these tests read it: headings with their anchors, links, fenced code and tables.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::files;

/// Pages by their paths from the root.
pub type Pages = BTreeMap<PathBuf, Page>;

/// What a page has that other pages can refer to, or be held against.
pub struct Page {
    pub headings: Vec<Heading>,
    /// The fenced blocks, with their fences.
    pub code: Vec<Block>,
    pub tables: Vec<Block>,
    /// Where its links and images lead, as written.
    pub links: Vec<String>,
}

pub struct Heading {
    pub line: usize,
    pub level: usize,
    /// The anchor that GitHub gives it.
    pub anchor: String,
}

/// Lines that belong together, the first of them at `line`.
pub struct Block {
    pub line: usize,
    pub lines: Vec<String>,
}

impl Page {
    pub fn of(markdown: &str) -> Page {
        let (text, code) = apart(markdown);
        let prose: Vec<String> = text.split("\n\n").map(without_code_spans).collect();
        let links = links(&prose.join("\n\n"));
        Page { headings: headings(&text), code, tables: tables(&text), links }
    }

    pub fn has_anchor(&self, anchor: &str) -> bool {
        self.headings.iter().any(|heading| heading.anchor == anchor)
    }
}

/// The pages of the repository.
pub fn pages() -> Pages {
    let paths = files::with_extension("", "md").into_iter();
    paths.map(|path| (path.clone(), Page::of(&files::text(&path)))).collect()
}

/// Whether a link leaves the repository.
pub fn leads_outside(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// The path from the root of what `page` calls `link`; `None` outside the repository.
pub fn from_root(page: &Path, link: &str) -> Option<PathBuf> {
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

/// The text with empty lines for its fenced blocks, in which a # begins a comment and brackets are
/// code; and these blocks.
fn apart(markdown: &str) -> (String, Vec<Block>) {
    let mut text = String::new();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    // Not lines(), which takes a carriage return away: two blocks may differ in nothing else.
    for (number, line) in (1..).zip(markdown.split('\n')) {
        let is_fence = line.trim_start().starts_with("```");
        if is_fence && !inside {
            blocks.push(Block { line: number, lines: Vec::new() });
        }
        if is_fence || inside {
            blocks.last_mut().expect("an open block").lines.push(line.to_owned());
        } else {
            text.push_str(line);
        }
        inside ^= is_fence;
        text.push('\n');
    }
    (text, blocks)
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

fn headings(text: &str) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    for (line, (level, words)) in
        (1..).zip(text.lines()).filter_map(|(n, line)| Some((n, heading(line)?)))
    {
        let slug = slug(words);
        // The second heading of the same words gets -1, the third -2.
        let numbered = (1..).map(|n| format!("{slug}-{n}"));
        let mut candidates = std::iter::once(slug.clone()).chain(numbered);
        let anchor = candidates.find(|a| found.iter().all(|heading| heading.anchor != *a));
        found.extend(anchor.map(|anchor| Heading { line, level, anchor }));
    }
    found
}

/// The level and the words of a heading.
fn heading(line: &str) -> Option<(usize, &str)> {
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    ((1..=6).contains(&level) && words.starts_with(' ')).then(|| (level, words.trim()))
}

/// The anchor that GitHub makes of a heading: letters of any script, digits, hyphens and
/// underscores in lower case, a hyphen for each blank, and nothing of the rest.
fn slug(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    heading.to_lowercase().chars().filter_map(kept).collect()
}

fn tables(text: &str) -> Vec<Block> {
    let mut tables: Vec<Block> = Vec::new();
    let rows = (1..).zip(text.lines()).filter(|(_, line)| line.starts_with('|'));
    for (number, row) in rows {
        match tables.last_mut() {
            Some(table) if table.line + table.lines.len() == number => {
                table.lines.push(row.to_owned());
            }
            _ => tables.push(Block { line: number, lines: vec![row.to_owned()] }),
        }
    }
    tables
}

/// Where the links and images of a text lead, in Markdown and in HTML.
fn links(text: &str) -> Vec<String> {
    let inside = |begin: &str, end: &[char]| -> Vec<String> {
        let parts = text.split(begin).skip(1);
        parts.filter_map(|part| part.split(end).next()).map(str::to_owned).collect()
    };
    let mut found = inside("](", &[')', ' ', '\n']);
    found.extend(inside("src=\"", &['"']));
    found.extend(inside("href=\"", &['"']));
    found
}

#[test]
fn anchors_are_those_of_github() {
    let page = Page::of(
        "# `pull`, again!\n## Every Row once\n### Every row once\n#not\n```\n# no\n```\n\
         ## 5개월 치 적재, `pull`하기\n## 제약 사항 (전체)\n## 제약 사항: 전체",
    );
    let found: Vec<(usize, usize, &str)> =
        page.headings.iter().map(|h| (h.line, h.level, h.anchor.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, 1, "pull-again"),
            (2, 2, "every-row-once"),
            (3, 3, "every-row-once-1"),
            (8, 2, "5개월-치-적재-pull하기"),
            (9, 2, "제약-사항-전체"),
            (10, 2, "제약-사항-전체-1"),
        ]
    );
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
    assert_eq!(found, ["a.md", "b.svg", "f.svg", "g.md", "https://example.org", "h.md", "c.png"]);
}

#[test]
fn code_and_tables_are_found_where_they_begin() {
    let page =
        Page::of("a\n```sql\n| no |\n```\n| b |\n| --- |\n\n| c |\n\n```\nto the end\r\n# no");
    let at = |blocks: &[Block]| -> Vec<(usize, String)> {
        blocks.iter().map(|block| (block.line, block.lines.join("/"))).collect()
    };
    let code = [(2, "```sql/| no |/```".to_owned()), (10, "```/to the end\r/# no".to_owned())];
    assert_eq!(at(&page.code), code);
    assert_eq!(at(&page.tables), [(5, "| b |/| --- |".to_owned()), (8, "| c |".to_owned())]);
}
