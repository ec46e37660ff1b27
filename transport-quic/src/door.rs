//! The socket behind which quinn lives: first packets that do not knock never reach it.
//!
//! Quinn answers some packets before anybody can be asked: a version that it does not know (RFC 9000,
//! section 6.1), a connection id that is too short. And its queue of first packets is short, so
//! strangers could keep members out of it. Therefore the knock is looked for here, before anything is
//! decrypted, remembered or queued. A first packet may also go to a connection id of this endpoint:
//! the second flight of a handshake, or the answer to a Retry.
//!
//! The check of the knock that counts is the one in `endpoint`, on the id that the handshake vouches
//! for: the ids of this endpoint are recognized by a hash that is cheap and can be forged.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, UdpPoller};
use quinn_proto::{HashedConnectionIdGenerator, RandomConnectionIdGenerator};

use crate::knock::Knock;

/// QUIC version 1 (RFC 9000), the only one that nodes speak.
pub(crate) const VERSION: u32 = 1;
/// RFC 9000, section 17.2: set in the first byte of packets with a long header.
const LONG_HEADER: u8 = 0x80;
/// The same section: which kind of long header; that of a first packet has neither bit.
const KIND: u8 = 0x30;

/// Who is let through to quinn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guard {
    knock: Knock,
    /// Makes the endpoint's own connection ids recognizable.
    id_key: u64,
}

impl Guard {
    pub(crate) fn new(knock: Knock) -> Self {
        let random = RandomConnectionIdGenerator::new(8).generate_cid();
        let id_key = random.iter().fold(0, |key, byte| key << 8 | u64::from(*byte));
        Self { knock, id_key }
    }

    /// Makes the connection ids of this endpoint.
    pub(crate) fn own_ids(&self) -> HashedConnectionIdGenerator {
        HashedConnectionIdGenerator::from_key(self.id_key)
    }

    fn is_own(&self, id: &[u8]) -> bool {
        let own = self.own_ids();
        id.len() == own.cid_len() && own.validate(&ConnectionId::new(id)).is_ok()
    }

    /// Whether quinn may see a datagram. Only its first packet is looked at, as by quinn to find the
    /// connection.
    fn admits(&self, datagram: &[u8]) -> bool {
        let Some((first, rest)) = datagram.split_first() else {
            return false;
        };
        if first & LONG_HEADER == 0 {
            // Of a live connection, or dropped by quinn without an answer.
            return true;
        }
        let Some((version, rest)) = rest.split_first_chunk() else {
            return false;
        };
        let Some((length, rest)) = rest.split_first() else {
            return false;
        };
        let Some(id) = rest.get(..usize::from(*length)) else {
            return false;
        };
        let opens = || self.knock.is_in(id) || self.is_own(id);
        u32::from_be_bytes(*version) == VERSION && (first & KIND != 0 || opens())
    }

    /// Moves the datagrams of `stride` bytes each that are admitted to the front; how many bytes.
    fn sift(&self, bytes: &mut [u8], stride: usize) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            let end = bytes.len().min(at + stride.max(1));
            if self.admits(&bytes[at..end]) {
                bytes.copy_within(at..end, kept);
                kept += end - at;
            }
            at = end;
        }
        kept
    }
}

/// A UDP socket with a guard.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) socket: Arc<dyn AsyncUdpSocket>,
    pub(crate) guard: Guard,
}

impl AsyncUdpSocket for Door {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_recv(cx, buffers, metas))?;
        for (buffer, meta) in buffers.iter_mut().zip(metas.iter_mut()).take(count) {
            // Quinn makes nothing of a message without bytes.
            meta.len = self.guard.sift(&mut buffer[..meta.len], meta.stride);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use cairn_core::id::MeshId;
    use proptest::prelude::*;

    use super::*;

    fn guard() -> Guard {
        Guard::new(Knock::of(&MeshId([1; 32])))
    }

    fn long(kind: u8, version: u32, id: &[u8]) -> Vec<u8> {
        let mut bytes = vec![LONG_HEADER | 0x40 | kind << 4];
        bytes.extend(version.to_be_bytes());
        bytes.push(id.len() as u8);
        bytes.extend(id);
        bytes.resize(1200, 7);
        bytes
    }

    #[test]
    fn first_packets_pass_only_with_a_knock_or_to_an_id_of_this_endpoint() {
        let guard = guard();
        let knock = guard.knock.connection_id();
        let own = guard.own_ids().generate_cid();
        assert!(guard.admits(&long(0, 1, &knock)));
        assert!(guard.admits(&long(0, 1, &own)));
        let foreign = Knock::of(&MeshId([2; 32])).connection_id();
        for id in [&foreign[..], &[], &[1; 4], &[1; 8], &[1; 20], &knock[..19]] {
            assert!(!guard.admits(&long(0, 1, id)), "{id:?}");
        }
        for version in [0, 2, 0x6b33_43cf, 0xff00_001d, 0x0a1a_2a3a] {
            assert!(!guard.admits(&long(0, version, &knock)), "{version:x}");
        }
        // Longer than any connection id, and cut off inside of one.
        assert!(!guard.admits(&long(0, 1, &[1; 255])));
        let whole = long(0, 1, &knock);
        assert!((0..26).all(|length| !guard.admits(&whole[..length])));
        // Packets of connections that are there, and those of none, are quinn's matter.
        assert!((1..4).all(|kind| guard.admits(&long(kind, 1, &[1; 8]))));
        assert!(guard.admits(&[0x40; 30]));
    }

    proptest! {
        #[test]
        fn what_is_sifted_is_what_is_admitted_in_order(
            good in prop::collection::vec(any::<bool>(), 0..8), stride in 30usize..60,
            junk in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let guard = guard();
            let mut datagrams: Vec<Vec<u8>> = Vec::new();
            for good in good {
                let id = if good { guard.knock.connection_id() } else { ConnectionId::new(&[3; 20]) };
                datagrams.push(long(0, 1, &id)[..stride].to_vec());
            }
            // The last one may be shorter.
            datagrams.push(junk);
            let expected: Vec<u8> =
                datagrams.iter().filter(|d| guard.admits(d)).flatten().copied().collect();
            let mut bytes = datagrams.concat();
            let kept = guard.sift(&mut bytes, stride);
            prop_assert_eq!(&bytes[..kept], &expected[..]);
        }
    }
}
