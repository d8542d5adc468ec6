//! Keeps in the library the section that cargo-pgrx reads the SQL out of. Nothing refers to it, so
//! some linkers would drop it.
//!
//! cargo-pgrx asks for that too, by flags for every crate, for whose sake cargo would build all
//! dependencies a second time; `tests/tools/test.sh` does without them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}
