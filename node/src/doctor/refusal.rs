//! Where on the ladder a close code ends the way.

use cairn_core::wire::CloseCode;

use super::Check;
use crate::explain;

/// The step that a peer refused with this code, and in these words.
pub(super) fn check(code: CloseCode, detail: &str) -> Check {
    let told = explain::close(code, true, detail);
    let said = if detail.is_empty() || detail == code.to_string() { "" } else { detail };
    let sep = if said.is_empty() { "" } else { ": " };
    let what = format!("{} ({:#04x}{sep}{said})", told.meaning, code as u8);
    let step = step(code);
    let check = match code {
        CloseCode::Duplicate => return Check::ok(step, what),
        _ if told.needs_somebody => Check::fail(step, what),
        _ => Check::warn(step, what),
    };
    let next = if told.next.is_empty() { "cairn status --wait peers" } else { told.next };
    check.why(told.cause).next(next)
}

const fn step(code: CloseCode) -> &'static str {
    match code {
        CloseCode::Myself => "identity",
        CloseCode::WrongMesh => "mesh",
        CloseCode::RulesVersion => "rules",
        CloseCode::Protocol | CloseCode::BadHello => "protocol",
        CloseCode::NotMember
        | CloseCode::Revoked
        | CloseCode::InviteSpent
        | CloseCode::InviteRevoked => "membership",
        CloseCode::Full
        | CloseCode::Misbehavior
        | CloseCode::ShuttingDown
        | CloseCode::Duplicate => "capacity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn every_code_ends_the_way_somewhere_and_says_why_and_what_to_type() {
        for code in CloseCode::ALL {
            let check = check(code, "");
            let well = check.level == Level::Ok;
            assert_eq!(well, code == CloseCode::Duplicate);
            assert!(!check.what.is_empty() && (well || !check.why.is_empty()), "{check:?}");
            assert!(well || !check.next.is_empty(), "{check:?}");
        }
    }
}
