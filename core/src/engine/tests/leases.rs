//! What the end of a lease does to links, to what waits and to the node itself, and what a renewal
//! brings back.

use super::*;
use crate::fact::Role;
use crate::ledger::reject::FactReject;
use crate::ledger::rows::FactState;
use crate::work::Height;

/// An engine that seals nothing, and a chain with a member.
struct Lent {
    sole: Sole,
    chain: TestChain,
    founders: [TestNode; 4],
    guest: TestNode,
}

impl Lent {
    /// The engine is the second founder's, or the guest's own.
    fn new(own: bool) -> Self {
        let (founders, params) = founders();
        let mut chain = TestChain::new(params.clone());
        let guest = TestNode::new(20, founders[0].mesh);
        let key = if own { &guest } else { &founders[1] };
        let mut sole = Sole::new(&params, key.key.clone(), Limits::default(), false);
        sole.join(1, founders[0].id(), &chain);
        let admit = founders[0].admit(guest.id(), Role::Member);
        chain.add(core::slice::from_ref(&admit));
        chain.seal(&founders[0].key, &[admit.id()]);
        let mut lent = Self { sole, chain, founders, guest };
        lent.hear();
        lent
    }

    /// The founder's node tells its chain.
    fn hear(&mut self) {
        let tip = self.chain.tip();
        self.sole.announce(1, &Announce::Block(tip));
        self.sole.serve(1, &self.chain);
        assert_eq!(self.sole.tip().id, tip.id);
    }

    fn seal(&mut self, fact: &Verified<EncodedFact>) {
        self.chain.add(core::slice::from_ref(fact));
        self.chain.seal(&self.founders[0].key, &[fact.id()]);
        self.hear();
    }

    fn lease(&mut self, until: Option<u64>) {
        let lease = self.founders[0].lease(self.guest.id(), until);
        self.seal(&lease);
    }

    fn state(&self, fact: &EncodedFact) -> FactState {
        self.sole.store.fact_row(&fact.id()).unwrap().unwrap().state
    }

    fn why(&self, conn: u64) -> Option<String> {
        self.sole.out.iter().find_map(|output| match output {
            Output::Close(id, code, detail) if id.0 == conn => Some(code.text(detail)),
            _ => None,
        })
    }
}

const WHY: &str = "not a member: its lease ended at height 4; an admin renews it: cairn member lease \
                   NODE --blocks N";

#[test]
fn who_was_lent_a_membership_is_closed_when_it_ends_and_let_in_again_when_it_is_renewed() {
    let mut lent = Lent::new(false);
    let guest = lent.guest.id();
    lent.lease(Some(4));
    lent.sole.join(2, guest, &lent.chain);
    lent.sole.pass(200_000);
    assert_eq!(lent.why(2), None);
    let said = lent.founders[0].record("note", "the last that it counts for");
    lent.seal(&said);
    lent.sole.pass(10_000);
    assert_eq!(lent.why(2).as_deref(), Some(WHY));
    let closed = ConnInput::Closed { code: Some(CloseCode::NotMember), by_peer: false, reason: "" };
    lent.sole.conn(2, closed);
    lent.sole.join(3, guest, &lent.chain);
    assert_eq!(lent.why(3).as_deref(), Some(WHY));
    lent.lease(None);
    lent.sole.join(4, guest, &lent.chain);
    lent.sole.pass(200_000);
    assert_eq!(lent.why(4), None);
    assert_eq!(lent.why(1), None, "others stay");
}

