//! What can go wrong, as people, programs and other nodes' tools see it: one enum of codes for the
//! HTTP problems (RFC 9457) and for the command line, so that a refusal keeps its name on the way
//! from the engine to an exit status.
//!
//! Not here: how a problem is printed (`cli::output`) or sent (`api::reply`).

use cairn_core::engine::Refusal;
use cairn_core::store::StoreFault;
use serde_json::Value;

use crate::handle::RotationError;

/// What kind of problem. Never renamed: programs match on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Something else failed.
    Failed,
    /// A program's request or a user's argument cannot be understood.
    Usage,
    /// An invite was cut off or mistyped.
    InviteMistyped,
    /// An invite's time is over.
    InviteExpired,
    /// An invite was used up.
    InviteUsed,
    /// An invite was taken back, or its maker was revoked.
    InviteRevoked,
    /// The other side belongs to another mesh.
    WrongMesh,
    /// An id was cut so short that it fits several things.
    Ambiguous,
    /// No node answers at the address.
    NotReachable,
    /// No such thing here.
    NotFound,
    /// The route knows other methods only.
    Method,
    /// A field breaks its bound.
    Malformed,
    /// The request is larger than allowed.
    TooLarge,
    /// The item is held.
    Held,
    /// The item is free.
    Free,
    /// Only the holder may do this.
    NotHolder,
    /// This node may not write facts (yet).
    NotMember,
    /// Only admins may do this.
    NotAdmin,
    /// This node may only read.
    Reader,
    /// The membership was revoked.
    Revoked,
    /// Nobody could invite or revoke any more.
    LastAdmin,
    /// Another running node has the same key.
    Twin,
    /// The membership was lent, and is over.
    Lapsed,
    /// Another rule of the mesh.
    Rule,
    /// The author was never admitted.
    UnknownAuthor,
    /// A signature does not hold.
    BadSignature,
    /// It took too long.
    TimedOut,
    /// The token is missing or wrong, or the file may not be read.
    NotPermitted,
    /// The request names a host that this node is not.
    WrongHost,
    /// The store failed.
    Storage,
    /// The network failed.
    Network,
    /// The node is stopping.
    Stopping,
    /// The configuration cannot work.
    Config,
    /// Ended by the user.
    Interrupted,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 34] = [
        Self::Failed,
        Self::Usage,
        Self::InviteMistyped,
        Self::InviteExpired,
        Self::InviteUsed,
        Self::InviteRevoked,
        Self::WrongMesh,
        Self::Ambiguous,
        Self::NotReachable,
        Self::NotFound,
        Self::Method,
        Self::Malformed,
        Self::TooLarge,
        Self::Held,
        Self::Free,
        Self::NotHolder,
        Self::NotMember,
        Self::NotAdmin,
        Self::Reader,
        Self::Revoked,
        Self::LastAdmin,
        Self::Twin,
        Self::Lapsed,
        Self::Rule,
        Self::UnknownAuthor,
        Self::BadSignature,
        Self::TimedOut,
        Self::NotPermitted,
        Self::WrongHost,
        Self::Storage,
        Self::Network,
        Self::Stopping,
        Self::Config,
        Self::Interrupted,
    ];

    /// The name that programs match on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::InviteMistyped => "invite-mistyped",
            Self::InviteExpired => "invite-expired",
            Self::InviteUsed => "invite-used",
            Self::InviteRevoked => "invite-revoked",
            Self::WrongMesh => "wrong-mesh",
            Self::Ambiguous => "ambiguous-id",
            Self::NotReachable => "node-not-reachable",
            Self::NotFound => "not-found",
            Self::Method => "method-not-allowed",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Held => "held",
            Self::Free => "free",
            Self::NotHolder => "not-holder",
            Self::NotMember => "not-member",
            Self::NotAdmin => "not-admin",
            Self::Reader => "reader",
            Self::Revoked => "revoked",
            Self::LastAdmin => "last-admin",
            Self::Twin => "twin",
            Self::Lapsed => "lapsed",
            Self::Rule => "refused",
            Self::UnknownAuthor => "unknown-author",
            Self::BadSignature => "bad-signature",
            Self::TimedOut => "timed-out",
            Self::NotPermitted => "not-permitted",
            Self::WrongHost => "wrong-host",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Stopping => "stopping",
            Self::Config => "config",
            Self::Interrupted => "interrupted",
        }
    }

    /// The code with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The code of a library error that only knows its exit status.
    pub const fn of_exit(status: u8) -> Self {
        match status {
            crate::exit::USAGE => Self::Usage,
            crate::exit::UNREACHABLE => Self::NotReachable,
            crate::exit::REFUSED => Self::Malformed,
            crate::exit::STORAGE => Self::Storage,
            crate::exit::NETWORK => Self::Network,
            crate::exit::CONFIG => Self::Config,
            _ => Self::Failed,
        }
    }

    /// The exit status of a command that ends with it.
    pub const fn exit(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage | Self::InviteMistyped | Self::Ambiguous | Self::Method => 2,
            Self::NotReachable | Self::Stopping => 3,
            Self::NotFound => 4,
            Self::Malformed
            | Self::TooLarge
            | Self::Held
            | Self::Free
            | Self::NotHolder
            | Self::NotMember
            | Self::NotAdmin
            | Self::Reader
            | Self::Revoked
            | Self::Lapsed
            | Self::LastAdmin
            | Self::Twin
            | Self::InviteExpired
            | Self::InviteUsed
            | Self::InviteRevoked
            | Self::WrongMesh
            | Self::Rule
            | Self::UnknownAuthor
            | Self::BadSignature => 5,
            Self::TimedOut => 6,
            Self::NotPermitted | Self::WrongHost => 7,
            Self::Storage => 8,
            Self::Network => 9,
            Self::Config => 78,
            Self::Interrupted => 130,
        }
    }

    /// The HTTP status of an answer that carries it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Usage | Self::InviteMistyped | Self::Ambiguous | Self::BadSignature => 400,
            Self::NotPermitted => 401,
            Self::NotMember
            | Self::NotAdmin
            | Self::Reader
            | Self::Revoked
            | Self::Lapsed
            | Self::UnknownAuthor => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Held
            | Self::Free
            | Self::NotHolder
            | Self::LastAdmin
            | Self::Twin
            | Self::InviteExpired
            | Self::InviteUsed
            | Self::InviteRevoked
            | Self::WrongMesh
            | Self::Rule => 409,
            Self::TooLarge => 413,
            Self::WrongHost => 421,
            Self::Malformed => 422,
            Self::Failed | Self::Config | Self::Interrupted => 500,
            Self::NotReachable | Self::Network => 502,
            Self::Stopping => 503,
            Self::TimedOut => 504,
            Self::Storage => 507,
        }
    }
}

