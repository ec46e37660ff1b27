//! The one canonical encoding: postcard, made strict and bounded.
//!
//! postcard alone accepts trailing bytes and non-minimal varints, and not the same ones on 32- and
//! 64-bit machines: a hostile peer could make a block valid on one board and invalid on another.
//! So `decode` encodes what it decoded again and compares, without a buffer. Sizes are checked
//! before anything is decoded.
//!
//! Not here: any type's own bounds. Those are checked by the type.

use core::fmt;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::hash::Hasher;

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes than this kind may have: limit, got.
    TooLong(usize, usize),
    /// Not an encoding of the type at all.
    Malformed,
    /// An encoding, but not the only permitted one (trailing bytes, a padded number).
    NotCanonical,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit, got) => write!(f, "{got} bytes where at most {limit} are allowed"),
            Self::Malformed => f.write_str("the bytes do not decode"),
            Self::NotCanonical => f.write_str("the bytes are not in canonical form"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Compares what is written with what is expected.
struct Compare<'a>(&'a [u8]);

impl Flavor for Compare<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0 = self.0.strip_prefix(data).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }
}

/// Hashes what is written.
struct IntoHasher(Hasher);

impl Flavor for IntoHasher {
    type Output = Hasher;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.update(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.update(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Hasher> {
        Ok(self.0)
    }
}

/// Decodes exactly one value from exactly `bytes`, of which there may be at most `max`.
pub fn decode<'a, T>(bytes: &'a [u8], max: usize) -> Result<T, DecodeError>
where
    T: Deserialize<'a> + Serialize,
{
    if bytes.len() > max {
        return Err(DecodeError::TooLong(max, bytes.len()));
    }
    let value: T = postcard::from_bytes(bytes).map_err(|_| DecodeError::Malformed)?;
    match postcard::serialize_with_flavor(&value, Compare(bytes)) {
        Ok(()) => Ok(value),
        Err(_) => Err(DecodeError::NotCanonical),
    }
}

/// Encodes into `buffer` and returns the used part; none if it does not fit.
pub fn encode_into<'b, T: Serialize + ?Sized>(value: &T, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    postcard::to_slice(value, buffer).ok().map(|used| &*used)
}

/// Encodes a value.
#[cfg(feature = "alloc")]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> alloc::vec::Vec<u8> {
    // Fails only for types that cannot say their length, of which core has none.
    postcard::to_allocvec(value).unwrap_or_else(|_| unreachable!("our types always encode"))
}

/// Length of the encoding in bytes.
pub fn encoded_len<T: Serialize + ?Sized>(value: &T) -> usize {
    postcard::serialize_with_flavor(value, postcard::ser_flavors::Size::default()).unwrap_or(0)
}

/// Feeds the encoding to a hasher without a buffer.
pub fn hash_into<T: Serialize + ?Sized>(value: &T, hasher: Hasher) -> Hasher {
    postcard::serialize_with_flavor(value, IntoHasher(hasher))
        .unwrap_or_else(|_| unreachable!("our types always encode"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trailing_bytes_and_padded_numbers_are_refused() {
        assert_eq!(decode::<u64>(&[5], 16), Ok(5));
        assert_eq!(decode::<u64>(&[5, 0], 16), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>(&[0x85, 0], 16), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>(&[0x85], 16), Err(DecodeError::Malformed));
        assert_eq!(decode::<&[u8]>(&[0x81, 0, 7], 16), Err(DecodeError::NotCanonical));
        assert_eq!(decode::<u64>(&[5], 0), Err(DecodeError::TooLong(0, 1)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_decode_to_what_encodes_back(bytes: alloc::vec::Vec<u8>) {
            if let Ok(value) = decode::<(u64, &str, Option<u32>, &[u8])>(&bytes, 1024) {
                let mut buffer = alloc::vec![0; bytes.len()];
                prop_assert_eq!(encode_into(&value, &mut buffer), Some(&bytes[..]));
                prop_assert_eq!(encoded_len(&value), bytes.len());
            }
        }
    }
}
