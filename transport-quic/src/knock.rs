//! The knock: whoever knows the mesh shows so in its very first packet, and nobody else is answered.
//!
//! The connection id that a dialler chooses for its first packets is 8 random bytes and 12 of a hash
//! over them, keyed by the mesh. RFC 9000, section 7.2, asks for at least 8 unpredictable bytes there
//! and leaves the rest free, so the knock costs no byte and no round trip; the id is kept in the
//! token of a Retry, so it survives one.
//!
//! The listener answers it once the handshake is done, before anything else is said, or a dialler would
//! tell the mesh's id to whoever happens to listen at an address that it was given.
//!
//! A knock proves nothing about who knocks: somebody on the path can send a knock again, and somebody who
//! was shown the mesh id can make one. Both get as far as the handshake and no further.

use std::fmt;

use cairn_core::hash::{Tag, sha256};
use cairn_core::id::MeshId;
use quinn::{Connection, ConnectionId, ConnectionIdGenerator};
use quinn_proto::RandomConnectionIdGenerator;

/// Random bytes of a knock.
const NONCE_BYTES: usize = 8;
/// Bytes of a listener's answer to it.
const ANSWER_BYTES: usize = 16;
/// What the answer is exported from a TLS session as (RFC 8446, section 7.5).
const ANSWER_LABEL: &[u8] = b"EXPORTER-cairn-knock";
/// Bytes of a knock: the longest connection id that there is.
pub(crate) const KNOCK_BYTES: usize = 20;

/// What members of one mesh know each other by, before the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Knock([u8; 32]);

impl Knock {
    /// The knock of a mesh: SHA-256 of `cairn/knock/1` and the mesh id.
    pub fn of(mesh: &MeshId) -> Self {
        Self(Tag::Knock.hasher().chain(mesh.as_bytes()).finish())
    }

    /// A new knock, for one dial.
    pub(crate) fn connection_id(&self) -> ConnectionId {
        let nonce = RandomConnectionIdGenerator::new(NONCE_BYTES).generate_cid();
        ConnectionId::new(&[&nonce[..], &self.tag(&nonce)].concat())
    }

    /// Whether a connection id is a knock of this mesh. Takes equally long whichever byte is wrong.
    pub(crate) fn is_in(&self, id: &[u8]) -> bool {
        if id.len() != KNOCK_BYTES {
            return false;
        }
        let (nonce, shown) = id.split_at(NONCE_BYTES);
        let wrong = self.tag(nonce).iter().zip(shown).fold(0, |wrong, (a, b)| wrong | (a ^ b));
        wrong == 0
    }

    /// Says, as the listener of a connection, that this end knows the mesh too: a value of this TLS
    /// session and the mesh, so that nobody can pass on what somebody else said. It is a stream of its
    /// own, the first one. Waits until it has arrived: the end of a connection takes with it what is
    /// on the way, and then the dialler would not learn why it is not wanted.
    pub(crate) async fn answer(&self, connection: &Connection) -> Option<()> {
        let answer = self.answer_in(connection)?;
        let mut send = connection.open_uni().await.ok()?;
        send.write_all(&answer).await.ok()?;
        send.finish().ok()?;
        send.stopped().await.ok().map(drop)
    }

    /// Whether the listener of a connection knows the mesh; waits for it to say so.
    pub(crate) async fn is_answered(&self, connection: &Connection) -> bool {
        let heard = async {
            let mut recv = connection.accept_uni().await.ok()?;
            recv.read_to_end(ANSWER_BYTES).await.ok()
        };
        let (heard, expected) = (heard.await, self.answer_in(connection));
        // Whoever is there is no member or is one: how long this takes tells him nothing else.
        expected.is_some_and(|expected| heard.as_deref() == Some(&expected[..]))
    }

    fn answer_in(&self, connection: &Connection) -> Option<[u8; ANSWER_BYTES]> {
        let mut answer = [0; ANSWER_BYTES];
        connection.export_keying_material(&mut answer, ANSWER_LABEL, &self.0).ok()?;
        Some(answer)
    }

    fn tag(&self, nonce: &[u8]) -> [u8; KNOCK_BYTES - NONCE_BYTES] {
        let hash = sha256(&[&self.0, nonce]).0;
        std::array::from_fn(|at| hash[at])
    }
}

impl fmt::Debug for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key of a private mesh has no place in a log.
        f.write_str("Knock")
    }
}

#[cfg(test)]
impl Knock {
    pub(crate) fn key(&self) -> [u8; 32] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knock_is_another_and_all_open_their_own_mesh_only() {
        let [mine, other] = [1, 2].map(|byte| Knock::of(&MeshId([byte; 32])));
        let knocks: Vec<_> = (0..100).map(|_| mine.connection_id()).collect();
        for (number, knock) in knocks.iter().enumerate() {
            assert!(mine.is_in(knock) && !other.is_in(knock));
            assert!(!knocks[..number].contains(knock));
        }
    }

    #[test]
    fn a_knock_with_any_bit_turned_or_byte_missing_is_none() {
        let knock = Knock::of(&MeshId([1; 32]));
        let id = knock.connection_id();
        for bit in 0..8 * KNOCK_BYTES {
            let mut turned = id.to_vec();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(!knock.is_in(&turned), "bit {bit}");
        }
        for length in 0..KNOCK_BYTES {
            assert!(!knock.is_in(&id[..length]), "{length} bytes");
        }
        assert_eq!(format!("{knock:?}"), "Knock");
    }
}
