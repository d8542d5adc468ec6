//! What carries the extension to other machines, held against the rest of the repository: META.json
//! for PGXN, the Dockerfile, compose.yaml, and the scripts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::files;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn meta_json_agrees_with_cargo_toml() {
    let meta: Value = serde_json::from_str(&text("META.json")).unwrap();
    let said = |pointer: &str| meta.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let provided = format!("/provides/{NAME}");
    assert_eq!(said("/name"), NAME);
    assert_eq!(said("/version"), VERSION);
    assert_eq!(said(&format!("{provided}/version")), VERSION);
    assert_eq!(said("/abstract"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(said("/license"), env!("CARGO_PKG_LICENSE").to_lowercase());
    assert_eq!(said("/meta-spec/version"), "1.0.0");
    assert!(!said("/maintainer").is_empty());
    for file in ["file", "docfile"] {
        let path = said(&format!("{provided}/{file}"));
        assert!(files::root().join(path).is_file(), "{file}: {path:?}");
    }
}

#[test]
fn the_control_file_and_the_changelog_have_the_version_of_cargo_toml() {
    let control = text(&format!("{NAME}.control"));
    assert!(control.contains("default_version = '@CARGO_VERSION@'"), "{control}");
    // The Debian package's changelog is made of these headings.
    let heading = format!("## [{VERSION}] - ");
    assert!(text("CHANGELOG.md").lines().any(|line| line.starts_with(&heading)), "{heading:?}");
}

#[test]
fn pages_name_the_packages_of_this_version() {
    let (mut named, mut old) = (0, Vec::new());
    for page in ["README.md", "README.ko.md", "docs/packages.md"] {
        let text = text(page);
        for (before, after) in [("lrs-extract_", "-"), ("lrs_extract-", "-pg")] {
            for (at, _) in text.match_indices(before) {
                let rest = &text[at + before.len()..];
                named += 1;
                if !rest.starts_with(&format!("{VERSION}{after}")) {
                    old.push(format!("{page}: {before}{}", rest.lines().next().unwrap_or("")));
                }
            }
        }
    }
    assert!(named >= 5 && old.is_empty(), "{named} named, not of {VERSION}: {old:?}");
}

#[test]
fn the_dockerfile_copies_and_runs_what_is_there() {
    let dockerfile = instructions(&text("Dockerfile"));
    let mut paths = Vec::new();
    for (instruction, rest) in &dockerfile {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match instruction.as_str() {
            "COPY" if !rest.starts_with("--from=") => {
                paths.extend(words[..words.len() - 1].iter().map(|word| (*word).to_owned()));
            }
            "RUN" => paths.extend(
                words.iter().filter(|word| word.ends_with(".sh")).map(|word| (*word).to_owned()),
            ),
            _ => {}
        }
    }
    assert!(paths.len() >= 4, "{paths:?}");
    let gone: Vec<&String> =
        paths.iter().filter(|path| !files::root().join(path).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let ignored = text(".dockerignore");
    let hidden: Vec<&String> = paths
        .iter()
        .filter(|path| ignored.lines().any(|line| path.split('/').next() == Some(line)))
        .collect();
    assert!(hidden.is_empty(), "in .dockerignore: {hidden:?}");
}

#[test]
fn the_images_are_of_one_debian_and_of_versions_that_the_extension_is_built_with() {
    let dockerfile = instructions(&text("Dockerfile"));
    let of = |name: &'static str| {
        dockerfile
            .iter()
            .filter_map(move |(instruction, rest)| (instruction == name).then_some(rest.as_str()))
    };
    let images: Vec<&str> = of("FROM").filter_map(|from| from.split_whitespace().next()).collect();
    assert_eq!(images.len(), 3, "{images:?}");
    assert!(images.iter().all(|image| image.ends_with("-bookworm")), "{images:?}");

    let cargo = text("Cargo.toml");
    let rust = images.iter().find_map(|image| image.strip_prefix("rust:")).unwrap();
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    assert!(minor(rust) >= minor(wanted), "the image has Rust {rust}, Cargo.toml wants {wanted}");
    let major = of("ARG").find_map(|argument| argument.strip_prefix("PG_MAJOR=")).unwrap();
    assert!(cargo.contains(&format!("default = [\"pg{major}\"]")), "PG_MAJOR={major}");
}

/// The 94 of 1.94 and of 1.94.1-slim.
fn minor(version: &str) -> u32 {
    version.split(['.', '-']).nth(1).and_then(|minor| minor.parse().ok()).unwrap()
}

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<Value>>,
}

