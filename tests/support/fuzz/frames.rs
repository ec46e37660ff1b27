//! The bytes of a stream between peers: its first two, then a frame.

use cairn_core::wire::{Class, WIRE_VERSION};
use cairn_transport_quic::FrameError;
use cairn_transport_quic::framing::{FrameAssembler, PREFIX_BYTES, opening, parse_opening, prefix};

/// Memory that a frame may take before any of it has come.
const AHEAD_MAX: usize = 16 * 1024;

/// Reads one frame in pieces of these sizes; the frame, if it came whole, and the bytes it took.
fn read(
    bytes: &[u8],
    max: usize,
    mut piece: impl FnMut() -> usize,
) -> Result<(Option<Vec<u8>>, usize), FrameError> {
    let (mut frame, mut taken) = (FrameAssembler::new(max), 0);
    while !frame.is_complete() && taken < bytes.len() {
        let space = frame.space();
        let count = piece().clamp(1, space.len()).min(bytes.len() - taken);
        let received = taken.saturating_sub(PREFIX_BYTES);
        assert!(space.len() <= AHEAD_MAX.max(received), "memory for what has not come");
        space[..count].copy_from_slice(&bytes[taken..taken + count]);
        taken += count;
        frame.advance(count)?;
        assert!(frame.length().is_none_or(|length| length <= max));
    }
    let whole = frame.is_complete().then(|| frame.into_frame());
    Ok((whole, taken))
}

/// First byte: how it is cut. Then what a peer sends.
pub(super) fn frames(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let Some((first, bytes)) = stream.split_first_chunk::<2>() else { return };
    let class = match parse_opening(*first) {
        Ok(class) => class,
        Err(error) => {
            let known = Class::from_byte(first[0]).is_some();
            assert!(!known || first[1] != WIRE_VERSION, "{error}");
            return;
        }
    };
    assert_eq!(opening(class), *first);
    for max in [class.request_bytes_max(), class.answer_bytes_max()] {
        let whole = read(bytes, max, || usize::MAX);
        assert_eq!(read(bytes, max, || 1 + usize::from(*cut)), whole);
        match whole {
            Ok((Some(frame), taken)) => {
                let head = prefix(&frame, max).expect("it is not longer than it may be");
                assert_eq!([&head[..], &frame].concat(), bytes[..taken]);
            }
            Ok((None, taken)) => assert_eq!(taken, bytes.len()),
            Err(FrameError::Oversized { max: told, got }) => {
                assert!(told == max && got > max);
            }
            Err(error) => panic!("{error} is not about frames"),
        }
    }
}
