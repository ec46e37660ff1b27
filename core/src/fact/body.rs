//! What a fact can say.
//!
//! Bodies borrow their text and bytes from the encoded fact, so the same type serves a
//! microcontroller without an allocator and a node that keeps only the encoded bytes. The order of
//! the variants is their number on the wire: new kinds are added at the end.

use serde::{Deserialize, Serialize};

use super::recover::Recover;
use crate::hash::Tag;
use crate::id::{FactId, MeshId, NodeId};
use crate::signature::{self, Signature, SigningKey};
use crate::text::{LABEL_BYTES_MAX, NAME_BYTES_MAX, NOTE_BYTES_MAX, is_item, is_label, is_name};
use crate::time::UnixTime;
use crate::work::Height;

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Reads; its facts are not sealed.
    Reader,
    /// Writes facts.
    Member,
    /// Writes facts and seals blocks.
    Sealer,
    /// All that, and invites others.
    Admin,
}

impl Role {
    /// Whether blocks sealed by this role are valid.
    pub const fn seals(self) -> bool {
        matches!(self, Self::Sealer | Self::Admin)
    }

    /// Whether facts by this role may be sealed.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Reader)
    }
}

/// The statement of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body<'a> {
    /// Something written down.
    Record {
        /// What it is about.
        topic: &'a str,
        /// How to read the bytes, such as `text/plain`.
        media_type: &'a str,
        /// The content.
        #[serde(with = "serde_bytes", borrow)]
        bytes: &'a [u8],
    },
    /// A statement about two facts.
    Relation {
        /// The fact that is spoken of.
        subject: FactId,
        /// How they relate, such as `corrects`.
        predicate: &'a str,
        /// The other fact.
        object: FactId,
    },
    /// The author wants to hold an item.
    Request {
        /// Name of the item.
        item: &'a str,
        /// The custody fact of the item this one builds on; none if it was never held.
        follows: Option<FactId>,
        /// For people.
        note: &'a str,
    },
    /// An item becomes free.
    Release {
        /// Name of the item.
        item: &'a str,
        /// The custody fact of the item this one builds on.
        follows: FactId,
        /// For people.
        note: &'a str,
    },
    /// The holder hands an item to somebody else.
    Transfer {
        /// Name of the item.
        item: &'a str,
        /// The custody fact of the item this one builds on.
        follows: FactId,
        /// The new holder.
        to: NodeId,
        /// For people.
        note: &'a str,
    },
    /// An admin lets whoever has the secret half of `key` admit nodes.
    Invite {
        /// The public half.
        key: NodeId,
        /// What those admitted become; never `Admin`.
        role: Role,
        /// How many may be admitted.
        uses: u32,
        /// No block later than this may admit by it.
        expires: UnixTime,
        /// For how many blocks after the one that admits them they are lent a membership; none: for
        /// good.
        lease: Option<u32>,
    },
    /// A node becomes a member. The author is an admin, or the key of an invite.
    Admit {
        /// The new member.
        node: NodeId,
        /// Its role; by an invite, exactly the invite's.
        role: Role,
        /// What people call it.
        name: &'a str,
    },
    /// A key counts no more: a member leaves, or an invite is taken back. Said by an admin, or by
    /// the member itself. For good: who comes back comes with another key.
    Revoke {
        /// The key.
        node: NodeId,
    },
    /// A member gets another name. Said by an admin, or by the member itself.
    Name {
        /// The member.
        node: NodeId,
        /// What people call it from now on.
        name: &'a str,
    },
    /// The author goes on under another key, which agrees: what the one was and holds, the other is
    /// and holds from now on.
    Rotate {
        /// The new key.
        key: NodeId,
        /// The author's role, so that what the new key may bring in depends on this fact alone.
        role: Role,
        /// The new key's, that it takes over from the author in this mesh.
        signature: Signature,
    },
    /// As many recovery keys as it takes say that an admin's key was lost or stolen.
    Recover(#[serde(borrow)] Recover<'a>),
    /// An admin lends a membership, renews it, or makes it one without end. A later one replaces an
    /// earlier one, also when it is over.
    Lease {
        /// The member, by its newest key.
        node: NodeId,
        /// The first height at which it counts no more; none: it does not lapse.
        until: Option<Height>,
    },
}

/// What is wrong with a body that decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// A topic, media type or predicate that is empty, too long or has control characters.
    Label(&'static str),
    /// An item name outside `[A-Za-z0-9_.-]{1,128}`.
    Item,
    /// A note longer than allowed.
    Note,
    /// A name that is empty, too long or has control characters.
    Name,
    /// A key that cannot name a node.
    Key,
    /// An invite with no uses, for no blocks or for admins.
    Invite,
    /// A recovery with too many keys, or in the wrong order.
    Recover,
}

