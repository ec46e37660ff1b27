//! Why a node has no mesh.

use cairn_core::fact::FactError;
use cairn_core::invite::InviteError;
use cairn_core::params::ParamsError;

use crate::data_dir::DataDirError;
use crate::exit;
use crate::keys::KeyError;

/// Why a node cannot found, join or find its mesh.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The node's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The directory holds a node of a mesh already.
    #[error("this data directory belongs to the mesh \"{0}\" already")]
    Enrolled(String),
    /// The directory holds no node of a mesh.
    #[error("this data directory belongs to no mesh yet")]
    NoMesh,
    /// Only founders can invite while their node does not run.
    #[error("only a founder can invite while the node is not running")]
    NotFounder,
    /// The rules are not permitted.
    #[error("the mesh's rules: {0}")]
    Params(#[from] ParamsError),
    /// The invite cannot be written.
    #[error("the invite: {0}")]
    Invite(#[from] InviteError),
    /// The invite is over.
    #[error("the invite has expired")]
    Expired,
    /// A name or other field is not permitted.
    #[error("{0}")]
    Fact(#[from] FactError),
    /// `mesh.json` is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// What was noticed.
        what: String,
    },
}

impl EnrollError {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DataDir(e) => e.exit_code(),
            Self::Key(e) => e.exit_code(),
            Self::Enrolled(_) | Self::NoMesh => exit::CONFIG,
            Self::NotFounder => exit::UNREACHABLE,
            Self::Params(_) | Self::Fact(_) | Self::Invite(_) => exit::USAGE,
            Self::Expired => exit::REFUSED,
            Self::Damaged { .. } => exit::STORAGE,
        }
    }

    /// What to do next, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::DataDir(e) => e.hint(),
            Self::Key(e) => e.hint(),
            Self::NoMesh => {
                "found one with `cairn init NAME`, or join with `cairn join INVITE`".into()
            }
            Self::NotFounder => "start it first: `cairn run`".into(),
            Self::Enrolled(_) => "use another --data-dir for another mesh".into(),
            Self::Params(_) | Self::Fact(_) => "see `cairn init --help`".into(),
            Self::Invite(_) => "copy the whole invite, or ask for another".into(),
            Self::Expired => "ask for another with `cairn invite create`, or set this clock".into(),
            Self::Damaged { .. } => "restore it from a backup, or join again".into(),
        }
    }
}
