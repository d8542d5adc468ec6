//! The shared memory of a pool: the request going one way, reports and failures coming back.
//!
//! One DSM segment: [`Control`], one [`Slot`] for each worker, then the call's name and its request
//! as JSON.

#![allow(unsafe_code)]

use super::slot::{RING, Slot, TEXT};
use crate::error::Failure;
use crate::ledger::Batch;
use pgrx::pg_sys;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, Ordering};

/// Marks a segment of this very layout. After an upgrade, a session may still run the old library while
/// its new workers load the new one, which must not read the old one's segment.
const LAYOUT: u64 = {
    let parts = [size_of::<Control>(), size_of::<Slot>(), align_of::<Batch>(), RING, TEXT];
    let mut tag = 0xcbf2_9ce4_8422_2325;
    let mut n = 0;
    while n < parts.len() {
        tag = hashed(tag, &parts[n].to_le_bytes());
        n += 1;
    }
    hashed(tag, env!("CARGO_PKG_VERSION").as_bytes())
};

/// FNV-1a: `tag` with `bytes` added.
const fn hashed(mut tag: u64, bytes: &[u8]) -> u64 {
    let mut n = 0;
    while n < bytes.len() {
        tag = (tag ^ bytes[n] as u64).wrapping_mul(0x0100_0000_01b3);
        n += 1;
    }
    tag
}

/// Shared by all workers of the pool.
#[repr(C)]
pub struct Control {
    layout: u64,
    /// Set when the workers are to stop.
    stop: AtomicBool,
    /// Set once the run is in the ledger: the other workers may claim.
    opened: AtomicBool,
    /// Set when the run has come to its end before it had slices.
    concluded: AtomicBool,
    next_batch: AtomicI32,
    /// Workers that have not come to their end.
    active: AtomicU32,
    /// Workers that have a session on the source, and will look for slices once more before they end.
    reading: AtomicU32,
    /// Rows that came for the call, and those of them that were rejected.
    rows_read: AtomicI64,
    rows_rejected: AtomicI64,
    slots: u32,
    message_length: usize,
}

/// What the workers are started with, as it is written.
#[derive(Serialize)]
struct Message<'a, R> {
    call: &'a str,
    request: &'a R,
}

/// An attached segment.
pub struct SharedMemory {
    segment: *mut pg_sys::dsm_segment,
    base: *mut u8,
}

impl SharedMemory {
    /// Makes the segment for `jobs` workers. It stays mapped until dropped, also past the end of
    /// the transaction: the guard that stops the workers still needs it then.
    ///
    /// # Errors
    /// When the request cannot be written as JSON.
    pub fn create(call: &str, request: &impl Serialize, jobs: u32) -> Result<Self, Failure> {
        let json = serde_json::to_vec(&Message { call, request })
            .map_err(|e| Failure::internal(format!("the request cannot be written: {e}")))?;
        let size = message_offset(jobs as usize) + json.len();
        // SAFETY: the segment is new and private until its handle is given away; every byte of
        // Control and Slot being zero is a valid value of them.
        unsafe {
            let segment = pg_sys::dsm_create(size, 0);
            pg_sys::dsm_pin_mapping(segment);
            let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
            std::ptr::write_bytes(base, 0, message_offset(jobs as usize));
            let control = base.cast::<Control>();
            (*control).layout = LAYOUT;
            (*control).slots = jobs;
            (*control).message_length = json.len();
            std::ptr::copy_nonoverlapping(
                json.as_ptr(),
                base.add(message_offset(jobs as usize)),
                json.len(),
            );
            Ok(SharedMemory { segment, base })
        }
    }

    /// Attaches to the segment that the leader made; `None` when it is gone already, or is that of
    /// another version of this library.
    pub fn attach(handle: u32) -> Option<SharedMemory> {
        // SAFETY: the handle comes from the leader; what lies there was laid out by create().
        unsafe {
            let segment = pg_sys::dsm_attach(handle);
            if segment.is_null() {
                return None;
            }
            let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
            let length = pg_sys::dsm_segment_map_length(segment);
            let shared = SharedMemory { segment, base };
            (length >= size_of::<Control>() && base.cast::<u64>().read() == LAYOUT)
                .then_some(shared)
        }
    }

