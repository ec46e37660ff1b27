//! Every string of up to three bytes through every decoder: none panics, and what one accepts it
//! writes the same way again. Short strings hold all of a decoder's first decisions: which variant,
//! how long a list, how a number is padded.

#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used)]

use cairn_core::block::Header;
use cairn_core::codec;
use cairn_core::fact::SignedFact;
use cairn_core::ledger::rows::{
    BanRow, Close, Custody, FactRow, HeaderRow, Ids, InviteRow, Known, Member, PeerRow, SetRow,
    TipRow,
};
use cairn_core::params::Params;
use cairn_core::wire::{
    Announce, BlocksAnswer, BlocksRequest, Control, FactsAnswer, FactsRequest, HeadersAnswer,
    HeadersRequest, PeersAnswer, PeersRequest, ReconcileAnswer, ReconcileRequest,
};
use serde::{Deserialize, Serialize};

/// Miri tries only what is shorter.
const LENGTH_MAX: usize = if cfg!(miri) { 1 } else { 3 };

/// Tries all strings; how many of each length are accepted.
fn accepted(accepts: impl Fn(&[u8]) -> bool) -> [usize; 4] {
    let mut counts = [0; 4];
    for length in 0..=LENGTH_MAX {
        for number in 0..1u32 << (8 * length) {
            let bytes = number.to_le_bytes();
            counts[length] += usize::from(accepts(&bytes[..length]));
        }
    }
    counts
}

fn accepts<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> bool {
    let mut again = [0; 4];
    match codec::decode::<T>(bytes, 4) {
        Ok(value) => {
            assert_eq!(codec::encode_into(&value, &mut again), Some(bytes));
            true
        }
        Err(_) => false,
    }
}

macro_rules! decoder {
    ($name:ident, $type:ty, $counts:expr) => {
        #[test]
        fn $name() {
            let counts: [usize; 4] = $counts;
            let tried = accepted(|bytes| accepts::<$type>(bytes));
            assert_eq!(tried[..=LENGTH_MAX], counts[..=LENGTH_MAX]);
        }
    };
}

// Pong and a call back are short, a variant and a number of up to two bytes, minimal; a proof of
// revocation or of a twin that holds nothing, or one fact of no bytes; no addresses of others; and a number of one
// byte with each of three outcomes.
decoder!(control, Control, [0, 0, 2 * 128 + 3, 2 * 128 * 127 + 1 + 3 * 128]);
// Facts, none of them.
decoder!(announce, Announce, [0, 0, 1, 0]);
// No locator, and a u16 of one or two bytes.
decoder!(headers_request, HeadersRequest, [0, 0, 128, 128 * 127]);
decoder!(headers_answer, HeadersAnswer, [0; 4]);
// The empty list.
decoder!(blocks_request, BlocksRequest, [0, 1, 0, 0]);
decoder!(blocks_answer, BlocksAnswer, [0, 1, 0, 0]);
decoder!(facts_request, FactsRequest, [0, 1, 0, 0]);
// No facts or one without bytes, and whether there are more.
decoder!(facts_answer, FactsAnswer<'_>, [0, 0, 2, 2]);
// Groups; no, one or any bucket of a group; ids of no bucket, after nothing; of one that is short;
// the first span of a sweep.
decoder!(reconcile_request, ReconcileRequest, [0, 1, 2, 256 + 1]);
// Two empty lists of sums; no ids, and whether there are more.
decoder!(reconcile_answer, ReconcileAnswer, [0, 0, 2, 2]);
decoder!(peers_request, PeersRequest, [0, 128, 128 * 127, 65_536 - 128 * 128]);
decoder!(peers_answer, PeersAnswer, [0, 1, 0, 0]);
decoder!(header, Header, [0; 4]);
decoder!(fact, SignedFact<'_>, [0; 4]);
decoder!(rules, Params, [0; 4]);
// A small number, and pending; sealed and conflict need more numbers.
decoder!(fact_row, FactRow, [0, 0, 128, 128 * 127]);
decoder!(header_row, HeaderRow, [0; 4]);
decoder!(ids, Ids, [0, 1, 0, 0]);
decoder!(custody_row, Custody, [0; 4]);
decoder!(member_row, Member, [0; 4]);
decoder!(invite_row, InviteRow, [0; 4]);
decoder!(known_row, Known, [0; 4]);
decoder!(peer_row, PeerRow, [0; 4]);
// Small numbers, no reason.
decoder!(ban_row, BanRow, [0; 4]);
decoder!(close_row, Close, [0; 4]);
decoder!(set_row, SetRow, [0; 4]);
decoder!(tip_row, TipRow, [0; 4]);
