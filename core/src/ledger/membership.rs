//! Who belongs: pure rules over membership and invite rows.

use super::reject::FactReject;
use super::rows::{InviteRow, Line, Member};
use crate::fact::{Body, Role};
use crate::id::NodeId;
use crate::params::{Admission, SEALERS_MAX};
use crate::time::UnixTime;
use crate::work::Height;

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

/// How a key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Not at all.
    No,
    /// Another key of its line was.
    Line,
    /// A `Revoke` names this key.
    Named,
}

/// How far the author of a fact still counts.
#[derive(Debug, Clone, Copy)]
pub struct Voice {
    /// How it was revoked; for facts that no block seals yet, by what is in the set.
    pub cut: Cut,
    /// Whether the chain knows of that.
    pub in_chain: bool,
    /// Whether another key has replaced it.
    pub is_past: bool,
    /// Since which height its lease is over.
    pub lapsed: Option<Height>,
}

/// Whether a key that was revoked may say anything: nothing, except that revocations by it which
/// are not in the chain yet still compete there. That is so even if its own revocation is in the
/// set, or of two admins who revoke each other neither could be sealed. A key that another has
/// replaced says nothing either. Whose lease is over may still leave for good: the set counts that
/// anyway.
///
/// # Errors
/// `Revoked`, which takes the fact out of the set, so it follows from the set alone; `Deposed`,
/// `Replaced`, `Lapsed`.
pub fn may_speak(author: NodeId, voice: Voice, body: &Body<'_>) -> Result<(), FactReject> {
    let Voice { cut, in_chain, is_past, lapsed } = voice;
    match body {
        // Its author is whom the recovery keys name, whatever became of it.
        Body::Recover(_) => Ok(()),
        Body::Revoke { .. } if !in_chain && !is_past => Ok(()),
        body if cut == Cut::Named && !body.is_lasting() => Err(FactReject::Revoked),
        _ if cut != Cut::No || in_chain => Err(FactReject::Deposed),
        _ if is_past => Err(FactReject::Replaced(author)),
        _ => lapsed.map_or(Ok(()), |since| Err(FactReject::Lapsed(since))),
    }
}

/// Judges a `Rotate` from a key to one that was never a member's: once a key, and not before the
/// key that came before it is past. Returns the row of the new key.
///
/// # Errors
/// `NotMember`, `Replaced`, `RotatedLately`, `RotateRole` or `AlreadyMember`.
pub fn judge_rotate(rotation: &Rotation<'_>) -> Result<Member, FactReject> {
    let &Rotation { old, author, before, new, to, role } = rotation;
    let author = author.ok_or(FactReject::NotMember)?;
    if author.until.is_some() {
        return Err(FactReject::Replaced(old));
    }
    if before == Some(false) {
        return Err(FactReject::RotatedLately);
    }
    if role != author.role {
        return Err(FactReject::RotateRole);
    }
    if new.is_some() {
        return Err(FactReject::AlreadyMember(to));
    }
    let first = author.line.map_or(old, |line| line.first);
    let line = Some(Line { first, before: old });
    Ok(Member { line, newest: None, lease: None, ..author.clone() })
}

/// Everything that decides about one `Rotate`.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// The author.
    pub old: NodeId,
    /// Its membership.
    pub author: Option<&'a Member>,
    /// Whether the key before it is past; none if it is the first.
    pub before: Option<bool>,
    /// The new key.
    pub to: NodeId,
    /// Its membership.
    pub new: Option<&'a Member>,
    /// The role that the fact names.
    pub role: Role,
}

/// Judges a `Revoke`: by an admin, or by the member itself; once.
///
/// # Errors
/// `NotMember`, `NotAdmin` or `AlreadyRevoked`.
pub fn judge_revoke(
    author: Option<&Member>,
    author_key: NodeId,
    key: NodeId,
    already: bool,
) -> Result<(), FactReject> {
    let role = author.map(|member| member.role).ok_or(FactReject::NotMember)?;
    if role != Role::Admin && author_key != key {
        return Err(FactReject::NotAdmin);
    }
    if already { Err(FactReject::AlreadyRevoked(key)) } else { Ok(()) }
}

/// Judges a `Name`: by an admin, or by a member that writes about itself. Returns the member.
///
/// # Errors
/// `NotMember`, `NotAdmin`, `Reader`, `NoSuchMember` or `Replaced`.
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
    let member = member.ok_or(FactReject::NoSuchMember(node))?;
    if member.until.is_some() { Err(FactReject::Replaced(node)) } else { Ok(member.clone()) }
}

/// Judges a `Lease` in a block at `height`: by an admin, about a member that is none.
///
/// # Errors
/// `NotMember`, `NotAdmin`, `NoSuchMember`, `Replaced`, `LeaseAdmin` or `LeaseOver`.
pub fn judge_lease(
    author: Option<&Member>,
    node: NodeId,
    member: Option<&Member>,
    until: Option<Height>,
    height: Height,
) -> Result<(), FactReject> {
    let role = author.map(|member| member.role).ok_or(FactReject::NotMember)?;
    if role != Role::Admin {
        return Err(FactReject::NotAdmin);
    }
    let member = member.ok_or(FactReject::NoSuchMember(node))?;
    match until {
        _ if member.until.is_some() => Err(FactReject::Replaced(node)),
        _ if member.role == Role::Admin => Err(FactReject::LeaseAdmin(node)),
        Some(until) if until <= height => Err(FactReject::LeaseOver(until)),
        _ => Ok(()),
    }
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
