//! The node's edge: lines of an import, and the file that says which mesh a node belongs to.

use std::sync::OnceLock;

use cairn_core::fact::{EncodedFact, Fact, verify};
use cairn_core::id::MeshId;
use cairn_core::ledger::rows::{FactRow, FactState, Seq};
use cairn_core::signature::SigningKey;
use cairn_core::testing::MemStore;
use cairn_core::time::UnixTime;
use cairn_core::verified::Unverified;
use cairn_node::api::dto::FactDoc;
use cairn_node::api::lines::{LINE_BYTES_MAX, Line, Splitter};
use cairn_node::enroll;
use cairn_node::keys::{self, NodeKey};

const MESH: MeshId = MeshId([0xaa; 32]);

fn lines(pieces: &[&[u8]]) -> Vec<Line> {
    let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
    pieces.iter().for_each(|piece| splitter.push(piece, |line| lines.push(line)));
    splitter.finish(|line| lines.push(line));
    lines
}

/// A stream of lines: the same wherever it is cut (first byte), and what is imported comes back
/// from its own export.
pub(super) fn line(data: &[u8]) {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    let key = KEY.get_or_init(|| SigningKey::from_seed([1; 32]));
    let Some((cut, text)) = data.split_first() else { return };
    let whole = lines(&[text]);
    let (head, tail) = text.split_at(usize::from(*cut).min(text.len()));
    assert_eq!(lines(&[head, tail]), whole);
    for line in whole {
        assert!(line.bytes.as_ref().is_none_or(|bytes| bytes.len() <= LINE_BYTES_MAX));
        let Ok(Some(record)) = line.parse() else { continue };
        let fact = Fact { author: key.node_id(), time: UnixTime(0), body: record.body() };
        let fact = EncodedFact::sign(fact, &MESH, key).expect("a record that parses can be signed");
        let row = FactRow { seq: Seq(1), state: FactState::Pending };
        let document = FactDoc::new(&MemStore::new(), &row, &fact).unwrap();
        let bytes = serde_json::to_vec(&document).unwrap();
        assert_eq!(Line { number: 1, bytes: Some(bytes) }.parse(), Ok(Some(record)));
    }
}

/// `mesh.json`: what is believed of it obeys the rules.
pub(super) fn mesh_file(bytes: &[u8]) {
    static KEY: OnceLock<NodeKey> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        keys::create(&folder.path().join("node.key")).unwrap()
    });
    let Ok(enrolled) = enroll::parse(bytes, key.clone()) else { return };
    assert_eq!(enrolled.params.check(), Ok(()));
    let mesh = enroll::mesh_id(&enrolled.params);
    for Unverified(fact) in enrolled.facts {
        let parsed = EncodedFact::parse(&mesh, fact.bytes()).unwrap();
        assert_eq!(parsed.0.id(), fact.id());
        let _ = verify(&mesh, parsed);
    }
}
