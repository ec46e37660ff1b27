//! What a new custody fact follows, and when it is refused before it is made.

use super::*;
use crate::ledger::custody::CustodyAction;
use crate::ledger::reject::FactReject;
use crate::mempool::Wish;
use crate::time::UnixTime;

fn wish(p: &Pool, author: &TestNode, action: CustodyAction) -> Result<Option<FactId>, FactReject> {
    let wish =
        Wish { author: author.id(), time: UnixTime(7), item: "saw", action, note: "for the shed" };
    let state = p.ledger.state(p.time());
    let fact = p.pool.custody(state, &p.ledger.store, &wish).unwrap()?;
    assert_eq!((fact.author, fact.time), (author.id(), UnixTime(7)));
    assert_eq!(CustodyAction::of(&fact.body), Some(action));
    Ok(fact.body.custody().and_then(|(_, follows)| follows))
}

#[test]
fn a_wish_follows_what_waits_and_is_refused_by_it() {
    use CustodyAction::{Release, Request, Transfer};
    let mut p = Pool::new();
    assert_eq!(wish(&p, &p.member, Request), Ok(None));
    let take = p.member.request("saw", None);
    p.arrive(&[&take]);
    let (item, holder) = (alloc::string::String::from("saw"), p.member.id());
    let held = FactReject::Held { item: item.clone(), holder };
    assert_eq!(wish(&p, &p.root, Request), Err(held));
    let not_holder = FactReject::NotHolder { item: item.clone(), holder };
    let to_me = Transfer(p.root.id());
    assert_eq!(wish(&p, &p.root, to_me), Err(not_holder));
    assert_eq!(wish(&p, &p.member, to_me), Ok(Some(take.id())));
    let to_nobody = FactReject::ReceiverNotMember(p.other.id());
    assert_eq!(wish(&p, &p.member, Transfer(p.other.id())), Err(to_nobody));
    assert_eq!(wish(&p, &p.root, Release), Ok(Some(take.id())));

    let free = p.member.release("saw", take.id());
    p.arrive(&[&free]);
    assert_eq!(wish(&p, &p.member, Release), Err(FactReject::Free { item }));
    assert_eq!(wish(&p, &p.root, Request), Ok(Some(free.id())));
    // The same once it is sealed.
    p.judge();
    p.seal();
    assert_eq!(wish(&p, &p.root, Request), Ok(Some(free.id())));
}

#[test]
fn of_two_that_wait_the_older_one_counts() {
    let mut p = Pool::new();
    let (first, second) = (p.root.request("saw", None), p.member.request("saw", None));
    p.arrive(&[&first, &second]);
    assert_eq!(wish(&p, &p.root, CustodyAction::Release), Ok(Some(first.id())));
}

#[test]
fn nothing_is_made_of_an_item_never_held_or_by_who_may_not_write() {
    let p = Pool::new();
    let free = FactReject::Free { item: "saw".into() };
    assert_eq!(wish(&p, &p.member, CustodyAction::Release), Err(free));
    for action in [CustodyAction::Request, CustodyAction::Release] {
        assert_eq!(wish(&p, &p.other, action), Err(FactReject::NotMember));
    }
}
