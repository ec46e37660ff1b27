//! The data directory: one node's files, and the lock that keeps a second process out.
//!
//! `node.key` (and a copy) the identity · `next.key` the one to come, while it is rotated · `mesh.json` which mesh, and what peers cannot give back ·
//! `db/` the ledger · `outbox/` own facts that no peer is known to hold · `api.token` for the HTTP API · `runtime.json` where the running node
//! listens · `lock` held while a node runs, with its process id inside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::exit;
use crate::keys::write_atomically;

/// Longest `runtime.json` that is read.
const RUNTIME_BYTES_MAX: u64 = 4096;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// No `HOME`, no `XDG_DATA_HOME`.
    #[error("there is no home directory to put the data directory in")]
    NoHome,
    /// A file is where the directory should be.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Not permitted, or mounted read-only.
    #[error("{} cannot be written: {source}", path.display())]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// No space left.
    #[error("the disk with {} is full", .0.display())]
    Full(PathBuf),
    /// Another process runs a node on it.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds the lock, if it wrote its id.
        pid: Option<u32>,
    },
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another node".into(), |pid| format!("process {pid}"))
}

impl DataDirError {
    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoHome | Self::NotADirectory(_) => exit::CONFIG,
            _ => exit::STORAGE,
        }
    }

    /// What to do next, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::NoHome => "name a place with --data-dir or CAIRN_DATA_DIR".into(),
            Self::NotADirectory(_) => "name another place with --data-dir".into(),
            Self::NotWritable { path, .. } => format!(
                "check the owner and the mount with `ls -ld {}`, or use --data-dir",
                path.display()
            ),
            Self::Full(_) => "free some space, 100 MB or more, and start again".into(),
            Self::Locked { pid: Some(pid), .. } => {
                format!("stop it with `kill {pid}`, or give this node its own --data-dir")
            }
            Self::Locked { pid: None, .. } => "give this node its own --data-dir".into(),
            Self::Io { path, .. } => format!("look at it with `ls -ld {}`", path.display()),
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_owned();
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full(path),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::NotWritable { path, source },
            Kind::NotADirectory | Kind::AlreadyExists => Self::NotADirectory(path),
            _ => Self::Io { path, source },
        }
    }
}

/// Whether a process runs a node on it now.
pub(crate) fn is_held(dir: &DataDir) -> bool {
    let held = |file: &File| flock(file, FlockOperation::NonBlockingLockShared).is_err();
    File::open(dir.path().join("lock")).is_ok_and(|file| held(&file))
}

/// Where the running node listens; for programs on the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Process id.
    pub pid: u32,
    /// The HTTP API, if it is served.
    pub http: Option<SocketAddr>,
    /// The mesh's UDP socket.
    pub mesh: SocketAddr,
}

/// A data directory, by its path. Making one touches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The directory at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `$XDG_DATA_HOME/cairn`, else `~/.local/share/cairn`.
    ///
    /// # Errors
    /// `DataDirError::NoHome`.
    pub fn default_path() -> Result<PathBuf, DataDirError> {
        let absolute = |name: &str| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        absolute("XDG_DATA_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
            .map(|base| base.join("cairn"))
            .ok_or(DataDirError::NoHome)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The identity.
    pub fn key_file(&self) -> PathBuf {
        self.0.join("node.key")
    }

    /// The identity to come, while a rotation of the key is under way.
    pub fn next_key_file(&self) -> PathBuf {
        self.0.join("next.key")
    }

    /// Which mesh this node belongs to.
    pub fn mesh_file(&self) -> PathBuf {
        self.0.join("mesh.json")
    }

    /// The API token.
    pub fn token_file(&self) -> PathBuf {
        self.0.join("api.token")
    }

    /// The ledger, unless it is moved elsewhere.
    pub fn store(&self) -> PathBuf {
        self.0.join("db")
    }

    /// Own facts that no peer is known to hold.
    pub fn outbox(&self) -> PathBuf {
        self.0.join("outbox")
    }

    fn runtime_file(&self) -> PathBuf {
        self.0.join("runtime.json")
    }

    /// Makes the directory (mode 0700) if it is missing, and keeps other processes out until the
    /// lock is dropped.
    ///
    /// # Errors
    /// `DataDirError`; `Locked` names the process that runs on it.
    pub fn lock(&self) -> Result<Lock, DataDirError> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.0);
        made.map_err(|e| DataDirError::io(&self.0, e))?;
        let path = self.0.join("lock");
        let fail = |e| DataDirError::io(&path, e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        let mut file = options.open(&path).map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The holder may be writing it just now: then its id is not known.
                let _ = file.take(32).read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                let path = self.0.clone();
                return Err(DataDirError::Locked { path, pid });
            }
            Err(e) => return Err(fail(e.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(fail)?;
        Ok(Lock { _file: file })
    }

    /// Says where the node listens.
    ///
    /// # Errors
    /// `DataDirError`.
    pub fn write_runtime(&self, runtime: &Runtime) -> Result<(), DataDirError> {
        let path = self.runtime_file();
        let text = serde_json::to_vec(runtime).map_err(|e| DataDirError::io(&path, e.into()))?;
        write_atomically(&path, &text, 0o644).map_err(|e| DataDirError::io(&path, e))
    }

    /// Where a node listens, or did until it was killed.
    pub fn read_runtime(&self) -> Option<Runtime> {
        let file = File::open(self.runtime_file()).ok()?;
        serde_json::from_reader(file.take(RUNTIME_BYTES_MAX)).ok()
    }

    /// The node listens no more.
    pub fn remove_runtime(&self) {
        // A file that stays behind only costs the next client one refused connection.
        let _ = fs::remove_file(self.runtime_file());
    }
}

/// Keeps other processes out of a data directory while it lives. The file stays: removing it would
/// let two processes lock two different files of that name.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_process_that_holds_the_first() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(temp.path().join("new/deep"));
        let lock = dir.lock().unwrap();
        let error = dir.lock().unwrap_err();
        let own = std::process::id();
        assert!(matches!(error, DataDirError::Locked { pid: Some(pid), .. } if pid == own));
        assert!(error.to_string().contains(&format!("process {own}")));
        drop(lock);
        dir.lock().unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        fs::write(&path, "").unwrap();
        for path in [path.clone(), path.join("below")] {
            let error = DataDir::new(&path).lock().unwrap_err();
            assert!(matches!(error, DataDirError::NotADirectory(at) if at == path));
        }
    }

    #[test]
    fn errors_of_the_system_become_those_that_say_what_to_do() {
        let path = Path::new("/x");
        for (kind, words) in [
            (io::ErrorKind::PermissionDenied, "--data-dir"),
            (io::ErrorKind::ReadOnlyFilesystem, "--data-dir"),
            (io::ErrorKind::StorageFull, "free some space"),
        ] {
            let error = DataDirError::io(path, kind.into());
            assert!(error.hint().contains(words), "{error}");
            assert!(error.to_string().contains("/x"));
        }
    }

    #[test]
    fn runtime_is_there_while_the_node_runs() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(temp.path());
        assert_eq!(dir.read_runtime(), None);
        let runtime = Runtime { pid: 7, http: None, mesh: "[::1]:7071".parse().unwrap() };
        dir.write_runtime(&runtime).unwrap();
        assert_eq!(dir.read_runtime(), Some(runtime));
        dir.remove_runtime();
        dir.remove_runtime();
        assert_eq!(dir.read_runtime(), None);
    }
}
