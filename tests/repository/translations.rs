//! Translations: a page `X.ko.md` has the code, the headings, the tables and the links of `X.md`
//! beside it, so that whoever changes one page is told to change the other.

use std::path::{Path, PathBuf};

use crate::markdown::{Block, Page, Pages, from_root, leads_outside, pages};

/// How the names of pages in Korean end.
const KOREAN: &str = ".ko.md";

#[test]
fn translations_are_in_step_with_their_originals() {
    let pages = pages();
    let translated: Vec<&PathBuf> =
        pages.keys().filter(|path| original_of(path).is_some()).collect();
    assert!(translated.len() >= 2, "translations: {translated:?}");
    let found = differences(&pages);
    assert!(found.is_empty(), "translations out of step:\n{}", found.join("\n"));
}

/// The page that this one translates.
fn original_of(page: &Path) -> Option<PathBuf> {
    let name = page.file_name()?.to_str()?.strip_suffix(KOREAN)?;
    Some(page.with_file_name(format!("{name}.md")))
}

/// The page that translates this one.
fn translation_of(page: &Path) -> PathBuf {
    page.with_extension(&KOREAN[1..])
}

/// What differs between each translation and its original, with where to look.
fn differences(pages: &Pages) -> Vec<String> {
    let mut found = Vec::new();
    for (path, page) in pages {
        let Some(original_path) = original_of(path) else { continue };
        let Some(original) = pages.get(&original_path) else {
            found.push(format!("{}: there is no {}", path.display(), original_path.display()));
            continue;
        };
        let headings = headings(page, original);
        // Anchors are compared by the places of headings: one that is missing shifts the rest.
        let links = match headings.is_empty() {
            true => links(pages, (path, page), (&original_path, original)),
            false => Vec::new(),
        };
        let parts =
            [headings, code(page, original), tables(page, original), links].into_iter().flatten();
        let names = format!("{} and {}", path.display(), original_path.display());
        found.extend(parts.map(|part| format!("{names}: {part}")));
    }
    found
}

fn headings(page: &Page, original: &Page) -> Vec<String> {
    let (ours, theirs) = (&page.headings, &original.headings);
    let pairs = (1..).zip(ours.iter().zip(theirs));
    let first =
        pairs.filter(|(_, (our, their))| our.level != their.level).map(|(number, (our, their))| {
            format!(
                "heading {number} (lines {} and {}) is of level {} and {}",
                our.line, their.line, our.level, their.level
            )
        });
    first.take(1).chain(number_of("headings", ours.len(), theirs.len())).collect()
}

fn code(page: &Page, original: &Page) -> Vec<String> {
    first_difference("code block", &page.code, &original.code, |our, their| {
        let length = our.lines.len().max(their.lines.len());
        let line = (0..length).find(|n| our.lines.get(*n) != their.lines.get(*n))?;
        let shown = |block: &Block| match block.lines.get(line) {
            Some(text) => format!("{text:?}"),
            None => "nothing".to_owned(),
        };
        Some(format!("differs in its line {}: {} and {}", line + 1, shown(our), shown(their)))
    })
}

fn tables(page: &Page, original: &Page) -> Vec<String> {
    first_difference("table", &page.tables, &original.tables, |our, their| {
        let (rows, original_rows) = (our.lines.len(), their.lines.len());
        if rows != original_rows {
            return Some(format!("has {rows} and {original_rows} rows"));
        }
        // The row of hyphens says how many columns there are, and how they are aligned.
        let columns = |table: &Block| table.lines.get(1).cloned();
        (columns(our) != columns(their)).then(|| "has other columns".to_owned())
    })
}

/// The first block that differs, and the numbers of blocks where those differ.
fn first_difference(
    what: &str,
    ours: &[Block],
    theirs: &[Block],
    difference: impl Fn(&Block, &Block) -> Option<String>,
) -> Vec<String> {
    let pairs = (1..).zip(ours.iter().zip(theirs));
    let mut found = pairs.filter_map(|(number, (our, their))| {
        let difference = difference(our, their)?;
        Some(format!("{what} {number} (lines {} and {}) {difference}", our.line, their.line))
    });
    let first = found.next();
    first.into_iter().chain(number_of(&format!("{what}s"), ours.len(), theirs.len())).collect()
}

