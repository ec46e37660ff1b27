//! Where things are on this machine, and the node's own errors as problems.

use std::path::Path;

use crate::data_dir::{DataDir, DataDirError};
use crate::enroll::EnrollError;
use crate::keys::KeyError;
use crate::problem::{Code, Problem};

/// The data dir: the one given, else the user's.
pub(super) fn data_dir(given: Option<&Path>) -> Result<DataDir, Problem> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => DataDir::default_path()?,
    };
    Ok(DataDir::new(path))
}

impl From<DataDirError> for Problem {
    fn from(error: DataDirError) -> Self {
        let code = match error {
            DataDirError::NoHome | DataDirError::Locked { .. } => Code::Config,
            DataDirError::NotWritable { .. } => Code::NotPermitted,
            _ => Code::Storage,
        };
        Self::new(code, error.to_string(), error.hint())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::new(Code::Storage, error.to_string(), error.hint())
    }
}

impl From<EnrollError> for Problem {
    fn from(error: EnrollError) -> Self {
        let hint = error.hint();
        let code = match error {
            EnrollError::DataDir(inner) => return inner.into(),
            EnrollError::Key(inner) => return inner.into(),
            EnrollError::Enrolled(_) | EnrollError::Expired => Code::Failed,
            EnrollError::Params(_) | EnrollError::Fact(_) | EnrollError::Invite(_) => Code::Usage,
            EnrollError::Damaged { .. } => Code::Storage,
        };
        Self::new(code, error.to_string(), hint)
    }
}
