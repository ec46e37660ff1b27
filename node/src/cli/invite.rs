//! `invite`: let others in.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::output::field;
use super::{Context, Outcome, duration};

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
    let invite = context.client()?.post("/v1/invites", &document)?;
    context.out.data(&invite, |invite| field(invite, "/invite"))?;
    context.out.say("whoever has this line can join: cairn join INVITE");
    Ok(0)
}
