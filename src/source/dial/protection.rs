//! What keeps others from listening on the way to the source.

use super::{Address, Route};

/// How what goes to the source and back is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It stays on this machine: a Unix socket, or a loopback address.
    Local,
    /// TLS.
    Encrypted,
    /// Who is on the way can read it.
    None,
}

impl Route {
    /// How this way is protected.
    pub fn protection(&self) -> Protection {
        match &self.address {
            Address::Unix(_) => Protection::Local,
            Address::Tcp(_) if self.encryption.is_some() => Protection::Encrypted,
            Address::Tcp(address) if address.ip().is_loopback() => Protection::Local,
            Address::Tcp(_) => Protection::None,
        }
    }
}
