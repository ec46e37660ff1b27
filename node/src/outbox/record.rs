//! One fact in a file: length, checksum, bytes. Damage costs the records that it hits: reading goes
//! on at the next place where length and checksum fit.

use cairn_core::params::FACT_BYTES_MAX;
use xxhash_rust::xxh3::xxh3_64;

/// Length (4 bytes) and checksum (8 bytes), little endian.
const HEAD: usize = 4 + 8;

/// Appends a record.
pub fn write(to: &mut Vec<u8>, fact: &[u8]) {
    // At most 16 KiB, by the rules.
    let length = u32::try_from(fact.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(&xxh3_64(fact).to_le_bytes());
    to.extend_from_slice(fact);
}

/// The record at the beginning, and how long it is.
fn at(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length == 0 || length > FACT_BYTES_MAX {
        return None;
    }
    let fact = rest.get(..length)?;
    (xxh3_64(fact) == u64::from_le_bytes(*sum)).then_some(fact)
}

/// All records that are as they were written.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            if let Some(fact) = at(rest) {
                rest = rest.get(HEAD + fact.len()..).unwrap_or_default();
                return Some(fact);
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_anywhere_costs_one_record_at_most() {
        let facts: [&[u8]; 3] = [b"first", &[7; 400], b"third"];
        let mut bytes = Vec::new();
        facts.iter().for_each(|fact| write(&mut bytes, fact));
        assert_eq!(read(&bytes).collect::<Vec<_>>(), facts);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let left: Vec<_> = read(&damaged).collect();
            assert_eq!(left.len(), 2, "byte {at}");
            assert!(left.iter().all(|fact| facts.contains(fact)), "byte {at}");
        }
    }

    #[test]
    fn a_torn_end_costs_the_last_record_only() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"whole");
        let whole = bytes.len();
        write(&mut bytes, b"torn");
        for end in whole..bytes.len() {
            assert_eq!(read(&bytes[..end]).collect::<Vec<_>>(), [b"whole"]);
        }
    }
}
