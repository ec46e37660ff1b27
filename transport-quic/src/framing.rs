//! Bytes of a stream: two opening bytes (class, version), then frames of a four-byte little-endian
//! length and that many bytes. Pure; the reading and writing is in `streams`.
//!
//! Invariant: memory grows with what was received, never with what a prefix claims.

use cairn_core::wire::{Class, WIRE_VERSION};

use crate::error::FrameError;

/// Bytes of a length prefix.
pub const PREFIX_BYTES: usize = 4;
/// A frame's buffer starts with this size and doubles as it fills.
const FIRST_STEP_BYTES: usize = 16 * 1024;

/// The first bytes of a stream.
pub const fn opening(class: Class) -> [u8; 2] {
    [class as u8, WIRE_VERSION]
}

/// The class of a stream with these first bytes.
///
/// # Errors
/// `FrameError` if the class or the version is not known.
pub fn parse_opening([class, version]: [u8; 2]) -> Result<Class, FrameError> {
    let known = Class::from_byte(class).ok_or(FrameError::UnknownClass(class))?;
    if version == WIRE_VERSION { Ok(known) } else { Err(FrameError::Version(version)) }
}

/// The prefix of a frame; `None` if the frame is longer than `max`.
pub fn prefix(frame: &[u8], max: usize) -> Option<[u8; PREFIX_BYTES]> {
    let length = u32::try_from(frame.len()).ok()?;
    (frame.len() <= max).then(|| length.to_le_bytes())
}

/// One frame being received: fill `space`, then say how much with `advance`.
#[derive(Debug)]
pub struct FrameAssembler {
    max: usize,
    prefix: [u8; PREFIX_BYTES],
    body: Vec<u8>,
    /// Bytes received, prefix included.
    filled: usize,
    /// Bytes of the body, once the prefix is complete.
    length: Option<usize>,
}

impl FrameAssembler {
    /// For a frame of at most `max` bytes.
    pub const fn new(max: usize) -> Self {
        Self { max, prefix: [0; PREFIX_BYTES], body: Vec::new(), filled: 0, length: None }
    }

    /// The length of the body, once known.
    pub const fn length(&self) -> Option<usize> {
        self.length
    }

    /// Where the next bytes go; empty once the frame is complete, and never beyond its end.
    pub fn space(&mut self) -> &mut [u8] {
        let Some(length) = self.length else {
            return &mut self.prefix[self.filled..];
        };
        let have = self.filled - PREFIX_BYTES;
        if have == self.body.len() && have < length {
            let grown = length.min(FIRST_STEP_BYTES.max(have * 2));
            self.body.reserve_exact(grown - have);
            self.body.resize(grown, 0);
        }
        &mut self.body[have..]
    }

    /// Takes note that `count` bytes were put into `space`.
    ///
    /// # Errors
    /// `FrameError::Oversized` if the prefix claims more than may come.
    pub fn advance(&mut self, count: usize) -> Result<(), FrameError> {
        self.filled += count;
        if self.length.is_none() && self.filled == PREFIX_BYTES {
            let got = u32::from_le_bytes(self.prefix) as usize;
            if got > self.max {
                return Err(FrameError::Oversized { max: self.max, got });
            }
            self.length = Some(got);
        }
        Ok(())
    }

    /// Whether every byte is there.
    pub fn is_complete(&self) -> bool {
        self.length.is_some_and(|length| self.filled == PREFIX_BYTES + length)
    }

    /// The frame; call it when complete.
    pub fn into_frame(self) -> Vec<u8> {
        debug_assert!(self.is_complete());
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `bytes` in pieces of these sizes; the frame and how many bytes it took.
    fn feed(
        bytes: &[u8],
        max: usize,
        pieces: &[usize],
    ) -> Result<(Option<Vec<u8>>, usize), FrameError> {
        let mut assembler = FrameAssembler::new(max);
        let mut rest = bytes;
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() && !assembler.is_complete() {
            let space = assembler.space();
            let count = space.len().min(rest.len()).min(*pieces.next().unwrap());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            assembler.advance(count)?;
        }
        let taken = bytes.len() - rest.len();
        Ok((assembler.is_complete().then(|| assembler.into_frame()), taken))
    }

    proptest! {
        #[test]
        fn a_frame_comes_back_however_it_is_cut(
            body in prop::collection::vec(any::<u8>(), 0..70_000),
            after in prop::collection::vec(any::<u8>(), 0..8),
            pieces in prop::collection::vec(1usize..30_000, 1..8),
        ) {
            let mut bytes = prefix(&body, body.len()).unwrap().to_vec();
            bytes.extend(&body);
            let whole = bytes.len();
            bytes.extend(after);
            prop_assert_eq!(feed(&bytes, body.len(), &pieces), Ok((Some(body), whole)));
        }

        #[test]
        fn any_bytes_are_a_frame_a_part_of_one_or_oversized(
            bytes in prop::collection::vec(any::<u8>(), 0..64), max in 0usize..40,
        ) {
            match feed(&bytes, max, &[3]) {
                Ok((Some(frame), taken)) => {
                    prop_assert_eq!(&bytes[PREFIX_BYTES..taken], &frame[..]);
                    prop_assert!(frame.len() <= max);
                }
                Ok((None, taken)) => prop_assert_eq!(taken, bytes.len()),
                Err(FrameError::Oversized { got, .. }) => prop_assert!(got > max),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }

        #[test]
        fn only_known_classes_of_our_version_open_a_stream(class: u8, version: u8) {
            match parse_opening([class, version]) {
                Ok(known) => prop_assert_eq!(opening(known), [class, version]),
                Err(FrameError::UnknownClass(byte)) => {
                    prop_assert!(byte == class && Class::from_byte(byte).is_none());
                }
                Err(error) => prop_assert_eq!(error, FrameError::Version(version)),
            }
        }
    }

    #[test]
    fn a_claimed_gibibyte_costs_nothing_until_it_arrives() {
        let mut assembler = FrameAssembler::new(1 << 30);
        assembler.space().copy_from_slice(&(1u32 << 30).to_le_bytes());
        assembler.advance(PREFIX_BYTES).unwrap();
        assert_eq!(assembler.space().len(), FIRST_STEP_BYTES);
        assert!(assembler.body.capacity() <= FIRST_STEP_BYTES);
    }

    #[test]
    fn a_frame_over_the_limit_gets_no_prefix() {
        assert_eq!(prefix(&[0; 3], 2), None);
        assert_eq!(prefix(&[0; 3], 3), Some([3, 0, 0, 0]));
    }
}
