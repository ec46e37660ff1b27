//! Peers: which addresses to dial when, and what is remembered of them.

mod book;

pub use book::{Book, Source};
