//! Every message between peers, by what the first byte says: decoded within its class's limit, and
//! encoded again.

use cairn_core::wire::{
    Announce, BlocksAnswer, BlocksRequest, Class, Control, FactsAnswer, FactsRequest,
    HeadersAnswer, HeadersRequest, PeersAnswer, PeersRequest, ReconcileAnswer, ReconcileRequest,
};

use super::canonical;

/// Which message the bytes are read as.
pub(super) fn message(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let class = Class::ALL[usize::from(kind & 0x7f) % Class::ALL.len()];
    let is_answer = kind & 0x80 != 0;
    let max = if is_answer { class.answer_bytes_max() } else { class.request_bytes_max() };
    match (class, is_answer) {
        (Class::Control, _) => {
            canonical::<Control>(bytes, class.request_bytes_max());
        }
        (Class::Announce, _) => {
            canonical::<Announce>(bytes, class.request_bytes_max());
        }
        (Class::Headers, false) => {
            canonical::<HeadersRequest>(bytes, max);
        }
        (Class::Headers, true) => {
            canonical::<HeadersAnswer>(bytes, max);
        }
        (Class::Blocks, false) => {
            canonical::<BlocksRequest>(bytes, max);
        }
        (Class::Blocks, true) => {
            canonical::<BlocksAnswer>(bytes, max);
        }
        (Class::Facts, false) => {
            canonical::<FactsRequest>(bytes, max);
        }
        (Class::Facts, true) => {
            canonical::<FactsAnswer<'_>>(bytes, max);
        }
        (Class::Reconcile, false) => {
            canonical::<ReconcileRequest>(bytes, max);
        }
        (Class::Reconcile, true) => {
            canonical::<ReconcileAnswer>(bytes, max);
        }
        (Class::Peers, false) => {
            canonical::<PeersRequest>(bytes, max);
        }
        (Class::Peers, true) => {
            canonical::<PeersAnswer>(bytes, max);
        }
    }
}