#[test]
fn what_it_wrote_and_no_block_sealed_is_a_conflict_until_the_renewal() {
    let mut lent = Lent::new(false);
    lent.lease(Some(4));
    let (early, late) = (lent.guest.record("note", "early"), lent.guest.record("note", "late"));
    lent.sole.publish(early.clone());
    assert_eq!(lent.state(&early), FactState::Pending);
    let said = lent.founders[0].record("note", "the last that it counts for");
    lent.seal(&said);
    lent.sole.publish(late.clone());
    lent.sole.pass(1_000);
    let lapsed = FactState::Conflict(Height(3), FactReject::Lapsed(Height(4)));
    assert_eq!((lent.state(&early), lent.state(&late)), (lapsed.clone(), lapsed.clone()));
    // Also what was judged later, and after a start.
    let config = lent.sole.engine.config.clone();
    lent.sole = Sole::start_at(lent.sole.store.clone(), config, lent.sole.now);
    lent.sole.join(1, lent.founders[0].id(), &lent.chain);
    let other = lent.founders[0].record("note", "another block");
    lent.seal(&other);
    assert_eq!(lent.state(&early), lapsed);
    lent.lease(Some(90));
    lent.sole.pass(1_000);
    assert_eq!((lent.state(&early), lent.state(&late)), (FactState::Pending, FactState::Pending));
    assert_eq!(lent.sole.engine.status().conflict, 0);
    lent.seal(&early);
    assert!(matches!(lent.state(&early), FactState::Sealed(..)));
}

#[test]
fn a_renewal_has_the_node_dialed_at_once() {
    let mut lent = Lent::new(false);
    lent.lease(Some(4));
    let address = PeerAddr("192.0.2.9:7071".into());
    let command = Command::AddPeer(address.clone(), Some(lent.guest.id()));
    lent.sole.input(Input::Command(CommandId(900), command));
    let dials = |sole: &Sole| -> Vec<DialId> {
        let dial = |output: &Output| match output {
            Output::Dial(id, to, _) if *to == address => Some(*id),
            _ => None,
        };
        sole.out.iter().filter_map(dial).collect()
    };
    let mut failed = 0;
    while failed < 12 {
        lent.sole.pass(1_000);
        let all = dials(&lent.sole);
        for dial in &all[failed..] {
            lent.sole.input(Input::DialFailed(*dial));
        }
        failed = all.len();
    }
    let said = lent.founders[0].record("note", "the last that it counts for");
    lent.seal(&said);
    lent.sole.pass(100);
    assert_eq!(dials(&lent.sole).len(), failed);
    lent.lease(None);
    lent.sole.pass(100);
    assert_eq!(dials(&lent.sole).len(), failed + 1);
}

#[test]
fn the_node_itself_writes_nothing_then_and_says_why() {
    let mut lent = Lent::new(true);
    lent.lease(Some(4));
    let said = lent.founders[0].record("note", "the last that it counts for");
    lent.seal(&said);
    let refused = |sole: &Sole| {
        let refused =
            |output: &&Output| matches!(output, Output::Reply(_, Err(Refusal::Lapsed(Height(4)))));
        sole.out.iter().filter(refused).count()
    };
    let note = lent.guest.record("note", "x");
    lent.sole.publish(note.clone());
    let item = "saw".into();
    let action = CustodyAction::Request;
    let custody = Command::Custody { item, action, note: String::new() };
    let name = Command::Name { node: lent.guest.id(), name: "bo".into() };
    for (id, command) in [(901, custody), (902, name)] {
        lent.sole.input(Input::Command(CommandId(id), command));
        lent.sole.settle();
    }
    assert_eq!(refused(&lent.sole), 3);
    assert_eq!(lent.sole.store.fact_row(&note.id()).unwrap(), None);
    lent.lease(None);
    lent.sole.publish(note.clone());
    assert_eq!(lent.state(&note), FactState::Pending);
}

#[test]
fn an_admin_lends_and_is_refused_what_no_block_could_seal() {
    let mut lent = Lent::new(false);
    let guest = lent.guest.id();
    let admin = lent.founders[2].id();
    let cases = [(guest, Some(Height(2))), (admin, None), (NodeId([0xff; 32]), None)];
    for (id, (node, until)) in (910..).zip(cases) {
        lent.sole.input(Input::Command(CommandId(id), Command::Lease { node, until }));
        lent.sole.settle();
    }
    let refusals = lent.sole.out.iter().filter(|output| matches!(output, Output::Reply(_, Err(_))));
    assert_eq!(refusals.count(), 3);
    let command = Command::Lease { node: guest, until: Some(Height(9)) };
    lent.sole.input(Input::Command(CommandId(920), command));
    lent.sole.settle();
    let made = |output: &Output| matches!(output, Output::Reply(_, Ok(Receipt::Made(_))));
    assert!(lent.sole.out.iter().any(made));
    assert_eq!(lent.sole.engine.status().pending, 1);
}

