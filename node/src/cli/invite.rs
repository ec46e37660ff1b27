//! `invite`: let others in.

use std::net::SocketAddr;
use std::time::Duration;

use cairn_core::fact::Role;
use cairn_core::invite::{INVITE_HRP, Invite, InviteError};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::escape;
use super::output::{field, list, table, time_field};
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
    /// List the invites that were made, and what is left of them
    List,
    /// Take an invite back: nobody joins by it any more
    Revoke {
        /// The whole line, its key as listed, or a unique beginning of that
        invite: String,
    },
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
    /// Lend those who join their membership for so many blocks each [default: for good]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    lease: Option<u32>,
    /// Where this node can be found, HOST:PORT [default: the addresses it listens on]
    #[arg(long = "address", value_name = "HOST:PORT")]
    addresses: Vec<String>,
    /// Show it as a QR code as well, to be scanned from the screen
    #[arg(long)]
    qr: bool,
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
    let (uses, lease) = (args.uses, args.lease);
    let (enrollment, invite) = enroll::invite(&dir, addresses, role, uses, expires, lease)?;
    let text = invite.to_text().map_err(|error| Problem::usage(error.to_string()))?;
    let (params, node) = (&enrollment.params, enrollment.key.node_id());
    Ok(json!({
        "schema": "cairn.invite/1",
        "invite": text,
        "expires": expires.0,
        "uses": args.uses,
        "role": dto::role_name(role),
        "lease": args.lease,
        "node_id": node.to_string(),
        "mesh": dto::mesh(&enroll::mesh_id(params), &params.name),
    }))
}

/// The invite as a QR code for a terminal, light on dark. In capitals it needs the fewest modules.
fn qr_code(invite: &str) -> Result<String, Problem> {
    use qrcode::render::unicode::Dense1x2;
    let code = qrcode::QrCode::with_error_correction_level(
        invite.to_ascii_uppercase(),
        qrcode::EcLevel::L,
    );
    let code = code.map_err(|error| {
        Problem::new(
            Code::Failed,
            format!("the invite does not fit a QR code: {error}"),
            "give it fewer addresses, or pass the line on as text",
        )
    })?;
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Ok(code.render::<Dense1x2>().dark_color(dark).light_color(light).build())
}

fn create(args: &CreateArgs, context: &Context) -> Outcome {
    let role = match args.role {
        RoleName::Reader => "reader",
        RoleName::Member => "member",
        RoleName::Sealer => "sealer",
    };
    let document = json!({
        "uses": args.uses, "expires_in": duration::millis(args.expires), "role": role,
        "addresses": args.addresses, "lease": args.lease,
    });
    let invite = match context.client()?.post("/v1/invites", &document) {
        // A founder can invite before its node runs.
        Err(problem) if problem.code == Code::NotReachable && context.global.node.is_none() => {
            offline(args, context)?
        }
        answer => answer?,
    };
    let picture = args.qr.then(|| qr_code(&field(&invite, "/invite"))).transpose()?;
    context.out.data(&invite, |invite| {
        let picture = picture.map(|picture| format!("{picture}\n")).unwrap_or_default();
        format!("{picture}{}", field(invite, "/invite"))
    })?;
    context.out.say("whoever has this line can join: cairn join INVITE");
    Ok(0)
}

fn show(context: &Context) -> Outcome {
    let invites = context.client()?.get("/v1/invites")?;
    context.out.data(&invites, |invites| {
        let rows = list(invites, "invites").iter().map(|invite| {
            let uses = format!("{} of {}", field(invite, "/uses_left"), field(invite, "/uses"));
            vec![
                field(invite, "/state"),
                uses,
                field(invite, "/role"),
                time_field(invite, "/expires"),
                field(invite, "/by_name"),
                field(invite, "/key"),
            ]
        });
        table(&["STATE", "LEFT", "ROLE", "EXPIRES", "BY", "KEY"], rows)
    })?;
    Ok(0)
}

fn revoke(invite: &str, context: &Context) -> Outcome {
    // The line has the secret; the node needs only its public half.
    let key = match invite.trim().parse::<Invite>() {
        Ok(invite) => invite.key().node_id().to_string(),
        Err(InviteError::NotAnInvite | InviteError::Checksum)
            if !invite.trim().to_ascii_lowercase().starts_with(INVITE_HRP) =>
        {
            invite.trim().into()
        }
        Err(error) => return Err(unreadable(error)),
    };
    let path = format!("/v1/invites/{}/revoke", escape(&key));
    let receipt = context.client()?.post(&path, &json!({}))?;
    context.out.data(&receipt, |receipt| field(receipt, "/fact_id"))?;
    context.out.say("taken back: nobody joins by it any more; who joined before stays");
    Ok(0)
}

/// Why a text is no invite, and what to do.
pub(super) fn unreadable(error: InviteError) -> Problem {
    let hint = "copy the whole line, or ask for another: cairn invite create";
    match error {
        InviteError::Checksum => Problem::new(Code::InviteMistyped, error.to_string(), hint),
        error => Problem::new(Code::Usage, error.to_string(), hint),
    }
}

pub(super) fn run(verb: &InviteVerb, context: &Context) -> Outcome {
    match verb {
        InviteVerb::Create(args) => create(args, context),
        InviteVerb::List => show(context),
        InviteVerb::Revoke { invite } => revoke(invite, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_invite_fits_a_code_that_fits_a_terminal() {
        let picture = qr_code(&"q".repeat(420)).unwrap();
        let lines: Vec<&str> = picture.lines().collect();
        assert!(lines.len() <= 45 && lines.iter().all(|line| line.chars().count() <= 90));
        assert!(qr_code(&"q".repeat(9_000)).is_err());
    }
}
