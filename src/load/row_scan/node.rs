//! The node: how the planner makes it, and how the executor runs it.
//!
//! The interface: `src/include/nodes/extensible.h`, and `src/backend/executor/nodeCustom.c`.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::pg_sys::{self, NodeTag};
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The name under which a statement finds the rows.
pub const RELATION: &CStr = c"lrs_extract_batch";

/// Finished rows: `width` values each, one after the other.
#[derive(Debug, Default)]
pub struct Rows {
    pub width: usize,
    pub values: Vec<pg_sys::Datum>,
    pub nulls: Vec<bool>,
}

impl Rows {
    pub fn count(&self) -> usize {
        self.values.len() / self.width.max(1)
    }
}

/// The rows that a scan is to give. Null: none. A backend has one thread that gets here.
pub static OFFERED: AtomicPtr<Rows> = AtomicPtr::new(null_mut());

/// What the server only reads.
struct Methods<T>(T);

// SAFETY: pointers to static texts and functions; nobody writes to them.
unsafe impl<T> Sync for Methods<T> {}

static PATH: Methods<pg_sys::CustomPathMethods> = Methods(pg_sys::CustomPathMethods {
    CustomName: RELATION.as_ptr(),
    PlanCustomPath: Some(plan),
    ReparameterizeCustomPathByChild: None,
});

static SCAN: Methods<pg_sys::CustomScanMethods> = Methods(pg_sys::CustomScanMethods {
    CustomName: RELATION.as_ptr(),
    CreateCustomScanState: Some(create_state),
});

static EXECUTION: Methods<pg_sys::CustomExecMethods> = Methods(pg_sys::CustomExecMethods {
    CustomName: RELATION.as_ptr(),
    BeginCustomScan: Some(begin),
    ExecCustomScan: Some(next),
    EndCustomScan: Some(end),
    ReScanCustomScan: Some(rescan),
    MarkPosCustomScan: None,
    RestrPosCustomScan: None,
    EstimateDSMCustomScan: None,
    InitializeDSMCustomScan: None,
    ReInitializeDSMCustomScan: None,
    InitializeWorkerCustomScan: None,
    ShutdownCustomScan: None,
    ExplainCustomScan: None,
});

/// Makes the node known to the server; called when the library is loaded.
pub fn register() {
    // SAFETY: on the only thread; the methods are static.
    unsafe { pg_sys::RegisterCustomScanMethods(&SCAN.0) }
}

/// Replaces the scan of our relation.
///
/// # Safety
/// The planner's own relation, and its entry of the range table.
pub unsafe fn replace_scan(rel: *mut pg_sys::RelOptInfo, entry: *mut pg_sys::RangeTblEntry) {
    // SAFETY: as promised; a path is allocated in the planner's memory.
    unsafe {
        // A transition table of that name has the id of its table.
        if (*entry).rtekind != pg_sys::RTEKind::RTE_NAMEDTUPLESTORE
            || (*entry).relid != pg_sys::InvalidOid
            || (*entry).enrname.is_null()
            || CStr::from_ptr((*entry).enrname) != RELATION
        {
            return;
        }
        let path = pg_sys::palloc0(size_of::<pg_sys::CustomPath>()).cast::<pg_sys::CustomPath>();
        (*path).path.type_ = NodeTag::T_CustomPath;
        (*path).path.pathtype = NodeTag::T_CustomScan;
        (*path).path.parent = rel;
        (*path).path.pathtarget = (*rel).reltarget;
        (*path).path.rows = (*rel).rows;
        (*path).path.total_cost = (*rel).rows * pg_sys::cpu_tuple_cost;
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        {
            (*path).flags = pg_sys::CUSTOMPATH_SUPPORT_PROJECTION;
        }
        (*path).methods = &PATH.0;
        (*rel).pathlist = null_mut();
        pg_sys::add_path(rel, path.cast());
    }
}

