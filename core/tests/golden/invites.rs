//! Invites: the text, what it says, and every way to be refused.

use bech32::{Bech32, Bech32m, Hrp};
use cairn_core::block::mesh_id;
use cairn_core::codec;
use cairn_core::fact::Role;
use cairn_core::id::NodeId;
use cairn_core::invite::{INVITE_HRP, Invite};
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;

use crate::vector::{pin, read_all, render};

const EXPIRES: UnixTime = UnixTime(1_767_312_000_000);

fn founder() -> NodeId {
    SigningKey::from_seed([1; 32]).node_id()
}

fn params() -> Params {
    Params::private("makerspace", &[founder()], UnixTime(1_767_225_600_000)).unwrap()
}

fn invite(addresses: &[&str], role: Role) -> Invite {
    let addresses = addresses.iter().map(|address| (*address).into()).collect();
    Invite::new(params(), founder(), addresses, [9; 32], role, EXPIRES)
}

/// Any content under a right checksum.
fn written<C: bech32::Checksum>(hrp: &str, content: &[u8]) -> String {
    let mut text = String::new();
    bech32::encode_lower_to_fmt::<C, _>(&mut text, Hrp::parse(hrp).unwrap(), content).unwrap();
    text
}

fn sealed(invite: &Invite) -> String {
    written::<Bech32m>(INVITE_HRP, &codec::encode(invite))
}

fn judge(text: &str) -> Result<[String; 4], String> {
    let invite: Invite =
        text.parse().map_err(|error: cairn_core::invite::InviteError| error.to_string())?;
    assert_eq!(invite.to_text().unwrap(), text.to_lowercase());
    Ok([
        mesh_id(&invite.params).to_string(),
        invite.inviter.to_string(),
        invite.key().node_id().to_string(),
        format!("{:?} until {} at {:?}", invite.role, invite.expires.0, invite.addresses),
    ])
}

fn accept(what: &str, text: &str) -> String {
    let [mesh, inviter, key, says] = judge(text).unwrap();
    render(&[
        ("what", what),
        ("text", text),
        ("mesh", &mesh),
        ("inviter", &inviter),
        ("key", &key),
        ("says", &says),
    ])
}

fn refused() -> Vec<(&'static str, &'static str, String)> {
    let good = invite(&["192.0.2.1:7071"], Role::Sealer);
    let bytes = codec::encode(&good);
    let text = good.to_text().unwrap();
    let mistyped = format!("{}q{}", &text[..20], &text[21..]);
    assert_ne!(mistyped, text);
    let changed = |change: fn(&mut Invite)| {
        let mut invite = good.clone();
        change(&mut invite);
        sealed(&invite)
    };
    let with = |bytes: &[u8]| written::<Bech32m>(INVITE_HRP, bytes);
    let five = ["192.0.2.1:7071"; 5];
    vec![
        ("mistyped", "one wrong character", mistyped),
        ("cut", "one character missing", text[..text.len() - 1].into()),
        ("bech32", "the older checksum", written::<Bech32>(INVITE_HRP, &bytes)),
        ("node-id", "another kind of text", founder().to_string()),
        ("empty", "no content", with(&[])),
        ("version", "an invite of version 2", changed(|invite| invite.version = 2)),
        ("trailing-byte", "one byte after the end", with(&[&bytes[..], &[0]].concat())),
        ("truncated", "one byte missing", with(&bytes[..bytes.len() - 1])),
        ("five-addresses", "one address too many", sealed(&invite(&five, Role::Sealer))),
        ("empty-address", "an address of no bytes", sealed(&invite(&[""], Role::Sealer))),
        ("admin", "nobody is invited as admin", sealed(&invite(&[], Role::Admin))),
        ("inviter", "an inviter that is no key", changed(|i| i.inviter = NodeId::ZERO)),
        ("rules", "rules that are not permitted", changed(|i| i.params.spacing = 0)),
    ]
}

#[test]
fn this_version_makes_the_pinned_invites() {
    let usual = invite(&["192.0.2.1:7071", "[2001:db8::1]:7071"], Role::Sealer).to_text().unwrap();
    let bare = invite(&[], Role::Reader).to_text().unwrap().to_uppercase();
    pin(
        "invite/accept",
        &[
            ("usual", accept("two addresses", &usual)),
            ("capitals", accept("no address; in capitals, as in a QR code", &bare)),
        ],
    );
    let refused = refused().into_iter().map(|(name, what, text)| {
        let error = judge(&text).expect_err(name);
        (name, render(&[("what", what), ("text", &text), ("error", &error)]))
    });
    pin("invite/refuse", &refused.collect::<Vec<_>>());
}

#[test]
fn every_pinned_invite_says_the_same_or_is_refused_for_its_reason() {
    for (name, fields) in read_all("invite/accept") {
        let pinned = ["mesh", "inviter", "key", "says"].map(|key| fields[key].clone());
        assert_eq!(judge(&fields["text"]), Ok(pinned), "{name}");
    }
    for (name, fields) in read_all("invite/refuse") {
        let error = judge(fields.get("text").map_or("", |text| text)).expect_err(&name);
        assert_eq!(error, fields["error"], "{name}");
    }
}
