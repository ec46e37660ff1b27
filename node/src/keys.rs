//! The node's secrets on disk: its key and the API token.
//!
//! Both are text files of mode 0600 in the data directory, outside the ledger. The key is what
//! peers cannot give back, so it is written to a temporary file, synced, renamed, synced again, and
//! kept twice; the second copy steps in when the first is unreadable. A key file that others may
//! read is refused: it may have been copied already, which only its owner can judge.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cairn_core::hash::sha256;
use cairn_core::id::{Hex, NodeId};
use cairn_core::signature::SigningKey;
use zeroize::{Zeroize, Zeroizing};

use crate::exit;
use crate::store::sync_directory;

/// First word of a key file.
const KEY_VERSION: &str = "cairn-key-1";
/// Bytes of the checksum behind the key.
const CHECKSUM_BYTES: usize = 4;
/// Longest secret file that is read.
const SECRET_BYTES_MAX: u64 = 256;
/// Bytes of randomness in an API token.
const TOKEN_BYTES: usize = 32;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Group or others may read it.
    #[error("{} can be read by other users (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither copy is intact.
    #[error("{} is damaged, and so is its second copy", .0.display())]
    Damaged(PathBuf),
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
}

impl KeyError {
    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Exposed { .. } => exit::CONFIG,
            _ => exit::STORAGE,
        }
    }

    /// What to do next, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Exposed { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Damaged(path) => format!(
                "restore {} from a backup; without it this node has to join again as a new one",
                path.display()
            ),
            Self::Io { path, .. } => {
                format!("check the owner and the mount with `ls -l {}`", path.display())
            }
            Self::Randomness => "start again once the system has gathered entropy".into(),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyError + '_ {
    move |source| KeyError::Io { path: path.to_owned(), source }
}

/// Unpredictable bytes from the system.
///
/// # Errors
/// `KeyError::Randomness`.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}

/// Replaces a file as a whole: after a crash it is the old or the new one. `mode` are its
/// permission bits.
///
/// # Errors
/// The system's.
pub(crate) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let file = File::open(path).map_err(io_error(path))?;
    let meta = file.metadata().map_err(io_error(path))?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyError::Exposed { path, mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX as usize));
    let read = file.take(SECRET_BYTES_MAX).read_to_string(&mut text);
    read.map_err(io_error(path))?;
    Ok(text)
}

fn checksum(seed: &[u8; 32]) -> String {
    Hex(&sha256(&[KEY_VERSION.as_bytes(), seed]).0[..CHECKSUM_BYTES]).to_string()
}

fn key_text(seed: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{KEY_VERSION} {} {}\n", Hex(seed), checksum(seed)))
}

/// A node's key with the seed it is made from, which the transport needs for its certificate.
#[derive(Clone)]
pub struct NodeKey {
    seed: Zeroizing<[u8; 32]>,
    signing: SigningKey,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey(of {:?})", self.node_id())
    }
}

impl NodeKey {
    fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let signing = SigningKey::from_seed(*seed);
        Self { seed, signing }
    }

    /// The public half.
    pub const fn node_id(&self) -> NodeId {
        self.signing.node_id()
    }

    /// What signs facts and blocks.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The RFC 8032 seed.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

fn parse_key(text: &str) -> Option<NodeKey> {
    let mut words = text.split_ascii_whitespace();
    let (version, seed, sum) = (words.next()?, words.next()?, words.next()?);
    // `Hash` is 32 bytes in hex, which is what is needed here.
    let mut seed: cairn_core::id::Hash = seed.parse().ok()?;
    let fine = version == KEY_VERSION && words.next().is_none() && checksum(&seed.0) == sum;
    let key = fine.then(|| NodeKey::from_seed(Zeroizing::new(seed.0)));
    seed.0.zeroize();
    key
}

/// Where the second copy of the key in `path` is.
pub(crate) fn second_copy(path: &Path) -> PathBuf {
    path.with_extension("key.copy")
}

/// The key in `path` or its second copy; none if there is neither. A missing or damaged copy is
/// written again from the other one.
///
/// # Errors
/// `KeyError` if a copy is exposed, or both are damaged.
pub fn load(path: &Path) -> Result<Option<NodeKey>, KeyError> {
    let copy = second_copy(path);
    let mut damaged = false;
    for (from, to) in [(path, copy.as_path()), (copy.as_path(), path)] {
        let text = match read_secret(from) {
            Ok(text) => text,
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                damaged = true;
                continue;
            }
            Err(e) => return Err(e),
        };
        let Some(key) = parse_key(&text) else {
            damaged = true;
            continue;
        };
        let intact = read_secret(to).is_ok_and(|other| *other == *text);
        if !intact {
            tracing::warn!(file = %to.display(), "writing the missing copy of the node's key");
            write_atomically(to, text.as_bytes(), 0o600).map_err(io_error(to))?;
        }
        return Ok(Some(key));
    }
    if damaged { Err(KeyError::Damaged(path.to_owned())) } else { Ok(None) }
}

/// Writes a key over both copies, one after the other: after a crash at least one is intact, and the
/// first copy decides.
///
/// # Errors
/// `KeyError::Io`.
pub fn replace(path: &Path, key: &NodeKey) -> Result<(), KeyError> {
    let text = key_text(key.seed());
    for path in [path, &second_copy(path)] {
        write_atomically(path, text.as_bytes(), 0o600).map_err(io_error(path))?;
    }
    Ok(())
}

/// Removes both copies of a key, for good.
///
/// # Errors
/// `KeyError::Io`.
pub fn remove(path: &Path) -> Result<(), KeyError> {
    // The copy first: what is left of it alone would be taken for the key.
    for path in [&second_copy(path), path] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(path)(error));
            }
            _ => {}
        }
    }
    path.parent().map_or(Ok(()), sync_directory).map_err(io_error(path))
}

/// Makes a new key and writes both copies.
///
/// # Errors
/// `KeyError` if it cannot be written or there is no randomness.
pub fn create(path: &Path) -> Result<NodeKey, KeyError> {
    let key = NodeKey::from_seed(Zeroizing::new(random::<32>()?));
    replace(path, &key)?;
    Ok(key)
}

/// The key in `path`, made if there is none.
///
/// # Errors
/// `KeyError`.
pub fn load_or_create(path: &Path) -> Result<NodeKey, KeyError> {
    match load(path)? {
        Some(key) => Ok(key),
        None => create(path),
    }
}

/// The API token in `path`, made if there is none: 64 hex digits.
///
/// # Errors
/// `KeyError`.
pub fn token(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    match read_secret(path) {
        Ok(text) if text.trim().len() == 2 * TOKEN_BYTES => {
            return Ok(Zeroizing::new(text.trim().to_owned()));
        }
        Err(e @ KeyError::Exposed { .. }) => return Err(e),
        // Nobody but this machine's user depends on the token: a bad one is replaced.
        _ => {}
    }
    let bytes = Zeroizing::new(random::<TOKEN_BYTES>()?);
    let text = Zeroizing::new(Hex(&*bytes).to_string());
    write_atomically(path, text.as_bytes(), 0o600).map_err(io_error(path))?;
    Ok(text)
}

#[cfg(test)]
mod tests;
