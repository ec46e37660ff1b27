//! Every close code, provoked by what a peer does, and what both sides keep of it.

use super::peers::other;
use super::*;
use crate::fact::Role;

/// A peer does what makes the node `b` end link 1 with this code. Returns the peer's key.
fn provoke(code: CloseCode, sole: &mut Sole, chain: &TestChain, b: &TestNode) -> SigningKey {
    let member = founders().0[0].key.clone();
    let stranger = TestNode::new(9, chain.mesh()).key;
    let say = |sole: &mut Sole, key: &SigningKey, change: &dyn Fn(&mut Hello)| {
        let mut said = hello(chain);
        change(&mut said);
        sole.join_saying(1, key.node_id(), said);
        key.clone()
    };
    let come = |sole: &mut Sole| say(sole, &member, &|_| {});
    match code {
        CloseCode::WrongMesh => say(sole, &member, &|said| said.mesh = MeshId([7; 32])),
        CloseCode::RulesVersion => say(sole, &member, &|said| said.rules = 99),
        CloseCode::Protocol => say(sole, &member, &|said| said.protocol = (98, 99)),
        CloseCode::NotMember => say(sole, &stranger, &|_| {}),
        CloseCode::Revoked => {
            sole.publish(b.revoke(member.node_id()));
            come(sole)
        }
        CloseCode::Full => {
            sole.join(2, other(2), chain);
            come(sole)
        }
        CloseCode::Myself => {
            let run = sole.engine.twins.run;
            say(sole, &b.key, &|said| said.run = run)
        }
        CloseCode::Misbehavior => {
            let key = come(sole);
            sole.conn(1, ConnInput::Announce(&[0xee; 9]));
            key
        }
        CloseCode::BadHello => say(sole, &stranger, &|said| {
            said.introduction = alloc::vec![alloc::vec![0xee; 9].into()];
        }),
        CloseCode::ShuttingDown => {
            let key = come(sole);
            sole.input(Input::Command(CommandId(99), Command::Stop));
            key
        }
        CloseCode::Duplicate => {
            let key = come(sole);
            sole.join(2, key.node_id(), chain);
            key
        }
        CloseCode::InviteSpent | CloseCode::InviteRevoked => {
            let invite = TestNode::new(8, chain.mesh());
            sole.publish(b.invite(invite.id(), Role::Member, 1, 1));
            if code == CloseCode::InviteRevoked {
                sole.publish(b.revoke(invite.id()));
            }
            // It is over by the time of the block that seals it.
            sole.pass(60_000);
            let admit = invite.admit(stranger.node_id(), Role::Member).bytes().to_vec();
            say(sole, &stranger, &|said| said.introduction = alloc::vec![admit.clone().into()])
        }
    }
}

#[test]
fn every_close_code_is_provoked_and_kept_by_both_sides() {
    for code in CloseCode::ALL {
        let ([_, b, ..], params) = founders();
        let chain = TestChain::new(params.clone());
        let limits = Limits { inbound_max: 1, ..Limits::default() };
        let mut sole = Sole::new(&params, b.key.clone(), limits, true);
        let key = provoke(code, &mut sole, &chain, &b);
        sole.pass(2_000);
        let told = sole.out.iter().find_map(|output| match output {
            Output::Close(ConnId(1), code, detail) => Some((*code, code.text(detail))),
            _ => None,
        });
        let (told, reason) = told.unwrap_or_else(|| panic!("{code:?} was not provoked"));
        assert_eq!(told, code);
        let closed = |by_peer| ConnInput::Closed { code: Some(code), by_peer, reason: &reason };
        sole.conn(1, closed(false));
        // The other side is a node as well, which had dialled.
        let mut peer = Sole::new(&params, key.clone(), Limits::default(), false);
        let (node, address) = (b.id(), PeerAddr("192.0.2.2:7071".into()));
        let dial = Some(DialId(1));
        peer.conn(1, ConnInput::Opened { node, address, dial, key_exchange: "test" });
        peer.conn(1, closed(true));
        for (side, other, by_peer) in [(&sole, key.node_id(), false), (&peer, node, true)] {
            let peers = side.engine.peers();
            let shown = peers.iter().find(|peer| peer.node == Some(other));
            let shown = shown.unwrap_or_else(|| panic!("{code:?}: nothing is shown"));
            let close = &shown.closes[0];
            assert_eq!((close.code, close.by_peer, close.outbound), (code, by_peer, by_peer));
            assert_eq!((&close.reason, shown.last_close), (&reason, Some((code, by_peer))));
        }
    }
}

#[test]
fn a_node_that_stops_writes_down_at_once_how_its_links_ended() {
    let ([a, b, c, ..], params) = founders();
    let chain = TestChain::new(params.clone());
    let mut sole = Sole::new(&params, b.key, Limits::default(), true);
    sole.join(1, a.id(), &chain);
    sole.join(2, c.id(), &chain);
    sole.input(Input::Command(CommandId(99), Command::Stop));
    for conn in [1, 2] {
        let (code, reason) = (CloseCode::ShuttingDown, "shutting down");
        sole.conn(conn, ConnInput::Closed { code: Some(code), by_peer: false, reason });
    }
    let rows = sole.store.close_rows(9).unwrap();
    let codes: Vec<_> = rows.iter().map(|(_, close)| (close.code, close.by_peer)).collect();
    assert_eq!(codes, [(CloseCode::ShuttingDown, false); 2]);
}