/// The node of a plan: its tuples have all columns of the relation.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn plan(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    _path: *mut pg_sys::CustomPath,
    target_list: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
    _plans: *mut pg_sys::List,
) -> *mut pg_sys::Plan {
    // SAFETY: as above. A range table entry of this kind has a type, a modifier and a collation a column.
    unsafe {
        let index = (*rel).relid;
        let entry = *(*root).simple_rte_array.add(index as usize);
        let mut columns = null_mut();
        for n in 0..(*(*entry).coltypes).length {
            let var = pg_sys::makeVar(
                index as _,
                (n + 1) as pg_sys::AttrNumber,
                (*pg_sys::list_nth_cell((*entry).coltypes, n)).oid_value,
                (*pg_sys::list_nth_cell((*entry).coltypmods, n)).int_value,
                (*pg_sys::list_nth_cell((*entry).colcollations, n)).oid_value,
                0,
            );
            let column = pg_sys::makeTargetEntry(
                var.cast(),
                (n + 1) as pg_sys::AttrNumber,
                null_mut(),
                false,
            );
            columns = pg_sys::lappend(columns, column.cast());
        }
        let scan = pg_sys::palloc0(size_of::<pg_sys::CustomScan>()).cast::<pg_sys::CustomScan>();
        (*scan).scan.plan.type_ = NodeTag::T_CustomScan;
        (*scan).scan.plan.targetlist = target_list;
        (*scan).scan.plan.qual = pg_sys::extract_actual_clauses(clauses, false);
        // And no scanrelid: there is no relation to be opened.
        (*scan).custom_scan_tlist = columns;
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        {
            (*scan).flags = pg_sys::CUSTOMPATH_SUPPORT_PROJECTION;
        }
        (*scan).methods = &SCAN.0;
        scan.cast()
    }
}

/// A scan under way.
#[repr(C)]
struct ScanState {
    custom: pg_sys::CustomScanState,
    rows: *const Rows,
    next: usize,
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn create_state(_scan: *mut pg_sys::CustomScan) -> *mut pg_sys::Node {
    // SAFETY: allocated in the query's memory, and zero is a value of all its fields.
    unsafe {
        let state = pg_sys::palloc0(size_of::<ScanState>()).cast::<ScanState>();
        (*state).custom.ss.ps.type_ = NodeTag::T_CustomScanState;
        (*state).custom.methods = &EXECUTION.0;
        state.cast()
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn begin(
    node: *mut pg_sys::CustomScanState,
    _state: *mut pg_sys::EState,
    flags: c_int,
) {
    let rows = OFFERED.load(Ordering::Relaxed);
    // SAFETY: the node is one of create_state(), and has its slot; what is offered lives.
    unsafe {
        let columns = (*(*(*node).ss.ss_ScanTupleSlot).tts_tupleDescriptor).natts;
        let fits = rows.as_ref().is_some_and(|rows| rows.width == columns as usize);
        if !fits && flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as c_int == 0 {
            Failure::internal("there are no rows of a batch here").raise();
        }
        (*node.cast::<ScanState>()).rows = rows;
    }
}

unsafe extern "C-unwind" {
    /// `src/backend/executor/execScan.c`. Not by the bindings: they guard each call, which costs as much as the row.
    #[link_name = "ExecScan"]
    fn exec_scan(
        node: *mut pg_sys::ScanState,
        access: pg_sys::ExecScanAccessMtd,
        recheck: pg_sys::ExecScanRecheckMtd,
    ) -> *mut pg_sys::TupleTableSlot;
}

/// The next row that passes the node's conditions, projected. No Rust value is dropped where an error passes.
unsafe extern "C-unwind" fn next(
    node: *mut pg_sys::CustomScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: the executor's own node.
    unsafe { exec_scan(node.cast(), Some(fetch), Some(recheck)) }
}

/// The next row as it is, in the node's slot; an empty slot at the end.
unsafe extern "C-unwind" fn fetch(node: *mut pg_sys::ScanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: a node of create_state(), whose rows stay while the offer lives; its slot is a virtual one, and has as
    // many columns as the rows have: both are of the relation.
    unsafe {
        let state = &mut *node.cast::<ScanState>();
        let slot = (*node).ss_ScanTupleSlot;
        let rows = &*state.rows;
        let first = state.next * rows.width;
        if (*slot).tts_flags & pg_sys::TTS_FLAG_SHOULDFREE as u16 != 0 {
            pg_sys::ExecClearTuple(slot);
        }
        (*slot).tts_nvalid = 0;
        (*slot).tts_flags |= pg_sys::TTS_FLAG_EMPTY as u16;
        if first >= rows.values.len() {
            return slot;
        }
        state.next += 1;
        std::ptr::copy_nonoverlapping(
            rows.values.as_ptr().add(first),
            (*slot).tts_values,
            rows.width,
        );
        std::ptr::copy_nonoverlapping(
            rows.nulls.as_ptr().add(first),
            (*slot).tts_isnull,
            rows.width,
        );
        (*slot).tts_nvalid = rows.width as pg_sys::AttrNumber;
        (*slot).tts_flags &= !(pg_sys::TTS_FLAG_EMPTY as u16);
        slot
    }
}

unsafe extern "C-unwind" fn recheck(
    _node: *mut pg_sys::ScanState,
    _slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    true
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn rescan(node: *mut pg_sys::CustomScanState) {
    // SAFETY: a node of create_state().
    unsafe {
        (*node.cast::<ScanState>()).next = 0;
        pg_sys::ExecScanReScan(&mut (*node).ss);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn end(_node: *mut pg_sys::CustomScanState) {}
