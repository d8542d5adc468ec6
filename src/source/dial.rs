//! The way to the source: its addresses, the socket, TLS as `sslmode` has it, and the server's door. All
//! of it within `connect_timeout`.

pub(super) mod protection;
use super::client::Client;
use super::error::SourceError;
use super::options::{ConnectSpec, SslMode};
use super::tls;
use super::wire::{AsItIs, Line, Wire};
use rustix::net::sockopt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::{CancelToken, Config, Connection, config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection as it was made.
pub(super) struct Dialled {
    pub client: Client,
    pub route: Route,
    /// Whether the server asked for a password on this very connection.
    pub asked_for_password: bool,
}

/// The way that a connection took, for another one to the same server.
#[derive(Clone)]
pub(super) struct Route {
    address: Address,
    host: String,
    /// Whether TLS is asked for, and what does it.
    encryption: Option<MakeRustlsConnect>,
    sslmode: SslMode,
    keepalives: bool,
    patience: Duration,
}

#[derive(Clone, Debug)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What a failed connect was about, for its message.
fn connecting(spec: &ConnectSpec) -> String {
    format!("connect to the source {}", spec.place())
}

/// Connects, under the name `application_name`, with `options` for the server to set at the start.
///
/// # Errors
/// [`SourceError`], classified; it never holds the password.
pub(super) fn dial(
    spec: &ConnectSpec,
    application_name: &str,
    options: Option<&str>,
) -> Result<Dialled, SourceError> {
    let mut config = config_of(spec, application_name)?;
    if let Some(options) = options {
        config.options(options);
    }
    let encryption = match spec.sslmode {
        // As libpq: sslmode does not apply to a Unix socket.
        _ if spec.socket_folder().is_some() => None,
        SslMode::Disable => None,
        _ => Some(tls::connector(spec)?),
    };
    let runtime = runtime()?;
    let asked = Arc::new(AtomicBool::new(false));
    match runtime.block_on(reach(spec, &config, encryption, &asked)) {
        Ok((route, client, connection)) => Ok(Dialled {
            client: Client::new(runtime, client, connection),
            route,
            asked_for_password: asked.load(Ordering::SeqCst),
        }),
        Err(error) => {
            // A name server that hangs must not hold this thread.
            runtime.shutdown_background();
            Err(error)
        }
    }
}

fn runtime() -> Result<Runtime, SourceError> {
    Builder::new_current_thread().enable_all().build().map_err(|e| {
        SourceError::transient("connect to the source", "53000", format!("no runtime: {e}"))
    })
}

fn config_of(spec: &ConnectSpec, application_name: &str) -> Result<Config, SourceError> {
    let mut config = Config::new();
    let user = spec.user.as_deref().ok_or_else(|| {
        SourceError::permanent(&connecting(spec), "28000", "the user mapping names no user")
            .with_hint("alter user mapping for current_user server … options (add user '…');")
    })?;
    config.user(user);
    if let Some(password) = &spec.password {
        config.password(password.reveal());
    }
    if let Some(dbname) = &spec.dbname {
        config.dbname(dbname);
    }
    config.application_name(application_name);
    // The library is handed a line that has been agreed upon.
    config.ssl_mode(config::SslMode::Require);
    config.ssl_negotiation(SslNegotiation::Direct);
    Ok(config)
}

type Reached = (Route, tokio_postgres::Client, Connection<Wire, Wire>);

/// Tries the addresses one after the other. Each gets its share of the time that is left, so that the
/// last is tried too.
async fn reach(
    spec: &ConnectSpec,
    config: &Config,
    encryption: Option<MakeRustlsConnect>,
    asked: &Arc<AtomicBool>,
) -> Result<Reached, SourceError> {
    let patience = spec.limits.connect;
    let deadline = Instant::now() + patience;
    let addresses = match timeout_at(deadline, addresses(spec)).await {
        Ok(found) => found.map_err(|e| unresolved(spec, &e.to_string()))?,
        Err(_) => return Err(unresolved(spec, &silence(patience))),
    };
    let mut failed = unresolved(spec, "it has no address");
    for (n, address) in addresses.iter().enumerate() {
        let mut route = Route {
            address: address.clone(),
            host: spec.host_name().to_owned(),
            encryption: encryption.clone(),
            sslmode: spec.sslmode,
            keepalives: spec.keepalives.unwrap_or(true),
            patience,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
        match timeout(share, enter(spec, config, &mut route, asked)).await {
            Ok(Ok((client, connection))) => return Ok((route, client, connection)),
            // The server has spoken.
            Ok(Err(error)) if !error.sqlstate.starts_with("08") => return Err(error),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = silent(spec, share),
        }
    }
    Err(failed)
}

async fn addresses(spec: &ConnectSpec) -> io::Result<Vec<Address>> {
    let port = spec.port.unwrap_or(5432);
    if let Some(folder) = spec.socket_folder() {
        return Ok(vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))]);
    }
    let host = spec.hostaddr.as_deref().unwrap_or_else(|| spec.host_name());
    Ok(lookup_host((host, port)).await?.map(Address::Tcp).collect())
}