fn asks_for_headers(lent: &mut Lent, conn: u64) -> &'static str {
    let stream = StreamTag(77);
    let genesis = crate::block::genesis(&founders().1).id();
    let bytes = codec::encode(&HeadersRequest { locator: alloc::vec![genesis], max: 9 });
    lent.sole.out.clear();
    let class = Class::Headers;
    lent.sole.conn(conn, ConnInput::Request { stream, class, bytes: &bytes });
    let said = lent.sole.out.iter().find_map(|output| match output {
        Output::Send(_, Frame::Refuse(_)) => Some("refused"),
        Output::Send(_, Frame::Answer { .. }) => Some("answered"),
        _ => None,
    });
    said.unwrap_or("nothing")
}

/// An engine at whose tip the guest's lease is over.
fn over() -> Lent {
    let mut lent = Lent::new(false);
    lent.lease(Some(4));
    let said = lent.founders[0].record("note", "the last that it counts for");
    lent.seal(&said);
    lent
}

#[test]
fn who_claims_more_of_the_chain_is_heard_and_not_served_until_that_is_seen() {
    let mut lent = over();
    let lease = lent.founders[0].lease(lent.guest.id(), None);
    lent.chain.add(core::slice::from_ref(&lease));
    lent.chain.seal(&lent.founders[0].key, &[lease.id()]);
    // It knows nobody else.
    lent.sole.conn(1, ConnInput::Closed { code: None, by_peer: true, reason: "" });
    lent.sole.join(2, lent.guest.id(), &lent.chain);
    assert_eq!(lent.why(2), None);
    assert_eq!(asks_for_headers(&mut lent, 2), "refused");
    lent.sole.serve(2, &lent.chain);
    assert_eq!(lent.sole.tip().id, lent.chain.tip().id);
    lent.sole.pass(100_000);
    assert_eq!(lent.why(2), None);
    assert_eq!(asks_for_headers(&mut lent, 2), "answered");
}

#[test]
fn who_only_claims_it_is_turned_away() {
    let mut lent = over();
    let mut words = hello(&lent.chain);
    words.tip.id = crate::id::BlockId([9; 32]);
    words.tip.work = words.tip.work + crate::work::Work::from_u64(100);
    lent.sole.join_saying(2, lent.guest.id(), words);
    assert_eq!(lent.why(2), None);
    assert_eq!(asks_for_headers(&mut lent, 2), "refused");
    // It has an answer to every question, and a new tip after each.
    for n in 0..3 {
        let tip = lent.chain.tip();
        let tip = Tip { id: crate::id::BlockId([20 + n; 32]), ..tip };
        lent.sole.announce(2, &Announce::Block(tip));
        lent.sole.serve(2, &lent.chain);
    }
    lent.sole.pass(5_000);
    assert_eq!(lent.why(2).as_deref(), Some(WHY));
    assert_eq!(lent.why(1), None);
}

#[test]
fn who_came_by_an_invite_is_told_of_its_lease_and_not_of_the_invite() {
    let mut lent = Lent::new(false);
    let (founder, secret) = (lent.founders[0].clone(), TestNode::new(30, lent.guest.mesh));
    let by_invite = TestNode::new(31, lent.guest.mesh);
    let invite = founder.invite(secret.id(), Role::Member, 1, u64::MAX / 2);
    let admit = secret.admit(by_invite.id(), Role::Member);
    lent.seal(&invite);
    lent.seal(&admit);
    lent.seal(&founder.lease(by_invite.id(), Some(5)));
    let mut words = hello(&lent.chain);
    words.introduction = [invite, admit].map(|fact| fact.bytes().to_vec().into()).into();
    lent.sole.join_saying(2, by_invite.id(), words);
    assert!(lent.why(2).unwrap().starts_with("not a member: its lease ended at height 5"));
}
