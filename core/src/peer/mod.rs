//! Peers: which addresses to dial when, who is kept out, who makes room, and what is remembered of
//! them. Nothing here judges: only provable misbehavior (`Misbehavior`) or a person keeps anybody
//! out; slowness, a wrong clock and a missing parent lower a score at most.

mod ban;
mod book;
mod closes;
mod eviction;
mod misbehavior;
mod score;

pub use ban::{BANS_MAX, Bans, Subject};
pub use book::{Book, Dial, Entry, Group, Introducer, Source, may_be_told};
pub use closes::{CLOSES_MAX, Closes};
pub use eviction::{Candidate, evict};
pub use misbehavior::Misbehavior;
pub use score::{Deeds, score};
