//! Which PostgreSQL versions a test run uses.

use std::path::PathBuf;

use pgrx_pg_config::Pgrx;

/// A PostgreSQL that cargo-pgrx knows, named as its feature: `pg13`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version(&'static str);

const ALL: [Version; 6] = [
    Version("pg13"),
    Version("pg14"),
    Version("pg15"),
    Version("pg16"),
    Version("pg17"),
    Version("pg18"),
];

impl Version {
    /// The version under test: the one whose feature is on, in which the extension is installed.
    pub fn stage() -> Version {
        let on = [
            cfg!(feature = "pg13"),
            cfg!(feature = "pg14"),
            cfg!(feature = "pg15"),
            cfg!(feature = "pg16"),
            cfg!(feature = "pg17"),
            cfg!(feature = "pg18"),
        ];
        let position = on.iter().position(|on| *on);
        ALL[position.expect("no pgNN feature is on; run `cargo pgrx test pg16`")]
    }

    /// A source of another version than the stage: 13, as in the field, or 16 for a 13 stage.
    /// Where neither can be had, any other version, and at last the stage's own.
    pub fn source() -> Version {
        Self::first_installed(&["pg13", "pg16"], false)
    }

    /// A source that was built with TLS, which the PyPI wheel of 16 is not.
    pub fn source_with_tls() -> Version {
        Self::first_installed(&["pg13", "pg15"], true)
    }

    fn first_installed(preferred: &[&str], stage_is_good: bool) -> Version {
        let stage = Self::stage();
        preferred
            .iter()
            .filter_map(|name| ALL.into_iter().find(|version| version.0 == *name))
            .chain(ALL)
            .filter(|version| stage_is_good || *version != stage)
            .find(|version| version.installed_bin_dir().is_some())
            .unwrap_or(stage)
    }

    /// The folder of `postgres`, `initdb` and `pg_dump`.
    pub fn bin_dir(self) -> PathBuf {
        self.installed_bin_dir()
            .unwrap_or_else(|| panic!("cargo-pgrx knows no {}; run `cargo pgrx init`", self.0))
    }

    fn installed_bin_dir(self) -> Option<PathBuf> {
        let configs = Pgrx::from_config().expect("PGRX_HOME has a config.toml");
        let folder = configs.get(self.0).ok()?.bin_dir().ok()?;
        folder.join("postgres").exists().then_some(folder)
    }
}
