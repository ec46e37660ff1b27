//! Who belongs: pure rules over membership and invite rows.

use super::reject::FactReject;
use super::rows::{InviteRow, Member};
use crate::fact::{Body, Role};
use crate::id::NodeId;
use crate::params::{Admission, SEALERS_MAX};
use crate::time::UnixTime;

/// Whether an author may write anything at all. In an open mesh everybody may.
///
/// # Errors
/// `NotMember` or `Reader`.
pub fn may_write(admission: Admission, author: Option<&Member>) -> Result<(), FactReject> {
    match author {
        _ if admission == Admission::Open => Ok(()),
        None => Err(FactReject::NotMember),
        Some(member) if member.role.writes() => Ok(()),
        Some(_) => Err(FactReject::Reader),
    }
}

/// Whether a key that was revoked may say anything: nothing, except that revocations by it which
/// are not in the chain yet still compete there. That is so even if its own revocation is in the
/// set, or of two admins who revoke each other neither could be sealed.
///
/// # Errors
/// `Revoked` or `Deposed`.
pub fn may_speak(
    author: Option<&Member>,
    revoked: bool,
    body: &Body<'_>,
) -> Result<(), FactReject> {
    let in_chain = author.is_some_and(|member| !member.in_force());
    match body {
        _ if !revoked => Ok(()),
        Body::Revoke { .. } if !in_chain => Ok(()),
        body if body.is_lasting() => Err(FactReject::Deposed),
        _ => Err(FactReject::Revoked),
    }
}

/// Judges a `Revoke`: by an admin, or by the member itself; once.
///
/// # Errors
/// `NotMember`, `NotAdmin` or `AlreadyRevoked`.
pub fn judge_revoke(
    author: Option<&Member>,
    author_key: NodeId,
    key: NodeId,
    subject: Option<&Member>,
) -> Result<(), FactReject> {
    let role = author.map(|member| member.role).ok_or(FactReject::NotMember)?;
    if role != Role::Admin && author_key != key {
        return Err(FactReject::NotAdmin);
    }
    match subject {
        Some(subject) if !subject.in_force() => Err(FactReject::AlreadyRevoked(key)),
        _ => Ok(()),
    }
}

/// Judges a `Name`: by an admin, or by a member that writes about itself. Returns the member.
///
/// # Errors
/// `NotMember`, `NotAdmin`, `Reader` or `NoSuchMember`.
pub fn judge_name(
    author: Option<&Member>,
    author_key: NodeId,
    node: NodeId,
    member: Option<&Member>,
) -> Result<Member, FactReject> {
    match author.map(|member| member.role) {
        None => return Err(FactReject::NotMember),
        Some(Role::Admin) => {}
        Some(_) if author_key != node => return Err(FactReject::NotAdmin),
        Some(Role::Reader) => return Err(FactReject::Reader),
        Some(_) => {}
    }
    member.cloned().ok_or(FactReject::NoSuchMember(node))
}

/// Judges an `Invite`: by an admin, with a key that no invite had before.
///
/// # Errors
/// `NotMember`, `NotAdmin` or `InviteExists`.
pub fn judge_invite(
    author: Option<&Member>,
    same_key: Option<&InviteRow>,
) -> Result<(), FactReject> {
    match author.map(|member| member.role) {
        None => Err(FactReject::NotMember),
        Some(Role::Admin) if same_key.is_some() => Err(FactReject::InviteExists),
        Some(Role::Admin) => Ok(()),
        Some(_) => Err(FactReject::NotAdmin),
    }
}

/// Everything that decides about one `Admit`.
#[derive(Debug, Clone, Copy)]
pub struct Entrance<'a> {
    /// The author's membership.
    pub author: Option<&'a Member>,
    /// The invite whose key is the author.
    pub invite: Option<&'a InviteRow>,
    /// Whether who made that invite was revoked.
    pub void: bool,
    /// The node to be admitted.
    pub node: NodeId,
    /// Its membership before.
    pub member: Option<&'a Member>,
    /// What it is to become.
    pub role: Role,
    /// Sealers before, if the role seals.
    pub sealers: usize,
    /// The block's time.
    pub time: UnixTime,
}

/// Judges an `Admit`. Returns the invite with one use less, if it is by an invite.
///
/// # Errors
/// The first rule that is broken.
pub fn judge_admit(admit: &Entrance<'_>) -> Result<Option<InviteRow>, FactReject> {
    let by_admin = admit.author.is_some_and(|member| member.role == Role::Admin);
    let used = match admit.invite {
        _ if by_admin => None,
        Some(_) if admit.void => return Err(FactReject::InviteVoid),
        Some(invite) => Some(use_invite(invite, admit.role, admit.time)?),
        None if admit.author.is_some() => return Err(FactReject::NotAdmin),
        None => return Err(FactReject::InviteUnknown),
    };
    if admit.member.is_some() {
        return Err(FactReject::AlreadyMember(admit.node));
    }
    if admit.role.seals() && admit.sealers >= SEALERS_MAX {
        return Err(FactReject::TooManySealers);
    }
    Ok(used)
}

fn use_invite(invite: &InviteRow, role: Role, time: UnixTime) -> Result<InviteRow, FactReject> {
    if role != invite.role {
        return Err(FactReject::InviteRole);
    }
    if time > invite.expires {
        return Err(FactReject::InviteExpired(invite.expires));
    }
    match invite.uses_left.checked_sub(1) {
        None => Err(FactReject::InviteSpent),
        Some(uses_left) => Ok(InviteRow { uses_left, ..invite.clone() }),
    }
}
