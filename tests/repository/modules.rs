//! The modules of `src/`: dependencies point one way, and no two modules depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, UseTree};

use crate::files;

/// The rooms, from the SQL functions down to the arithmetic: each may use those after it.
const ROOMS: [&str; 15] = [
    "api",
    "worker",
    "pull",
    "maintenance",
    "verify",
    "check",
    "plan",
    "pool",
    "threads",
    "ledger",
    "load",
    "backend",
    "transform",
    "source",
    "slice",
];
/// What every room may use.
const BESIDE: [&str; 4] = ["report", "settings", "error", "pg_compat"];
/// Rooms that never name the server, so that plain `cargo test` covers them.
const PURE: [&str; 4] = ["transform", "source", "slice", "report"];
/// Tests inside the server: they may use everything.
const TESTS: &str = "pg_tests";

const MOST_LINES: usize = 400;

#[test]
fn rooms_depend_only_on_those_further_down() {
    let sources = Sources::read();
    let rank = |room: &str| ROOMS.iter().position(|r| *r == room);
    let mut wrong = BTreeSet::new();
    for (module, used) in sources.dependencies() {
        let (from, to) = (room_of(&module), room_of(&used));
        if from == to || from.is_empty() || BESIDE.contains(&to) {
            continue;
        }
        let allowed = match (rank(from), rank(to)) {
            (Some(from), Some(to)) => from < to,
            // What stands beside may turn the errors and values of the pure rooms into its own.
            (None, Some(_)) => BESIDE.contains(&from) && PURE.contains(&to),
            (_, None) => false,
        };
        if !allowed {
            wrong.insert(format!("{module} uses {used}"));
        }
    }
    assert!(wrong.is_empty(), "against the direction:\n{}", lines(&wrong));
}

#[test]
fn no_modules_depend_on_each_other_in_a_circle() {
    let circles = circles(&Sources::read().dependencies());
    assert!(circles.is_empty(), "circles of modules:\n{}", lines(&circles));
}

#[test]
fn every_room_has_its_place_in_the_order() {
    let placed: BTreeSet<&str> = ROOMS.into_iter().chain(BESIDE).chain([TESTS]).collect();
    let sources = Sources::read();
    let rooms: BTreeSet<&str> =
        sources.modules.keys().map(|m| room_of(m)).filter(|room| !room.is_empty()).collect();
    let unplaced: Vec<&&str> = rooms.difference(&placed).collect();
    assert!(unplaced.is_empty(), "rooms without a place: {unplaced:?}");
    assert!(ROOMS.iter().all(|room| rooms.contains(room)), "a room of the order is gone");
}

#[test]
fn pure_rooms_never_name_the_server() {
    let sources = Sources::read();
    let impure: BTreeSet<&String> = sources
        .modules
        .iter()
        .filter(|(module, _)| PURE.contains(&room_of(module)))
        .filter(|(_, source)| {
            source.paths.iter().any(|path| ["pgrx", "pg_sys"].contains(&path[0].as_str()))
        })
        .map(|(module, _)| module)
        .collect();
    assert!(impure.is_empty(), "{impure:?}");
}

