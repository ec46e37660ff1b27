//! Recovery keys: as words that people keep on paper, and what their holders sign together.
//!
//! A phrase is 32 random bytes as 24 words (BIP 39: English, with its checksum; no passphrase, and
//! none of its key stretching, since the bytes are random). The key is a hash of those bytes.
//! Phrases are shown once and never written to disk.
//!
//! What is to be signed goes from holder to holder as one line of text, which anybody can sign
//! offline: it says itself which mesh, whom and how many.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use cairn_core::codec;
use cairn_core::engine;
use cairn_core::fact::SIGNED_BYTES;
use cairn_core::hash::sha256;
use cairn_core::id::{BlockId, MeshId, NodeId};
use cairn_core::params::{Params, Recovery};
use cairn_core::signature::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keys::{self, KeyError};

/// In front of a phrase's bytes when its key is made.
const KEY_TAG: &[u8] = b"cairn/recovery-key/1";
/// In front of a statement's text.
const PREFIX: &str = "cairn-recovery-1:";
/// Bytes of the checksum behind a statement.
const CHECKSUM_BYTES: usize = 4;
/// Most bytes of a statement.
const STATEMENT_BYTES_MAX: usize = 8 * 1024;

/// What somebody keeps on paper.
pub struct Phrase(Zeroizing<[u8; 32]>);

/// Why words are no phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Not as many as a phrase has.
    #[error("a recovery phrase has 24 words, not {0}")]
    Count(usize),
    /// Not of the list; counted from 1.
    #[error("word {0} is not one of the list; it is probably mistyped")]
    Word(usize),
    /// Each word is one, but together they are not what was shown.
    #[error("the checksum is wrong: a word is mistyped, or two are swapped")]
    Checksum,
}

impl Phrase {
    /// A new one.
    ///
    /// # Errors
    /// `KeyError::Randomness`.
    pub fn new() -> Result<Self, KeyError> {
        Ok(Self(Zeroizing::new(keys::random()?)))
    }

    /// Its words.
    ///
    /// # Panics
    /// Never: 32 bytes are a length that words exist for.
    pub fn words(&self) -> Zeroizing<String> {
        let mnemonic = bip39::Mnemonic::from_entropy(&*self.0)
            .unwrap_or_else(|_| unreachable!("32 bytes are 24 words"));
        Zeroizing::new(mnemonic.to_string())
    }

    /// Its key.
    pub fn key(&self) -> SigningKey {
        let seed = Zeroizing::new(sha256(&[KEY_TAG, &*self.0]).0);
        SigningKey::from_seed(*seed)
    }
}

impl FromStr for Phrase {
    type Err = PhraseError;

    fn from_str(text: &str) -> Result<Self, PhraseError> {
        let words = Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" "));
        let words = Zeroizing::new(words.to_lowercase());
        let count = words.split(' ').filter(|word| !word.is_empty()).count();
        if count != 24 {
            return Err(PhraseError::Count(count));
        }
        let parsed = bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &words);
        let mnemonic = parsed.map_err(|error| match error {
            bip39::Error::UnknownWord(at) => PhraseError::Word(at + 1),
            _ => PhraseError::Checksum,
        })?;
        let bytes = Zeroizing::new(mnemonic.to_entropy_array().0);
        let entropy = bytes.first_chunk().ok_or(PhraseError::Count(count))?;
        Ok(Self(Zeroizing::new(*entropy)))
    }
}

/// How many phrases of how many it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// It takes so many.
    pub threshold: u8,
    /// There are so many.
    pub phrases: u8,
}

impl FromStr for Quorum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let most = cairn_core::params::RECOVERY_KEYS_MAX as u8;
        if text == "none" {
            return Ok(Self { threshold: 0, phrases: 0 });
        }
        let numbers = text.split_once("of");
        let numbers = numbers.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((threshold, phrases))
                if 0 < threshold && threshold <= phrases && phrases <= most =>
            {
                Ok(Self { threshold, phrases })
            }
            _ => Err(format!("write it as 2of3, with at most {most} phrases, or none")),
        }
    }
}

