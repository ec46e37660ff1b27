//! Rows of the store: a damaged disk may hand back any bytes, and a row that decodes must be the
//! row that was written.

use cairn_core::ledger::rows::{
    BanRow, Close, Custody, FactRow, HeaderRow, Ids, InviteRow, Known, Member, PeerRow, SetRow,
    TipRow,
};
use cairn_core::params::Params;

use super::canonical;

/// Which row the bytes are read as.
pub(super) fn row(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let max = bytes.len();
    match kind % 13 {
        0 => drop(canonical::<FactRow>(bytes, max)),
        1 => drop(canonical::<HeaderRow>(bytes, max)),
        2 => drop(canonical::<Ids>(bytes, max)),
        3 => drop(canonical::<Custody>(bytes, max)),
        4 => drop(canonical::<Member>(bytes, max)),
        5 => drop(canonical::<InviteRow>(bytes, max)),
        6 => drop(canonical::<Known>(bytes, max)),
        7 => drop(canonical::<PeerRow>(bytes, max)),
        8 => drop(canonical::<SetRow>(bytes, max)),
        9 => drop(canonical::<TipRow>(bytes, max)),
        10 => drop(canonical::<BanRow>(bytes, max)),
        11 => drop(canonical::<Close>(bytes, max)),
        _ => drop(canonical::<Params>(bytes, max)),
    }
}
