//! `join`: become a member of the inviter's mesh, without talking to anybody yet.

use std::io::Read as _;

use cairn_core::fact::is_name;
use cairn_core::invite::{INVITE_CHARS_MAX, Invite};
use cairn_core::text::NAME_BYTES_MAX;
use clap::Args;
use serde_json::json;

use super::{Context, Outcome};
use crate::api::dto;
use crate::enroll::{self, mesh_id};
use crate::problem::Problem;

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// The line that `cairn init` or `cairn invite create` printed; `-` reads it from stdin
    invite: String,
    /// What people shall call this node [default: this machine's name]
    #[arg(long)]
    name: Option<String>,
}

/// This machine's name, as far as it can be a member's.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let mut name: String = host.chars().filter(|c| !c.is_control()).collect();
    while name.len() > NAME_BYTES_MAX {
        name.pop();
    }
    if is_name(&name) { name } else { "node".into() }
}

pub(super) fn run(args: &JoinArgs, context: &Context) -> Outcome {
    let mut text = args.invite.clone();
    if text == "-" {
        text.clear();
        let read =
            std::io::stdin().lock().take(2 * INVITE_CHARS_MAX as u64).read_to_string(&mut text);
        read.map_err(|error| Problem::file("cannot read", "stdin".as_ref(), &error))?;
    }
    let invite: Invite = text.parse().map_err(super::invite::unreadable)?;
    let name = args.name.clone().unwrap_or_else(host_name);
    let enrollment = enroll::join(&context.data_dir()?, &invite, &name)?;
    let mesh = &enrollment.params.name;
    let document = json!({
        "schema": "cairn.join/1",
        "node_id": enrollment.key.node_id().to_string(),
        "name": name,
        "mesh": dto::mesh(&mesh_id(&enrollment.params), mesh),
    });
    context.out.data(&document, |_| format!("joined the mesh \"{mesh}\" as {name}"))?;
    context.out.say("start this node:   cairn run");
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_is_always_permitted() {
        assert!(is_name(&host_name()));
    }
}
