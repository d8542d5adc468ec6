//! The way to the source, asked for again whenever a connection is made: a password, a certificate or a
//! limit may have been altered since the run began.

use crate::backend::role::current_role;
use crate::error::Failure;
use crate::plan::connection;
use crate::source::ConnectSpec;

/// Where the connections of a run lead, and as whom.
pub struct Way(ConnectSpec);

impl Way {
    /// As it was when the run began.
    pub fn new(connect: &ConnectSpec) -> Way {
        Way(connect.clone())
    }

    /// As it was when it was last asked for.
    pub fn connect(&self) -> ConnectSpec {
        self.0.clone()
    }

    /// Takes over what server and user mapping say now; inside a unit of work.
    ///
    /// # Errors
    /// 55000 where they lead elsewhere: what is covered of a source says nothing of another one. Or
    /// another [`Failure`] where they lead nowhere.
    pub fn ask(&mut self) -> Result<(), Failure> {
        let Way(before) = self;
        let now = connection(&before.server, current_role())?;
        if !now.is_same_place(before) {
            return Err(Failure::new(
                "55000",
                format!("server \"{}\" was altered while it was being pulled from", before.server),
            )
            .with_detail(format!(
                "The run began with {}, and now it is {}.",
                before.place(),
                now.place()
            ))
            .with_hint("Call pull again: it continues from there."));
        }
        *before = ConnectSpec { committed_until: before.committed_until, ..now };
        Ok(())
    }
}
