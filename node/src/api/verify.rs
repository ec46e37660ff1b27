//! Checks the best chain on disk again, from genesis on, as if every block had just arrived: seals,
//! links, targets, history and fact roots, the sum of work; on demand every fact's signature.
//!
//! Not here: the ledger's rules for facts (applied when a block is connected).

use std::sync::atomic::{AtomicBool, Ordering};

use cairn_core::block::{Block, ChainEnd};
use cairn_core::fact::{EncodedFact, verify_batch};
use cairn_core::id::{FactId, MeshId};
use cairn_core::ledger::read::Read;
use cairn_core::params::Params;
use cairn_core::store::{StoreFault, View};
use cairn_core::verified::Unverified;
use cairn_core::work::Height;
use serde::Serialize;

/// Facts verified at one time.
const FACTS_AT_ONCE: usize = 256;

/// What a check found.
#[derive(Debug, Serialize)]
pub struct Verdict {
    schema: &'static str,
    /// Whether all is as it should be.
    pub ok: bool,
    /// Height of the last block that was.
    pub height: u64,
    /// Blocks checked, genesis included.
    pub blocks: u64,
    /// Facts in them.
    pub facts: u64,
    deep: bool,
    /// What is wrong with the next block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a walk ends before the tip.
enum Stop {
    Fault(StoreFault),
    Wrong(String),
}

impl From<StoreFault> for Stop {
    fn from(fault: StoreFault) -> Self {
        Self::Fault(fault)
    }
}

fn wrong<E: std::fmt::Display>(error: E) -> Stop {
    Stop::Wrong(error.to_string())
}

/// How a walk is done: which mesh, how thoroughly, and whether anybody still waits for it.
pub struct Walk<'a> {
    /// The mesh's rules.
    pub params: &'a Params,
    /// The mesh.
    pub mesh: MeshId,
    /// Whether to check the facts' signatures.
    pub deep: bool,
    /// Unpredictable, for batch verification.
    pub seed: [u8; 32],
    /// Set when nobody waits any more.
    pub canceled: &'a AtomicBool,
}

impl Walk<'_> {
    /// Walks from genesis to where the best chain ends while walking.
    ///
    /// # Errors
    /// `StoreFault` if the view fails; damage is a verdict.
    pub fn run(&self, view: &dyn View) -> Result<Verdict, StoreFault> {
        let mut end = ChainEnd::genesis(self.params);
        let mut facts = 0;
        let outcome = self.walk(view, &mut end, &mut facts);
        let error = match outcome {
            Ok(()) => None,
            Err(Stop::Wrong(error)) => Some(format!("block {}: {error}", end.header.height.next())),
            Err(Stop::Fault(fault)) => return Err(fault),
        };
        Ok(Verdict {
            schema: "cairn.chain-verify/1",
            ok: error.is_none(),
            height: end.header.height.0,
            blocks: end.header.height.0 + 1,
            facts,
            deep: self.deep,
            error,
        })
    }

    fn walk(&self, view: &dyn View, end: &mut ChainEnd, facts: &mut u64) -> Result<(), Stop> {
        if view.block_at(Height::GENESIS)? != Some(end.id) {
            return Err(wrong("genesis is not the mesh's"));
        }
        let mut sealers = self.params.roots.to_vec();
        while let Some(id) = view.block_at(end.header.height.next())? {
            if self.canceled.load(Ordering::Relaxed) {
                return Err(wrong("the check was given up"));
            }
            let row = view.header(&id)?.ok_or_else(|| wrong("its header is missing"))?;
            if row.header.id() != id {
                return Err(wrong("its header does not have its id"));
            }
            let changed = row.header.sealers_root != end.header.sealers_root;
            let next = if changed { view.sealers(&row.header.sealers_root)? } else { None };
            let header = Unverified(row.header.clone());
            let verified = end.verify_next(self.params, &sealers, header, next.as_deref());
            verified.map_err(wrong)?;
            let body = view.body(&id)?.ok_or_else(|| wrong("its list of facts is missing"))?;
            let block = Block { header: row.header, facts: body };
            block.check_body(self.params).map_err(wrong)?;
            self.check_facts(view, &block.facts)?;
            *facts += block.facts.len() as u64;
            let mut advanced = end.clone();
            advanced.advance(self.params, &sealers, block.header, id);
            if advanced.work != row.work {
                return Err(wrong("its cumulative work is not the sum"));
            }
            *end = advanced;
            sealers = next.unwrap_or(sealers);
        }
        Ok(())
    }

    fn check_facts(&self, view: &dyn View, ids: &[FactId]) -> Result<(), Stop> {
        for chunk in ids.chunks(FACTS_AT_ONCE) {
            let mut facts = Vec::with_capacity(chunk.len());
            for id in chunk {
                let row =
                    view.fact_row(id)?.ok_or_else(|| wrong(format!("fact {id} is missing")))?;
                if !self.deep {
                    continue;
                }
                let bytes = view.fact_bytes(row.seq)?;
                let fact = EncodedFact::parse(&self.mesh, &bytes).map_err(wrong)?;
                if fact.0.id() != *id {
                    return Err(wrong(format!("fact {id} does not have its id")));
                }
                facts.push(fact);
            }
            if let Some(id) =
                verify_batch(&self.mesh, facts, &self.seed).into_iter().find_map(Result::err)
            {
                return Err(wrong(format!("the signature of fact {id} does not hold")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
