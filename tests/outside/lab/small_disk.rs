//! A disk that is soon full.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::server::owner;
use super::skip;

/// A file system of a few megabytes, in memory, that servers may write to; gone when dropped.
pub struct SmallDisk {
    folder: TempDir,
    watchdog: Child,
}

impl SmallDisk {
    /// `None`, with a word, where this user may not mount.
    pub fn of_megabytes(size: u32) -> Option<SmallDisk> {
        let folder = tempfile::Builder::new().prefix("lrsx-").tempdir_in("/tmp").expect("a folder");
        let of_whom = owner().map(|(user, group)| format!(",uid={user},gid={group}"));
        let options = format!("size={size}m,mode=0700{}", of_whom.unwrap_or_default());
        if let Err(words) = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder.path()) {
            skip(&format!("no file system can be mounted here: {words}"));
            return None;
        }
        let watchdog = watchdog(folder.path());
        Some(SmallDisk { folder, watchdog })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn grow_to_megabytes(&self, size: u32) {
        let options = format!("remount,size={size}m");
        mount(&["-o", &options], self.folder.path()).expect("the disk grows");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(folder).output();
    let output = output.map_err(|error| error.to_string())?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(words) }
}

/// A shell that takes the file system away when the pipe to it closes, however the test process
/// ended.
fn watchdog(folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", r#"read -r never; umount -l "$0"; rmdir "$0""#])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts")
}
