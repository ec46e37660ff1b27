//! Checks of a running node, by what it knows of itself and what its peers say.

use std::iter;
use std::time::Duration;

use cairn_core::engine::{Command, PeerStatus, State};
use cairn_core::ledger::line;
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::Known;
use cairn_core::store::StoreFault;
use cairn_core::wire::{CallOutcome, CloseCode};

use super::ladder::{Subject, climb};
use super::{Area, Check, machine, refusal, span};
use crate::api::dto::{connected_known, role_name};
use crate::handle::NodeHandle;

/// For peers to call back; they take 4 s at most.
const CALLS: Duration = Duration::from_secs(6);
/// Addresses that are tried when nobody is connected.
const TRIED: usize = 3;
/// A write that takes longer is worth a word.
const SLOW_MS: u64 = 5_000;

/// Checks some areas of a node; `active` also asks others, which takes seconds and tells them
/// something.
pub async fn check(node: &NodeHandle, areas: &[Area], active: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    for area in areas {
        match *area {
            Area::Peers => checks.extend(peers(node, active).await),
            Area::Reach => checks.push(reach(node, active).await),
            area => {
                let node = node.clone();
                let looked = tokio::task::spawn_blocking(move || look(&node, area)).await;
                let ended = |_| vec![Check::skip(area.name(), "the node is stopping")];
                checks.extend(looked.unwrap_or_else(ended));
            }
        }
    }
    checks
}

/// Checks an area by what the node and the disk say, which may take a while.
fn look(node: &NodeHandle, area: Area) -> Vec<Check> {
    vec![match area {
        Area::Config => machine::config(node.data_dir()),
        Area::Keys => machine::keys(node.data_dir()),
        Area::Port => Check::ok("port", format!("listens on UDP {}", node.listen())),
        Area::Clock => clock(node),
        Area::Disk => disk(node),
        Area::Memory => machine::memory(true),
        Area::Membership => membership(node),
        Area::Store => return store(node),
        // They ask others.
        Area::Peers | Area::Reach => return Vec::new(),
    }]
}

fn clock(node: &NodeHandle) -> Check {
    let status = node.status();
    let (alone, (peers, _)) = (machine::clock(node.wall()), connected_known(&node.peers()));
    if status.clock_ahead.max(status.clock_behind) > 0 {
        return machine::clock_apart(status.clock_ahead, status.clock_behind, peers);
    }
    if peers == 0 || alone.level == super::Level::Fail {
        return alone;
    }
    Check::ok("clock", format!("{}, within a minute of {peers} peers", machine::date(node.wall())))
}

fn disk(node: &NodeHandle) -> Check {
    let (store, room) = (node.store(), node.room());
    let short = node.status().state == State::ReadOnly;
    match store.space() {
        Ok(space) => machine::room_at(store.path(), room.left(space), room.reserve, short),
        Err(error) => Check::fail("disk", "the store's directory cannot be read")
            .why(error.to_string())
            .next(error.hint()),
    }
}

fn store(node: &NodeHandle) -> Vec<Check> {
    let store = node.store();
    let mut checks = Vec::new();
    let at = store.path().display();
    if store.is_unreadable() {
        checks.push(
            Check::fail("store", "something that was written cannot be read")
                .why("the disk is failing; the node ends and starts again with what peers have")
                .next("sudo dmesg --level err,warn"),
        );
    }
    let busy = store.busy_for();
    if busy > SLOW_MS {
        checks.push(
            Check::warn("store", format!("a write has been under way for {}", span(busy)))
                .why("the disk is failing, or far too slow")
                .next("sudo dmesg --level err,warn"),
        );
    }
    let moved = store.quarantined();
    if let Some(first) = moved.first() {
        checks.push(
            Check::warn("store", format!("{} damaged stores were moved away", moved.len()))
                .why("the disk or the memory of this machine lost or changed what was written")
                .next(format!("when nobody wants to look at it: rm -r {first}")),
        );
    }
    if checks.is_empty() {
        checks.push(Check::ok("store", format!("{at} is read and written")));
    }
    checks
}

fn membership(node: &NodeHandle) -> Check {
    standing(node).unwrap_or_else(|fault| {
        Check::fail("membership", "the store cannot be read")
            .why(fault.to_string())
            .next("cairn doctor store")
    })
}

fn standing(node: &NodeHandle) -> Result<Check, StoreFault> {
    let (view, me) = (node.view(), node.node_id());
    if node.status().state == State::Revoked || line::cut_off(&view, &me)?.is_some() {
        let told = refusal::check(CloseCode::Revoked, "");
        return Ok(Check { what: "this node was revoked: it only reads".into(), ..told });
    }
    Ok(match view.known(&me)? {
        Some(Known::Node { role, .. }) => {
            Check::ok("membership", format!("{} of \"{}\"", role_name(role), node.params().name))
        }
        _ if node.params().admission == cairn_core::params::Admission::Open => {
            Check::ok("membership", format!("\"{}\" is open to everybody", node.params().name))
        }
        _ => Check::warn("membership", "this node was not admitted yet")
            .why("its admission waits to be shown to a peer that knows the invite")
            .next("cairn status --wait synced"),
    })
}

/// The node as one end of a ladder.
pub fn subject(node: &NodeHandle) -> Subject {
    let status = node.status();
    let peers = node.peers();
    let live = peers.iter().filter(|peer| peer.connected);
    let mut subject = Subject::offline(node.enrollment().clone(), node.wall());
    subject.state = Some((status.tip, status.facts));
    subject.from = node.listen().ip();
    subject.linked = live.filter_map(|peer| peer.node).collect();
    subject
}