impl Quorum {
    /// New phrases, and what a mesh's rules say of them.
    ///
    /// # Errors
    /// `KeyError::Randomness`.
    pub fn make(self) -> Result<(Vec<Phrase>, Recovery), KeyError> {
        let phrases = (0..self.phrases).map(|_| Phrase::new()).collect::<Result<Vec<_>, _>>()?;
        let mut recovery = Recovery { threshold: self.threshold, ..Recovery::default() };
        recovery.keys.extend(phrases.iter().map(|phrase| phrase.key().node_id()));
        recovery.keys.sort_unstable();
        Ok((phrases, recovery))
    }
}

/// What recovery keys sign, with the signatures so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    mesh: MeshId,
    name: String,
    recovery: Recovery,
    author: NodeId,
    said: engine::Recovery,
}

/// Why a text is no statement, or a phrase has no say in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Cut off or mistyped.
    #[error("this is no whole recovery statement: it begins with `{PREFIX}`, on one line")]
    Text,
    /// The phrase is of another mesh.
    #[error("this phrase is none of this mesh's")]
    Phrase,
}

fn bytes(keys: &[NodeId]) -> Vec<u8> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys.iter().flat_map(|key| key.0).collect()
}

impl Statement {
    /// That `author` takes over from the keys `ended`, that those `kept` stay revoked and those of
    /// `seats` seal again; signed by nobody yet. If `on` is named, `author` seals the next block.
    pub fn new(
        params: &Params,
        author: NodeId,
        on: Option<BlockId>,
        ended: &[NodeId],
        kept: &[NodeId],
        seats: &[NodeId],
    ) -> Self {
        Self {
            mesh: crate::enroll::mesh_id(params),
            name: params.name.to_string(),
            recovery: params.recovery.clone(),
            author,
            said: engine::Recovery {
                on,
                ended: bytes(ended),
                kept: bytes(kept),
                seats: bytes(seats),
                signatures: Vec::new(),
            },
        }
    }

    /// The mesh, and its name.
    pub fn mesh(&self) -> (MeshId, &str) {
        (self.mesh, &self.name)
    }

    /// Who takes over.
    pub const fn author(&self) -> NodeId {
        self.author
    }

    /// The block from which the mesh goes on, if nobody honest can seal.
    pub const fn on(&self) -> Option<BlockId> {
        self.said.on
    }

    /// The keys that end.
    pub fn ended(&self) -> Vec<NodeId> {
        self.said.statement().ended.iter().collect()
    }

    /// How many phrases are missing.
    pub fn missing(&self) -> usize {
        let signed = self.said.signatures.len() / SIGNED_BYTES;
        usize::from(self.recovery.threshold).saturating_sub(signed)
    }

    /// As a command of the node.
    pub fn command(&self) -> engine::Recovery {
        self.said.clone()
    }

    /// Adds the signature of a phrase's key; once, and not more than it takes.
    ///
    /// # Errors
    /// `StatementError::Phrase`.
    pub fn sign(&mut self, phrase: &Phrase) -> Result<(), StatementError> {
        let key = phrase.key();
        if !self.recovery.keys.contains(&key.node_id()) {
            return Err(StatementError::Phrase);
        }
        let mut parts = self.said.signatures.as_chunks::<SIGNED_BYTES>().0.to_vec();
        let own = key.node_id().0;
        if self.missing() > 0 && !parts.iter().any(|part| part[..32] == own) {
            parts.push(self.said.statement().sign(&self.mesh, &self.author, &key));
            parts.sort_unstable();
            self.said.signatures = parts.into_iter().flatten().collect();
        }
        Ok(())
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = codec::encode(self);
        let sum = sha256(&[PREFIX.as_bytes(), &bytes]).0;
        bytes.extend(&sum[..CHECKSUM_BYTES]);
        write!(f, "{PREFIX}{}", BASE64.encode(bytes))
    }
}

