//! `init`: found a mesh.

use std::net::SocketAddr;
use std::time::Duration;

use cairn_core::fact::{BodyError, is_name};
use cairn_core::params::{Admission, Params, SealRule};
use cairn_core::time::UnixTime;
use cairn_core::work::Target;
use clap::{Args, ValueEnum};
use serde_json::json;
use zeroize::Zeroizing;

use super::output::field;
use super::{Context, Outcome, duration};
use crate::api::addresses::reachable;
use crate::api::dto;
use crate::clock::wall;
use crate::enroll::{self, mesh_id};
use crate::problem::Problem;
use crate::recovery::{Phrase, Quorum};

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// What people call the mesh
    name: String,
    /// What people shall call this node [default: founder]
    #[arg(long = "name", value_name = "NAME")]
    own_name: Option<String>,
    /// How blocks are sealed: members sign in turn, or proof of work
    #[arg(long, value_enum, default_value = "authority")]
    seal: Seal,
    /// Who may write facts
    #[arg(long, value_enum, default_value = "invite")]
    admission: Who,
    /// Least time between blocks
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "5s")]
    spacing: Duration,
    /// Where this node will be found, HOST:PORT [default: this machine's addresses, port 7071]
    #[arg(long = "address", value_name = "HOST:PORT")]
    addresses: Vec<String>,
    /// How many may join by the invite
    #[arg(long, default_value_t = 16)]
    uses: u32,
    /// For how long the invite holds
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "7d")]
    expires: Duration,
    /// How many recovery phrases it takes of how many, for when an admin's key is lost or stolen:
    /// 2of3, or none
    #[arg(long, value_name = "KofN", default_value = "1of1")]
    recovery: Quorum,
    /// First proof-of-work target in compact form, such as 1e7fffff
    #[arg(long, value_name = "BITS", value_parser = target)]
    pow_target: Option<Target>,
    /// How fast the target follows the miners; 0 keeps it constant
    #[arg(long, value_name = "TIME", value_parser = half_life)]
    pow_half_life: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Seal {
    Authority,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    Invite,
    Open,
}

fn target(text: &str) -> Result<Target, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let target = u32::from_str_radix(digits, 16).map(Target);
    let valid = target.ok().filter(|target| target.expand().is_some());
    valid.ok_or_else(|| format!("`{text}` is no target; write it as 1e7fffff"))
}

fn half_life(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { duration::parse(text) }
}

impl InitArgs {
    fn seal_rule(&self) -> Result<SealRule, Problem> {
        if self.seal == Seal::Authority {
            if self.pow_target.is_some() || self.pow_half_life.is_some() {
                return Err(Problem::usage("--pow-target and --pow-half-life need --seal pow"));
            }
            return Ok(SealRule::Authority);
        }
        let SealRule::Pow { initial, half_life } = Params::open().seal else {
            unreachable!("the open mesh is sealed by work")
        };
        Ok(SealRule::Pow {
            initial: self.pow_target.unwrap_or(initial),
            half_life: self.pow_half_life.map_or(half_life, duration::millis),
        })
    }

    fn found_at(&self) -> Vec<String> {
        if self.addresses.is_empty() {
            reachable(SocketAddr::from(([0, 0, 0, 0], super::run::MESH_PORT)))
        } else {
            self.addresses.clone()
        }
    }
}

pub(super) fn run(args: &InitArgs, context: &Context) -> Outcome {
    let unfit = args.own_name.as_ref().filter(|name| !is_name(name));
    if let Some(unfit) = unfit {
        return Err(Problem::usage(format!("`{unfit}`: {}", BodyError::Name)));
    }
    let dir = context.data_dir()?;
    let founder = {
        let _lock = dir.lock()?;
        enroll::identity(&dir)?.node_id()
    };
    let now = wall();
    let params = Params::private(&args.name, &[founder], now)
        .map_err(|error| Problem::usage(format!("the mesh cannot be founded: {error}")))?;
    let (phrases, recovery) = args.recovery.make()?;
    let params = Params {
        recovery,
        seal: args.seal_rule()?,
        spacing: duration::millis(args.spacing),
        admission: if args.admission == Who::Open { Admission::Open } else { Admission::Invite },
        ..params
    };
    let mesh = mesh_id(&params);
    let expires = UnixTime(now.0.saturating_add(duration::millis(args.expires)));
    let founded = enroll::found(&dir, params, args.found_at(), args.uses, expires)?;
    // Before anything else can fail: nobody can show them again.
    let words: Vec<_> = phrases.iter().map(Phrase::words).collect();
    tell_phrases(&words, args.recovery.threshold, context);
    let shown = words.iter().filter(|_| context.out.json()).map(|words| words.as_str());
    let shown: Vec<&str> = shown.collect();
    if let Some(name) = &args.own_name {
        enroll::name(&dir, name)?;
    }
    let invite = founded.invite.map(|invite| invite.to_text()).transpose();
    let invite = invite.map_err(|error| Problem::usage(error.to_string()))?;
    let document = json!({
        "schema": "cairn.init/1",
        "invite": invite,
        "expires": expires.0,
        "node_id": founder.to_string(),
        "mesh": dto::mesh(&mesh, &args.name),
        "recovery": {"threshold": args.recovery.threshold, "phrases": shown},
    });
    context.out.say(format!("founded the mesh \"{}\" in {}", args.name, dir.path().display()));
    context.out.data(&document, |document| field(document, "/invite"))?;
    context.out.say("start this node:   cairn run\nlet others join:   cairn join INVITE");
    Ok(0)
}

/// Shows the recovery phrases, which are nowhere else; in a document they are told as data.
fn tell_phrases(words: &[Zeroizing<String>], threshold: u8, context: &Context) {
    if words.is_empty() || context.out.json() {
        return;
    }
    let count = words.len();
    context.out.warn(format!(
        "write down on paper, now; it is shown once and kept nowhere. {threshold} of these {count} \
         help when an admin's key is lost or stolen (cairn recover):"
    ));
    for phrase in words {
        context.out.warn(format_args!("  {}", phrase.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_checked_where_they_are_typed() {
        assert_eq!(target("0x207fffff"), Ok(Target::MAX));
        for wrong in ["", "0", "xyz", "ff7fffff"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
        assert_eq!(half_life("0"), Ok(Duration::ZERO));
    }
}
