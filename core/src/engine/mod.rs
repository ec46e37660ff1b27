//! The engine: everything a node decides, as one machine without I/O.
//!
//! Contract of the driver: one input, then `poll_output` until `None`; time never goes back; at
//! most one `Commit` per input, made visible before the next input and durable later, in order; a
//! promise (a `Reply`, a block this node sealed) comes out only after its `Durable`; every command
//! gets exactly one reply, every job exactly one answer; spurious inputs are harmless.

mod input;
mod output;
mod status;

pub use input::{
    BatchId, Command, CommandId, ConnId, ConnInput, CustodyAction, DialId, Input, JobId, PeerAddr,
    RequestTag, StreamTag,
};
pub use output::{Frame, Job, Output, Published, Receipt, Refusal};
pub use status::{PeerStatus, State, Status};
