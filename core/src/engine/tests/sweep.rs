//! A member that grinds facts until two sets have the same sum hides nothing for long.

use super::*;

/// Another set with the same summary: what a collision looks like from here.
fn same_sum(sole: &Sole) -> Control {
    Control::Ping { nonce: 1, tip: sole.tip(), facts: sole.engine.set.summary }
}

#[test]
fn a_difference_that_sums_do_not_show_is_found_by_the_sweep() {
    let ([a, b, ..], params) = founders();
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), false);
    let mut theirs = TestChain::new(params);
    let only_there = a.record("note", "only there");
    theirs.add(core::slice::from_ref(&only_there));
    sole.publish(a.record("note", "only here"));
    sole.join(1, a.id(), &TestChain::new(theirs.ledger.params.clone()));
    for _ in 0..10 {
        sole.control(1, &same_sum(&sole));
        sole.serve(1, &theirs);
        sole.pass(60_000);
    }
    assert!(sole.store.fact_row(&only_there.id()).unwrap().is_some());
    assert!(sole.closed().is_empty());
}

#[test]
fn equal_sets_are_swept_without_asking_for_ids() {
    let ([a, b, ..], params) = founders();
    let mut sole = Sole::new(&params, b.key.clone(), Limits::default(), false);
    let mut theirs = TestChain::new(params);
    let note = a.record("note", "everywhere");
    theirs.add(core::slice::from_ref(&note));
    sole.publish(note);
    sole.join(1, a.id(), &theirs);
    let mut steps = 0;
    for _ in 0..60 {
        sole.control(1, &same_sum(&sole));
        sole.pass(60_000);
        let asked = sole.asked.iter().filter(|(.., class, _)| *class == Class::Reconcile);
        steps += asked.count();
        sole.serve(1, &theirs);
    }
    assert_eq!(steps, 12, "one span every five minutes");
}
