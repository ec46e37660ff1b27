//! What can go wrong with the store. All of it is the machine's fault, ends the node, and exits
//! with code 8.

use std::io;
use std::path::{Path, PathBuf};

use cairn_core::store::StoreFault;

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space left.
    #[error("the disk with {} is full", .0.display())]
    Full(PathBuf),
    /// Not permitted to write, or mounted read-only.
    #[error("{} cannot be written: {source}", path.display())]
    NotWritable {
        /// What was written.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// Written by a newer program.
    #[error("the store has format {found}, this program knows {known}")]
    NewerFormat {
        /// The store's format.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// The content is not what was written.
    #[error("the store at {} is damaged: {what}", path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What was noticed.
        what: String,
    },
    /// The device failed in another way.
    #[error("the store at {} failed: {what}", path.display())]
    Failed {
        /// Where it is.
        path: PathBuf,
        /// The system's words.
        what: String,
    },
    /// A write did not return for this many seconds.
    #[error("the store at {} has not answered for {seconds} seconds", path.display())]
    Stalled {
        /// Where it is.
        path: PathBuf,
        /// How long.
        seconds: u64,
    },
}

/// Less free space than this, and a table or journal that is being written may not fit.
const NEARLY_FULL_BYTES: u64 = 16 * 1024 * 1024;

fn nearly_full(path: &Path) -> bool {
    let free = rustix::fs::statvfs(path).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    free.is_ok_and(|free| free < NEARLY_FULL_BYTES)
}

impl StoreError {
    /// What to do next, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Full(_) => "free some space (100 MB or more) and start again; nothing that was \
                              acknowledged is lost"
                .into(),
            Self::NotWritable { .. } => {
                "check the owner and the mount with `ls -ld` and `mount`, or choose another place \
                 with --db"
                    .into()
            }
            Self::Locked(_) => "stop the other node, or give this one its own --data-dir".into(),
            Self::NewerFormat { .. } => "install the newer cairn that wrote it".into(),
            Self::Damaged { path, .. } => format!(
                "move it away with `mv {0} {0}.bad` and start again: peers refill it",
                path.display()
            ),
            Self::Failed { .. } | Self::Stalled { .. } => {
                "look for errors of the disk with `dmesg`; the card may be worn out".into()
            }
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_owned();
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full(path),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::NotWritable { path, source },
            _ => Self::Failed { path, what: source.to_string() },
        }
    }

    pub(super) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }

    pub(super) fn fjall(path: &Path, error: fjall::Error) -> Self {
        use fjall::Error as E;
        match error {
            E::Io(e) | E::Storage(fjall::LsmError::Io(e)) => match e.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::damaged(path, e),
                _ => Self::io(path, e),
            },
            E::Locked => Self::Locked(path.to_owned()),
            // A write in the background failed and fjall does not say why. Mostly it is this:
            E::Poisoned if nearly_full(path) => Self::Full(path.to_owned()),
            E::Poisoned => {
                Self::Failed { path: path.to_owned(), what: "an earlier write failed".into() }
            }
            other => Self::damaged(path, format!("{other:?}")),
        }
    }

    pub(crate) fn fault(path: &Path, fault: &StoreFault) -> Self {
        Self::damaged(path, fault)
    }
}