fn number_of(what: &str, ours: usize, theirs: usize) -> Option<String> {
    (ours != theirs).then(|| format!("{ours} and {theirs} {what}"))
}

/// Links may stand in another order, as words do. Both pages lead to each other; what else has a
/// translation, a translation leads to.
fn links(pages: &Pages, ours: (&Path, &Page), theirs: (&Path, &Page)) -> Vec<String> {
    let targets = |(path, page): (&Path, &Page)| -> Vec<String> {
        page.links.iter().map(|link| target(pages, path, link)).collect()
    };
    let (our_targets, their_targets) = (targets(ours), targets(theirs));
    let lacking = missing(&our_targets, &their_targets);
    let surplus = missing(&their_targets, &our_targets);
    let untranslated = ours.1.links.iter().filter(|link| {
        let target = file_and_anchor(ours.0, link).map(|(file, _)| file);
        target.is_some_and(|t| t != theirs.0 && pages.contains_key(&translation_of(&t)))
    });
    let leads_to = |(path, page): (&Path, &Page), other: &Path| {
        page.links.iter().any(|l| from_root(path, l).is_some_and(|target| target == other))
    };
    let unlinked = [(ours, theirs), (theirs, ours)]
        .into_iter()
        .filter(|(from, to)| !leads_to(*from, to.0))
        .map(|(from, to)| format!("{} has no link to {}", from.0.display(), to.0.display()));
    lacking
        .into_iter()
        .map(|link| format!("the translation lacks a link to {link}"))
        .chain(surplus.into_iter().map(|link| format!("the original lacks a link to {link}")))
        .chain(untranslated.map(|link| format!("{link} has a translation to lead to")))
        .chain(unlinked)
        .collect()
}

/// Where a link leads, said alike in both languages: by the original of a page, and its heading at
/// the place where the page has the one that the link names.
fn target(pages: &Pages, page: &Path, link: &str) -> String {
    let Some((file, anchor)) = file_and_anchor(page, link) else { return link.to_owned() };
    let original = original_of(&file).unwrap_or_else(|| file.clone());
    let headings = |path: &Path| pages.get(path).map_or(&[][..], |page| &page.headings);
    let place = headings(&file).iter().position(|heading| heading.anchor == anchor);
    let heading = place.and_then(|place| headings(&original).get(place));
    match heading.map_or(anchor.as_str(), |heading| &heading.anchor) {
        "" => original.display().to_string(),
        anchor => format!("{}#{anchor}", original.display()),
    }
}

