//! Our hook of the planner, in place only while a statement runs: a library that is loaded later may put its own in its
//! place and forget ours, as Citus does.
//!
//! A library may also be loaded within a statement (by a trigger of the target), put its own hook above ours, and call
//! ours from there on. Then ours is there twice while the next statement runs, above that library's and beneath.

#![allow(unsafe_code)]

use super::node::replace_scan;
use pgrx::pg_sys;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

type Hook = pg_sys::set_rel_pathlist_hook_type;

/// What ours calls: what was there when it was put in.
static mut CALLED: Hook = None;

/// What ours calls where it is beneath: what was there when it was put in for the first time.
static mut CALLED_BENEATH: Hook = None;

/// The relation for which ours is being called.
static IN_HAND: AtomicPtr<pg_sys::RelOptInfo> = AtomicPtr::new(null_mut());

/// The hook in place, as long as this lives.
pub struct HookInPlace {
    called_before: Hook,
}

impl HookInPlace {
    /// `None` where it is in place for the statement around this one.
    pub fn new() -> Option<HookInPlace> {
        // SAFETY: the hooks are read and set on the only thread that plans.
        unsafe {
            let found = pg_sys::set_rel_pathlist_hook;
            if is_ours(found) {
                return None;
            }
            let called_before = CALLED;
            CALLED_BENEATH = called_before;
            CALLED = found;
            pg_sys::set_rel_pathlist_hook = Some(hook);
            Some(HookInPlace { called_before })
        }
    }
}

impl Drop for HookInPlace {
    fn drop(&mut self) {
        // SAFETY: as above. Where a library has put its own above ours meanwhile, ours stays, and calls what it did.
        unsafe {
            if is_ours(pg_sys::set_rel_pathlist_hook) {
                pg_sys::set_rel_pathlist_hook = CALLED;
                CALLED = self.called_before;
            }
        }
    }
}

fn is_ours(found: Hook) -> bool {
    type Function = unsafe extern "C-unwind" fn(
        *mut pg_sys::PlannerInfo,
        *mut pg_sys::RelOptInfo,
        pg_sys::Index,
        *mut pg_sys::RangeTblEntry,
    );
    found.is_some_and(|found| std::ptr::fn_addr_eq(found, hook as Function))
}

/// The relation in hand, until this is dropped, by an error too.
struct InHand(*mut pg_sys::RelOptInfo);

impl InHand {
    fn new(rel: *mut pg_sys::RelOptInfo) -> InHand {
        InHand(IN_HAND.swap(rel, Ordering::Relaxed))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        IN_HAND.store(self.0, Ordering::Relaxed);
    }
}

/// Calls the hook that was there before, and replaces the scan of our relation.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn hook(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the planner's own, passed on as they came; on the only thread that plans.
    unsafe {
        let call = |other: Hook| {
            if let Some(other) = other {
                pg_sys::ffi::pg_guard_ffi_boundary(|| other(root, rel, index, entry));
            }
        };
        if IN_HAND.load(Ordering::Relaxed) == rel {
            // Taken meanwhile: a third library would come here once more, and without end.
            let beneath = CALLED_BENEATH;
            CALLED_BENEATH = None;
            call(beneath);
            CALLED_BENEATH = beneath;
            return;
        }
        let _in_hand = InHand::new(rel);
        call(CALLED);
        replace_scan(rel, entry);
    }
}
