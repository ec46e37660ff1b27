//! Who belongs to the mesh: listed, named, lent, revoked.

use axum::Json;
use axum::extract::State;
use cairn_core::engine::Command;
use cairn_core::fact::Role;
use cairn_core::id::NodeId;
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read as _;
use cairn_core::store::{StoreFault, View};
use cairn_core::work::Height;
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::{Answer, carry_out, receipt};
use super::reply::{Asked, Named, PageByKey, Posted};
use super::{Context, dto, query};
use crate::problem::{Code, Problem};

/// Members read at one time.
const PAGE: usize = 512;

pub(super) async fn list(
    State(context): State<Context>,
    Asked(asked): Asked<PageByKey>,
) -> Result<Json<Value>, Problem> {
    let (after, max) = asked.read()?;
    let read = move |view: &dyn View| {
        let page = query::members(view, after.as_ref(), max)?;
        let next = page.last().filter(|_| page.len() == max).map(|(node, _)| node.to_string());
        // A key that was revoked before it was ever admitted has a row, but is nobody.
        let members = page.iter().filter(|(_, row)| row.was_admitted());
        let list = members.map(|(node, row)| dto::member(view, node, row));
        let list = list.collect::<Result<Vec<_>, _>>()?;
        Ok(json!({"schema": "cairn.members/1", "members": list, "next": next}))
    };
    context.read(read).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct Revocation {
    /// Also if nobody could invite or revoke any more.
    #[serde(default)]
    last_admin: bool,
}

/// Whether nobody but this node is an admin whom nobody revoked.
fn is_last_admin(view: &dyn View, node: &NodeId) -> Result<bool, StoreFault> {
    let mut after = None;
    let mut is_admin = false;
    loop {
        let page = query::members(view, after.as_ref(), PAGE)?;
        for (member, row) in &page {
            let counts = row.role == Role::Admin
                && row.until.is_none()
                && line::standing(view, member)? == Standing::Member;
            if counts && member == node {
                is_admin = true;
            } else if counts && line::cut_off(view, member)?.is_none() {
                return Ok(false);
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => after = Some(*last),
            _ => return Ok(is_admin),
        }
    }
}

pub(super) async fn revoke(
    State(context): State<Context>,
    Named(name): Named,
    Posted(asked): Posted<Revocation>,
) -> Result<Answer, Problem> {
    let read = move |view: &dyn View| {
        // Of the keys of one node the newest, by which all of them end.
        let node = line::current(view, &query::node_id(view, &name)?)?;
        Ok((node, is_last_admin(view, &node)?))
    };
    let (key, last) = context.read(read).await?;
    if last && !asked.last_admin {
        return Err(Problem::new(
            Code::LastAdmin,
            "this is the last admin: afterwards nobody could invite or revoke anybody, for ever",
            "make another admin first, or repeat it with --last-admin",
        ));
    }
    carry_out(&context, Command::Revoke { key }).await
}

#[derive(Deserialize)]
pub(super) struct NewName {
    name: String,
}

pub(super) async fn rename(
    State(context): State<Context>,
    Named(name): Named,
    Posted(new): Posted<NewName>,
) -> Result<Answer, Problem> {
    let node = context.read(move |view| query::node_id(view, &name)).await?;
    carry_out(&context, Command::Name { node, name: new.name }).await
}

/// Until when a membership is lent: one of the three.
#[derive(Deserialize)]
pub(super) struct NewLease {
    /// For so many blocks after the next one, which can have the lease.
    blocks: Option<u64>,
    /// Below this height.
    until: Option<u64>,
    /// For ever.
    #[serde(default)]
    unlimited: bool,
}

impl NewLease {
    /// The height at which it ends, on a chain whose tip has this height; none: never.
    fn end(&self, tip: Height) -> Result<Option<Height>, Problem> {
        match (self.blocks, self.until, self.unlimited) {
            (Some(blocks @ 1..), None, false) => {
                Ok(Some(Height(tip.0.saturating_add(blocks).saturating_add(2))))
            }
            (None, Some(until), false) if until > tip.next().0 => Ok(Some(Height(until))),
            (None, Some(until), false) => Err(Problem::new(
                Code::Usage,
                format!("a lease until height {until} would be over: the chain is at {}", tip.0),
                "run: cairn member lease NODE --blocks N",
            )),
            (None, None, true) => Ok(None),
            _ => Err(Problem::usage("a lease has either blocks (1 or more), until or unlimited")),
        }
    }
}

pub(super) async fn lease(
    State(context): State<Context>,
    Named(name): Named,
    Posted(asked): Posted<NewLease>,
) -> Result<Answer, Problem> {
    let read = move |view: &dyn View| {
        let node = line::current(view, &query::node_id(view, &name)?)?;
        let admin = view.member(&node)?.is_some_and(|row| row.role == Role::Admin);
        let tip = view.tip_row()?.map_or(Height::GENESIS, |row| row.tip.height);
        Ok((node, admin, asked.end(tip)?))
    };
    let (node, admin, until) = context.read(read).await?;
    if admin {
        return Err(Problem::new(
            Code::Rule,
            "admins are not lent their membership: somebody has to be able to renew the others'",
            format!("to end it for good, run: cairn member revoke {node}"),
        ));
    }
    let (status, Json(mut document)) = carry_out(&context, Command::Lease { node, until }).await?;
    document["until"] = until.map(|until| until.0).into();
    Ok((status, Json(document)))
}

/// This node goes on under a new key, as soon as a block says so.
pub(super) async fn rotate(
    State(context): State<Context>,
    Posted(Rotate {}): Posted<Rotate>,
) -> Result<Answer, Problem> {
    let (key, fact) = context.node().rotate().await?;
    let (status, Json(mut document)) = receipt(&context, fact, false).await?;
    document["schema"] = "cairn.rotation/1".into();
    document["next"] = key.to_string().into();
    Ok((status, Json(document)))
}

#[derive(Deserialize)]
pub(super) struct Rotate {}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(document: Value) -> Result<Option<u64>, Code> {
        let lease: NewLease = serde_json::from_value(document).unwrap();
        let end = lease.end(Height(10)).map_err(|problem| problem.code)?;
        Ok(end.map(|height| height.0))
    }

    #[test]
    fn a_lease_says_in_one_of_three_ways_how_long() {
        // The next block, 11, has it; then there are three more.
        assert_eq!(end(json!({"blocks": 3})), Ok(Some(15)));
        assert_eq!(end(json!({"until": 12})), Ok(Some(12)));
        assert_eq!(end(json!({"unlimited": true})), Ok(None));
        assert_eq!(end(json!({"blocks": u64::MAX})), Ok(Some(u64::MAX)));
        let not_one = [
            json!({}),
            json!({"blocks": 0}),
            json!({"blocks": 3, "until": 12}),
            json!({"until": 12, "unlimited": true}),
            json!({"until": 11}),
        ];
        for document in not_one {
            assert_eq!(end(document.clone()), Err(Code::Usage), "{document}");
        }
    }
}
