//! Every packet of a mesh's life as somebody on the path sees it: founding, joining, facts, names, a
//! revocation. Nothing that was written can be read in it, and nobody's name.

use std::collections::HashMap;

use bech32::primitives::decode::CheckedHrpstring;
use support::process::{Cairn, eventually};
use support::relay::Relay;

use crate::initial::readable;
use crate::mesh::{agree, text};

/// So many bytes in a row of anything secret are not to be seen.
const ROW: usize = 8;
const MESH: &str = "brandywine field station";
const NOTE: &str = "the heron came back to the north pond";
const ITEM: &str = "underwater-microphone";
const NAMES: [&str; 4] = ["observatory", "boathouse", "lighthouse", "weatherstation"];

/// What must not be seen, by every row of its bytes.
#[derive(Default)]
struct Secrets(HashMap<[u8; ROW], String>);

impl Secrets {
    fn add(&mut self, what: &str, bytes: &[u8]) {
        assert!(bytes.len() >= ROW, "{what} is too short to be looked for");
        for row in bytes.windows(ROW) {
            self.0.insert(row.try_into().unwrap(), what.into());
        }
    }

    /// An id in its hexadecimal form, and as it is.
    fn add_id(&mut self, what: &str, hex: &str) {
        self.add(what, hex.as_bytes());
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        self.add(what, &(0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>());
    }

    /// What is written in Bech32m, and what it stands for.
    fn add_bech32(&mut self, what: &str, written: &str) {
        self.add(what, written.as_bytes());
        let parsed = CheckedHrpstring::new::<Invite>(written).unwrap();
        self.add(what, &parsed.byte_iter().collect::<Vec<_>>());
    }

    fn in_one(&self, bytes: &[u8]) -> Option<&str> {
        let mut rows = bytes.windows(ROW);
        rows.find_map(|row| self.0.get(row)).map(String::as_str)
    }
}

/// Bech32m without its limit of 90 characters.
enum Invite {}

impl bech32::Checksum for Invite {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = 8_192;
    const CHECKSUM_LENGTH: usize = 6;
    const GENERATOR_SH: [u32; 5] = bech32::Bech32m::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = bech32::Bech32m::TARGET_RESIDUE;
}

/// The lives of a founder and three who join, one of whom is revoked. Gives what must not be seen.
fn live(relay: &mut Relay) -> Secrets {
    let mut secrets = Secrets::default();
    let (private, public) = relay.place();
    let mut founder = Cairn::at(NAMES[0], private);
    let public = public.to_string();
    let init = ["init", MESH, "--name", NAMES[0], "--spacing", "200ms", "--address", &public];
    let founded = founder.ok(&init);
    founder.start(&[]);
    let created = founder.ok(&["invite", "create", "--uses", "9"]);
    secrets.add_id("the mesh id", founded["mesh"]["id"].as_str().unwrap());
    secrets.add("the mesh's name", MESH.as_bytes());
    let invites = [text(&founded, "invite"), text(&created, "invite")];
    let mut nodes = vec![founder];
    for (name, invite) in NAMES.iter().zip([&invites[0], &invites[0], &invites[1], &invites[1]]) {
        secrets.add("a member's name", name.as_bytes());
        secrets.add_bech32("an invite", invite);
        if *name != NAMES[0] {
            let mut node = Cairn::at(name, relay.place().0);
            node.ok(&["join", invite, "--name", name]);
            node.start(&[]);
            nodes.push(node);
        }
    }
    let all: Vec<&Cairn> = nodes.iter().collect();
    agree(&all, 90);
    for node in &nodes {
        let id = node.node_id();
        secrets.add_bech32("a node id", &id);
        let note = format!("{NOTE}, says {}. {}", node.name, "It is not alone. ".repeat(200));
        let receipt = node.ok(&["fact", "add", "--topic", "birds/seldom", &note]);
        secrets.add("a note", note.as_bytes());
        secrets.add("a topic", b"birds/seldom");
        secrets.add_id("a fact id", &text(&receipt, "fact_id"));
    }
    nodes[1].ok(&["item", "request", ITEM]);
    secrets.add("an item", ITEM.as_bytes());
    agree(&all, 60);
    let tip = nodes[0].get("/v1/chain/tip");
    secrets.add_id("a block id", &text(&tip, "id"));
    nodes[0].ok(&["member", "rename", NAMES[2], "watchtower"]);
    secrets.add("a new name", b"watchtower");
    nodes[0].ok(&["member", "revoke", NAMES[3]]);
    eventually("it hears that it is revoked", 60, || {
        (nodes[3].get("/v1/status")["state"] == "revoked").then_some(())
    });
    agree(&all[..3], 60);
    secrets
}

#[test]
fn nothing_that_was_written_and_nobodys_name_is_seen_on_the_network() {
    let mut relay = Relay::default();
    relay.record();
    let mut secrets = live(&mut relay);
    let seen = relay.recorded();
    let bytes: usize = seen.iter().map(Vec::len).sum();
    eprintln!("{} packets, {bytes} bytes", seen.len());
    // Four notes of 3.4 KiB went to three others each, by this way and no other.
    assert!(bytes > 3 * 4 * 3_400, "{bytes} bytes were seen");
    let unreadable = |packets: &[Vec<u8>], secrets: &Secrets| {
        for packet in packets {
            assert_eq!(secrets.in_one(packet), None, "is seen in {packet:02x?}");
        }
    };
    unreadable(&seen, &secrets);
    // The first messages of each handshake, which anybody can decrypt: they show the protocol, which is
    // the same for every mesh, and neither a certificate nor a name.
    let first = readable(&seen);
    let protocol = first.iter().filter(|payload| payload.windows(7).any(|part| part == b"cairn/1"));
    let dials = protocol.count();
    assert!(dials >= 3 && first.len() >= 2 * dials, "{dials} dials, {} packets", first.len());
    secrets.add("the name in certificates", b"mesh.invalid");
    unreadable(&first, &secrets);
    // What would be found.
    let plain = [b"....", NOTE.as_bytes()].concat();
    assert_eq!(secrets.in_one(&plain), Some("a note"));
}
