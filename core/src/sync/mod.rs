//! Catching up: which headers, bodies and facts are missing, and whom to ask.
//!
//! Three machines that know nothing of each other. None of them sends anything or watches the
//! clock: the engine asks each what to request next from a connection, and tells it what came of it.

pub mod bodies;
pub mod facts;
pub mod headers;

/// When a peer has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Like all that answer in time.
    First,
    /// It let us wait while others do not: it is asked only for what they cannot give.
    Last,
}
