//! `chain`: blocks, forks, reorgs, and checking all of it.

use clap::Subcommand;
use serde_json::Value;

use super::client::{escape, with_query};
use super::output::{field, list, short, table, time_field};
use super::{Context, Outcome};
use crate::problem::{Code, Problem};

#[derive(Debug, Subcommand)]
pub(super) enum ChainVerb {
    /// The last block of the best chain
    Tip,
    /// Show a block
    Show {
        /// Its height, its id, or the first 6 digits of that or more
        block: String,
    },
    /// List blocks, the newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only below this height
        #[arg(long)]
        before: Option<u64>,
    },
    /// Branches that were once the best
    Forks,
    /// Changes of the best chain that took blocks back
    Reorgs,
    /// Check the whole best chain again
    Verify {
        /// Check the signature of every fact as well
        #[arg(long)]
        deep: bool,
    },
}

pub(super) fn run(verb: &ChainVerb, context: &Context) -> Outcome {
    let client = context.client()?;
    match verb {
        ChainVerb::Tip => {
            let tip = client.get("/v1/chain/tip")?;
            context.out.data(&tip, |tip| {
                format!(
                    "height {}  {}  {} (UTC)  work {}",
                    field(tip, "/height"),
                    field(tip, "/id"),
                    time_field(tip, "/time"),
                    field(tip, "/work"),
                )
            })?;
        }
        ChainVerb::Show { block } => {
            let block = client.get(&format!("/v1/blocks/{}", escape(block)))?;
            context.out.data(&block, show)?;
        }
        ChainVerb::List { limit, before } => {
            let parameters = [
                ("limit", Some(limit.to_string())),
                ("before", before.map(|height| height.to_string())),
            ];
            let page = client.get(&with_query("/v1/headers", &parameters))?;
            context.out.data(&page, |page| {
                let rows = list(page, "headers").iter().map(|block| {
                    vec![
                        field(block, "/height"),
                        short(block, "/id"),
                        time_field(block, "/time"),
                        field(block, "/fact_count"),
                        short(block, "/sealer"),
                    ]
                });
                table(&["HEIGHT", "BLOCK", "TIME (UTC)", "FACTS", "SEALER"], rows)
            })?;
        }
        ChainVerb::Forks => {
            let forks = client.get("/v1/chain/forks")?;
            context.out.data(&forks, |forks| {
                let rows = list(forks, "forks").iter().map(|fork| {
                    let at = |path| field(fork, path);
                    vec![
                        at("/tip/height"),
                        short(fork, "/tip/id"),
                        at("/fork_height"),
                        at("/tip/work"),
                    ]
                });
                table(&["HEIGHT", "TIP", "FORKED AT", "WORK"], rows)
            })?;
        }
        ChainVerb::Reorgs => {
            let reorgs = client.get("/v1/chain/reorgs")?;
            context.out.data(&reorgs, |reorgs| {
                let rows = list(reorgs, "reorgs").iter().map(|reorg| {
                    vec![
                        time_field(reorg, "/time"),
                        field(reorg, "/depth"),
                        short(reorg, "/from/id"),
                        short(reorg, "/to/id"),
                        field(reorg, "/moved"),
                        field(reorg, "/requeued"),
                        field(reorg, "/lost"),
                    ]
                });
                table(&["TIME (UTC)", "DEPTH", "FROM", "TO", "MOVED", "REQUEUED", "LOST"], rows)
            })?;
        }
        ChainVerb::Verify { deep } => return verify(*deep, context),
    }
    Ok(0)
}

fn show(block: &Value) -> String {
    let mut lines = vec![
        format!("block   {}", field(block, "/id")),
        format!("height  {}", field(block, "/height")),
        format!("parent  {}", field(block, "/parent")),
        format!("time    {} (UTC)", time_field(block, "/time")),
        format!("sealer  {}", field(block, "/sealer")),
        format!("work    {}", field(block, "/work")),
        format!("facts   {}", field(block, "/fact_count")),
    ];
    lines.extend(list(block, "facts").iter().map(|id| format!("  {}", field(id, ""))));
    lines.join("\n")
}

fn verify(deep: bool, context: &Context) -> Outcome {
    let bar = context.out.bar(None, "{spinner} checking the chain {elapsed}");
    bar.enable_steady_tick(super::status::POLL);
    let deep = deep.then(|| "true".to_string());
    let verdict = context.client()?.get_slowly(&with_query("/v1/chain/verify", &[("deep", deep)]));
    bar.finish_and_clear();
    let verdict = verdict?;
    let ok = verdict["ok"] == true;
    if ok || context.out.json() {
        context.out.data(&verdict, |verdict| {
            let (blocks, facts) = (field(verdict, "/blocks"), field(verdict, "/facts"));
            format!("the chain is sound: {blocks} blocks, {facts} facts")
        })?;
        return Ok(u8::from(!ok));
    }
    let message = format!("the chain on disk is damaged: {}", field(&verdict, "/error"));
    Err(Problem::new(Code::Storage, message, "stop the node and look at its disk"))
}
