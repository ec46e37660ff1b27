//! Invites that are cut off, mistyped, of another kind or version, over, or used up.

use cairn_core::fact::Role;
use cairn_core::invite::Invite;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::testing::TestNode;
use cairn_core::time::UnixTime;
use cairn_core::wire::{CloseCode, Control};
use serde_bytes::ByteBuf;
use support::process::Cairn;

use crate::attacker::{Attacker, hello};
use crate::scene::{Scene, member};

fn invite(expires: UnixTime) -> Invite {
    let founder = SigningKey::from_seed([1; 32]).node_id();
    let params = Params::private("home", &[founder], UnixTime(5)).unwrap();
    let addresses = vec!["192.0.2.1:7071".into()];
    Invite::new(params, founder, addresses, [9; 32], Role::Sealer, expires)
}

/// The document of an error: its code, and words in its message and hint.
#[track_caller]
fn refused(node: &Cairn, args: &[&str], exit: i32, code: &str, words: &str) {
    let ran = node.cli(args);
    assert_eq!(ran.code, Some(exit), "{args:?}: {ran:?}");
    let document = ran.json();
    assert_eq!(document["schema"], "cairn.error/1");
    assert_eq!(document["code"], code, "{document}");
    let message = document["message"].as_str().unwrap();
    assert!(message.contains(words), "{words:?} is not in {message:?}");
    assert!(!document["hint"].as_str().unwrap().is_empty(), "{document}");
}

#[test]
fn an_invite_that_is_none_says_what_is_wrong_and_writes_nothing() {
    let node = Cairn::new("newcomer");
    let good = invite(UnixTime::MAX_VALID).to_text().unwrap();
    let mut mistyped = good.clone().into_bytes();
    let at = mistyped.len() / 2;
    mistyped[at] = if mistyped[at] == b'q' { b'p' } else { b'q' };
    let mistyped = String::from_utf8(mistyped).unwrap();
    let mut newer = invite(UnixTime::MAX_VALID);
    newer.version = 9;
    let newer = newer.to_text().unwrap();
    let node_id = SigningKey::from_seed([1; 32]).node_id().to_string();
    let long = "q".repeat(5_000);
    refused(&node, &["join", &good[..good.len() - 9]], 2, "invite-mistyped", "cut off or mistyped");
    refused(&node, &["join", &mistyped], 2, "invite-mistyped", "cut off or mistyped");
    refused(&node, &["join", "cairninv1"], 2, "invite-mistyped", "cut off or mistyped");
    refused(&node, &["join", &long], 2, "invite-mistyped", "cut off or mistyped");
    refused(&node, &["join", &node_id], 2, "usage", "not an invite");
    refused(&node, &["join", &newer], 2, "usage", "version 9");
    let over = invite(UnixTime(1_000)).to_text().unwrap();
    refused(&node, &["join", &over], 5, "invite-expired", "expired");
    assert!(!node.dir().join("mesh.json").exists());
    node.ok(&["join", &good]);
    refused(&node, &["join", &good], 78, "config", "belongs to the mesh");
}

#[test]
fn an_invite_that_is_used_up_is_refused_with_its_own_code() {
    let scene = Scene::new();
    let mesh = scene.mesh();
    let by = member(0, mesh);
    let invite = TestNode::new(60, mesh);
    let first = TestNode::new(61, mesh);
    let mut chain = scene.chain();
    let made = by.invite(invite.id(), Role::Member, 1, UnixTime::MAX_VALID.0);
    let used = invite.admit(first.id(), Role::Member);
    chain.add(&[made.clone(), used.clone()]);
    chain.seal(&by.key, &[made.id(), used.id()]);
    let mut host = Attacker::join(&scene, &chain);
    host.boast(&chain);
    host.serve_until(&chain, "the invite is used", |_| {
        scene.victim().handle().status().tip.id == chain.last()
    });
    let seed = [95; 32];
    let second = SigningKey::from_seed(seed).node_id();
    let admit = invite.admit(second, Role::Member);
    let mut late = Attacker::dial(&scene, seed);
    let mut words = hello(&chain);
    words.introduction =
        vec![ByteBuf::from(made.bytes().to_vec()), ByteBuf::from(admit.bytes().to_vec())];
    late.control(&Control::Hello(words));
    assert_eq!(late.closed(&chain), Some(CloseCode::InviteSpent));
    assert!(late.heard.is_empty());
    scene.unharmed();
}

#[test]
fn an_invite_whose_time_is_over_is_refused_with_its_own_code() {
    let scene = Scene::new();
    let mesh = scene.mesh();
    let by = member(0, mesh);
    let invite = TestNode::new(60, mesh);
    let mut chain = scene.chain();
    let expires = scene.params.time.0 + 30_000;
    let made = by.invite(invite.id(), Role::Member, 9, expires);
    chain.add(std::slice::from_ref(&made));
    chain.seal(&by.key, &[made.id()]);
    // Time passes by blocks.
    let note = by.record("note", "later");
    chain.add(std::slice::from_ref(&note));
    let mut header = chain.draft(&by.key, &[note.id()]);
    header.time = UnixTime(expires + 60_000);
    let header = cairn_core::seal::authority::seal(header, &by.key);
    chain.push(header, vec![note.id()]);
    let mut host = Attacker::join(&scene, &chain);
    host.boast(&chain);
    host.serve_until(&chain, "its time is over", |_| {
        scene.victim().handle().status().tip.id == chain.last()
    });
    let seed = [95; 32];
    let admit = invite.admit(SigningKey::from_seed(seed).node_id(), Role::Member);
    let mut late = Attacker::dial(&scene, seed);
    let mut words = hello(&chain);
    words.introduction = vec![ByteBuf::from(admit.bytes().to_vec())];
    late.control(&Control::Hello(words));
    assert_eq!(late.closed(&chain), Some(CloseCode::InviteSpent));
    scene.unharmed();
}