/// The file inside the repository that a link leads to, and the anchor there.
fn file_and_anchor(page: &Path, link: &str) -> Option<(PathBuf, String)> {
    if leads_outside(link) {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let file = if file.is_empty() { page.to_owned() } else { from_root(page, file)? };
    Some((file, anchor.to_owned()))
}

/// What `those` have and `these` have not, or have fewer times.
fn missing(these: &[String], those: &[String]) -> Vec<String> {
    let mut left = these.to_vec();
    let mut missing = Vec::new();
    for that in those {
        match left.iter().position(|this| this == that) {
            Some(place) => drop(left.swap_remove(place)),
            None => missing.push(that.clone()),
        }
    }
    missing
}

/// What is told of a page `a.md` and its translation, beside a page `b.md` with one of its own.
fn told(original: &str, translation: &str) -> Vec<String> {
    let page = |path: &str, text: &str| (PathBuf::from(path), Page::of(text));
    let pages = Pages::from([
        page("a.md", original),
        page("a.ko.md", translation),
        page("docs/b.md", "# B\n[가](b.ko.md)"),
        page("docs/b.ko.md", "# 나\n[a](b.md)"),
    ]);
    let found = differences(&pages);
    found
        .into_iter()
        .map(|one| one.strip_prefix("a.ko.md and a.md: ").map_or(one.clone(), str::to_owned))
        .collect()
}

#[test]
fn a_translation_may_differ_in_its_words() {
    let original = "# A\n[가](a.ko.md) [c](docs/b.md#b) [d](x.rs#L1)\n\n## Two words\n\
                    ```sql\nselect 1;  -- one\n```\n| a |\n| --- |\n[up](#a) [two](#two-words)";
    let translation = "# 가\n[A](a.md) [d](x.rs#L1) [다](docs/b.ko.md#나)\n\n\n## 두 낱말\n\
                       ```sql\nselect 1;  -- one\n```\n| 가 |\n| --- |\n[둘](#두-낱말) [위](#가)";
    assert!(told(original, translation).is_empty(), "{:?}", told(original, translation));
}

#[test]
fn the_code_block_that_differs_is_named() {
    let original = "[가](a.ko.md)\n```\na\n```\n\n```sql\nselect 1;\nselect 2;\n```";
    let with = |code: &str| told(original, &format!("[A](a.md)\n```\na\n```\n{code}"));
    assert_eq!(
        with("```sql\nselect 1;\nselect 3;\n```"),
        ["code block 2 (lines 5 and 6) differs in its line 3: \"select 3;\" and \"select 2;\""]
    );
    assert_eq!(
        with("```sql\nselect 1;\n```"),
        ["code block 2 (lines 5 and 6) differs in its line 3: \"```\" and \"select 2;\""]
    );
    assert_eq!(
        with("```\nselect 1;\nselect 2;\n```"),
        ["code block 2 (lines 5 and 6) differs in its line 1: \"```\" and \"```sql\""]
    );
    assert_eq!(with(""), ["1 and 2 code blocks"]);
}

#[test]
fn headings_and_tables_that_differ_are_named() {
    let original = "[가](a.ko.md)\n# A\n## B\n\n| a |\n| --- |\n| 1 |\n\n| b |\n| --- |\n";
    let with = |rest: &str| told(original, &format!("[A](a.md)\n# 가\n{rest}"));
    let tables = "\n| 가 |\n| --- |\n| 1 |\n\n| 나 |\n| --- |\n";
    assert_eq!(
        with(&format!("### 나\n{tables}")),
        ["heading 2 (lines 3 and 3) is of level 3 and 2"]
    );
    assert_eq!(with(tables), ["1 and 2 headings"]);
    assert_eq!(
        with("## 나\n\n| 가 |\n| --- |\n\n| 나 |\n| --- |\n"),
        ["table 1 (lines 5 and 5) has 2 and 3 rows"]
    );
    assert_eq!(
        with("## 나\n\n| 가 |\n| --- |\n| 1 |\n\n| 나 |\n| ---: |\n"),
        ["table 2 (lines 9 and 9) has other columns"]
    );
}

#[test]
fn links_that_differ_are_named() {
    let original = "# A\n[가](a.ko.md) [b](docs/b.md) [o](https://example.org)\n## B\n[b](#b)";
    let with = |links: &str| told(original, &format!("# 가\n{links}\n## 나"));
    assert_eq!(
        with("[A](a.md) [나](docs/b.ko.md) [o](https://example.org) [나](#가)"),
        ["the translation lacks a link to a.md#b", "the original lacks a link to a.md#a"]
    );
    assert_eq!(
        with("[A](a.md) [나](docs/b.md) [o](https://example.org) [나](#나)"),
        ["docs/b.md has a translation to lead to"]
    );
    assert_eq!(
        with("[A](a.ko.md) [나](docs/b.ko.md) [나](#나)"),
        ["the translation lacks a link to https://example.org", "a.ko.md has no link to a.md"]
    );
}

#[test]
fn a_translation_without_an_original_is_told_of() {
    let pages = Pages::from([(PathBuf::from("docs/a.ko.md"), Page::of("# 가"))]);
    assert_eq!(differences(&pages), ["docs/a.ko.md: there is no docs/a.md"]);
}
