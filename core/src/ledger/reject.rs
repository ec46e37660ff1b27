//! Contextual rules, one variant each: why a fact cannot be sealed, or a block cannot be connected,
//! in the state at hand.

use core::fmt;

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::id::{FactId, NodeId};
use crate::time::UnixTime;
use crate::work::Height;

/// Why a fact has no effect in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactReject {
    /// The author is no member at this point of the chain. It may become one later.
    NotMember,
    /// The author's role does not let it write.
    Reader,
    /// The custody fact it builds on is not (yet) in the chain. It may come later.
    FollowsUnknown,
    /// Another custody fact of the item came first; this is who holds the item now, if anybody.
    Superseded {
        /// The item.
        item: String,
        /// Who holds it.
        holder: Option<NodeId>,
    },
    /// The item is held.
    Held {
        /// The item.
        item: String,
        /// By whom.
        holder: NodeId,
    },
    /// The item is free, so there is nothing to release or hand over.
    Free {
        /// The item.
        item: String,
    },
    /// Only the holder may do this.
    NotHolder {
        /// The item.
        item: String,
        /// Who holds it.
        holder: NodeId,
    },
    /// The one it is handed to is no member.
    ReceiverNotMember(NodeId),
    /// Only admins may do this.
    NotAdmin,
    /// The invite's key was used for an invite before.
    InviteExists,
    /// The key that admits belongs to no invite in the chain. It may come later.
    InviteUnknown,
    /// The invite admits nobody else.
    InviteSpent,
    /// The block is later than the invite allows.
    InviteExpired(UnixTime),
    /// The invite gives another role.
    InviteRole,
    /// The node is a member already.
    AlreadyMember(NodeId),
    /// There are as many sealers as there can be.
    TooManySealers,
    /// The author's membership was revoked. The fact is outside the set, unless a block seals it.
    Revoked,
    /// The author's membership was revoked, so it has no say any more about who belongs.
    Deposed,
    /// The key was revoked, so it cannot be admitted, named or revoked any more.
    AlreadyRevoked(NodeId),
    /// Whoever made the invite was revoked.
    InviteVoid,
    /// Without this sealer there would be none.
    LastSealer,
    /// It speaks of somebody who is no member. It may become one later.
    NoSuchMember(NodeId),
    /// The key was rotated: another one counts in its place.
    Replaced(NodeId),
    /// The key before this one still counts, so it cannot be rotated yet.
    RotatedLately,
    /// A rotation that names another role than its author has.
    RotateRole,
    /// Not as many recovery keys of the mesh signed as it takes.
    NoQuorum,
    /// The author's membership was lent, and counts no more from this height on. It may be renewed.
    Lapsed(Height),
    /// A lease for an admin: admins are ended by a revocation.
    LeaseAdmin(NodeId),
    /// A lease that would be over already: it ends at this height.
    LeaseOver(Height),
}

impl FactReject {
    /// Whether the fact merely waits for something that may still be sealed before it. Everything
    /// else is a conflict until a reorg.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotMember | Self::FollowsUnknown | Self::InviteUnknown | Self::NoSuchMember(_)
        )
    }

    /// Whether that somebody does not belong may be why, by a revocation or a lease that is over, so
    /// that a later block can lift it.
    pub const fn may_be_lifted(&self) -> bool {
        matches!(
            self,
            Self::Revoked
                | Self::Deposed
                | Self::AlreadyRevoked(_)
                | Self::InviteVoid
                | Self::ReceiverNotMember(_)
                | Self::Lapsed(_)
        )
    }

    /// The rule's short name, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotMember => "not-member",
            Self::Reader => "reader",
            Self::FollowsUnknown => "follows-unknown",
            Self::Superseded { .. } => "superseded",
            Self::Held { .. } => "held",
            Self::Free { .. } => "free",
            Self::NotHolder { .. } => "not-holder",
            Self::ReceiverNotMember(_) => "receiver-not-member",
            Self::NotAdmin => "not-admin",
            Self::InviteExists => "invite-exists",
            Self::InviteUnknown => "invite-unknown",
            Self::InviteSpent => "invite-spent",
            Self::InviteExpired(_) => "invite-expired",
            Self::InviteRole => "invite-role",
            Self::AlreadyMember(_) => "already-member",
            Self::TooManySealers => "too-many-sealers",
            Self::Revoked | Self::Deposed => "revoked",
            Self::AlreadyRevoked(_) => "already-revoked",
            Self::InviteVoid => "invite-void",
            Self::LastSealer => "last-sealer",
            Self::NoSuchMember(_) => "no-such-member",
            Self::Replaced(_) => "key-replaced",
            Self::RotatedLately => "rotated-lately",
            Self::RotateRole => "rotate-role",
            Self::NoQuorum => "no-quorum",
            Self::Lapsed(_) => "lapsed",
            Self::LeaseAdmin(_) => "lease-admin",
            Self::LeaseOver(_) => "lease-over",
        }
    }
}

