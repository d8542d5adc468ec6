//! The shared memory of a pool: the request going one way, reports and failures coming back.
//!
//! One DSM segment: [`Control`], one [`Slot`] for each worker, then the call's name and its request
//! as JSON. Each slot
//! has one writer (its worker) and one reader (the leader); its ring is handed over by two
//! counters, so no lock is needed and a worker that dies leaves nothing half-said.

#![allow(unsafe_code)]

use crate::error::Failure;
use crate::ledger::Batch;
use pgrx::pg_sys;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Reports that a leader may be behind before a worker waits for it.
const RING: usize = 1024;
const TEXT: usize = 4096;

/// What a worker has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    Running = 0,
    Done = 1,
    Failed = 2,
}

/// Shared by all workers of the pool.
#[repr(C)]
pub struct Control {
    /// Set when the workers are to stop.
    stop: AtomicBool,
    /// Set once the run is in the ledger: the other workers may claim.
    opened: AtomicBool,
    next_batch: AtomicI32,
    /// Workers that have not come to their end.
    active: AtomicU32,
    slots: u32,
    message_length: usize,
}

/// One worker's own.
#[repr(C)]
pub struct Slot {
    outcome: AtomicU32,
    written: AtomicUsize,
    read: AtomicUsize,
    /// Microseconds in which the leader saw the worker waiting for a lock.
    lock_micros: AtomicU64,
    ring: [UnsafeCell<MaybeUninit<Batch>>; RING],
    /// The failure as JSON; written before `outcome` says so.
    text_length: AtomicUsize,
    text: UnsafeCell<[u8; TEXT]>,
    /// Trouble that the worker waits out.
    warning_length: AtomicUsize,
    warning: UnsafeCell<[u8; TEXT]>,
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

