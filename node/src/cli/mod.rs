//! The command line: one file a verb. Every verb but `init`, `join`, `run` and `demo` is a client
//! of the running node's HTTP API and never opens the database.
//!
//! Data goes to stdout, everything else to stderr. A verb returns its exit status or a `Problem`;
//! only this file prints problems.

mod chain;
mod client;
mod completions;
mod demo;
mod doctor;
pub mod duration;
mod events;
mod export;
mod fact;
mod import;
mod init;
mod invite;
mod item;
mod join;
mod key;
mod logging;
mod member;
mod output;
mod peers;
mod place;
mod recover;
pub mod run;
pub mod seeds;
pub mod size;
mod status;
mod sync;
mod terminal;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::data_dir::DataDir;
use crate::problem::{Code, Problem};
use output::Output;

/// What a verb ends with: an exit status, or what went wrong.
type Outcome = Result<u8, Problem>;

/// A ledger that a group keeps on its own small machines.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Where this node keeps its key and ledger
    #[arg(long, global = true, value_name = "PATH", env = "CAIRN_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The running node to talk to [default: from the data dir, else http://127.0.0.1:7070]
    #[arg(long, global = true, value_name = "URL", env = "CAIRN_NODE")]
    node: Option<String>,
    /// Print one JSON document (streams: one a line)
    #[arg(long, global = true)]
    json: bool,
    /// Print no messages, only data and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print more messages
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show no progress bars
    #[arg(long, global = true)]
    no_progress: bool,
    /// How long to wait for the node
    #[arg(long, global = true, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Found a mesh: make this node's identity and the rules, and print an invite
    Init(init::InitArgs),
    /// Join the mesh of an invite; works offline, `cairn run` then connects
    Join(join::JoinArgs),
    /// Run the node until it is told to stop
    Run(Box<run::RunArgs>),
    /// Run several real nodes in this process, with sample data
    Demo(demo::DemoArgs),
    /// How the node is doing
    Status(status::StatusArgs),
    /// Write a note down (= fact add --topic note)
    Note(fact::NoteArgs),
    /// Write and read facts
    #[command(subcommand)]
    Fact(fact::FactVerb),
    /// Who holds what
    #[command(subcommand)]
    Item(item::ItemVerb),
    /// The chain of blocks
    #[command(subcommand)]
    Chain(chain::ChainVerb),
    /// The peers of this node
    Peers(peers::PeersArgs),
    /// Change the peers of this node
    #[command(subcommand)]
    Peer(peers::PeerVerb),
    /// Ask every peer for what is missing, now, and wait until nothing is
    Sync,
    /// What happens, as it happens
    Events(events::EventsArgs),
    /// Write down every line of a file of JSON records
    Import(import::ImportArgs),
    /// Print every fact, one JSON document a line
    Export(export::ExportArgs),
    /// Let others in
    #[command(subcommand)]
    Invite(invite::InviteVerb),
    /// Who belongs to the mesh
    #[command(subcommand)]
    Member(member::MemberVerb),
    /// Say with the recovery phrases that an admin's key was lost or stolen: it ends, whom it revoked
    /// come back, and this node becomes an admin
    Recover(recover::RecoverArgs),
    /// What is wrong with this node, or on the way to a peer, and what to type
    Doctor(doctor::DoctorArgs),
    /// This node's key
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Print a script that completes commands in a shell
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version,
}

/// What every verb is given.
struct Context {
    global: Global,
    out: Output,
}

impl Context {
    fn client(&self) -> Result<client::Client, Problem> {
        client::Client::new(&self.global)
    }

    fn data_dir(&self) -> Result<DataDir, Problem> {
        place::data_dir(self.global.data_dir.as_deref())
    }

    /// How long a verb that waits for something to happen may wait.
    fn patience(&self) -> Duration {
        self.global.timeout.unwrap_or(Duration::from_secs(60))
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(not_understood(&error)),
    };
    let out = Output::new(&cli.global);
    let context = Context { global: cli.global, out };
    match dispatch(cli.verb, &context) {
        Ok(status) => ExitCode::from(status),
        Err(problem) => {
            context.out.problem(&problem);
            ExitCode::from(problem.code.exit())
        }
    }
}

/// Help and version are no errors; everything else is one, also as a document.
fn not_understood(error: &clap::Error) -> u8 {
    let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = std::env::args().any(|argument| argument == "--json");
    if json && !wanted {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or("not understood");
        let message = first.trim_start_matches("error: ");
        let problem = Problem::new(Code::Usage, message, "run: cairn help");
        Output::json_only().problem(&problem);
    } else {
        // A closed pipe is the only way this fails, and then nobody reads.
        let _ = error.print();
    }
    if wanted { 0 } else { Code::Usage.exit() }
}

fn dispatch(verb: Verb, context: &Context) -> Outcome {
    match verb {
        Verb::Init(args) => init::run(&args, context),
        Verb::Join(args) => join::run(&args, context),
        Verb::Run(args) => run::run(&args, context),
        Verb::Demo(args) => demo::run(&args, context),
        Verb::Status(args) => status::run(&args, context),
        Verb::Note(args) => fact::note(args, context),
        Verb::Fact(verb) => fact::run(verb, context),
        Verb::Item(verb) => item::run(&verb, context),
        Verb::Chain(verb) => chain::run(&verb, context),
        Verb::Peers(args) => peers::list(&args, context),
        Verb::Peer(verb) => peers::run(&verb, context),
        Verb::Sync => sync::run(context),
        Verb::Events(args) => events::run(&args, context),
        Verb::Import(args) => import::run(&args, context),
        Verb::Export(args) => export::run(&args, context),
        Verb::Invite(verb) => invite::run(&verb, context),
        Verb::Member(verb) => member::run(&verb, context),
        Verb::Recover(args) => recover::run(&args, context),
        Verb::Doctor(args) => doctor::run(&args, context),
        Verb::Key(verb) => key::run(&verb, context),
        Verb::Completions(args) => completions::run::<Cli>(&args, context),
        Verb::Version => version::run(context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_are_understood_after_the_verb() {
        let cli = Cli::try_parse_from(["cairn", "fact", "list", "--json", "--timeout", "3s"]);
        let global = cli.unwrap().global;
        assert!(global.json);
        assert_eq!(global.timeout, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_member_that_is_named_is_not_the_node_to_talk_to() {
        let cli = Cli::try_parse_from(["cairn", "member", "revoke", "bob"]).unwrap();
        assert_eq!(cli.global.node, None);
        let cli = Cli::try_parse_from(["cairn", "member", "rename", "bob", "rob"]).unwrap();
        assert_eq!(cli.global.node, None);
    }

    #[test]
    fn an_unknown_flag_is_a_usage_error() {
        let error = Cli::try_parse_from(["cairn", "run", "--no-such-flag"]).unwrap_err();
        assert_eq!(not_understood(&error), 2);
        let help = Cli::try_parse_from(["cairn", "--help"]).unwrap_err();
        assert_eq!(not_understood(&help), 0);
    }
}
