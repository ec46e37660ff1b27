//! The structural rules of a block's list of facts.

use core::fmt;

use alloc::vec::Vec;

use crate::id::FactId;
use crate::params::Params;
use crate::verified::Verified;

use super::{Block, Header, facts_root};

/// Why a list is not the body of a block, whatever the facts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyReject {
    /// A block seals at least one fact.
    Empty,
    /// More facts than the mesh allows: limit, got.
    TooMany(u32, usize),
    /// A fact is named twice.
    Duplicate(FactId),
    /// The header commits to another list.
    FactsRoot,
}

impl fmt::Display for BodyReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the block has no facts"),
            Self::TooMany(max, got) => write!(f, "{got} facts; a block may have {max}"),
            Self::Duplicate(fact) => write!(f, "the block names fact {fact} twice"),
            Self::FactsRoot => f.write_str("the list of facts is not the one in the header"),
        }
    }
}

impl core::error::Error for BodyReject {}

impl Block {
    /// Checks the list against the mesh's bounds and the header.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_body(&self, params: &Params) -> Result<(), BodyReject> {
        if self.facts.is_empty() {
            return Err(BodyReject::Empty);
        }
        if self.facts.len() > params.block_facts_max as usize {
            let max = params.block_facts_max;
            return Err(BodyReject::TooMany(max, self.facts.len()));
        }
        if facts_root(&self.facts) != self.header.facts_root {
            return Err(BodyReject::FactsRoot);
        }
        let mut sorted = self.facts.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(BodyReject::Duplicate(pair[0])),
            None => Ok(()),
        }
    }

    /// Joins a verified header with its list.
    ///
    /// # Errors
    /// As `check_body`. `FactsRoot` means that the list is not this block's; every other reject
    /// means that the block itself is invalid.
    pub fn join(
        header: Verified<Header>,
        facts: Vec<FactId>,
        params: &Params,
    ) -> Result<Verified<Self>, BodyReject> {
        let block = Self { header: header.into_inner(), facts };
        block.check_body(params).map(|()| Verified::proven(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::genesis;

    fn check(facts: &[u8]) -> Result<(), BodyReject> {
        let mut params = Params::open();
        params.block_facts_max = 3;
        let facts: Vec<FactId> = facts.iter().map(|n| FactId([*n; 32])).collect();
        let mut header = genesis(&params);
        header.facts_root = facts_root(&facts);
        Block { header, facts }.check_body(&params)
    }

    #[test]
    fn each_structural_rule_has_its_reject() {
        assert_eq!(check(&[2, 1, 3]), Ok(()));
        assert_eq!(check(&[]), Err(BodyReject::Empty));
        assert_eq!(check(&[1, 2, 3, 4]), Err(BodyReject::TooMany(3, 4)));
        assert_eq!(check(&[1, 2, 1]), Err(BodyReject::Duplicate(FactId([1; 32]))));
    }

    #[test]
    fn a_list_in_another_order_is_not_the_body() {
        let params = Params::open();
        let (a, b) = (FactId([1; 32]), FactId([2; 32]));
        let mut header = genesis(&params);
        header.facts_root = facts_root(&[a, b]);
        let join = |facts: &[FactId]| {
            Block::join(Verified::proven(header.clone()), facts.to_vec(), &params)
        };
        assert_eq!(join(&[a, b]).unwrap().facts, [a, b]);
        assert_eq!(join(&[b, a]), Err(BodyReject::FactsRoot));
    }
}