impl fmt::Display for FactReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember => f.write_str("its author is not a member yet"),
            Self::Reader => f.write_str("its author may only read"),
            Self::FollowsUnknown => f.write_str("what it follows is not sealed yet"),
            Self::Superseded { item, holder: Some(holder) } => {
                write!(f, "another came first: {item} is held by {holder}")
            }
            Self::Superseded { item, holder: None } => {
                write!(f, "another came first: {item} is free again")
            }
            Self::Held { item, holder } => write!(f, "{item} is held by {holder}"),
            Self::Free { item } => write!(f, "{item} is free"),
            Self::NotHolder { item, holder } => {
                write!(f, "only the holder of {item} may do this: {holder}")
            }
            Self::ReceiverNotMember(node) => write!(f, "{node} is not a member"),
            Self::NotAdmin => f.write_str("its author is not an admin"),
            Self::InviteExists => f.write_str("the invite's key was used before"),
            Self::InviteUnknown => f.write_str("its invite is not sealed yet"),
            Self::InviteSpent => f.write_str("the invite has no uses left"),
            Self::InviteExpired(at) => write!(f, "the invite expired at {} ms", at.0),
            Self::InviteRole => f.write_str("the invite gives another role"),
            Self::AlreadyMember(node) => write!(f, "{node} is a member already"),
            Self::TooManySealers => f.write_str("there are as many sealers as there can be"),
            Self::Revoked | Self::Deposed => f.write_str("its author's membership was revoked"),
            Self::AlreadyRevoked(key) => write!(f, "{key} was revoked, which is for good"),
            Self::InviteVoid => f.write_str("who made the invite was revoked"),
            Self::LastSealer => f.write_str("nobody else could seal blocks"),
            Self::NoSuchMember(node) => write!(f, "{node} is not a member"),
            Self::Replaced(key) => write!(f, "another key has replaced {key}"),
            Self::RotatedLately => f.write_str("the key before this one still counts"),
            Self::NoQuorum => f.write_str("it takes more recovery keys of this mesh"),
            Self::RotateRole => f.write_str("the rotation names another role than its author's"),
            Self::Lapsed(until) => {
                write!(f, "its author's lease ended at height {}; an admin can renew it", until.0)
            }
            Self::LeaseAdmin(node) => write!(f, "{node} is an admin, who is not lent anything"),
            Self::LeaseOver(until) => {
                write!(f, "a lease until height {} would be over already", until.0)
            }
        }
    }
}

/// Why a block cannot be connected. All of these are provable: the sealer is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockReject {
    /// No ids, too many, one twice, or not those that the header commits to.
    Body,
    /// Its facts have more bytes than the mesh allows: limit, got.
    TooLarge(u64, u64),
    /// An ancestor sealed this fact.
    SealedBefore(FactId),
    /// A fact is against the rules at its place.
    Fact(FactId, FactReject),
    /// The header does not commit to the sealers that result.
    SealersRoot,
}

impl fmt::Display for BlockReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("its list of facts is not what the header commits to"),
            Self::TooLarge(limit, got) => {
                write!(f, "its facts have {got} bytes where {limit} are allowed")
            }
            Self::SealedBefore(id) => write!(f, "an earlier block seals fact {id}"),
            Self::Fact(id, reject) => write!(f, "fact {id} is not permitted: {reject}"),
            Self::SealersRoot => f.write_str("it commits to the wrong next sealers"),
        }
    }
}
