//! Facts: one of each body, and every way to be refused. Tier 0, so a microcontroller judges the
//! same bytes the same way.

use cairn_core::codec;
use cairn_core::fact::{Body, Fact, FactError, Keys, Recover, Role, SignedFact, sign_rotation};
use cairn_core::id::{BlockId, FactId, MeshId, NodeId};
use cairn_core::params::FACT_BYTES_MAX;
use cairn_core::signature::{Signature, SigningKey};
use cairn_core::time::UnixTime;
use cairn_core::work::Height;

use crate::vector::{Fields, hex, pin, read_all, reason, render, unhex};

const MESH: MeshId = MeshId([0xaa; 32]);
const TIME: UnixTime = UnixTime(1_767_225_600_000);
const RECORD: Body<'static> = record("note", b"the drill is in the blue box");

const fn record<'a>(topic: &'a str, bytes: &'a [u8]) -> Body<'a> {
    Body::Record { topic, media_type: "text/plain", bytes }
}

const fn request(item: &str) -> Body<'_> {
    Body::Request { item, follows: None, note: "" }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn signed_at(time: UnixTime, body: Body<'_>) -> Vec<u8> {
    let author = key(1).node_id();
    let signed = Fact { author, time, body }.sign(&MESH, &key(1));
    let mut buffer = vec![0; 2 * FACT_BYTES_MAX];
    codec::encode_into(&signed, &mut buffer).unwrap().to_vec()
}

/// A rotation that key 2 agrees to in this mesh, and that names another key, perhaps.
fn rotate(mesh: &MeshId, named: u8) -> Body<'static> {
    let signature = sign_rotation(mesh, &key(1).node_id(), &key(2));
    Body::Rotate { key: key(named).node_id(), role: Role::Sealer, signature }
}

/// A recovery that these recovery keys sign in this mesh.
fn recover(mesh: &MeshId, by: &[u8], on: Option<BlockId>) -> Vec<u8> {
    let author = key(1).node_id();
    let [ended, seat] = [6, 2].map(|seed| key(seed).node_id().0);
    let (ended, seats) = (Keys(&ended), Keys(&seat));
    let unsigned = Recover { on, ended, kept: Keys(&[]), seats, signatures: &[] };
    let parts = by.iter().map(|seed| unsigned.sign(mesh, &author, &key(*seed)));
    let mut parts: Vec<[u8; 96]> = parts.collect();
    parts.sort_unstable();
    let signatures = parts.concat();
    signed(Body::Recover(Recover { signatures: &signatures, ..unsigned }))
}

fn signed(body: Body<'_>) -> Vec<u8> {
    signed_at(TIME, body)
}

/// What this version says of bytes: their names, or why they are refused.
fn judge(mesh: &MeshId, bytes: &[u8]) -> Result<SignedFactIds, String> {
    let signed = SignedFact::decode(bytes).map_err(|error| match error {
        FactError::Decode(error) => reason(error),
        other => other.to_string(),
    })?;
    assert_eq!(codec::encode_into(&signed, &mut [0; FACT_BYTES_MAX]), Some(bytes));
    if signed.check(mesh) {
        Ok((signed.fact.id(mesh), signed.fact.content_hash().to_string()))
    } else {
        Err("who has to sign this in this mesh did not".into())
    }
}

type SignedFactIds = (FactId, String);

fn lease(node: NodeId, until: Option<Height>) -> Body<'static> {
    Body::Lease { node, until }
}

fn accepted() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (first, second) = (FactId([0x11; 32]), FactId([0x22; 32]));
    let node = key(2).node_id();
    let (item, note) = ("drill-2", "for the shelf");
    let relation = Body::Relation { subject: first, predicate: "corrects", object: second };
    let follows = Some(first);
    let again = Body::Request { item, follows, note };
    let release = Body::Release { item, follows: first, note };
    let transfer = Body::Transfer { item, follows: first, to: node, note };
    let invite = Body::Invite {
        key: node,
        role: Role::Sealer,
        uses: 300,
        expires: UnixTime(TIME.0 + 86_400_000),
        lease: None,
    };
    let guests = Body::Invite {
        key: node,
        role: Role::Member,
        uses: 1,
        expires: UnixTime(TIME.0 + 86_400_000),
        lease: Some(500),
    };
    let admit = Body::Admit { node, role: Role::Member, name: "Åsa’s attic" };
    vec![
        ("record", "something written down", signed(RECORD)),
        ("record-empty", "no bytes at all", signed(record("note", b""))),
        ("relation", "a statement about two facts", signed(relation)),
        ("request", "the first request of an item", signed(request(item))),
        ("request-follows", "a later request of it", signed(again)),
        ("release", "an item becomes free", signed(release)),
        ("transfer", "an item changes hands", signed(transfer)),
        ("invite", "an admin opens a door", signed(invite)),
        ("invite-lends", "and lends what is behind it", signed(guests)),
        ("admit", "a node becomes a member", signed(admit)),
        ("revoke", "a key counts no more", signed(Body::Revoke { node })),
        ("name", "a member gets another name", signed(Body::Name { node, name: "shed" })),
        ("rotate", "a node goes on under another key", signed(rotate(&MESH, 2))),
        ("recover", "two recovery keys end an admin's", recover(&MESH, &[3, 4], None)),
        ("recover-from", "and say from which block", recover(&MESH, &[3], Some(BlockId([9; 32])))),
        ("lease", "a membership is lent", signed(lease(node, Some(Height(4_000))))),
        ("lease-without-end", "and is one for good", signed(lease(node, None))),
        ("time-zero", "no clock: 1970", signed_at(UnixTime(0), RECORD)),
        ("time-max", "the latest time that fits", signed_at(UnixTime(u64::MAX), RECORD)),
    ]
}

