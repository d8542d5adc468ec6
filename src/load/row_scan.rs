//! The rows of a flush as a node of a plan: it hands them to the executor one by one, as they are, without a copy.
//!
//! A statement finds the rows by the name of an ephemeral relation, which is a tuplestore to the server. While the
//! statement runs, a hook of the planner replaces the scan of that relation by this node. So the executor looks for no
//! tuplestore, which a planner that runs the SELECT of an INSERT apart has lost by then.

#![allow(unsafe_code)]

mod hook;
mod node;

use hook::HookInPlace;
use node::OFFERED;
pub use node::{RELATION, Rows, register};
use std::sync::atomic::Ordering;

/// Scans that begin while this lives give its rows. Within it, there may be another one: where a trigger of the
/// target calls `pull`.
pub struct Offer {
    before: *mut Rows,
    /// Dropped with it.
    _hook: Option<HookInPlace>,
}

impl Offer {
    /// # Safety
    /// The rows, and what their values point to, stay until the statement that reads them has ended.
    pub unsafe fn new(rows: &Rows) -> Offer {
        let before = OFFERED.swap(std::ptr::from_ref(rows).cast_mut(), Ordering::Relaxed);
        Offer { before, _hook: HookInPlace::new() }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        OFFERED.store(self.before, Ordering::Relaxed);
    }
}
