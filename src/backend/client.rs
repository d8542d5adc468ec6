//! The client of this backend: its socket, and whether the client is still connected.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::pg_sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;

/// What a socket shows when the other side has closed it.
pub const GONE: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);

/// The socket of this backend's client; a worker has none.
pub fn client_socket() -> Option<BorrowedFd<'static>> {
    // SAFETY: MyProcPort is null or the connection of this backend, whose first field is its socket
    // in every version from 13 to 18 (`src/include/libpq/libpq-be.h`). The socket is open as long
    // as the backend lives.
    unsafe {
        let port = pg_sys::MyProcPort;
        (!port.is_null()).then(|| BorrowedFd::borrow_raw(*port.cast::<pg_sys::pgsocket>()))
    }
}

/// Ends the statement when its client has gone: nobody would read what comes.
///
/// The server itself only looks when it writes (and from 14 on, with
/// `client_connection_check_interval`). A worker has no client.
pub fn check_client() {
    let Some(client) = client_socket() else { return };
    let mut watched = [PollFd::new(&client, GONE)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut watched, Some(&now)).is_ok_and(|n| n > 0) && watched[0].revents().intersects(GONE)
    {
        Failure::new("08006", "the client has closed the connection; the run stops").raise();
    }
}
