//! What one worker tells the leader, in shared memory: batches in a ring, how it ended, a warning. It
//! has one writer, the worker, and one reader, the leader; the ring is handed over by two counters, so
//! no lock is needed and a worker that dies leaves no partial message.

#![allow(unsafe_code)]

use crate::error::Failure;
use crate::ledger::Batch;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Batches that a leader may be behind before a worker waits for it.
pub const RING: usize = 1024;
/// Bytes of a message.
pub const TEXT: usize = 4096;

/// What a worker has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    Running = 0,
    Done = 1,
    Failed = 2,
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
    use crate::slice::Key;

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
    fn the_last_key_survives_with_its_null() {
        let slot = slot();
        let timestamp = "2025-03-01T00:00:00.000001Z".parse().unwrap();
        for last in [None, Some(None), Some(Some(-7))] {
            let last = last.map(|actor| Key { timestamp, actor });
            assert!(slot.report(&Batch { last, ..Batch::default() }));
            assert_eq!(slot.take().map(|batch| batch.last), Some(last));
        }
        assert_eq!(slot.take(), None);
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
