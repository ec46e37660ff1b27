//! The way to one peer, step by step: resolve, route, send, quic, identity, mesh, rules, protocol,
//! membership, capacity. The first step that is broken ends it, with the likely cause and one thing
//! to type.
//!
//! A node does not answer strangers, so silence has several causes; which of them it is can be told
//! from here only where the network itself answers (ICMP, RFC 792) or other peers do.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use cairn_core::block::genesis;
use cairn_core::id::NodeId;
use cairn_core::params::RULES_VERSION;
use cairn_core::time::UnixTime;
use cairn_core::wire::{CloseCode, PROTOCOL_VERSION, SetSummary, Tip};
use cairn_core::work::{Height, Work};
use cairn_transport_quic::DialError;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::conversation::{End, Speaker, Talk, talk};
use super::{Check, machine, refusal};
use crate::enroll::{Enrollment, mesh_id};

/// For a name to be found.
const RESOLVE: Duration = Duration::from_secs(5);
/// When small packets are sent that only the network may answer.
const KNOCKS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(400), Duration::from_millis(1_600)];
/// Clocks that differ by more are worth a word.
const CLOCKS_APART: u64 = 120_000;

/// Who asks, and what is known without asking.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The node's key and mesh.
    pub enrollment: Enrollment,
    /// What it holds; none without its store.
    pub state: Option<(Tip, SetSummary)>,
    /// The address that it listens on.
    pub from: IpAddr,
    /// Whom it is connected to.
    pub linked: Vec<NodeId>,
    /// Keys that it expects at addresses.
    pub expected: Vec<(String, NodeId)>,
    /// Its clock.
    pub wall: UnixTime,
}

impl Subject {
    /// A node that is not running, from its files.
    pub fn offline(enrollment: Enrollment, wall: UnixTime) -> Self {
        let pinned = enrollment.dial.iter();
        let expected = pinned.filter_map(|(address, node)| Some((address.clone(), (*node)?)));
        let expected = expected.collect();
        let from = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { enrollment, state: None, from, linked: Vec::new(), expected, wall }
    }

    fn state(&self) -> (Tip, SetSummary) {
        self.state.unwrap_or_else(|| {
            let id = genesis(&self.enrollment.params).id();
            let tip = Tip { height: Height::GENESIS, id, work: Work::ZERO };
            (tip, SetSummary::default())
        })
    }

