//! `lrs_extract` as its users meet it: real source and stage servers, real kills, and the client
//! crate `postgres`.
//!
//! | folder | what its tests show |
//! | --- | --- |
//! | [`promises`] | what holds whatever happens, a file or two a promise |
//! | [`functions`] | what each SQL function does, refuses and leaves behind |
//! | [`source`] | every kind of source, how it is reached, and what goes wrong there |
//! | [`target`] | every kind of target, what lies in it afterwards, and what goes wrong there |
//! | [`operations`] | what running it asks for: privileges, settings, jobs, dumps, what is to be seen |
//! | [`fixture`] | what all of them stand on: servers, rows, calls, and the comparison of both sides |
//!
//! Run by `make test`, which builds the extension and installs it into the version's folders first.
//! The stage is the version under test; the source is a real server of another version (see
//! [`fixture::Version`]). Every test has databases of its own; tests that kill have servers of
//! their own. What measures times is in a module `alone` of its file, and comes when nothing else
//! runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation does"
)]

mod fixture;

mod functions;
mod operations;
mod promises;
mod source;
mod target;