#[test]
fn no_source_file_is_longer_than_400_lines() {
    let long: Vec<String> = ["src", "tests", "benches", "fuzz"]
        .into_iter()
        .flat_map(|folder| files::with_extension(folder, "rs"))
        .map(|path| (files::text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .map(|(lines, path)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", lines(&long));
}

#[test]
fn a_circle_is_found() {
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let graph = BTreeSet::from([edge("a", "b"), edge("b", "c"), edge("c", "b"), edge("c", "d")]);
    assert_eq!(circles(&graph), ["b, c"]);
}

fn lines<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join("\n")
}

/// The first part of a module's path; empty for the crate's root.
fn room_of(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// One file: the paths that it names, and what it exports of its children.
#[derive(Default)]
struct Source {
    /// Paths that begin with `crate`, `super`, `self`, or the name of a crate.
    paths: Vec<Vec<String>>,
    /// By the name under which a child's item is exported: its path from the crate's root.
    exports: BTreeMap<String, Vec<String>>,
}

/// The files of `src/` by the paths of their modules.
struct Sources {
    modules: BTreeMap<String, Source>,
}

impl Sources {
    fn read() -> Sources {
        let modules = files::with_extension("src", "rs")
            .into_iter()
            .filter(|path| !is_test_file(path))
            .map(|path| {
                let module = module_of(&path);
                let file = syn::parse_file(&files::text(&path))
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let source = Source::of(&module, &file);
                (module, source)
            })
            .collect();
        Sources { modules }
    }

    /// Which module uses which.
    fn dependencies(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for (module, source) in &self.modules {
            for path in &source.paths {
                if let Some(path) = absolute(module, path)
                    && let Some(used) = self.home(&path)
                    && used != *module
                {
                    found.insert((module.clone(), used));
                }
            }
        }
        found
    }

    /// The module that a path from the crate's root leads into: through the faces that only export
    /// what their children have.
    fn home(&self, path: &[String]) -> Option<String> {
        let mut module = String::new();
        for (n, name) in path.iter().enumerate() {
            let inner = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
            if self.modules.contains_key(&inner) {
                module = inner;
                continue;
            }
            if let Some(exported) = self.modules.get(&module).and_then(|s| s.exports.get(name)) {
                let through: Vec<String> = exported.iter().chain(&path[n + 1..]).cloned().collect();
                return self.home(&through);
            }
            break;
        }
        (!module.is_empty()).then_some(module)
    }
}

/// Files with the tests of a module, which look into it and beside it.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.ends_with("tests") || path.starts_with("src/pg_tests")
}

/// `src/pool/workers.rs` is `pool::workers`, `src/lib.rs` the root.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("a path below src").with_extension("");
    let parts: Vec<String> = inside.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    if parts == ["lib"] { String::new() } else { parts.join("::") }
}

/// A path from the crate's root; `None` where it leads into another crate.
fn absolute(module: &str, path: &[String]) -> Option<Vec<String>> {
    let mut base: Vec<String> = module.split("::").map(str::to_owned).collect();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => return Some(path[1..].to_vec()),
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

impl Source {
    fn of(module: &str, file: &File) -> Source {
        let mut reader = Reader { module, children: BTreeSet::new(), source: Source::default() };
        for item in &file.items {
            if let Item::Mod(child) = item {
                reader.children.insert(child.ident.to_string());
            }
        }
        reader.visit_file(file);
        reader.source
    }
}

struct Reader<'a> {
    module: &'a str,
    children: BTreeSet<String>,
    source: Source,
}

impl Reader<'_> {
    fn read_use(&mut self, tree: &UseTree, before: &[String], exported: bool) {
        let mut path = before.to_vec();
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.read_use(&part.tree, &path, exported);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(tree, &path, exported);
                }
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                if name != "self" {
                    path.push(name.clone());
                }
                self.add(path, exported.then_some(name));
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.add(path, exported.then(|| rename.rename.to_string()));
            }
            UseTree::Glob(_) => self.add(path, None),
        }
    }

    fn add(&mut self, mut path: Vec<String>, exported: Option<String>) {
        // A child is named without `self`.
        if self.children.contains(&path[0]) {
            path.insert(0, "self".to_owned());
        }
        if let Some(name) = exported
            && let Some(absolute) = absolute(self.module, &path)
        {
            self.source.exports.insert(name, absolute);
        }
        self.source.paths.push(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        self.read_use(&item.tree, &[], exported);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let first = parts[0].as_str();
        let leads_out = ["crate", "super", "self", "pgrx", "pg_sys"].contains(&first)
            || parts.len() > 1 && self.children.contains(first);
        if leads_out && parts.len() > 1 {
            self.add(parts, None);
        }
        visit::visit_path(self, path);
    }
}

/// `#[cfg(test)]`, `#[cfg(any(test, …))]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| {
            list.tokens.clone().into_iter().any(|token| token.to_string().contains("test"))
        })
}

/// The groups of modules that reach each other, each in one line.
fn circles(graph: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in graph {
        next.entry(from).or_default().push(to);
    }
    let reached = |start: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            for following in next.get(module).into_iter().flatten() {
                if seen.insert(*following) {
                    open.push(following);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|m| (*m, reached(m))).collect();
    let groups: BTreeSet<Vec<&str>> = reach
        .iter()
        .filter(|(module, far)| far.contains(*module))
        .map(|(module, far)| {
            far.iter()
                .filter(|other| reach.get(**other).is_some_and(|back| back.contains(module)))
                .copied()
                .collect()
        })
        .collect();
    groups.into_iter().map(|group| group.join(", ")).collect()
}