async fn peers(node: &NodeHandle, active: bool) -> Vec<Check> {
    let (state, peers) = (node.status().state, node.peers());
    let (live, known) = connected_known(&peers);
    let mut listed = peers.iter().filter(|peer| peer.listed);
    let mut checks = Vec::new();
    if live > 0 {
        checks.push(Check::ok("peers", format!("{live} connected, {known} known")));
    } else if state == State::Synced {
        checks.push(Check::ok("peers", "nobody else belongs to the mesh: cairn invite create"));
    } else if let Some(first) = listed.next() {
        checks.push(
            Check::fail("peers", format!("no peer is connected; {known} addresses are known"))
                .why(if active { "tried below" } else { "see each of them by itself" })
                .next(format!("cairn doctor peer {}", first.address)),
        );
        if active {
            checks.extend(try_some(node, iter::once(first).chain(listed)).await);
        }
    } else {
        checks.push(
            Check::fail("peers", "no peer is connected, and no address is known")
                .why("an invite names addresses; this node was told none, and found none")
                .next("cairn peer add HOST:PORT"),
        );
    }
    checks.extend(turned_away(&peers));
    checks
}

/// What is broken on the way to some addresses, tried all at once.
async fn try_some(node: &NodeHandle, peers: impl Iterator<Item = &PeerStatus>) -> Vec<Check> {
    let tried = peers.take(TRIED).map(|peer| {
        let (subject, address) = (subject(node), peer.address.0.clone());
        tokio::spawn(async move {
            let last = climb(&subject, &address).await.pop();
            last.map(|check| Check {
                what: format!("{address}: {}: {}", check.name, check.what),
                name: "peers",
                ..check
            })
        })
    });
    let mut checks = Vec::new();
    for tried in tried.collect::<Vec<_>>() {
        checks.extend(tried.await.ok().flatten());
    }
    checks
}

/// Why peers that are not connected ended the last link.
fn turned_away(peers: &[PeerStatus]) -> Vec<Check> {
    let mut seen = Vec::new();
    let gone = peers.iter().filter(|peer| !peer.connected);
    for (peer, code) in gone.filter_map(|peer| Some((peer, peer.last_close?))) {
        let (code, by_peer) = code;
        // Who dialed only to see whether anybody is here had no room, and turned nobody away.
        let dialed = peer.closes.first().is_none_or(|close| close.outbound);
        if code == CloseCode::Full && !dialed {
            continue;
        }
        let check = refusal::check(code, "");
        if by_peer
            && check.level != super::Level::Ok
            && !seen.iter().any(|(known, _)| *known == code)
        {
            let what = format!("{}: {}", peer.address, check.what);
            let level = check.level.min(super::Level::Warn);
            seen.push((code, Check { name: "peers", level, what, ..check }));
        }
    }
    seen.into_iter().map(|(_, check)| check).collect()
}

async fn reach(node: &NodeHandle, active: bool) -> Check {
    let port = node.listen().port();
    if active && node.command(Command::CheckReach).await.is_ok() {
        let mut status = node.watch_status();
        let done = status.wait_for(|status| status.reach.waiting == 0);
        // Whoever has not answered by then is not counted.
        let _ = tokio::time::timeout(CALLS, done).await;
    }
    let status = node.status();
    let found = &status.reach.outcomes;
    let count = |wanted| found.iter().filter(|(_, outcome)| *outcome == wanted).count();
    let (reached, unreached) = (count(CallOutcome::Reached), count(CallOutcome::Unreached));
    let near = found.iter().all(|(address, _)| is_near(&address.0));
    let only =
        if near { " (all of them on this network, which says nothing of others)" } else { "" };
    if reached > 0 {
        return Check::ok(
            "reach",
            format!("{reached} peers connected to UDP {port} from outside{only}"),
        );
    }
    if unreached > 0 {
        return Check::warn(
            "reach",
            format!("{unreached} peers cannot connect to UDP {port}{only}"),
        )
        .why("a router or firewall lets no new packets in; links that this node makes work")
        .next(format!("forward UDP {port} to this machine, then: cairn doctor reach"));
    }
    match connected_known(&node.peers()).0 {
        0 => Check::skip("reach", "no peer is connected that could try to connect here"),
        _ if !active => Check::skip("reach", "peers were not asked to connect: cairn doctor reach"),
        _ => Check::skip("reach", "no peer tried: they were asked too often, or are too old"),
    }
}

/// Whether an address can only be a neighbor's.
fn is_near(address: &str) -> bool {
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    })
}

#[cfg(test)]
mod tests {
    use cairn_core::engine::PeerAddr;
    use cairn_core::ledger::rows::Close;
    use cairn_core::time::UnixTime;

    use super::*;

    fn ended(code: CloseCode, outbound: bool) -> PeerStatus {
        let address = PeerAddr("192.0.2.1:7071".into());
        let (at, reason) = (UnixTime(1), code.to_string());
        let closed = address.0.clone();
        PeerStatus {
            node: None,
            address,
            outbound,
            connected: false,
            rtt: None,
            score: 0,
            last_seen: None,
            last_close: Some((code, true)),
            tip: None,
            key_exchange: None,
            listed: true,
            closes: vec![Close { code, by_peer: true, outbound, at, address: closed, reason }],
        }
    }

    #[test]
    fn who_only_looked_whether_anybody_is_here_turned_nobody_away() {
        assert!(turned_away(&[ended(CloseCode::Full, false)]).is_empty());
        assert_eq!(turned_away(&[ended(CloseCode::Full, true)]).len(), 1);
        assert_eq!(turned_away(&[ended(CloseCode::Revoked, false)]).len(), 1);
    }
}
