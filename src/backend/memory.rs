//! What the heap of a worker does with freed memory.

#![allow(unsafe_code)]

/// More than any chunk of rows is, and any block of a memory context: what is larger (one huge
/// statement) goes back to the system as soon as it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST_KEPT: libc::c_int = 16 << 20;

/// More than a pipeline holds at a time, so that none of it goes to the system and comes back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 128 << 20;

/// One heap for all threads. By itself, glibc gives each thread its own, and what the reader of one slice
/// has freed stays with it while the transform of the next slice grows another.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: libc::c_int = 1;

/// Makes the heap of this process keep what is freed for the next chunk.
///
/// Chunks of a megabyte come and go all the time. By itself, glibc maps each anew and gives it back,
/// and the kernel clears each page again: a twentieth of a worker's CPU. For a process that ends
/// with the run; a backend's heap stays as it is.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: three numbers for malloc, in a process that has no other thread yet. A refusal leaves
    // the defaults.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}
