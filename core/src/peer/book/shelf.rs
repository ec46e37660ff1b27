//! A shelf of small buckets, and the keyed dice that choose among them.
//!
//! Which bucket an address goes to depends on where it is, on who told of it and on a secret. So
//! nobody who tells of addresses can reach more than a few buckets, or find out which (Heilman et
//! al., USENIX Security 2015, sections 2.2 and 7; Bitcoin Core's `addrman` is the model).

use alloc::vec::Vec;

use super::place::Group;
use super::{EntryId, Introducer};
use crate::conn::PeerAddr;
use crate::hash::Tag;

/// Entries in one bucket.
const SLOTS: usize = 16;
/// Buckets that one introducer reaches on the shelf of the new.
const BUCKETS_PER_INTRODUCER: u8 = 8;
/// Buckets that one group reaches on the shelf of the tried.
const BUCKETS_PER_GROUP: u8 = 4;

/// A shelf.
#[derive(Debug)]
pub(super) struct Shelf {
    buckets: Vec<Vec<EntryId>>,
    slots: usize,
}

impl Shelf {
    /// Has room for about `capacity` entries, never for more.
    pub(super) fn new(capacity: usize) -> Self {
        let slots = capacity.clamp(1, SLOTS);
        Self { buckets: alloc::vec![Vec::new(); (capacity / slots).max(1)], slots }
    }

    pub(super) fn bucket(&self, bucket: usize) -> &[EntryId] {
        &self.buckets[bucket]
    }

    pub(super) fn is_full(&self, bucket: usize) -> bool {
        self.buckets[bucket].len() >= self.slots
    }

    pub(super) fn put(&mut self, bucket: usize, id: EntryId) {
        self.buckets[bucket].push(id);
    }

    pub(super) fn take(&mut self, bucket: usize, id: EntryId) {
        self.buckets[bucket].retain(|other| *other != id);
    }
}

/// Choices that look random to whoever lacks the key, and are always the same for us.
#[derive(Debug)]
pub(super) struct Dice([u8; 32]);

impl Dice {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn roll(&self, what: u8, parts: &[&[u8]]) -> u64 {
        let mut hasher = Tag::Book.hasher().chain(&self.0).chain(&[what]);
        for part in parts {
            hasher = hasher.chain(&(part.len() as u64).to_le_bytes()).chain(part);
        }
        u64::from_le_bytes(*hasher.finish().first_chunk().unwrap_or(&[0; 8]))
    }

    /// A rank among equals.
    pub(super) fn rank(&self, address: &PeerAddr) -> u64 {
        self.roll(0, &[address.0.as_bytes()])
    }

    /// The bucket for what an introducer tells of a group: one of few.
    pub(super) fn new_bucket(
        &self,
        shelf: &Shelf,
        by: &Introducer,
        address: &PeerAddr,
        group: &Group,
    ) -> usize {
        let by_bytes = by.bytes();
        // All that is heard on the local network is in one group.
        let place = if *by == Introducer::Lan { address.0.as_bytes() } else { group.as_bytes() };
        let nth = self.roll(1, &[&by_bytes, place]) % u64::from(BUCKETS_PER_INTRODUCER);
        let bucket = self.roll(2, &[&by_bytes, &[nth as u8]]) % shelf.buckets.len() as u64;
        bucket as usize
    }

    /// The bucket for an address that was reached: one of few for its group.
    pub(super) fn tried_bucket(&self, shelf: &Shelf, address: &PeerAddr, group: &Group) -> usize {
        let nth = self.roll(3, &[address.0.as_bytes()]) % u64::from(BUCKETS_PER_GROUP);
        let bucket = self.roll(4, &[group.as_bytes(), &[nth as u8]]) % shelf.buckets.len() as u64;
        bucket as usize
    }
}