impl core::fmt::Display for BodyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Label(what) => write!(
                f,
                "the {what} must have 1 to {LABEL_BYTES_MAX} bytes and no control characters"
            ),
            Self::Item => {
                f.write_str("an item name has 1 to 128 of the characters A-Z a-z 0-9 _ . -")
            }
            Self::Note => write!(f, "a note has at most {NOTE_BYTES_MAX} bytes"),
            Self::Name => {
                write!(f, "a name has 1 to {NAME_BYTES_MAX} bytes and no control characters")
            }
            Self::Key => f.write_str("not a public key"),
            Self::Recover => {
                f.write_str("a recovery names too many keys, none, or disordered ones")
            }
            Self::Invite => f.write_str(
                "an invite has at least one use, lends a block or more, and is never for admins",
            ),
        }
    }
}

impl core::error::Error for BodyError {}

/// What the new key of a rotation signs.
fn rotation(mesh: &MeshId, old: &NodeId, new: &NodeId) -> [u8; 32] {
    let hasher = Tag::Rotation.hasher().chain(mesh.as_bytes());
    hasher.chain(old.as_bytes()).chain(new.as_bytes()).finish()
}

/// By this signature a new key agrees to take over from `old`.
pub fn sign_rotation(mesh: &MeshId, old: &NodeId, new: &SigningKey) -> Signature {
    new.sign(Tag::RotationSignature, &rotation(mesh, old, &new.node_id()))
}

impl<'a> Body<'a> {
    /// Whether everybody beside the author whose word the body needs gave it.
    pub fn is_agreed(&self, mesh: &MeshId, author: &NodeId) -> bool {
        match self {
            Body::Rotate { key, signature, .. } => {
                let digest = rotation(mesh, author, key);
                signature::check(key, Tag::RotationSignature, &digest, signature)
            }
            Body::Recover(recover) => recover.is_signed(mesh, author),
            _ => true,
        }
    }

    /// Checks the bounds of every field.
    ///
    /// # Errors
    /// The first field that breaks one.
    pub fn check(&self) -> Result<(), BodyError> {
        let require = |ok: bool, error| if ok { Ok(()) } else { Err(error) };
        match *self {
            Body::Record { topic, media_type, .. } => {
                require(is_label(topic), BodyError::Label("topic"))?;
                require(is_label(media_type), BodyError::Label("media type"))
            }
            Body::Relation { predicate, .. } => {
                require(is_label(predicate), BodyError::Label("predicate"))
            }
            Body::Request { item, note, .. }
            | Body::Release { item, note, .. }
            | Body::Transfer { item, note, .. } => {
                require(is_item(item), BodyError::Item)?;
                require(note.len() <= NOTE_BYTES_MAX, BodyError::Note)?;
                match self {
                    Body::Transfer { to, .. } => {
                        require(crate::signature::check_node_id(to), BodyError::Key)
                    }
                    _ => Ok(()),
                }
            }
            Body::Invite { key, role, uses, lease, .. } => {
                require(crate::signature::check_node_id(&key), BodyError::Key)?;
                let some = uses > 0 && lease != Some(0);
                require(some && role != Role::Admin, BodyError::Invite)
            }
            Body::Admit { node, name, .. } | Body::Name { node, name } => {
                require(crate::signature::check_node_id(&node), BodyError::Key)?;
                require(is_name(name), BodyError::Name)
            }
            Body::Recover(recover) => require(recover.check(), BodyError::Recover),
            Body::Revoke { node: key }
            | Body::Rotate { key, .. }
            | Body::Lease { node: key, .. } => {
                require(crate::signature::check_node_id(&key), BodyError::Key)
            }
        }
    }

    /// The item and what it follows, if this is a custody fact.
    pub fn custody(&self) -> Option<(&'a str, Option<FactId>)> {
        match *self {
            Body::Request { item, follows, .. } => Some((item, follows)),
            Body::Release { item, follows, .. } | Body::Transfer { item, follows, .. } => {
                Some((item, Some(follows)))
            }
            _ => None,
        }
    }

    /// Whether it changes who belongs to the mesh; such facts are sealed before others.
    pub const fn is_membership(&self) -> bool {
        self.is_lasting() || matches!(self, Body::Name { .. } | Body::Lease { .. })
    }

    /// Whether it stays in the set though its author was revoked and no block seals it: what keys
    /// may bring in depends on these facts, so every set needs all of them to become equal.
    pub const fn is_lasting(&self) -> bool {
        matches!(
            self,
            Body::Invite { .. }
                | Body::Admit { .. }
                | Body::Revoke { .. }
                | Body::Rotate { .. }
                | Body::Recover(_)
        )
    }

    /// The kind in one lowercase word, as people and programs see it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Body::Record { .. } => "record",
            Body::Relation { .. } => "relation",
            Body::Request { .. } => "request",
            Body::Release { .. } => "release",
            Body::Transfer { .. } => "transfer",
            Body::Invite { .. } => "invite",
            Body::Admit { .. } => "admit",
            Body::Revoke { .. } => "revoke",
            Body::Name { .. } => "name",
            Body::Rotate { .. } => "rotate",
            Body::Recover(_) => "recover",
            Body::Lease { .. } => "lease",
        }
    }
}