#[derive(Deserialize)]
struct Service {
    image: Option<String>,
    build: Option<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Value>,
    environment: BTreeMap<String, String>,
    healthcheck: Value,
}

#[test]
fn the_compose_file_has_a_source_of_13_and_a_stage_that_is_built_here() {
    let compose: Compose = serde_saphyr::from_str(&text("compose.yaml")).unwrap();
    let names: Vec<&String> = compose.services.keys().collect();
    assert_eq!(names, ["source", "stage"]);
    let (source, stage) = (&compose.services["source"], &compose.services["stage"]);
    assert_eq!(source.image.as_deref(), Some("postgres:13-bookworm"));
    assert_eq!(stage.build.as_deref(), Some("."));
    for service in [source, stage] {
        assert!(service.healthcheck.get("test").is_some());
        assert!(service.depends_on.keys().all(|name| compose.services.contains_key(name)));
        for mounted in service.volumes.iter().filter_map(|volume| volume.split(':').next()) {
            let is_there = match mounted.strip_prefix("./") {
                Some(path) => files::root().join(path).is_file(),
                None => compose.volumes.contains_key(mounted),
            };
            assert!(is_there, "{mounted} is neither a file nor a volume");
        }
    }
    let password = "LRS_SOURCE_PASSWORD";
    assert_eq!(source.environment[password], stage.environment[password]);
    for file in ["source.sql", "stage.sql"] {
        let sql = text(&format!("packaging/docker/{file}"));
        assert!(sql.contains(&format!("printf %s \"${password}\"")), "{file}");
    }
}

#[test]
fn the_stage_of_the_compose_file_is_that_of_the_quick_start() {
    let readme = text("README.md");
    let sql = text("packaging/docker/stage.sql");
    let target: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "create schema pipeline;")
        .take_while(|line| !line.starts_with("create server"))
        .filter(|line| !line.is_empty())
        .collect();
    assert!(target.len() >= 5, "{target:?}");
    let missing: Vec<&&str> =
        target.iter().filter(|line| !sql.lines().any(|ours| ours == **line)).collect();
    assert!(missing.is_empty(), "not in stage.sql: {missing:?}");
}

#[test]
fn the_shell_scripts_parse() {
    let mut scripts = files::with_extension("", "sh");
    scripts.push(PathBuf::from(".ci/run"));
    assert!(scripts.len() >= 10, "{scripts:?}");
    let complaints: Vec<String> = scripts
        .iter()
        .filter_map(|script| complaint(Command::new("bash").arg("-n").arg(script)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));

    let has_shellcheck = Command::new("shellcheck").arg("--version").output().is_ok();
    if !has_shellcheck {
        println!("skipped: shellcheck of the scripts: it is not installed");
        return;
    }
    let options = ["--severity=warning", "--external-sources", "--source-path=SCRIPTDIR"];
    let found = complaint(Command::new("shellcheck").args(options).args(&scripts));
    assert!(found.is_none(), "{}", found.unwrap_or_default());
}

/// What a program prints, where it fails.
fn complaint(command: &mut Command) -> Option<String> {
    let output = command.current_dir(files::root()).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&printed).into_owned())
}

fn text(path: &str) -> String {
    files::text(Path::new(path))
}

/// The instructions of a Dockerfile, each with the rest of its line and of those that continue it.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> =
        dockerfile.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let pairs = joined.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(instruction, rest)| (instruction.to_owned(), rest.trim().to_owned())).collect()
}

#[test]
fn instructions_go_on_behind_a_backslash() {
    let found = instructions("# a\nFROM a AS b\nRUN c \\\n    # d\n    && e\n");
    let found: Vec<(&str, &str)> =
        found.iter().map(|(name, rest)| (name.as_str(), rest.as_str())).collect();
    assert_eq!(found, [("FROM", "a AS b"), ("RUN", "c      && e")]);
}
