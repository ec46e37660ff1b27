//! The sum by which two sets of facts are compared: ids as little-endian numbers, modulo 2^256.
//! Order does not matter, and what was added can be taken away again.

use crate::id::FactId;
use crate::wire::SetSummary;

impl SetSummary {
    /// The set with one more fact.
    pub fn add(&mut self, id: &FactId) {
        self.count += 1;
        let mut carry = false;
        each_word(&mut self.sum, id, |a, b| {
            let (sum, over) = a.overflowing_add(b);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over | over_again;
            sum
        });
    }

    /// The set without a fact that is in it.
    pub fn remove(&mut self, id: &FactId) {
        self.count -= 1;
        let mut borrow = false;
        each_word(&mut self.sum, id, |a, b| {
            let (rest, under) = a.overflowing_sub(b);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            borrow = under | under_again;
            rest
        });
    }
}

/// Replaces each word of `sum`, lowest first, by `f` of it and the id's word.
fn each_word(sum: &mut [u8; 32], id: &FactId, mut f: impl FnMut(u64, u64) -> u64) {
    let (words, _) = sum.as_chunks_mut::<8>();
    let (id_words, _) = id.as_bytes().as_chunks::<8>();
    for (word, id_word) in words.iter_mut().zip(id_words) {
        *word = f(u64::from_le_bytes(*word), u64::from_le_bytes(*id_word)).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruint::aliases::U256;

    proptest! {
        #[test]
        fn the_sum_wraps_at_256_bits_and_has_an_inverse(a: [u8; 32], b: [u8; 32]) {
            let mut set = SetSummary { count: 1, sum: a };
            set.add(&FactId(b));
            let sum = U256::from_le_bytes(a).wrapping_add(U256::from_le_bytes(b));
            prop_assert_eq!(set.sum, sum.to_le_bytes::<32>());
            set.remove(&FactId(b));
            prop_assert_eq!(set, SetSummary { count: 1, sum: a });
        }
    }

    #[test]
    fn a_carry_runs_through_all_words() {
        let mut set = SetSummary {
            count: 0,
            sum: [0xff; 32],
        };
        let mut one = [0; 32];
        one[0] = 1;
        set.add(&FactId(one));
        assert_eq!(
            set,
            SetSummary {
                count: 1,
                sum: [0; 32]
            }
        );
    }
}
