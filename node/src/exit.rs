//! The exit codes that errors of this library map to.

/// Something failed.
pub const FAILED: u8 = 1;
/// An argument is not permitted.
pub const USAGE: u8 = 2;
/// No node answers.
pub const UNREACHABLE: u8 = 3;
/// Refused by the rules.
pub const REFUSED: u8 = 5;
/// The disk, the store or the key file.
pub const STORAGE: u8 = 8;
/// The network, such as a port in use.
pub const NETWORK: u8 = 9;
/// `doctor` found something that works, but not as it could.
pub const DOCTOR_WARNED: u8 = 10;
/// `doctor` found something that does not work.
pub const DOCTOR_FAILED: u8 = 11;
/// Bad configuration.
pub const CONFIG: u8 = 78;
