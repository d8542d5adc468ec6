//! The line to the source: a socket, with TLS or without, on which the server's requests for a password
//! are seen.

use super::tls::Encrypted;
use postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What bytes come and go by.
pub(super) enum Line {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Encrypted>),
}

/// What all kinds of [`Line`] are.
trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Line {
    fn io(&mut self) -> Pin<&mut dyn Io> {
        let line: &mut dyn Io = match self {
            Line::Tcp(line) => line,
            Line::Unix(line) => line,
            Line::Tls(line) => line,
        };
        Pin::new(line)
    }
}

/// A [`Line`] on which the handshake is watched.
pub(super) struct Wire {
    line: Line,
    watch: Option<Watch>,
}

impl Wire {
    pub fn new(line: Line) -> Wire {
        Wire { line, watch: None }
    }

    /// Has `asked` set when the server asks for a password before it lets the client in.
    pub fn watched(line: Line, asked: &Arc<AtomicBool>) -> Wire {
        Wire { line, watch: Some(Watch::new(asked.clone())) }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.line.io().poll_read(cx, buf);
        if let (Poll::Ready(Ok(())), Some(watch)) = (&polled, &mut self.watch)
            && watch.take_in(&buf.filled()[before..])
        {
            self.watch = None;
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.io().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.io().poll_shutdown(cx)
    }
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.line {
            Line::Tls(line) => line.channel_binding(),
            Line::Tcp(_) | Line::Unix(_) => ChannelBinding::none(),
        }
    }
}

/// Gives the client library a [`Wire`] that is as it should be already.
pub(super) struct AsItIs;

impl TlsConnect<Wire> for AsItIs {
    type Stream = Wire;
    type Error = Infallible;
    type Future = Ready<Result<Wire, Infallible>>;

    fn connect(self, wire: Wire) -> Self::Future {
        ready(Ok(wire))
    }
}

/// Reads what the server sends until it lets the client in (`AuthenticationOk`).
struct Watch {
    asked: Arc<AtomicBool>,
    /// The begin of the message that is coming: its type, its length, and what an `R` asks for.
    head: Vec<u8>,
    /// Bytes of a message that are of no interest.
    skip: usize,
}

impl Watch {
    fn new(asked: Arc<AtomicBool>) -> Watch {
        Watch { asked, head: Vec::with_capacity(9), skip: 0 }
    }

    /// Takes in what has come; true when there is nothing more to be seen.
    fn take_in(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let Some((first, rest)) = bytes.split_first() else { break };
            self.head.push(*first);
            bytes = rest;
            let (kind, length, code) = match self.head[..] {
                [kind, a, b, c, d] if kind != b'R' => (kind, [a, b, c, d], None),
                [kind, a, b, c, d, e, f, g, h] => {
                    (kind, [a, b, c, d], Some(i32::from_be_bytes([e, f, g, h])))
                }
                _ => continue,
            };
            // The length counts itself, and the code.
            let seen = if kind == b'R' { 8 } else { 4 };
            self.skip = (u32::from_be_bytes(length) as usize).saturating_sub(seen);
            self.head.clear();
            match code {
                Some(0) => return true,
                // Cleartext, MD5, SASL.
                Some(3 | 5 | 10) => self.asked.store(true, Ordering::SeqCst),
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn request(code: i32, more: &[u8]) -> Vec<u8> {
        message(b'R', &[&code.to_be_bytes()[..], more].concat())
    }

    /// Whether a password is seen to be asked for, however the bytes come.
    fn asks(messages: &[Vec<u8>]) -> bool {
        let bytes = messages.concat();
        let seen = |at_once: usize| {
            let asked = Arc::new(AtomicBool::new(false));
            let mut watch = Watch::new(asked.clone());
            for part in bytes.chunks(at_once) {
                if watch.take_in(part) {
                    break;
                }
            }
            asked.load(Ordering::SeqCst)
        };
        let all = seen(bytes.len());
        for at_once in 1..bytes.len() {
            assert_eq!(seen(at_once), all, "{at_once} bytes at a time");
        }
        all
    }

    #[test]
    fn each_way_to_ask_for_a_password_is_seen() {
        let ok = || request(0, b"");
        assert!(asks(&[request(3, b""), ok()]));
        assert!(asks(&[request(5, b"salt"), ok()]));
        let sasl = request(10, b"SCRAM-SHA-256\0\0");
        let notice = || message(b'N', b"SNOTICE\0R\0\0\0\x03\0\0");
        assert!(asks(&[notice(), sasl, request(11, b"more"), request(12, b"last"), ok()]));
    }

    #[test]
    fn a_server_that_lets_in_does_not_ask_afterwards() {
        assert!(!asks(&[request(0, b""), request(3, b"")]));
        assert!(!asks(&[message(b'v', &[0; 8]), request(0, b""), message(b'S', b"R\0R\0")]));
    }

    #[test]
    fn an_identity_of_another_kind_is_no_password() {
        // GSSAPI, and its continuation.
        assert!(!asks(&[request(7, b""), request(8, b"token"), request(0, b"")]));
    }
}
