//! `doctor`: what is wrong, and what to type. A running node is asked; without one, what can be
//! checked from here is checked from here.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{field, list};
use super::{Context, Outcome, run, seeds};
use crate::clock;
use crate::data_dir::DataDir;
use crate::doctor::{self, Area, Check, ladder, machine};
use crate::enroll;
use crate::exit;
use crate::problem::{Code, Problem};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DoctorArgs {
    /// Check only this
    area: Option<Area>,
    /// The UDP address that `cairn run` is given, if the node is not running
    #[arg(long, value_name = "ADDR", value_parser = run::any_address)]
    listen: Option<SocketAddr>,
    /// The HTTP address that `cairn run` is given, if the node is not running
    #[arg(long, value_name = "ADDR", value_parser = run::loopback_address)]
    http: Option<SocketAddr>,
    #[command(subcommand)]
    verb: Option<DoctorVerb>,
}

#[derive(Debug, Subcommand)]
enum DoctorVerb {
    /// Walk the way to one peer and name the first step that is broken
    Peer {
        /// HOST:PORT
        #[arg(value_parser = seeds::peer)]
        address: String,
    },
}

pub(super) fn run(args: &DoctorArgs, context: &Context) -> Outcome {
    let document = match &args.verb {
        Some(DoctorVerb::Peer { address }) => peer(address, context)?,
        None => node(args, context)?,
    };
    context.out.data(&document, |document| screen(document, context))?;
    Ok(match document["level"].as_str() {
        Some("fail") => exit::DOCTOR_FAILED,
        Some("warn") => exit::DOCTOR_WARNED,
        _ => 0,
    })
}

/// What a running node answers; none if there is none.
fn ask(context: &Context, path: &str, body: &Value) -> Result<Option<Value>, Problem> {
    match context.client()?.post_slowly(path, body) {
        Err(problem) if problem.code == Code::NotReachable && context.global.node.is_none() => {
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

fn node(args: &DoctorArgs, context: &Context) -> Result<Value, Problem> {
    let wanted = json!({"area": args.area.map(Area::name)});
    if let Some(document) = ask(context, "/v1/doctor", &wanted)? {
        return Ok(document);
    }
    let dir = context.data_dir()?;
    let mut checks = vec![absent(&dir)];
    for area in args.area.map_or_else(|| Area::ALL.to_vec(), |area| vec![area]) {
        checks.extend(from_here(area, &dir, args));
    }
    Ok(doctor::document(&checks))
}

/// The node does not answer: what is known about that.
fn absent(dir: &DataDir) -> Check {
    match dir.read_runtime() {
        Some(runtime) if crate::data_dir::is_held(dir) => Check::fail(
            "node",
            format!("process {} runs, and its API does not answer", runtime.pid),
        )
        .why("it hangs, is starting, or is stopping")
        .next(format!("kill {}", runtime.pid)),
        _ => Check::warn("node", "is not running, so only this machine is checked")
            .why("it was not started, or it ended")
            .next("cairn run"),
    }
}

fn from_here(area: Area, dir: &DataDir, args: &DoctorArgs) -> Vec<Check> {
    let running =
        |what: &str| Check::skip(area.name(), format!("{what} can be told by a running node only"));
    vec![match area {
        Area::Config => machine::config(dir),
        Area::Keys => machine::keys(dir),
        Area::Clock => machine::clock(clock::wall()),
        Area::Disk => machine::disk(dir),
        Area::Memory => machine::memory(false),
        Area::Store => machine::store(dir),
        Area::Membership => running("whether the mesh knows this node"),
        Area::Peers => running("who is connected"),
        Area::Reach => running("whether others can connect to it"),
        Area::Port => {
            let mesh = args.listen.unwrap_or_else(run::mesh_default);
            let http = args.http.unwrap_or_else(run::http_default);
            return machine::ports(mesh, http);
        }
    }]
}

fn peer(address: &str, context: &Context) -> Result<Value, Problem> {
    if let Some(document) = ask(context, "/v1/doctor/peer", &json!({"address": address}))? {
        return Ok(document);
    }
    let dir = context.data_dir()?;
    let enrollment = enroll::load(&dir)?.ok_or(enroll::EnrollError::NoMesh)?;
    let subject = ladder::Subject::offline(enrollment, clock::wall());
    let checks = run::runtime()?.block_on(ladder::climb(&subject, address));
    let mut document = doctor::document(&checks);
    document["peer"] = json!({"address": address});
    Ok(document)
}

fn screen(document: &Value, context: &Context) -> String {
    let line = |check: &Value| {
        let level = field(check, "/level");
        let color = match level.as_str() {
            "ok" => 32,
            "warn" => 33,
            "fail" => 31,
            _ => 90,
        };
        let level = context.out.paint(color, &format!("{level:<4}"));
        let mut line =
            format!("{level}  {:<10} {}", field(check, "/check"), field(check, "/message"));
        for (part, before) in [("/cause", ": "), ("/hint", "; next: ")] {
            let text = field(check, part);
            if !text.is_empty() {
                line.push_str(before);
                line.push_str(&text);
            }
        }
        line
    };
    list(document, "checks").iter().map(line).collect::<Vec<_>>().join("\n")
}