impl FromStr for Statement {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(StatementError::Text)?;
        let bytes = BASE64.decode(text).map_err(|_| StatementError::Text)?;
        let (said, sum) = bytes
            .len()
            .checked_sub(CHECKSUM_BYTES)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(StatementError::Text)?;
        if sha256(&[PREFIX.as_bytes(), said]).0[..CHECKSUM_BYTES] != *sum {
            return Err(StatementError::Text);
        }
        codec::decode(said, STATEMENT_BYTES_MAX).map_err(|_| StatementError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_core::time::UnixTime;

    fn mesh() -> (Vec<Phrase>, Params) {
        let founder = SigningKey::from_seed([1; 32]).node_id();
        let (phrases, recovery) = "2of3".parse::<Quorum>().unwrap().make().unwrap();
        let params = Params::private("home", &[founder], UnixTime(5)).unwrap();
        (phrases, Params { recovery, ..params })
    }

    #[test]
    fn a_phrase_is_the_same_key_when_it_is_typed_again() {
        let phrase = Phrase::new().unwrap();
        let words = phrase.words();
        assert_eq!(words.split(' ').count(), 24);
        let sloppy = format!("  {}\n", words.to_uppercase().replace(' ', "  "));
        let again: Phrase = sloppy.parse().unwrap();
        assert_eq!(again.key().node_id(), phrase.key().node_id());
    }

    #[test]
    fn a_phrase_that_was_mistyped_says_where() {
        let words = Phrase(Zeroizing::new([7; 32])).words();
        let words: Vec<&str> = words.split(' ').collect();
        let refused = |words: &[&str]| words.join(" ").parse::<Phrase>().err().unwrap();
        assert_eq!(refused(&words[1..]), PhraseError::Count(23));
        let mut wrong = words.clone();
        wrong[3] = "cairn";
        assert_eq!(refused(&wrong), PhraseError::Word(4));
        wrong[3] = if words[3] == "abandon" { "zoo" } else { "abandon" };
        assert_eq!(refused(&wrong), PhraseError::Checksum);
    }

    #[test]
    fn a_statement_goes_from_holder_to_holder_as_text() {
        let (phrases, params) = mesh();
        assert_eq!(params.check(), Ok(()));
        let [author, thief] = [2, 3].map(|seed| SigningKey::from_seed([seed; 32]).node_id());
        let mut first =
            Statement::new(&params, author, Some(BlockId([7; 32])), &[thief], &[], &[author]);
        assert_eq!(first.missing(), 2);
        for _ in 0..2 {
            first.sign(&phrases[2]).unwrap();
        }
        assert_eq!(first.missing(), 1, "one phrase signs once");
        let mut second: Statement = first.to_string().parse().unwrap();
        assert_eq!((&second, second.ended()), (&first, vec![thief]));
        second.sign(&phrases[0]).unwrap();
        assert_eq!(second.missing(), 0);
        let command = second.command();
        let said = command.statement();
        assert!(said.check() && said.is_by(&params.recovery));
        assert!(said.is_signed(&second.mesh().0, &author));
        let text = second.to_string();
        let short = text[..text.len() - 1].parse::<Statement>();
        assert_eq!(
            (short, "x".parse::<Statement>()),
            (Err(StatementError::Text), Err(StatementError::Text))
        );
        let stray = Phrase::new().unwrap();
        assert_eq!(first.sign(&stray), Err(StatementError::Phrase));
    }

    #[test]
    fn a_quorum_is_written_as_two_numbers() {
        let quorum = |text: &str| text.parse::<Quorum>().map(|q| (q.threshold, q.phrases));
        assert_eq!(
            (quorum("1of1"), quorum("2of3"), quorum("none")),
            (Ok((1, 1)), Ok((2, 3)), Ok((0, 0)))
        );
        for wrong in ["", "0of1", "2of1", "1of6", "1-of-2", "of"] {
            assert!(quorum(wrong).is_err(), "{wrong}");
        }
    }
}
