//! Invites as text: everything a newcomer needs, in one line that can be read aloud, pasted or
//! scanned.
//!
//! An invite carries the mesh's rules themselves, not just the mesh id: the id is their hash, so
//! the newcomer knows the mesh (and its name) before any node answers, and `join` works offline.
//! bech32m's checksum catches mistyping.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::codec;
use crate::fact::Role;
use crate::id::NodeId;
use crate::params::{Params, ParamsError};
use crate::signature::{SigningKey, check_node_id};
use crate::time::UnixTime;

/// Version of the format.
pub const INVITE_VERSION: u8 = 1;
/// The human-readable part of an invite.
pub const INVITE_HRP: &str = "cairninv";
/// Most addresses in an invite.
pub const INVITE_ADDRESSES_MAX: usize = 4;
/// Most bytes of one address.
pub const ADDRESS_BYTES_MAX: usize = 255;
/// Most characters of an invite: the length up to which bech32m's code is defined.
pub const INVITE_CHARS_MAX: usize = 1023;

/// What an invite says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// `INVITE_VERSION`.
    pub version: u8,
    /// The rules of the mesh; their hash is its id.
    pub params: Params,
    /// Who invites; the key that the addresses belong to.
    pub inviter: NodeId,
    /// Where the inviter can be found, `host:port`.
    pub addresses: Vec<String>,
    /// Secret half of the invite's key; signs the newcomer's `Admit`.
    secret: [u8; 32],
    /// What those admitted become.
    pub role: Role,
    /// No block later than this admits by it.
    pub expires: UnixTime,
}

impl Drop for Invite {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite(by {:?} to {:?})", self.inviter, self.params.name)
    }
}

/// Why a text is not an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteError {
    /// Not bech32m at all, or its checksum is wrong: cut off or mistyped.
    Checksum,
    /// Some other bech32m text, such as a node id.
    NotAnInvite,
    /// Made by a program of another version.
    Version(u8),
    /// The checksum is right but the content is not an invite's.
    Content,
    /// The rules inside are not permitted.
    Params(ParamsError),
    /// Too long to be written: shorten the mesh's name or the addresses.
    TooLong,
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("the invite is cut off or mistyped (checksum)"),
            Self::NotAnInvite => write!(f, "this is not an invite (they begin `{INVITE_HRP}1`)"),
            Self::Version(v) => write!(f, "the invite has version {v}, this program knows 1"),
            Self::Content => f.write_str("the invite's content is malformed"),
            Self::Params(e) => write!(f, "the invite's mesh is not permitted: {e}"),
            Self::TooLong => f.write_str("the invite would be too long"),
        }
    }
}

impl core::error::Error for InviteError {}

impl Invite {
    /// Puts an invite together.
    pub fn new(
        params: Params,
        inviter: NodeId,
        addresses: Vec<String>,
        secret: [u8; 32],
        role: Role,
        expires: UnixTime,
    ) -> Self {
        Self { version: INVITE_VERSION, params, inviter, addresses, secret, role, expires }
    }

    /// The key that signs `Admit` facts; its public half is in the `Invite` fact.
    pub fn key(&self) -> SigningKey {
        SigningKey::from_seed(self.secret)
    }

    /// The text form.
    ///
    /// # Errors
    /// `InviteError::TooLong` if it does not fit `INVITE_CHARS_MAX`.
    pub fn to_text(&self) -> Result<String, InviteError> {
        let hrp = bech32::Hrp::parse(INVITE_HRP).map_err(|_| InviteError::NotAnInvite)?;
        let mut bytes = codec::encode(self);
        let mut text = String::new();
        let written = bech32::encode_lower_to_fmt::<bech32::Bech32m, _>(&mut text, hrp, &bytes);
        bytes.zeroize();
        match written {
            Ok(()) if text.len() <= INVITE_CHARS_MAX => Ok(text),
            _ => Err(InviteError::TooLong),
        }
    }

    fn check(&self) -> Result<(), InviteError> {
        self.params.check().map_err(InviteError::Params)?;
        let addresses_ok = self.addresses.len() <= INVITE_ADDRESSES_MAX
            && self.addresses.iter().all(|a| (1..=ADDRESS_BYTES_MAX).contains(&a.len()));
        let ok = addresses_ok && check_node_id(&self.inviter) && self.role != Role::Admin;
        if ok { Ok(()) } else { Err(InviteError::Content) }
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.len() > INVITE_CHARS_MAX {
            return Err(InviteError::Checksum);
        }
        // A QR code has it in capitals; a mixture is no bech32.
        let capitals = !text.bytes().any(|c| c.is_ascii_lowercase());
        let lower = if capitals { text.to_ascii_lowercase() } else { text.to_string() };
        let parsed = bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32m>(&lower)
            .map_err(|_| InviteError::Checksum)?;
        // In capitals too: that is how a QR code holds it in the fewest dots.
        if !parsed.hrp().as_str().eq_ignore_ascii_case(INVITE_HRP) {
            return Err(InviteError::NotAnInvite);
        }
        let mut bytes: Vec<u8> = parsed.byte_iter().collect();
        match bytes.first() {
            Some(&INVITE_VERSION) => {}
            Some(version) => return Err(InviteError::Version(*version)),
            None => return Err(InviteError::Content),
        }
        let invite: Result<Self, _> = codec::decode(&bytes, INVITE_CHARS_MAX);
        bytes.zeroize();
        let invite = invite.map_err(|_| InviteError::Content)?;
        invite.check()?;
        Ok(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn invite() -> Invite {
        let founder = SigningKey::from_seed([1; 32]).node_id();
        let params = Params::private("makerspace", &[founder], UnixTime(5)).unwrap();
        let addresses = vec!["192.0.2.1:7071".into(), "[2001:db8::1]:7071".into()];
        Invite::new(params, founder, addresses, [9; 32], Role::Sealer, UnixTime(1_000))
    }

    #[test]
    fn an_invite_survives_its_text_form() {
        let text = invite().to_text().unwrap();
        assert!(text.starts_with("cairninv1"));
        let back: Invite = alloc::format!("  {text}\n").parse().unwrap();
        assert!(back == invite());
        let scanned: Invite = text.to_ascii_uppercase().parse().unwrap();
        assert!(scanned == invite());
        let mixed = text.replacen('c', "C", 1).parse::<Invite>();
        assert_eq!(mixed, Err(InviteError::Checksum));
        assert_eq!(back.key().node_id(), invite().key().node_id());
        assert!(text.to_uppercase().parse::<Invite>().unwrap() == invite());
    }

    #[test]
    fn every_single_wrong_character_is_noticed() {
        let text = invite().to_text().unwrap();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'q' { b'p' } else { b'q' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(wrong.parse::<Invite>().is_err(), "at {at}");
        }
        assert_eq!(text[..text.len() - 1].parse::<Invite>(), Err(InviteError::Checksum));
        let node = SigningKey::from_seed([1; 32]).node_id().to_string();
        assert_eq!(node.parse::<Invite>(), Err(InviteError::NotAnInvite));
        assert_eq!("".parse::<Invite>(), Err(InviteError::Checksum));
    }
}
