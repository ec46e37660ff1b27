//! A hostile peer over real QUIC, and bad input everywhere else: each is refused with a clear error
//! and does no harm. What is provable is punished with the right code; nobody honest ever is.
//!
//! `scene` is the victim, an honest peer and what must hold after every attack; `attacker` is a node
//! that has a key and every freedom; the other files are one kind of attack each. Attacks that need
//! virtual time are in core's engine tests. Below the level of frames the attacker is `raw`: a plain
//! QUIC client with a member's key.

#![allow(clippy::unwrap_used, clippy::type_complexity)]

mod api;
mod attacker;
mod bans;
mod blocks;
mod closes;
mod facts;
mod floods;
mod hello;
mod invites;
mod pressure;
mod raw;
mod scene;
mod storage;
mod strangers;
mod streams;