/// Offset of the time: after the author.
const TIME_AT: usize = 32;

fn refused_by_form() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut trailing = signed(RECORD);
    trailing.push(0);
    let mut padded = signed_at(UnixTime(5), RECORD);
    padded.splice(TIME_AT..=TIME_AT, [0x85, 0x00]);
    // Six bytes for a length that takes one: decoders differ here between 32 and 64 bit.
    let mut wide = signed(RECORD);
    let topic_at = TIME_AT + 6 + 1;
    wide.splice(topic_at..=topic_at, [0x84, 0x80, 0x80, 0x80, 0x80, 0x00]);
    let mut hostile = signed(RECORD);
    hostile.splice(topic_at..=topic_at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    let mut kind = signed(RECORD);
    kind[topic_at - 1] = 0x7f;
    let mut latin1 = signed(RECORD);
    latin1[topic_at + 1] = 0xe9;
    let mut cut = signed(RECORD);
    cut.pop();
    let large = vec![0; FACT_BYTES_MAX];
    vec![
        ("trailing-byte", "one byte after the end", trailing),
        ("truncated", "one byte missing", cut),
        ("padded-number", "the time 5 written in two bytes", padded),
        ("padded-length", "the topic's length written in six bytes", wide),
        ("hostile-length", "a topic that claims 4 GiB", hostile),
        ("unknown-kind", "a body of a kind that does not exist", kind),
        ("not-utf8", "a topic that is no UTF-8", latin1),
        ("oversize", "more than 16 KiB", signed(record("note", &large))),
    ]
}

fn refused_by_bounds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let long = "x".repeat(129);
    let invite = |role, uses, lease| Body::Invite {
        key: key(2).node_id(),
        role,
        uses,
        expires: TIME,
        lease,
    };
    let admit = Body::Admit { node: NodeId([0xff; 32]), role: Role::Member, name: "Ada" };
    let revoke = Body::Revoke { node: NodeId([0xff; 32]) };
    let nameless = Body::Name { node: key(2).node_id(), name: "" };
    let many_notes = "n".repeat(1025);
    let note = Body::Request { item: "drill-2", follows: None, note: &many_notes };
    vec![
        ("empty-topic", "a topic of no bytes", signed(record("", b""))),
        ("long-topic", "a topic of 129 bytes", signed(record(&long, b""))),
        ("control-character", "a line feed in a topic", signed(record("a\nb", b""))),
        ("bad-item", "a space in an item's name", signed(request("the drill"))),
        ("long-item", "an item's name of 129 bytes", signed(request(&long))),
        ("long-note", "a note of 1,025 bytes", signed(note)),
        ("invite-for-admin", "nobody is invited as admin", signed(invite(Role::Admin, 1, None))),
        ("invite-without-uses", "an invite for nobody", signed(invite(Role::Member, 0, None))),
        ("invite-for-no-block", "an invite for no block", signed(invite(Role::Member, 1, Some(0)))),
        ("admit-no-key", "a member whose id is no key", signed(admit)),
        ("revoke-no-key", "a revocation of what is no key", signed(revoke)),
        ("name-empty", "a name of no bytes", signed(nameless)),
        ("recover-disordered", "one recovery key twice", recover(&MESH, &[3, 3], None)),
    ]
}