/// Makes the line, and is let in.
async fn enter(
    spec: &ConnectSpec,
    config: &Config,
    route: &mut Route,
    asked: &Arc<AtomicBool>,
) -> Result<(tokio_postgres::Client, Connection<Wire, Wire>), SourceError> {
    let line = match route.line().await {
        // As libpq: what prefers TLS goes without where no TLS comes about.
        Err(Obstacle::Tls(_)) if spec.sslmode == SslMode::Prefer => {
            route.encryption = None;
            route.line().await
        }
        line => line,
    };
    let line = line.map_err(|obstacle| obstacle.into_error(spec))?;
    asked.store(false, Ordering::SeqCst);
    config.connect_raw(Wire::watched(line, asked), AsItIs).await.map_err(
        |error| match tls::trouble(&error) {
            Some(trouble) => Obstacle::Tls(trouble).into_error(spec),
            None => SourceError::from_client(&connecting(spec), &error),
        },
    )
}

/// What stands in the way of a line.
enum Obstacle {
    Io(io::Error),
    /// No TLS comes about, which is not to change.
    Tls(String),
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Obstacle::Io(error)
    }
}

impl Obstacle {
    fn into_error(self, spec: &ConnectSpec) -> SourceError {
        let action = connecting(spec);
        match self {
            Obstacle::Tls(message) => SourceError::permanent(&action, "08001", message)
                .with_hint("Check sslmode and sslrootcert of the foreign server."),
            Obstacle::Io(error) => {
                use io::ErrorKind as Kind;
                let away = [Kind::TimedOut, Kind::HostUnreachable, Kind::NetworkUnreachable];
                let make = if away.contains(&error.kind()) {
                    SourceError::unreachable
                } else {
                    SourceError::transient
                };
                make(&action, "08006", error.to_string()).with_hint(CHECK_HOST)
            }
        }
    }
}

const CHECK_HOST: &str = "Check host and port of the foreign server: alter server … options (set host '…', set port '…');";

fn silence(patience: Duration) -> String {
    format!("no answer for {} ms", patience.as_millis())
}

fn silent(spec: &ConnectSpec, patience: Duration) -> SourceError {
    SourceError::unreachable(&connecting(spec), "08006", silence(patience)).with_hint(CHECK_HOST)
}

fn unresolved(spec: &ConnectSpec, reason: &str) -> SourceError {
    let message = format!("the host name \"{}\" was not resolved: {reason}", spec.host_name());
    SourceError::unreachable(&connecting(spec), "08006", message).with_hint(CHECK_HOST)
}

/// `SSLRequest` of the protocol: its length, and the number that stands for it.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

