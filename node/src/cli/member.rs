//! `member`: who belongs to the mesh.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::escape;
use super::output::{field, list, table};
use super::{Context, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum MemberVerb {
    /// List the members, those that were revoked as well
    List,
    /// Cut a member off, for good: it comes back only with a new key, by a new invite
    Revoke {
        /// Its id, a unique beginning of it, or its name
        #[arg(value_name = "NODE")]
        member: String,
        /// Also if it is the last admin, and nobody could invite or revoke any more
        #[arg(long)]
        last_admin: bool,
    },
    /// Lend a membership: it counts no more from a height on, unless an admin renews it
    Lease {
        /// Its id, a unique beginning of it, or its name
        #[arg(value_name = "NODE")]
        member: String,
        #[command(flatten)]
        term: Term,
    },
    /// Give a member another name
    Rename {
        /// Its id, a unique beginning of it, or its name
        #[arg(value_name = "NODE")]
        member: String,
        /// What people shall call it
        name: String,
    },
}

/// How long. Heights grow with what the mesh writes: one that is idle seals nothing.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Term {
    /// For so many blocks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    blocks: Option<u64>,
    /// For the blocks below this height
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u64>,
    /// Without end, as a membership is that nobody lent
    #[arg(long)]
    unlimited: bool,
}

/// The lease of a member in few words.
fn left(member: &Value) -> String {
    let lease = &member["lease"];
    match lease["left"].as_u64() {
        None => "-".into(),
        Some(0) => format!("over at {}", field(lease, "/until")),
        Some(1) => "1 block".into(),
        Some(left) => format!("{left} blocks"),
    }
}

fn show(context: &Context) -> Outcome {
    let members = context.client()?.get("/v1/members")?;
    context.out.data(&members, |members| {
        let rows = list(members, "members").iter().map(|member| {
            let [name, role, state, since, node] =
                ["/name", "/role", "/state", "/since", "/node_id"].map(|path| field(member, path));
            vec![name, role, state, since, left(member), node]
        });
        table(&["NAME", "ROLE", "STATE", "SINCE", "LEASE", "NODE"], rows)
    })?;
    Ok(0)
}

pub(super) fn run(verb: &MemberVerb, context: &Context) -> Outcome {
    let (path, document, done) = match verb {
        MemberVerb::List => return show(context),
        MemberVerb::Revoke { member, last_admin } => (
            format!("/v1/members/{}/revoke", escape(member)),
            json!({"last_admin": last_admin}),
            format!("{member} is revoked: every node cuts it off as soon as it hears of it"),
        ),
        MemberVerb::Lease { member, term } => {
            let Term { blocks, until, unlimited } = term;
            let long = match (blocks, until) {
                (Some(blocks), _) => format!("for {blocks} more blocks after that"),
                (None, Some(until)) => format!("below height {until}"),
                (None, None) => "without end".into(),
            };
            (
                format!("/v1/members/{}/lease", escape(member)),
                json!({"blocks": blocks, "until": until, "unlimited": unlimited}),
                format!("as soon as a block has this, the membership of {member} counts {long}"),
            )
        }
        MemberVerb::Rename { member, name } => (
            format!("/v1/members/{}/name", escape(member)),
            json!({"name": name}),
            format!("{member} is called {name} as soon as a block has it"),
        ),
    };
    let receipt = context.client()?.post(&path, &document)?;
    context.out.data(&receipt, |receipt| field(receipt, "/fact_id"))?;
    context.out.say(done);
    Ok(0)
}
