//! Tests of `dto`.

use cairn_core::testing::{TestLedger, TestNode, params};

use super::*;

fn ledger() -> (TestLedger, TestNode) {
    let founder = TestNode::new(1, MeshId::ZERO);
    let params = params(&[&founder]);
    let mesh = TestLedger::mesh(&params);
    (TestLedger::new(params), founder.in_mesh(mesh))
}

fn document(ledger: &TestLedger, fact: &EncodedFact) -> Value {
    let row = ledger.store.fact_row(&fact.id()).unwrap().unwrap();
    serde_json::to_value(FactDoc::new(&ledger.store, &row, fact).unwrap()).unwrap()
}

#[test]
fn a_pending_record_has_the_promised_fields() {
    let (mut ledger, founder) = ledger();
    let fact = founder.record("note", "hallo");
    ledger.arrive(std::slice::from_ref(&fact));
    let got = document(&ledger, &fact);
    assert_eq!(got["schema"], "cairn.fact/1");
    assert_eq!(got["fact_id"], fact.id().to_string());
    assert_eq!(got["content_hash"], fact.fact().content_hash().to_string());
    assert_eq!(got["author"], founder.id().to_string());
    assert_eq!(got["signature"].as_str().unwrap().len(), 128);
    for (name, value) in [
        ("kind", json!("record")),
        ("topic", json!("note")),
        ("media_type", json!("text/plain")),
        ("text", json!("hallo")),
        ("time", json!(0)),
        ("state", json!("pending")),
        ("block", Value::Null),
        ("corroboration", json!(0)),
    ] {
        assert_eq!(got[name], value, "{name}");
    }
    assert!(got.get("base64").is_none() && got.get("reason").is_none());
}

#[test]
fn a_sealed_fact_names_its_block_and_bytes_are_base64() {
    let (mut ledger, founder) = ledger();
    let body = Body::Record { topic: "t", media_type: "image/png", bytes: &[0xff, 0] };
    let fact = founder.fact(5, body);
    ledger.arrive(std::slice::from_ref(&fact));
    let block = ledger.block(&[fact.id()], None);
    ledger.connect(&block).unwrap();
    let got = document(&ledger, &fact);
    assert_eq!(got["state"], "sealed");
    assert_eq!(got["block"], json!({"height": 1, "id": block.header.id().to_string()}));
    assert_eq!(got["base64"], "/wA=");
    assert!(got.get("text").is_none());
}

#[test]
fn a_conflict_says_why_and_an_item_who_holds_it() {
    let (mut ledger, founder) = ledger();
    let (won, lost) = (
        founder.request("saw", None),
        founder.fact(9, Body::Request { item: "saw", follows: None, note: "me too" }),
    );
    ledger.arrive(&[won.clone(), lost.clone()]);
    let block = ledger.block(&[won.id()], None);
    ledger.connect(&block).unwrap();
    let mut row = ledger.store.fact_row(&lost.id()).unwrap().unwrap();
    row.state = FactState::Conflict(
        cairn_core::work::Height(1),
        cairn_core::ledger::reject::FactReject::Free { item: "saw".into() },
    );
    let got = serde_json::to_value(FactDoc::new(&ledger.store, &row, &lost).unwrap()).unwrap();
    assert_eq!((&got["state"], &got["reason"]), (&json!("conflict"), &json!("saw is free")));
    assert_eq!((&got["item"], &got["note"]), (&json!("saw"), &json!("me too")));
    let custody = ledger.store.custody("saw").unwrap();
    let got = item(&ledger.store, "saw", custody.as_ref()).unwrap();
    assert_eq!(got["holder"], founder.id().to_string());
    assert_eq!(got["since"], json!({"height": 1, "fact_id": won.id().to_string()}));
    assert_eq!(got["pending"], 1, "the lost request is not judged in this store");
    let never = item(&ledger.store, "axe", None).unwrap();
    assert_eq!((&never["holder"], &never["since"]), (&Value::Null, &Value::Null));
}
