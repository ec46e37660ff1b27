//! .
use clap::Args;
use super::{Context, Outcome};
#[derive(Debug, Args)]
pub(super) struct RunArgs {}
pub(super) const MESH_PORT: u16 = 7071;
pub(super) fn run(_: &RunArgs, _: &Context) -> Outcome { Ok(0) }
