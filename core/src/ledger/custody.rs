//! Who may hold what: pure rules over the rows of one item.
//!
//! Every custody fact names the one it builds on, and counts only if that is the item's latest.
//! So a late release cannot end a later person's hold, and a request that lost does not come true
//! months later.

use alloc::string::String;

use super::reject::FactReject;
use super::rows::Custody;
use crate::fact::Body;
use crate::id::{FactId, NodeId};
use crate::params::ReleaseRule;

/// What can be done with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustodyAction {
    /// I want to hold it.
    Request,
    /// It is free again.
    Release,
    /// This member holds it now.
    Transfer(NodeId),
}

impl CustodyAction {
    /// What a body does, if it is a custody fact.
    pub const fn of(body: &Body<'_>) -> Option<Self> {
        match body {
            Body::Request { .. } => Some(Self::Request),
            Body::Release { .. } => Some(Self::Release),
            Body::Transfer { to, .. } => Some(Self::Transfer(*to)),
            _ => None,
        }
    }

    /// The body that does this; none if it must follow something and there is nothing.
    pub fn body<'a>(
        self,
        item: &'a str,
        follows: Option<FactId>,
        note: &'a str,
    ) -> Option<Body<'a>> {
        Some(match self {
            Self::Request => Body::Request { item, follows, note },
            Self::Release => Body::Release { item, follows: follows?, note },
            Self::Transfer(to) => Body::Transfer { item, follows: follows?, to, note },
        })
    }
}

/// Whether a fact that is followed can still become an item's latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is pending or unknown.
    Ahead,
    /// It is sealed on this branch, or in conflict.
    Behind,
}

/// Everything that decides about one custody fact by an author who may write.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The author.
    pub author: NodeId,
    /// Whether the author holds the item, by this key or another of its line.
    pub is_holder: bool,
    /// The item.
    pub item: &'a str,
    /// What to do with it.
    pub action: CustodyAction,
    /// The fact it builds on.
    pub follows: Option<FactId>,
    /// How that fact stands, unless it is the latest.
    pub standing: Standing,
    /// Custody before; none if the item was never held.
    pub custody: Option<&'a Custody>,
    /// Whether the one it is handed to may hold things.
    pub receiver_holds: bool,
}

/// Judges a claim. Returns who holds the item afterwards.
///
/// # Errors
/// The first rule that is broken.
pub fn judge(claim: &Claim<'_>, release: ReleaseRule) -> Result<Option<NodeId>, FactReject> {
    let item = || String::from(claim.item);
    let holder = claim.custody.and_then(|custody| custody.holder);
    if claim.follows != claim.custody.map(|custody| custody.latest) {
        let may_come = claim.follows.is_some() && claim.standing == Standing::Ahead;
        return Err(if may_come {
            FactReject::FollowsUnknown
        } else {
            FactReject::Superseded { item: item(), holder }
        });
    }
    let held_by = holder.ok_or_else(|| FactReject::Free { item: item() });
    let by_holder_only = |holder| {
        if claim.is_holder { Ok(()) } else { Err(FactReject::NotHolder { item: item(), holder }) }
    };
    match claim.action {
        CustodyAction::Request => match holder {
            None => Ok(Some(claim.author)),
            Some(holder) => Err(FactReject::Held { item: item(), holder }),
        },
        CustodyAction::Release => {
            let holder = held_by?;
            if release == ReleaseRule::Holder {
                by_holder_only(holder)?;
            }
            Ok(None)
        }
        CustodyAction::Transfer(to) => {
            by_holder_only(held_by?)?;
            if claim.receiver_holds { Ok(Some(to)) } else { Err(FactReject::ReceiverNotMember(to)) }
        }
    }
}
