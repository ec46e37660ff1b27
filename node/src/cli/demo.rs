//! .
use clap::Args;
use super::{Context, Outcome};
#[derive(Debug, Args)]
pub(super) struct DemoArgs {}
pub(super) fn run(_: &DemoArgs, _: &Context) -> Outcome { Ok(0) }
