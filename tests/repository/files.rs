//! The repository's own files.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose files are made, not written.
const MADE: [&str; 2] = ["target", ".git"];

/// The folder that holds Cargo.toml.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the root.
pub fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below `folder` with this extension, by their paths from the root, in order.
pub fn with_extension(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let entry = entry.expect("an entry of the folder");
        let path = entry.path();
        // A link is not followed: it may lead out of the repository, or round in a circle.
        let kind = entry.file_type().expect("the kind of an entry");
        if kind.is_dir() && !MADE.iter().any(|made| entry.file_name() == *made) {
            collect(&path, extension, found);
        } else if kind.is_file() && path.extension().is_some_and(|e| e == extension) {
            found.push(path.strip_prefix(root()).expect("a path below the root").to_owned());
        }
    }
}
