//! What a close code means, why that most likely happened, and what to type: the one table that
//! `peers`, the log and whoever diagnoses a node read from.
//!
//! A code says one thing to whoever sent it and another to whoever got it, so each has two entries.
//! Texts are for people: one plain sentence each. Placeholders in capitals are for them to fill in.

use cairn_core::wire::{CloseCode, LEASE_OVER};

use crate::problem::Code;

/// What is said about the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// What happened.
    pub meaning: &'static str,
    /// The likely cause.
    pub cause: &'static str,
    /// A command that helps or tells more; empty if there is nothing to do.
    pub next: &'static str,
    /// Whether a link between the two cannot come about before somebody does something.
    pub needs_somebody: bool,
    /// What it is called if it keeps a node out of the mesh.
    pub shuts_out: Option<Code>,
}

impl Explanation {
    const fn shuts_out(self, code: Code) -> Self {
        Self { shuts_out: Some(code), ..self }
    }
}

const fn entry(meaning: &'static str, cause: &'static str, next: &'static str) -> Explanation {
    Explanation { meaning, cause, next, needs_somebody: true, shuts_out: None }
}

/// One that passes by itself.
const fn passing(meaning: &'static str, cause: &'static str, next: &'static str) -> Explanation {
    Explanation { needs_somebody: false, ..entry(meaning, cause, next) }
}

/// Explains why a connection ended with a code and these words, to the node that the other closed
/// (`by_peer`) or that closed it itself.
pub fn close(code: CloseCode, by_peer: bool, said: &str) -> Explanation {
    match (code, by_peer) {
        (CloseCode::NotMember, true) if said.contains(LEASE_OVER) => entry(
            "the membership of this node was lent, and is over",
            "nobody renewed it in time; links come back by themselves once an admin does",
            "cairn member lease NODE --blocks N (an admin, on another node)",
        )
        .shuts_out(Code::Lapsed),
        (CloseCode::NotMember, false) if said.contains(LEASE_OVER) => entry(
            "the membership of the other node was lent, and is over",
            "nobody renewed it in time; links come back by themselves once an admin does",
            "cairn member lease NODE --blocks N",
        ),
        (code, true) => by_the_peer(code),
        (code, false) => by_this_node(code),
    }
}

const fn by_the_peer(code: CloseCode) -> Explanation {
    match code {
        CloseCode::WrongMesh => entry(
            "the peer belongs to another mesh",
            "the address is another group's, or this node joined with another mesh's invite",
            "cairn join INVITE --data-dir NEW",
        )
        .shuts_out(Code::WrongMesh),
        CloseCode::RulesVersion => entry(
            "the peer does not know the rules version of this program",
            "one of the two programs is older",
            "cairn version (on both, and update the older one)",
        ),
        CloseCode::Protocol => entry(
            "the peer speaks no protocol version that this program speaks",
            "one of the two programs is older",
            "cairn version (on both, and update the older one)",
        ),
        CloseCode::NotMember => entry(
            "the peer does not know this node as a member",
            "its admission has not reached the peer yet, or whoever invited it was removed since",
            "cairn status --wait synced (and if that does not help, join with a new invite)",
        )
        .shuts_out(Code::NotMember),
        CloseCode::Revoked => entry(
            "the peer says that this node's membership was revoked",
            "an admin of the mesh ended it",
            "cairn join INVITE --data-dir NEW (with a new invite)",
        )
        .shuts_out(Code::Revoked),
        CloseCode::Full => passing(
            "the peer has no room for another link",
            "many nodes use it; it told other addresses, which are tried",
            "cairn peers --watch",
        ),
        CloseCode::Myself => entry(
            "that address is this node itself",
            "its own address is in a peer list, which is harmless",
            "cairn peer remove HOST:PORT",
        ),
        CloseCode::Misbehavior => entry(
            "the peer keeps this node out, if it says so until the time given",
            "a person banned it there, or this node sent what no correct program sends",
            "cairn version (then ask the peer's owner to run: cairn peer unban NODE)",
        ),
        CloseCode::BadHello => entry(
            "the peer did not understand how this node introduced itself, or it came too late",
            "a very slow line, or programs of different age",
            "cairn version (on both)",
        ),
        CloseCode::ShuttingDown => passing(
            "the peer was stopped",
            "somebody stops or restarts it; it is dialed again by itself",
            "",
        ),
        CloseCode::Duplicate => passing(
            "the peer kept another link to this node",
            "both dialed at the same time, which is harmless; or two nodes run with one key",
            "cairn key show (on every machine; no two may be the same)",
        ),
        CloseCode::InviteSpent => entry(
            "the invite that this node joined by has expired or has no uses left",
            "others used it first, or it was too late",
            "cairn join INVITE --data-dir NEW (with a new invite)",
        )
        .shuts_out(Code::InviteUsed),
        CloseCode::InviteRevoked => entry(
            "the invite that this node joined by was taken back",
            "an admin revoked it, or whoever made it was revoked",
            "cairn join INVITE --data-dir NEW (with a new invite)",
        )
        .shuts_out(Code::InviteRevoked),
    }
}