/// One problem: what failed and the likely cause, and one thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// What failed and the likely cause.
    pub message: String,
    /// One command to run next, or one thing to change.
    pub hint: String,
}

impl Problem {
    /// Puts a problem together.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }

    /// An argument or request that cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message, "run: cairn help")
    }

    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let (code, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => (Code::NotFound, "check the path"),
            std::io::ErrorKind::PermissionDenied => (Code::NotPermitted, "check the file's owner"),
            _ => (Code::Storage, "run: df -h"),
        };
        Self::new(code, format!("{what} {}: {error}", path.display()), hint)
    }

    /// The members of an HTTP problem document that say the same as this.
    pub fn from_json(document: &Value) -> Option<Self> {
        let text = |name: &str| document.get(name)?.as_str();
        Some(Self {
            code: Code::from_name(text("code")?)?,
            message: text("detail").or_else(|| text("message"))?.into(),
            hint: text("hint").unwrap_or_default().into(),
        })
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        Self::new(
            Code::Storage,
            format!("the store could not be read: {fault}"),
            "look at the node's log; the disk may be failing",
        )
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let of_item = |code, message, item: &str| {
            Self::new(code, message, format!("run: cairn item show {item}"))
        };
        match refusal {
            Refusal::Held { item, holder, name } => of_item(
                Code::Held,
                format!("{item} is held by {}", who(&name, &holder.to_string())),
                &item,
            ),
            Refusal::Free { item } => {
                of_item(Code::Free, format!("{item} is free: nobody holds it"), &item)
            }
            Refusal::NotHolder { item, holder, name } => of_item(
                Code::NotHolder,
                format!(
                    "only the holder of {item} may do this; it is held by {}",
                    who(&name, &holder.to_string())
                ),
                &item,
            ),
            Refusal::UnknownAuthor(node) => Self::new(
                Code::UnknownAuthor,
                format!("the author {node} was never admitted to this mesh"),
                "run: cairn member list",
            ),
            Refusal::Malformed(what) => {
                Self::new(Code::Malformed, what, "correct the field and try again")
            }
            Refusal::Rule(reject) => Self::new(
                Code::Rule,
                format!("the rules of the mesh do not permit this: {reject}"),
                "run: cairn status --wait synced, then try again",
            ),
            Refusal::NotMember => Self::new(
                Code::NotMember,
                "this node is no member of the mesh (yet): its admission may still be on the way",
                "run: cairn status --wait synced",
            ),
            Refusal::NotAdmin => Self::new(
                Code::NotAdmin,
                "only admins of the mesh may do this",
                "run: cairn member list",
            ),
            Refusal::ReadOnly => Self::new(
                Code::Storage,
                "the disk has no room to spare, so this node only reads",
                "free some space (see df -h); the node resumes by itself",
            ),
            Refusal::Reader => Self::new(
                Code::Reader,
                "this node was invited as a reader: it may not write",
                "ask an admin for another invite, and join with it in a new --data-dir",
            ),
            Refusal::Revoked => Self::new(
                Code::Revoked,
                "this node's membership was revoked: it can be read, and writes no more",
                "ask an admin for an invite, and join with it in a new --data-dir",
            ),
            Refusal::Lapsed(since) => Self::new(
                Code::Lapsed,
                format!(
                    "this node's membership was lent until height {}, which is over: it can be read, \
                     and writes no more until an admin renews it",
                    since.0
                ),
                "ask an admin to run: cairn member lease NODE --blocks N (NODE: see cairn status)",
            ),
            Refusal::AuthorRevoked(node) => Self::new(
                Code::Revoked,
                format!("the membership of the author {node} was revoked"),
                "run: cairn member list",
            ),
            Refusal::NotBanned => Self::new(
                Code::NotFound,
                "nobody of that name is banned (any more)",
                "run: cairn peers --all",
            ),
            Refusal::UnknownAddress(address) => Self::new(
                Code::NotFound,
                format!("this node does not remember the address {address}"),
                "run: cairn peers --all",
            ),
            Refusal::NotConnected(node) => Self::new(
                Code::Network,
                format!("there is no link to {node}, so it cannot be pinged"),
                "run: cairn peers --all, then: cairn peer add HOST:PORT",
            ),
            Refusal::NoAnswer(node) => Self::new(
                Code::TimedOut,
                format!("{node} did not answer in time; its line may be down"),
                "run: cairn peers --watch",
            ),
            Refusal::Stopping => {
                Self::new(Code::Stopping, "the node is stopping", "start it again: cairn run")
            }
        }
    }
}

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Refused(refusal) => refusal.into(),
            RotationError::Store(fault) => fault.into(),
            RotationError::Key(error) => {
                Self::new(Code::of_exit(error.exit_code()), error.to_string(), error.hint())
            }
        }
    }
}

/// A node for people: its name if it has one, and its id.
fn who(name: &str, id: &str) -> String {
    if name.is_empty() { id.into() } else { format!("{name} ({id})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_core::id::NodeId;

    #[test]
    fn every_code_has_its_own_name_and_is_found_by_it() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
        assert_eq!(Code::from_name("no such code"), None);
    }

    #[test]
    fn a_refusal_names_the_holder_and_exits_with_5() {
        let problem = Problem::from(Refusal::Held {
            item: "laptop-001".into(),
            holder: NodeId([7; 32]),
            name: "Ada".into(),
        });
        assert!(problem.message.starts_with("laptop-001 is held by Ada (cairn1"));
        assert_eq!((problem.code.exit(), problem.code.status()), (5, 409));
    }

    #[test]
    fn a_problem_survives_its_http_form() {
        let document = serde_json::json!({"code": "held", "detail": "d", "hint": "h"});
        let problem = Problem::from_json(&document);
        assert_eq!(problem, Some(Problem::new(Code::Held, "d", "h")));
        assert_eq!(Problem::from_json(&serde_json::json!({"code": "?"})), None);
    }
}