impl Route {
    /// The socket, and TLS over it where that is wanted and to be had.
    async fn line(&mut self) -> Result<Line, Obstacle> {
        let address = match &self.address {
            Address::Unix(path) => return Ok(Line::Unix(UnixStream::connect(path).await?)),
            Address::Tcp(address) => *address,
        };
        let mut socket = TcpStream::connect(address).await?;
        self.set_up(&socket)?;
        let Some(encryption) = &mut self.encryption else { return Ok(Line::Tcp(socket)) };
        socket.write_all(&TLS_REQUEST).await?;
        let mut answer = [0];
        socket.read_exact(&mut answer).await?;
        match answer {
            [b'S'] => {}
            [b'N'] if self.sslmode == SslMode::Prefer => {
                self.encryption = None;
                return Ok(Line::Tcp(socket));
            }
            [b'N'] => return Err(Obstacle::Tls("the server does not support TLS".to_owned())),
            // An error of a server that has no room for another process; its text is not to be trusted.
            _ => {
                let refused = "the server answered the request for TLS with an error";
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, refused).into());
            }
        }
        let encrypted = tls::handshake(encryption, &self.host, self.sslmode, socket).await;
        encrypted.map(|line| Line::Tls(Box::new(line))).map_err(|error| {
            match tls::is_about_tls(&error) {
                true => Obstacle::Tls(format!("error performing TLS handshake: {error}")),
                false => Obstacle::Io(error),
            }
        })
    }

    fn set_up(&self, socket: &TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        if self.keepalives {
            sockopt::set_socket_keepalive(socket, true)?;
            sockopt::set_tcp_keepidle(socket, Duration::from_secs(30))?;
            sockopt::set_tcp_keepintvl(socket, Duration::from_secs(10))?;
            sockopt::set_tcp_keepcnt(socket, 3)?;
        }
        sockopt::set_tcp_user_timeout(socket, 60_000)?;
        Ok(())
    }

    /// Sends the cancel that `token` is for.
    pub fn cancel(&self, token: &CancelToken) {
        let Ok(runtime) = runtime() else { return };
        let mut route = self.clone();
        let cancelled = async {
            if let Ok(line) = route.line().await {
                // A source that cannot be reached runs nothing that we could stop.
                let _ = token.cancel_query_raw(Wire::new(line), AsItIs).await;
            }
        };
        runtime.block_on(async {
            let _ = timeout(self.patience, cancelled).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Trouble;
    use std::net::TcpListener;

    fn spec(listener: &TcpListener) -> ConnectSpec {
        let address = listener.local_addr().unwrap();
        let mut spec = ConnectSpec::default();
        for (name, value) in
            [("hostaddr", "127.0.0.1"), ("user", "reader"), ("connect_timeout", "200ms")]
        {
            spec.set(name, value).unwrap();
        }
        spec.port = Some(address.port());
        spec
    }

    fn refused(spec: &ConnectSpec) -> SourceError {
        dial(spec, "x", None).err().unwrap()
    }

    #[test]
    fn a_mapping_without_a_user_is_refused() {
        let refused = config_of(&ConnectSpec::default(), "x");
        assert!(refused.is_err_and(|e| e.trouble == Trouble::Permanent));
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_within_connect_timeout() {
        let silence = TcpListener::bind("127.0.0.1:0").unwrap();
        for sslmode in ["disable", "prefer"] {
            let mut spec = spec(&silence);
            spec.set("sslmode", sslmode).unwrap();
            let begun = std::time::Instant::now();
            let error = refused(&spec);
            assert_eq!((error.trouble, &*error.sqlstate), (Trouble::Unreachable, "08006"));
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn a_closed_port_may_open_again() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let spec = spec(&gone);
        drop(gone);
        assert_eq!(refused(&spec).trouble, Trouble::Transient);
    }

    #[test]
    fn a_name_that_is_not_known_is_said() {
        let mut spec = ConnectSpec::default();
        spec.set("host", "nowhere.invalid").unwrap();
        spec.set("user", "reader").unwrap();
        let error = refused(&spec);
        assert_eq!(error.trouble, Trouble::Unreachable);
        assert!(error.message.contains("nowhere.invalid"), "{error}");
    }

    /// The refusal by a server that answers the request for TLS, and is gone a moment later.
    fn lost_in_the_handshake(sslmode: &str) -> SourceError {
        use std::io::{Read, Write};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut spec = spec(&listener);
        spec.set("sslmode", sslmode).unwrap();
        spec.set("connect_timeout", "5s").unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut hello = [0; 64];
            client.read_exact(&mut hello[..8]).unwrap();
            client.write_all(b"S").unwrap();
            let _ = client.read(&mut hello);
        });
        let error = refused(&spec);
        server.join().unwrap();
        error
    }

    #[test]
    fn a_connection_lost_inside_the_tls_handshake_is_tried_again() {
        for sslmode in ["prefer", "require"] {
            let error = lost_in_the_handshake(sslmode);
            assert_eq!((error.trouble, &*error.sqlstate), (Trouble::Transient, "08006"), "{error}");
        }
    }
}
