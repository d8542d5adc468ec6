//! What holds of the repository as a whole: tests that read its files, and need no server.
//!
//! | module | what it shows |
//! | --- | --- |
//! | [`documentation`] | the README is short, and no link in a Markdown file is dead |
//! | [`modules`] | dependencies in `src/` point one way, without circles; files are short |
//! | [`packages`] | META.json, the Dockerfile and compose.yaml agree with the rest; the scripts parse |
//! | [`translations`] | a page in another language has the code, headings, tables and links of its original |
//! | [`files`], [`markdown`] | what the others read: the files, and the parts of a page |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation does"
)]

mod documentation;
mod files;
mod markdown;
mod modules;
mod packages;
mod translations;
