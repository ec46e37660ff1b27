//! Why a link ended, as a node that runs shows it: to programs, to people, and to who asks the doctor.
//! The words are those of the one table that explains codes.

use cairn_core::wire::CloseCode;
use cairn_node::explain::{self, Explanation};
use serde_json::Value;

use crate::process::{Cairn, Ran, within};

fn number(code: CloseCode) -> String {
    format!("{:#04x}", code as u8)
}

/// Waits until a node shows that its last link with the node `other` ended with this code; checks
/// that the record and the text say what it means, why, and what to type. Gives the record.
#[track_caller]
pub fn ended(node: &Cairn, other: &str, code: CloseCode) -> Value {
    let peer = within(60, || {
        let peer = node.peer(other).unwrap_or_default();
        let there = peer["last_close"]["code"] == number(code);
        if there { Ok(peer) } else { Err(format!("{} shows {code:?}: {peer}", node.name)) }
    });
    let close = &peer["last_close"];
    let by_peer = close["by_peer"].as_bool().unwrap();
    let reason = close["reason"].as_str().unwrap();
    let told = explain::close(code, by_peer, reason);
    let words = [&close["meaning"], &close["cause"], &close["next"]];
    assert_eq!(words, [told.meaning, told.cause, told.next]);
    assert!(reason.starts_with(&code.to_string()), "{close}");
    assert!(close["time"].as_u64().unwrap() > 0 && close["address"].is_string(), "{close}");

    let shown = Ran::of(&mut node.command(&["peers", "--all"])).stdout;
    let whose = if by_peer { "it said" } else { "this node said" };
    let Explanation { meaning, cause, next, .. } = told;
    let next = if next.is_empty() { String::new() } else { format!("; next: {next}") };
    let line = format!("): {meaning} ({whose} {}: {reason}): {cause}{next}", number(code));
    assert!(shown.contains(&line), "{}: no {line:?} in\n{shown}", node.name);
    close.clone()
}

/// The same, where it is certain which of the two ended the link.
#[track_caller]
pub fn ended_by(node: &Cairn, other: &str, code: CloseCode, by_peer: bool) -> Value {
    let close = ended(node, other, code);
    assert_eq!(close["by_peer"], by_peer, "{}: {close}", node.name);
    close
}

/// `doctor peer` names as the last step on the way to an address that its node refuses this one
/// with this code, why, and one thing to type.
#[track_caller]
pub fn diagnosed(node: &Cairn, address: &str, code: CloseCode) {
    let ran = node.cli(&["doctor", "peer", address]);
    let document = ran.json();
    let last = document["checks"].as_array().unwrap().last().cloned().unwrap();
    let message = last["message"].as_str().unwrap();
    let told = explain::close(code, true, message);
    assert!(message.starts_with(told.meaning), "{code:?}: {document:#}");
    assert!(message.contains(&number(code)), "{last}");
    if code == CloseCode::Duplicate {
        // There is another link, so nothing is wrong.
        assert_eq!((ran.code, &last["level"]), (Some(0), &"ok".into()), "{last}");
        return;
    }
    let (exit, level) = if told.needs_somebody { (11, "fail") } else { (10, "warn") };
    assert_eq!((ran.code, &last["level"]), (Some(exit), &level.into()), "{last}");
    assert_eq!(last["cause"], told.cause);
    let hint = last["hint"].as_str().unwrap();
    let next = if told.next.is_empty() { "cairn " } else { told.next };
    assert!(hint.starts_with(next), "{code:?}: {last}");
}
