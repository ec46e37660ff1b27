//! Peers: which addresses to dial when, and what is remembered of them.

mod book;

pub use book::{Book, Dial, Entry, Group, Introducer, Source, may_be_told};
