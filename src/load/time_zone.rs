//! The time zone in which the server reads a text that has none.

#![allow(unsafe_code)]

use crate::error::Failure;
use pgrx::pg_sys;
use std::ffi::CString;

/// A time zone that the server knows.
#[derive(Clone, Copy, Debug)]
pub struct Zone(*mut pg_sys::pg_tz);

impl Zone {
    /// The zone of that name.
    ///
    /// # Errors
    /// 22023 where the server knows none.
    pub fn find(name: &str) -> Result<Zone, Failure> {
        let zone = CString::new(name).map_or(std::ptr::null_mut(), |name| {
            // SAFETY: reads the name; a zone stays in the server's cache until the process ends.
            unsafe { pg_sys::pg_tzset(name.as_ptr()) }
        });
        if zone.is_null() {
            return Err(Failure::argument(format!("time zone \"{name}\" is not known")).with_hint(
                "Correct time_zone in lrs_extract.pipeline; select name from pg_timezone_names;",
            ));
        }
        Ok(Zone(zone))
    }
}

/// Checks that the server knows the time zone of that name.
///
/// # Errors
/// 22023 where it does not.
pub fn check_time_zone(name: &str) -> Result<(), Failure> {
    Zone::find(name).map(|_| ())
}

/// Has the server read texts in another zone than the session's, until it is dropped.
pub struct SessionZone {
    before: *mut pg_sys::pg_tz,
}

impl SessionZone {
    pub fn set(zone: Zone) -> SessionZone {
        // SAFETY: what SET timezone changes, on the main thread; put back by the drop, also where the
        // server throws.
        unsafe {
            let before = pg_sys::session_timezone;
            pg_sys::session_timezone = zone.0;
            SessionZone { before }
        }
    }
}

impl Drop for SessionZone {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::session_timezone = self.before }
    }
}
