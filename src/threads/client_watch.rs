//! Watches the client while the server runs a statement for us, in which nobody else looks.

#![allow(unsafe_code)]

use super::spawn::spawn_quiet;
use crate::backend::client::{GONE, client_socket};
use crate::backend::latch::Waker;
use crate::error::Failure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;

/// Cancels the statement that runs in this backend when its client has gone, until it is dropped.
///
/// The server itself only looks when it writes (and from 14 on, with
/// `client_connection_check_interval`).
pub struct ClientWatch {
    over: Waker,
}

impl ClientWatch {
    /// Starts to look.
    ///
    /// # Errors
    /// When the process has no thread or file descriptor left.
    pub fn start() -> Result<ClientWatch, Failure> {
        let over = Waker::new()?;
        if let Some(client) = client_socket() {
            let over = over.clone();
            // A descriptor of its own: the backend's may be closed before this thread looks again.
            let client = client
                .try_clone_to_owned()
                .map_err(|e| Failure::new("53000", format!("could not watch the client: {e}")))?;
            spawn_quiet("lrs client watch", move || {
                if is_gone(&client, &over) {
                    // SAFETY: a signal to this process. Every thread but the main one has it
                    // blocked; there, it is what pg_cancel_backend sends.
                    unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
                }
            })?;
        }
        Ok(ClientWatch { over })
    }
}

impl Drop for ClientWatch {
    fn drop(&mut self) {
        self.over.wake();
    }
}

/// Waits for the one or the other; whether it was the client.
fn is_gone(client: &OwnedFd, over: &Waker) -> bool {
    let mut watched = [PollFd::new(over, PollFlags::IN), PollFd::new(client, GONE)];
    while let Err(rustix::io::Errno::INTR) = poll(&mut watched, None) {}
    watched[0].revents().is_empty() && watched[1].revents().intersects(GONE)
}