const fn by_this_node(code: CloseCode) -> Explanation {
    match code {
        CloseCode::WrongMesh => entry(
            "the other node belongs to another mesh",
            "the address is another group's, or that node joined with another mesh's invite",
            "cairn peer remove HOST:PORT",
        ),
        CloseCode::RulesVersion => entry(
            "the other node follows a rules version that this program does not know",
            "one of the two programs is older",
            "cairn version (on both, and update the older one)",
        ),
        CloseCode::Protocol => entry(
            "the other node speaks no protocol version that this program speaks",
            "one of the two programs is older",
            "cairn version (on both, and update the older one)",
        ),
        CloseCode::NotMember => entry(
            "the other node is not a member of this mesh",
            "it never joined, or nobody who still counts admitted it",
            "cairn invite create (and give it to whoever should join)",
        ),
        CloseCode::Revoked => entry(
            "the other node's membership was revoked",
            "an admin ended it; only a new key and a new invite let that person in",
            "cairn member list",
        ),
        CloseCode::Full => passing(
            "this node had no room for another link",
            "many nodes use it; the other was told more addresses",
            "cairn peers",
        ),
        CloseCode::Myself => entry(
            "that address is this node itself",
            "its own address is in a peer list, which is harmless",
            "cairn peer remove HOST:PORT",
        ),
        CloseCode::Misbehavior => entry(
            "this node keeps the other out, or ended the link because of what it sent",
            "a person banned it here, or it sent what no correct program sends",
            "cairn peer unban NODE (if it should be let in again)",
        ),
        CloseCode::BadHello => entry(
            "the other did not introduce itself in time, or not understandably",
            "a very slow line, programs of different age, or something else that speaks on that port",
            "cairn version (on both)",
        ),
        CloseCode::ShuttingDown => passing("this node was stopped", "somebody stopped it", ""),
        CloseCode::Duplicate => passing(
            "this node kept another link to the other",
            "both dialed at the same time, which is harmless; or two nodes run with one key",
            "cairn key show (on every machine; no two may be the same)",
        ),
        CloseCode::InviteSpent => entry(
            "the other node's invite has expired or has no uses left",
            "others used it first, or it was too late",
            "cairn invite create",
        ),
        CloseCode::InviteRevoked => entry(
            "the other node's invite was taken back",
            "an admin revoked it, or whoever made it was revoked",
            "cairn invite create",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_to_both_sides_in_one_line() {
        for code in CloseCode::ALL {
            let over = format!("{code}: {LEASE_OVER} 9");
            for (by_peer, said) in
                [(false, ""), (true, ""), (false, over.as_str()), (true, over.as_str())]
            {
                let why = close(code, by_peer, said);
                let told = [why.meaning, why.cause, why.next].join(": ");
                assert!(!why.meaning.is_empty() && !why.cause.is_empty(), "{code:?}");
                assert!(!told.contains('\n') && told.len() < 250, "{told}");
                let command = why.next.is_empty() || why.next.starts_with("cairn ");
                assert!(command, "{code:?}: {}", why.next);
                // Whoever has to act is told what to type.
                assert!(!why.needs_somebody || !why.next.is_empty(), "{code:?}");
            }
        }
    }

    #[test]
    fn a_lease_that_is_over_is_told_apart_from_a_stranger() {
        let words = CloseCode::NotMember.text(&format!("{LEASE_OVER} 4; an admin renews it"));
        assert_eq!(close(CloseCode::NotMember, true, &words).shuts_out, Some(Code::Lapsed));
        assert_ne!(
            close(CloseCode::NotMember, true, &words),
            close(CloseCode::NotMember, true, "")
        );
        assert_eq!(close(CloseCode::Full, true, &words), close(CloseCode::Full, true, ""));
    }
}
