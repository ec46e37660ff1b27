//! A close code from the side that got it: at which step of the ladder it ends the way, the likely
//! cause, and what to type.

use cairn_core::wire::CloseCode;

use super::Check;

const ANOTHER: &str =
    "ask an admin for `cairn invite create`, then: cairn --data-dir NEW join INVITE";

/// What a peer meant that closed with this code.
pub(super) fn check(code: CloseCode, detail: &str) -> Check {
    let (step, why, next) = match code {
        CloseCode::WrongMesh => ("mesh", "one of you joined by an invite of another mesh", ANOTHER),
        CloseCode::RulesVersion => ("rules", "one side needs an update", "cairn version"),
        CloseCode::Protocol => ("protocol", "one side needs an update", "cairn version"),
        CloseCode::NotMember => {
            ("membership", "this node was never admitted, or the peer has not heard of it", ANOTHER)
        }
        CloseCode::Revoked => ("membership", "an admin ended this node's membership", ANOTHER),
        CloseCode::InviteSpent => ("membership", "the invite has expired or was used up", ANOTHER),
        CloseCode::InviteRevoked => ("membership", "the invite was taken back", ANOTHER),
        CloseCode::Full => ("capacity", "it has as many peers as it may have", "cairn peers"),
        CloseCode::Myself => ("identity", "the address is this node's own", "cairn peers --all"),
        CloseCode::Misbehavior => {
            ("capacity", "this node broke a rule, or was far over a limit", "cairn version")
        }
        CloseCode::BadHello => {
            ("protocol", "one side is too slow, or no Cairn node", "cairn version")
        }
        CloseCode::ShuttingDown => ("capacity", "it is stopping", "cairn status --wait peers"),
        CloseCode::Duplicate => ("capacity", "there is a link to it already", "cairn peers"),
    };
    let what = if detail.is_empty() { code.to_string() } else { detail.to_owned() };
    let what = format!("the peer closed with {:#04x}: {what}", code as u8);
    let check = match code {
        CloseCode::Duplicate => Check::ok(step, what),
        CloseCode::ShuttingDown | CloseCode::Full => Check::warn(step, what),
        _ => Check::fail(step, what),
    };
    check.why(why).next(next)
}
