//! `invite`: let others in.

use std::net::SocketAddr;
use std::time::Duration;

use cairn_core::fact::Role;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::output::field;
use super::{Context, Outcome, duration};
use crate::api::addresses::reachable;
use crate::api::dto;
use crate::clock::wall;
use crate::enroll;
use crate::problem::{Code, Problem};

#[derive(Debug, Subcommand)]
pub(super) enum InviteVerb {
    /// Make an invite, a line of text to pass on in confidence
    Create(CreateArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// How many may join by it
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// For how long
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "24h")]
    expires: Duration,
    /// What those who join become
    #[arg(long, value_enum, default_value = "sealer")]
    role: RoleName,
    /// Where this node can be found, HOST:PORT [default: the addresses it listens on]
    #[arg(long = "address", value_name = "HOST:PORT")]
    addresses: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Reader,
    Member,
    Sealer,
}

/// Makes the invite in the data directory of a node that does not run.
fn offline(args: &CreateArgs, context: &Context) -> Result<Value, Problem> {
    let role = match args.role {
        RoleName::Reader => Role::Reader,
        RoleName::Member => Role::Member,
        RoleName::Sealer => Role::Sealer,
    };
    let addresses = if args.addresses.is_empty() {
        reachable(SocketAddr::from(([0, 0, 0, 0], super::run::MESH_PORT)))
    } else {
        args.addresses.clone()
    };
    let expires = wall().after(duration::millis(args.expires));
    let dir = context.data_dir()?;
    let (enrollment, invite) = enroll::invite(&dir, addresses, role, args.uses, expires)?;
    let text = invite.to_text().map_err(|error| Problem::usage(error.to_string()))?;
    let (params, node) = (&enrollment.params, enrollment.key.node_id());
    Ok(json!({
        "schema": "cairn.invite/1",
        "invite": text,
        "expires": expires.0,
        "uses": args.uses,
        "role": dto::role_name(role),
        "node_id": node.to_string(),
        "mesh": dto::mesh(&enroll::mesh_id(params), &params.name),
    }))
}

pub(super) fn run(verb: &InviteVerb, context: &Context) -> Outcome {
    let InviteVerb::Create(args) = verb;
    let role = match args.role {
        RoleName::Reader => "reader",
        RoleName::Member => "member",
        RoleName::Sealer => "sealer",
    };
    let document = json!({
        "uses": args.uses, "expires_in": duration::millis(args.expires), "role": role,
        "addresses": args.addresses,
    });
    let invite = match context.client()?.post("/v1/invites", &document) {
        // A founder can invite before its node runs.
        Err(problem) if problem.code == Code::NotReachable && context.global.node.is_none() => {
            offline(args, context)?
        }
        answer => answer?,
    };
    context.out.data(&invite, |invite| field(invite, "/invite"))?;
    context.out.say("whoever has this line can join: cairn join INVITE");
    Ok(0)
}
