//! `member`: who belongs to the mesh.

use clap::Subcommand;

use super::output::{field, list, table};
use super::{Context, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum MemberVerb {
    /// List the members
    List,
}

pub(super) fn run(verb: &MemberVerb, context: &Context) -> Outcome {
    let MemberVerb::List = verb;
    let members = context.client()?.get("/v1/members")?;
    context.out.data(&members, |members| {
        let rows = list(members, "members").iter().map(|member| {
            ["/name", "/role", "/since", "/node_id"].map(|path| field(member, path)).to_vec()
        });
        table(&["NAME", "ROLE", "SINCE", "NODE"], rows)
    })?;
    Ok(0)
}