/// The same bounds in the other bodies that have them.
fn refused_by_bounds_elsewhere() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (fact, node, no_key) = (FactId([0x11; 32]), key(2).node_id(), NodeId([0xff; 32]));
    let untyped = Body::Record { topic: "note", media_type: "", bytes: b"" };
    let relation = Body::Relation { subject: fact, predicate: "", object: fact };
    let release = Body::Release { item: "", follows: fact, note: "" };
    let transfer = |item, to| Body::Transfer { item, follows: fact, to, note: "" };
    let (role, uses, expires) = (Role::Member, 1, TIME);
    let invite = Body::Invite { key: no_key, role, uses, expires, lease: None };
    let admit = Body::Admit { node, role: Role::Member, name: "" };
    vec![
        ("empty-media-type", "a media type of no bytes", signed(untyped)),
        ("empty-predicate", "a relation that says nothing", signed(relation)),
        ("release-nothing", "an item without a name becomes free", signed(release)),
        ("transfer-nothing", "an item without a name changes hands", signed(transfer("", node))),
        ("transfer-no-key", "an item goes to what is no key", signed(transfer("drill-2", no_key))),
        ("invite-no-key", "an invite whose key is none", signed(invite)),
        ("admit-nameless", "a member with a name of no bytes", signed(admit)),
        (
            "name-no-key",
            "a name for what is no key",
            signed(Body::Name { node: no_key, name: "x" }),
        ),
        ("lease-no-key", "a lease for what is no key", signed(lease(no_key, None))),
    ]
}

fn refused_by_signature() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut bad = signed(RECORD);
    let last = bad.len() - 1;
    bad[last - 40] ^= 1;
    // S ≥ the group order: the same signature in a second form.
    let mut large_s = signed(RECORD);
    large_s[last] |= 0xe0;
    // Under the neutral element (0, 1), R = (0, 1) and S = 0 "sign" every message.
    let mut small = signed(RECORD);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    small[..32].copy_from_slice(&neutral);
    small[last - 63..=last - 32].copy_from_slice(&neutral);
    small[last - 31..].fill(0);
    let mut other = signed(RECORD);
    other[..32].copy_from_slice(key(2).node_id().as_bytes());
    let author = key(1).node_id();
    let fact = Fact { author, time: TIME, body: RECORD };
    let mut elsewhere = signed(RECORD);
    let Signature(signature) = fact.sign(&MeshId([0xbb; 32]), &key(1)).signature;
    elsewhere[last - 63..].copy_from_slice(&signature);
    vec![
        ("bad-signature", "one bit of the signature flipped", bad),
        ("malleable-signature", "S is not reduced", large_s),
        ("small-order-author", "a key under which anybody can sign", small),
        ("wrong-author", "signed by somebody else", other),
        ("wrong-mesh", "signed in another mesh", elsewhere),
        (
            "recover-wrong-mesh",
            "recovery keys of another mesh",
            recover(&MeshId([0xbb; 32]), &[3], None),
        ),
        ("rotate-not-agreed", "the new key did not sign", signed(rotate(&MESH, 3))),
        ("rotate-wrong-mesh", "it did in another mesh", signed(rotate(&MeshId([0xbb; 32]), 2))),
    ]
}

#[test]
fn this_version_makes_the_pinned_facts() {
    let render_one = |what, bytes: &[u8]| {
        let mut fields = vec![("what", what), ("mesh", "")];
        let (mesh, bytes_hex) = (MESH.to_string(), hex(bytes));
        fields[1].1 = &mesh;
        fields.push(("bytes", &bytes_hex));
        match judge(&MESH, bytes) {
            Ok((id, content)) => {
                let id = id.to_string();
                fields.extend([("id", &*id), ("content_hash", &*content)]);
                render(&fields)
            }
            Err(error) => {
                fields.push(("error", &error));
                render(&fields)
            }
        }
    };
    let files = |vectors: Vec<(&'static str, &'static str, Vec<u8>)>| -> Vec<_> {
        vectors.into_iter().map(|(name, what, bytes)| (name, render_one(what, &bytes))).collect()
    };
    pin("fact/accept", &files(accepted()));
    let refused = [
        refused_by_form(),
        refused_by_bounds(),
        refused_by_bounds_elsewhere(),
        refused_by_signature(),
    ];
    pin("fact/refuse", &files(refused.concat()));
}

fn judge_file(fields: &Fields) -> Result<SignedFactIds, String> {
    let mesh = fields["mesh"].parse().unwrap();
    judge(&mesh, &unhex(&fields["bytes"]))
}

#[test]
fn every_accepted_fact_has_its_pinned_name() {
    for (name, fields) in read_all("fact/accept") {
        let ids = judge_file(&fields).map(|(id, content)| (id.to_string(), content));
        let pinned = (fields["id"].clone(), fields["content_hash"].clone());
        assert_eq!(ids, Ok(pinned), "{name}");
    }
}

#[test]
fn every_refused_fact_is_refused_for_its_reason() {
    for (name, fields) in read_all("fact/refuse") {
        let error = judge_file(&fields).map(|(id, _)| id);
        assert_eq!(error, Err(fields["error"].clone()), "{name}");
    }
}
