//! The proof-of-work seal: a block's id, read as a big-endian number, must not exceed the target.
//!
//! The target follows ASERT, aserti3-2d exactly as specified for Bitcoin Cash
//! (<https://reference.cash/protocol/forks/2020-11-15-asert>), anchored at genesis. It runs on
//! *effective* time, the sum of `min(Δt, 6 × spacing)`: an idle mesh seals no blocks, and a month of
//! silence must not make the next fork free.

use ruint::Uint;
use ruint::aliases::U256;
use serde::{Deserialize, Serialize};

use crate::block::{HEADER_BYTES_MAX, Header, Seal};
use crate::codec;
use crate::hash::Tag;
use crate::params::{Params, SealRule};
use crate::time::{Millis, UnixTime};
use crate::work::{Height, Target};

/// A step between two blocks counts as at most this many spacings.
pub const EFFECTIVE_SPACINGS_MAX: u64 = 6;

/// Milliseconds since genesis as ASERT counts them. Signed: block times may step back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct EffectiveTime(pub i64);

impl EffectiveTime {
    /// The effective time of a block at `time` whose parent has this one and `parent_time`.
    #[must_use]
    pub fn after(self, parent_time: UnixTime, time: UnixTime, spacing: Millis) -> Self {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let step = signed(time.0).saturating_sub(signed(parent_time.0));
        let step_max = signed(spacing.saturating_mul(EFFECTIVE_SPACINGS_MAX));
        Self(self.0.saturating_add(step.min(step_max)))
    }
}

/// The target of the block after one at `height` with this effective time. Zero under authority.
pub fn next_target(params: &Params, height: Height, time: EffectiveTime) -> Target {
    match params.seal {
        SealRule::Authority => Target(0),
        SealRule::Pow { initial, half_life } => {
            let ideal = i128::from(params.spacing) * i128::from(height.0);
            asert(initial, Target::MAX, i128::from(time.0) - ideal, half_life)
        }
    }
}

/// `anchor × 2^(late / half_life)` by the integer arithmetic of aserti3-2d, at most `limit`.
/// `late` is how far the chain is behind its schedule, in the unit of `half_life`; a half-life of 0
/// keeps the anchor's target.
pub fn asert(anchor: Target, limit: Target, late: i128, half_life: Millis) -> Target {
    type U320 = Uint<320, 5>;
    let (Some(from), Some(limit_value)) = (anchor.expand(), limit.expand()) else {
        return limit;
    };
    if half_life == 0 {
        return anchor;
    }
    // 16 fractional bits; the specification's division truncates.
    let exponent = late.saturating_mul(1 << 16) / i128::from(half_life);
    let (shifts, fraction) = (exponent >> 16, (exponent & 0xffff) as u64);
    // 2^fraction in 16 fractional bits, as a cubic; below 2^17. The products fit 64 bits.
    let cubic = 195_766_423_245_049 * fraction
        + 971_821_376 * fraction * fraction
        + 5_127 * fraction * fraction * fraction
        + (1 << 47);
    let factor = 65_536 + (cubic >> 48);
    let scaled = U320::from(from) * U320::from(factor);
    let shifts = shifts - 16;
    let target = match usize::try_from(shifts.unsigned_abs()) {
        Ok(left) if shifts > 0 => scaled.checked_shl(left),
        Ok(right) if right < 320 => Some(scaled >> right),
        _ if shifts > 0 => None,
        _ => Some(U320::ZERO),
    };
    match target {
        Some(value) if value <= U320::from(limit_value) => {
            Target::compress(U256::from(value).max(U256::from(1)))
        }
        _ => limit,
    }
}

/// Whether the header's id meets its own target. (Whether that is the right target is another
/// rule.)
pub fn check(header: &Header) -> bool {
    header.target.is_met_by(header.id().as_bytes())
}

/// Tries the nonces `start .. start + tries` and returns the header with one that meets its target.
/// All other fields must be final.
pub fn grind(header: &Header, start: u64, tries: u64) -> Option<Header> {
    let mut header = header.clone();
    header.seal = Seal::Pow(0);
    let mut buffer = [0; HEADER_BYTES_MAX];
    // The nonce is encoded last, and zero in one byte: everything before it is hashed once.
    let (_, prefix) = codec::encode_into(&header, &mut buffer)?.split_last()?;
    let hasher = Tag::Block.hasher().chain(prefix);
    let nonce = (start..start.saturating_add(tries)).find(|nonce| {
        let mut bytes = [0; 10];
        let encoded = codec::encode_into(nonce, &mut bytes).unwrap_or_default();
        header.target.is_met_by(&hasher.clone().chain(encoded).finish())
    })?;
    header.seal = Seal::Pow(nonce);
    Some(header)
}

#[cfg(test)]
mod tests;
