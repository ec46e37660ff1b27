//! Where things are on this machine, and the node's own errors as problems.

use std::path::Path;

use crate::app::StartError;
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
        Self::new(Code::of_exit(error.exit_code()), error.to_string(), error.hint())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::new(Code::of_exit(error.exit_code()), error.to_string(), error.hint())
    }
}

impl From<EnrollError> for Problem {
    fn from(error: EnrollError) -> Self {
        let code = match error {
            EnrollError::Expired => Code::InviteExpired,
            _ => Code::of_exit(error.exit_code()),
        };
        Self::new(code, error.to_string(), error.hint())
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        Self::new(Code::of_exit(error.exit_code()), error.to_string(), error.hint())
    }
}