    /// Where to leave from towards an address.
    fn from(&self, to: IpAddr) -> IpAddr {
        match (self.from, to) {
            (from @ IpAddr::V4(_), IpAddr::V4(_)) | (from @ IpAddr::V6(_), IpAddr::V6(_)) => from,
            (_, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (_, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// Walks the way to `host:port`. All but the last of the checks are fine, or could not be made.
pub async fn climb(subject: &Subject, address: &str) -> Vec<Check> {
    let mut done = Vec::new();
    if let Err(broken) = steps(subject, address, &mut done).await {
        done.push(broken);
    }
    done
}

async fn steps(subject: &Subject, address: &str, done: &mut Vec<Check>) -> Result<(), Check> {
    let found = resolve(address).await?;
    let listed: Vec<String> = found.iter().map(ToString::to_string).collect();
    done.push(Check::ok("resolve", listed.join(", ")));
    let (to, socket) = route(subject, &found).await?;
    let own = socket.local_addr().map_or_else(|_| "?".into(), |own| own.ip().to_string());
    done.push(Check::ok("route", format!("{to} is reached from {own}")));
    send(&socket).await?;
    done.push(Check::ok("send", "the system takes packets for it"));
    let (talked, said) = converse_or_hear(subject, to, &socket).await;
    let talk = match talked? {
        Ok(talk) => talk,
        Err(error) => return Err(unanswered(subject, to, &error, said, done)),
    };
    done.push(Check::ok("quic", format!("{to} answers")));
    identity(subject, address, &talk)?;
    done.push(Check::ok("identity", talk.node.to_string()));
    judge(subject, &talk, done)
}

async fn resolve(address: &str) -> Result<Vec<SocketAddr>, Check> {
    let found = timeout(RESOLVE, tokio::net::lookup_host(address)).await;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let broken = |why: String| {
        Err(Check::fail("resolve", format!("`{host}` has no address"))
            .why(why)
            .next(format!("getent hosts {host}")))
    };
    match found {
        Ok(Ok(found)) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.truncate(4);
            if found.is_empty() { broken("the name exists and has none".into()) } else { Ok(found) }
        }
        Ok(Err(error)) => {
            broken(format!("mistyped, or the name server does not know it ({error})"))
        }
        Err(_) => broken("the name server does not answer".into()),
    }
}

/// The first address that there is a way to, and a socket that is tied to it.
async fn route(subject: &Subject, found: &[SocketAddr]) -> Result<(SocketAddr, UdpSocket), Check> {
    let mut last = None;
    for to in found {
        let tied = async {
            let socket = UdpSocket::bind((subject.from(to.ip()), 0)).await?;
            socket.connect(to).await.map(|()| socket)
        };
        match tied.await {
            Ok(socket) => return Ok((*to, socket)),
            Err(error) => last = Some((*to, error)),
        }
    }
    let (to, error) = last.map_or_else(
        || ("?".into(), String::new()),
        |(to, error)| (to.ip().to_string(), error.to_string()),
    );
    Err(Check::fail("route", format!("there is no way to {to}"))
        .why(format!("this machine is not on a network that leads there ({error})"))
        .next(format!("ip route get {to}")))
}

async fn send(socket: &UdpSocket) -> Result<(), Check> {
    socket.send(&[0]).await.map(drop).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::PermissionDenied => "a firewall on this machine forbids it".into(),
            _ => error.to_string(),
        };
        Check::fail("send", "the system refuses to send").why(why).next("sudo nft list ruleset")
    })
}

/// What the network says to small packets that no node answers; nothing, mostly.
async fn refused(socket: &UdpSocket) -> Option<ErrorKind> {
    for wait in KNOCKS {
        tokio::time::sleep(wait).await;
        // What it says to one packet is told when receiving, or when the next is sent.
        let heard = async {
            socket.send(&[0]).await?;
            socket.recv(&mut [0; 64]).await
        };
        if let Ok(Err(error)) = timeout(Duration::from_millis(200), heard).await {
            return Some(error.kind());
        }
    }
    None
}

/// Talks to the peer, and listens to the network until the peer is done.
async fn converse_or_hear(
    subject: &Subject,
    to: SocketAddr,
    socket: &UdpSocket,
) -> (Result<Result<Talk, DialError>, Check>, Option<ErrorKind>) {
    let (mut talked, mut refused) = (pin!(converse(subject, to)), pin!(refused(socket)));
    let said = tokio::select! {
        talked = &mut talked => return (talked, None),
        said = &mut refused => said,
    };
    (talked.await, said)
}

async fn converse(subject: &Subject, to: SocketAddr) -> Result<Result<Talk, DialError>, Check> {
    let speaker = Speaker {
        enrollment: &subject.enrollment,
        state: subject.state(),
        from: subject.from(to.ip()),
        clock: subject.wall,
    };
    let opened = speaker.open();
    let (endpoint, events) = opened.map_err(|error| {
        Check::fail("send", "no socket for the test").why(error.to_string()).next("ulimit -n 4096")
    })?;
    let hello = speaker.hello();
    let mut known = subject.linked.clone();
    known.push(subject.enrollment.key.node_id());
    let talker = endpoint.clone();
    let talked =
        tokio::task::spawn_blocking(move || talk(&talker, &events, to, hello, &known)).await;
    endpoint.shutdown().await;
    Ok(talked.unwrap_or(Err(DialError::ShuttingDown)))
}

/// No handshake: who is to blame, as far as that can be known.
fn unanswered(
    subject: &Subject,
    to: SocketAddr,
    error: &DialError,
    refused: Option<ErrorKind>,
    done: &mut Vec<Check>,
) -> Check {
    let port = to.port();
    let silent = Check::fail("quic", format!("no answer from {to}"));
    match (error, refused) {
        (DialError::Refused, _) => {
            done.push(Check::ok("quic", format!("{to} answers")));
            Check::warn("capacity", "it takes no connections now")
                .why("it has as many as it may have, or is busy")
                .next("cairn status --wait peers")
        }
        (DialError::Handshake(text), _) => {
            done.push(Check::ok("quic", format!("{to} answers")));
            Check::fail("identity", "what answers there is no Cairn node")
                .why(format!("another program has that port ({text})"))
                .next("cairn peers --all")
        }
        (_, Some(ErrorKind::ConnectionRefused)) => silent
            .why(format!("nobody listens on UDP {port} there: the host itself says so"))
            .next(format!("on that machine: cairn run --listen :{port}")),
        (_, Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)) => {
            Check::fail("route", format!("{} cannot be reached", to.ip()))
                .why("a router on the way says so: the machine is off, or the address is old")
                .next(format!("ping -c 3 {}", to.ip()))
        }
        (DialError::Timeout, _) => {
            silent.why(silence(subject)).next("on that machine: cairn doctor")
        }
        (error, _) => silent.why(error.to_string()).next("cairn doctor"),
    }
}

