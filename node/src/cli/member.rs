//! `member`: who belongs to the mesh.

use clap::Subcommand;
use serde_json::json;

use super::client::escape;
use super::output::{field, list, table};
use super::{Context, Outcome, recover};

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
    /// Say with the recovery phrases that an admin's key was lost or stolen: it ends, whom it revoked
    /// come back, and this node becomes an admin
    Recover(recover::RecoverArgs),
    /// Give a member another name
    Rename {
        /// Its id, a unique beginning of it, or its name
        #[arg(value_name = "NODE")]
        member: String,
        /// What people shall call it
        name: String,
    },
}

fn show(context: &Context) -> Outcome {
    let members = context.client()?.get("/v1/members")?;
    context.out.data(&members, |members| {
        let rows = list(members, "members").iter().map(|member| {
            ["/name", "/role", "/state", "/since", "/node_id"]
                .map(|path| field(member, path))
                .to_vec()
        });
        table(&["NAME", "ROLE", "STATE", "SINCE", "NODE"], rows)
    })?;
    Ok(0)
}

pub(super) fn run(verb: &MemberVerb, context: &Context) -> Outcome {
    let (path, document, done) = match verb {
        MemberVerb::List => return show(context),
        MemberVerb::Recover(args) => return recover::run(args, context),
        MemberVerb::Revoke { member, last_admin } => (
            format!("/v1/members/{}/revoke", escape(member)),
            json!({"last_admin": last_admin}),
            format!("{member} is revoked: every node cuts it off as soon as it hears of it"),
        ),
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
