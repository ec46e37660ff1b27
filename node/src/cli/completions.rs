//! `completions`: a script for the user's shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Context, Outcome};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(args: &CompletionsArgs, context: &Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "cairn", &mut script);
    context.out.line(String::from_utf8_lossy(&script))?;
    Ok(0)
}