fn silence(subject: &Subject) -> &'static str {
    if subject.linked.is_empty() {
        "a firewall on the way (or here) drops UDP, or the machine is off, or the node there belongs \
         to another mesh, as strangers get no answer; which of them cannot be known from here"
    } else {
        "other peers answer, so UDP leaves this machine: a firewall on the other side drops it, or \
         the machine is off, or the node there belongs to another mesh, as strangers get no answer"
    }
}

fn identity(subject: &Subject, address: &str, talk: &Talk) -> Result<(), Check> {
    if talk.node == subject.enrollment.key.node_id() {
        return Err(refusal::check(CloseCode::Myself, ""));
    }
    let mut expected = subject.expected.iter().filter(|(at, _)| at == address).peekable();
    let Some((_, wanted)) = expected.peek().copied() else { return Ok(()) };
    if expected.any(|(_, node)| *node == talk.node) {
        return Ok(());
    }
    Err(Check::fail("identity", format!("{} answers, not {wanted}", talk.node))
        .why("the address went to another machine, or the node there was set up anew")
        .next(format!("cairn peer add {address} --node-id {}", talk.node)))
}

/// What the peer said, or did not say, after the handshake.
fn judge(subject: &Subject, talk: &Talk, done: &mut Vec<Check>) -> Result<(), Check> {
    let ours = mesh_id(&subject.enrollment.params);
    let broken = match &talk.end {
        End::Known => {
            done.extend(passed(None, false));
            return Ok(());
        }
        End::Accepted => None,
        End::Refused(code, detail) => Some(refusal::check(*code, detail)),
        End::Broke(why) => Some(
            Check::fail("protocol", "the connection broke before the hello was answered")
                .why(why.as_str())
                .next("cairn version"),
        ),
        End::Silent => Some(
            Check::fail("protocol", "it made the handshake and says nothing")
                .why("it hangs, or is far too busy")
                .next("on that machine: cairn status"),
        ),
    };
    if let Some(hello) = &talk.hello {
        if hello.mesh != ours {
            return Err(refusal::check(CloseCode::WrongMesh, &format!("it is in {}", hello.mesh)));
        }
        let speaks = (hello.protocol.0..=hello.protocol.1).contains(&PROTOCOL_VERSION);
        if hello.rules != RULES_VERSION || !speaks {
            let code = if speaks { CloseCode::RulesVersion } else { CloseCode::Protocol };
            return Err(refusal::check(code, &hello.agent));
        }
    }
    // The protocol is judged before the mesh.
    let untold = matches!(talk.end, End::Refused(CloseCode::Protocol, _)) && talk.hello.is_none();
    done.extend(passed(broken.as_ref().map(|check| check.name), untold));
    if let Some(hello) = &talk.hello {
        let (ahead, behind) = (subject.wall.since(hello.clock), hello.clock.since(subject.wall));
        if ahead.max(behind) > CLOCKS_APART {
            done.push(machine::clock_apart(ahead, behind, 1));
        }
    }
    broken.map_or(Ok(()), Err)
}

/// The steps after the handshake up to the broken one.
fn passed(broken: Option<&str>, untold: bool) -> impl Iterator<Item = Check> {
    const STEPS: [(&str, &str); 5] = [
        ("mesh", "the same"),
        ("rules", "the same version"),
        ("protocol", "one in common"),
        ("membership", "it takes this node for a member"),
        ("capacity", "it has room for this node"),
    ];
    let end = STEPS.iter().position(|(step, _)| broken == Some(step)).unwrap_or(STEPS.len());
    let end = if broken == Some("identity") { 0 } else { end };
    STEPS[..end].iter().map(move |(step, what)| {
        if untold { Check::skip(step, "not told") } else { Check::ok(step, *what) }
    })
}