    pub fn handle(&self) -> u32 {
        // SAFETY: the segment is attached.
        unsafe { pg_sys::dsm_segment_handle(self.segment) }
    }

    pub fn control(&self) -> &Control {
        // SAFETY: laid out by create(); all that changes in it is atomic.
        unsafe { &*self.base.cast::<Control>() }
    }

    /// The slot of worker `n`, counted from 0.
    pub fn slot(&self, n: usize) -> &Slot {
        assert!(n < self.control().slots as usize, "no slot {n}");
        // SAFETY: within the segment, as just checked; cells are guarded by their counters.
        unsafe { &*self.base.add(slot_offset(n)).cast::<Slot>() }
    }

    /// The name of the call that the workers serve.
    ///
    /// # Errors
    /// When it cannot be read as JSON.
    pub fn call(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Call {
            call: String,
        }
        self.read::<Call>().map(|message| message.call)
    }

    /// The request of the call.
    ///
    /// # Errors
    /// When it cannot be read as JSON.
    pub fn request<R: DeserializeOwned>(&self) -> Result<R, Failure> {
        #[derive(Deserialize)]
        struct Request<R> {
            request: R,
        }
        self.read::<Request<R>>().map(|message| message.request)
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let control = self.control();
        // SAFETY: written by create() before the handle was given away, never after.
        let json = unsafe {
            std::slice::from_raw_parts(
                self.base.add(message_offset(control.slots as usize)),
                control.message_length,
            )
        };
        serde_json::from_slice(json)
            .map_err(|e| Failure::internal(format!("the request cannot be read: {e}")))
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: attached by create() or attach(), and used no more.
        unsafe { pg_sys::dsm_detach(self.segment) }
    }
}

fn slot_offset(n: usize) -> usize {
    size_of::<Control>().next_multiple_of(64) + n * size_of::<Slot>().next_multiple_of(64)
}

fn message_offset(jobs: usize) -> usize {
    slot_offset(jobs)
}

impl Control {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub fn set_opened(&self) {
        self.opened.store(true, Ordering::SeqCst);
    }

    pub fn is_opened(&self) -> bool {
        self.opened.load(Ordering::SeqCst)
    }

    pub fn conclude(&self) {
        self.concluded.store(true, Ordering::SeqCst);
    }

    pub fn is_concluded(&self) -> bool {
        self.concluded.load(Ordering::SeqCst)
    }

    /// A number for the next batch of the run, from 1.
    pub fn number_batch(&self) -> i32 {
        self.next_batch.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Adds rows, or takes them back where less than zero; how many they are now, and how many of them
    /// rejected.
    pub fn count_rows(&self, read: i64, rejected: i64) -> (i64, i64) {
        (
            self.rows_read.fetch_add(read, Ordering::SeqCst) + read,
            self.rows_rejected.fetch_add(rejected, Ordering::SeqCst) + rejected,
        )
    }

    /// One more worker is at work.
    pub fn enter(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    /// Workers that have not come to their end.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::SeqCst)
    }

    /// One more worker reads from the source.
    pub fn begin_reading(&self) {
        self.reading.fetch_add(1, Ordering::SeqCst);
    }

    /// One of them does not any more. It may end only if it finds no slice to claim after this: another
    /// that gave one back has counted on it.
    pub fn end_reading(&self) {
        self.reading.fetch_sub(1, Ordering::SeqCst);
    }

    /// Workers that read from the source.
    pub fn reading(&self) -> u32 {
        self.reading.load(Ordering::SeqCst)
    }

    /// A worker has come to its end; true for the last one.
    pub fn leave(&self) -> bool {
        self.active.fetch_sub(1, Ordering::SeqCst) == 1
    }
}