    /// Attaches to the segment that the leader made; `None` when it is gone already.
    pub fn attach(handle: u32) -> Option<SharedMemory> {
        // SAFETY: the handle comes from the leader; what lies there was laid out by create().
        unsafe {
            let segment = pg_sys::dsm_attach(handle);
            if segment.is_null() {
                return None;
            }
            let base = pg_sys::dsm_segment_address(segment).cast::<u8>();
            Some(SharedMemory { segment, base })
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

    /// A number for the next batch of the run, from 1.
    pub fn number_batch(&self) -> i32 {
        self.next_batch.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// One more worker is at work.
    pub fn enter(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    /// Workers that have not come to their end.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::SeqCst)
    }

    /// A worker has come to its end; true for the last one.
    pub fn leave(&self) -> bool {
        self.active.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

impl Slot {
    pub fn outcome(&self) -> Outcome {
        match self.outcome.load(Ordering::Acquire) {
            0 => Outcome::Running,
            1 => Outcome::Done,
            _ => Outcome::Failed,
        }
    }

    pub fn finish(&self) {
        self.outcome.store(Outcome::Done as u32, Ordering::Release);
    }

    /// Leaves the failure for the leader.
    pub fn fail(&self, failure: &Failure) {
        let mut shorter = failure.clone();
        let json = loop {
            match serde_json::to_vec(&shorter) {
                Ok(json) if json.len() <= TEXT => break json,
                Ok(_) => shorten(&mut shorter),
                Err(_) => break Vec::new(),
            }
        };
        // SAFETY: only the worker writes, and the leader reads only once `outcome` says Failed.
        unsafe { (&mut (*self.text.get()))[..json.len()].copy_from_slice(&json) };
        self.text_length.store(json.len(), Ordering::Release);
        self.outcome.store(Outcome::Failed as u32, Ordering::Release);
    }

    /// The failure, once [`Slot::outcome`] is `Failed`.
    pub fn failure(&self) -> Failure {
        let length = self.text_length.load(Ordering::Acquire);
        // SAFETY: written before the outcome was set.
        let json = unsafe { &(&*self.text.get())[..length.min(TEXT)] };
        serde_json::from_slice(json)
            .unwrap_or_else(|_| Failure::internal("a worker failed without a word"))
    }

    /// Hands a batch over; false when the leader is too far behind.
    pub fn report(&self, batch: &Batch) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        if written - self.read.load(Ordering::Acquire) >= RING {
            return false;
        }
        // SAFETY: the leader reads this place only after `written` has moved past it.
        unsafe { (*self.ring[written % RING].get()).write(*batch) };
        self.written.store(written + 1, Ordering::Release);
        true
    }

    /// The oldest batch not yet taken.
    pub fn take(&self) -> Option<Batch> {
        let read = self.read.load(Ordering::Relaxed);
        if read == self.written.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the worker has written this place, and writes it again only after `read` has moved
        // past it.
        let batch = unsafe { (*self.ring[read % RING].get()).assume_init() };
        self.read.store(read + 1, Ordering::Release);
        Some(batch)
    }

    /// The worker was seen waiting for a lock.
    pub fn add_lock_time(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(0);
        self.lock_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How long the worker was seen waiting for locks since this was last asked.
    pub fn take_lock_time(&self) -> Duration {
        Duration::from_micros(self.lock_micros.swap(0, Ordering::Relaxed))
    }

    /// Leaves a warning about trouble that the worker waits out, unless one is still unread.
    pub fn warn(&self, text: &str) {
        if self.warning_length.load(Ordering::Acquire) == 0 {
            let bytes = &text.as_bytes()[..text.floor_char_boundary(TEXT)];
            // SAFETY: the leader reads only while the length is not zero.
            unsafe { (&mut (*self.warning.get()))[..bytes.len()].copy_from_slice(bytes) };
            self.warning_length.store(bytes.len(), Ordering::Release);
        }
    }

    /// Takes the warning that was left.
    pub fn take_warning(&self) -> Option<String> {
        let length = self.warning_length.load(Ordering::Acquire);
        if length == 0 {
            return None;
        }
        // SAFETY: the worker does not write while the length is not zero.
        let text =
            unsafe { String::from_utf8_lossy(&(&*self.warning.get())[..length]).into_owned() };
        self.warning_length.store(0, Ordering::Release);
        Some(text)
    }
}

/// Cuts the longest part in half.
fn shorten(failure: &mut Failure) {
    let detail = failure.detail.as_ref().map_or(0, String::len);
    let hint = failure.hint.as_ref().map_or(0, String::len);
    let halve = |text: &mut String| text.truncate(text.floor_char_boundary(text.len() / 2));
    if failure.message.len() >= detail.max(hint) {
        halve(&mut failure.message);
    } else if let Some(text) = if detail >= hint { &mut failure.detail } else { &mut failure.hint }
    {
        halve(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Box<Slot> {
        // SAFETY: all zero bytes are a valid Slot, as in a new segment.
        unsafe { Box::new(std::mem::zeroed()) }
    }

    #[test]
    fn reports_come_out_in_order_and_a_full_ring_says_so() {
        let slot = slot();
        let report = |batch_no| Batch { batch_no, ..Batch::default() };
        let sent = (0..).take_while(|n| slot.report(&report(*n))).count();
        assert_eq!(sent, RING);
        assert_eq!(slot.take().map(|r| r.batch_no), Some(0));
        assert!(slot.report(&report(RING as i32)));
        let rest: Vec<i32> = std::iter::from_fn(|| slot.take()).map(|r| r.batch_no).collect();
        assert_eq!(rest, (1..=RING as i32).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_fits_however_long_it_is() {
        let slot = slot();
        let failure = Failure::new("22P02", "한".repeat(9_000)).with_detail("d".repeat(9_000));
        slot.fail(&failure);
        assert_eq!(slot.outcome(), Outcome::Failed);
        let read = slot.failure();
        assert_eq!(read.sqlstate, "22P02");
        assert!(failure.message.starts_with(&read.message));
    }

    #[test]
    fn a_warning_waits_until_it_is_read() {
        let slot = slot();
        slot.warn("first");
        slot.warn("second");
        assert_eq!(slot.take_warning().as_deref(), Some("first"));
        assert_eq!(slot.take_warning(), None);
    }
}
