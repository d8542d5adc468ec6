//! A throwaway PostgreSQL server: its own folder, socket and log, stopped when dropped.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use postgres::{Client, Config, NoTls};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use super::{Version, await_some, await_that};

const STOPS_WITHIN: Duration = Duration::from_secs(20);
const CONNECTS_WITHIN: Duration = Duration::from_secs(30);

/// The port in the socket's name, for a server that listens nowhere else.
const SOCKET_PORT: u16 = 5432;

const SETTINGS: &str = "
fsync = off
shared_buffers = 64MB
max_connections = 80
max_worker_processes = 48
password_encryption = 'scram-sha-256'
log_line_prefix = '%p %d %u %a: '
log_min_messages = info
autovacuum = off
jit = off
timezone = 'UTC'
";

/// The server's owner is let in by its socket; everyone else must show a password.
const ACCESS: &str = "
local all postgres trust
local replication postgres trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
";

/// What a server is to be like, before it starts.
pub struct ServerPlan {
    version: Version,
    settings: String,
    access_first: String,
    listens: bool,
    files: Vec<(&'static str, String)>,
}

impl ServerPlan {
    pub fn of(version: Version) -> Self {
        Self {
            version,
            settings: SETTINGS.to_owned(),
            access_first: String::new(),
            listens: false,
            files: Vec::new(),
        }
    }

    /// A line of postgresql.conf, the last of a name wins.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// A line of pg_hba.conf that comes before all others.
    pub fn access(mut self, line: &str) -> Self {
        self.access_first.push_str(line);
        self.access_first.push('\n');
        self
    }

    /// Listens on 127.0.0.1 too, on a free port.
    pub fn listening(mut self) -> Self {
        self.listens = true;
        self
    }

    /// A file in the data folder that only the server may read.
    pub fn file(mut self, name: &'static str, text: String) -> Self {
        self.files.push((name, text));
        self
    }

    pub fn start(self) -> Server {
        let port = if self.listens { free_port() } else { SOCKET_PORT };
        let server = Server::unfurnished(self.version, port);
        server.init_data();
        let addresses = if self.listens { "127.0.0.1" } else { "" };
        let settings = format!(
            "{}\nlisten_addresses = '{addresses}'\nport = {port}\nunix_socket_directories = '{}'\n",
            self.settings,
            server.home.path().display()
        );
        server.write_data_file("postgresql.auto.conf", &settings);
        server.write_data_file("pg_hba.conf", &(self.access_first + ACCESS));
        for (name, text) in &self.files {
            server.write_data_file(name, text);
        }
        server.start_again();
        server
    }
}

pub struct Server {
    postmaster: Mutex<Option<Child>>,
    watchdog: Mutex<Option<Child>>,
    home: TempDir,
    version: Version,
    port: u16,
}

impl Server {
    /// A folder for a server, without any data yet.
    fn unfurnished(version: Version, port: u16) -> Self {
        let home = tempfile::Builder::new()
            .prefix("lrsx-")
            .tempdir_in("/tmp")
            .expect("a folder under /tmp");
        give_to_owner(home.path());
        Self {
            watchdog: Mutex::new(Some(watchdog(home.path()))),
            postmaster: Mutex::new(None),
            version,
            port,
            home,
        }
    }

    /// The folder of a standby of this server, to be filled with a copy of its data.
    pub(super) fn beside(&self) -> Self {
        Self::unfurnished(self.version, SOCKET_PORT)
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A file that [`ServerPlan::file`] put there, readable by every server of the tests.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// How to reach database `db` by the socket.
    pub fn address(&self, db: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.home.path()).port(self.port).dbname(db);
        config
    }

    /// A superuser's connection; waits while the server starts or recovers.
    pub fn connect(&self, db: &str) -> Client {
        let mut config = self.address(db);
        config.user("postgres").application_name("test");
        await_some(&format!("a connection to {db}"), CONNECTS_WITHIN, || config.connect(NoTls).ok())
    }

    /// A command of this version's folder that reaches this server as its superuser.
    pub fn tool(&self, name: &str) -> Command {
        self.reaching(Command::new(self.version.bin_dir().join(name)))
    }

    /// The same, run by the system user who owns the servers' files.
    pub(super) fn tool_of_owner(&self, name: &str) -> Command {
        self.reaching(as_owner(&self.version.bin_dir().join(name)))
    }

    fn reaching(&self, mut command: Command) -> Command {
        command
            .env("PGHOST", self.home.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres");
        command
    }

    /// All that the server has logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.home.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts the server after a stop or a crash; returns when it accepts connections.
    pub fn start_again(&self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("log"))
            .expect("the log can be written");
        let child = as_owner(&self.version.bin_dir().join("postgres"))
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log's handle"))
            .stderr(log)
            .spawn()
            .expect("postgres starts");
        *self.postmaster.lock().unwrap() = Some(child);
        drop(self.connect("postgres"));
    }

    /// What `pg_ctl restart -m immediate` does: every backend is quit, recovery follows.
    pub fn restart_immediately(&self) {
        self.stop(Signal::QUIT);
        self.start_again();
    }

    /// SIGKILL to the postmaster. Its children must notice by themselves and go.
    pub fn kill(&self) {
        let pid = self.postmaster_pid().expect("the server runs");
        let children = children_of(pid);
        self.stop(Signal::KILL);
        await_that("the killed server's processes are gone", STOPS_WITHIN, || {
            children.iter().all(|child| test_kill_process(*child).is_err())
        });
    }

    fn stop(&self, signal: Signal) {
        if let Some(mut child) = self.postmaster.lock().unwrap().take() {
            let _ = kill_process(Pid::from_child(&child), signal);
            let _ = child.wait();
        }
    }

    fn postmaster_pid(&self) -> Option<Pid> {
        self.postmaster.lock().unwrap().as_ref().map(Pid::from_child)
    }

    fn init_data(&self) {
        let output = as_owner(&self.version.bin_dir().join("initdb"))
            .args(["--no-sync", "--no-locale", "-E", "UTF8", "-U", "postgres", "-A", "trust", "-D"])
            .arg(self.data())
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn write_data_file(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("the data folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode is set");
        give_to_owner(&path);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Signal::QUIT);
        if let Some(mut watchdog) = self.watchdog.lock().unwrap().take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
    }
}

/// A shell that outlives this process by a moment: when the pipe to it closes, however the test
/// process ended, it stops the server and removes the folder.
fn watchdog(home: &Path) -> Child {
    let script = r#"
        read -r never
        if pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null); then
            kill -QUIT "$pid" 2>/dev/null
            while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        fi
        rm -rf "$0"
    "#;
    Command::new("sh")
        .args(["-c", script])
        .arg(home)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts")
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let list = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &parent.as_raw_nonzero().to_string()])
        .output()
        .expect("ps runs");
    String::from_utf8_lossy(&list.stdout)
        .split_whitespace()
        .filter_map(|word| Pid::from_raw(word.parse().ok()?))
        .collect()
}

/// PostgreSQL refuses to run as root: then it runs as the user `postgres`.
pub(super) fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("the system has a user postgres").split(':').skip(2);
    let mut id = || fields.next().and_then(|id| id.parse().ok()).expect("an id");
    Some((id(), id()))
}

fn as_owner(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/tmp").env_remove("RUST_BACKTRACE");
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

fn give_to_owner(path: &Path) {
    if let Some((user, group)) = owner() {
        chown(path, Some(user), Some(group)).expect("root may give files away");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
