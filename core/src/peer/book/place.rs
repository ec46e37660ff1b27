//! Where an address is: its one spelling, and the part of the network that it belongs to.
//!
//! Addresses are cheap to invent, networks are not. So what others tell of is counted by network:
//! IPv4 /16, IPv6 /32, as Bitcoin counts (Heilman et al., "Eclipse Attacks on Bitcoin's
//! Peer-to-Peer Network", USENIX Security 2015, section 2.2). Inside a private network everybody
//! shares those bits, so there it is /24 and /64; of a name, the last two labels.

use alloc::format;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::conn::PeerAddr;
use crate::hash::sha256;

/// A part of the network that one party is likely to control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group([u8; 9]);

enum Host<'a> {
    V4(Ipv4Addr),
    /// With its zone, which means something on one machine only.
    V6(Ipv6Addr, Option<&'a str>),
    Name(&'a str),
}

/// `host:port`; none if resolvers would disagree about what it is.
fn parse(address: &PeerAddr) -> Option<(Host<'_>, u16)> {
    let (host, port) = address.0.rsplit_once(':').filter(|_| address.check())?;
    let port = port.parse().ok()?;
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        let (ip, zone) = inner.split_once('%').map_or((inner, None), |(ip, zone)| (ip, Some(zone)));
        let ip: Ipv6Addr = ip.parse().ok()?;
        let host = ip.to_ipv4_mapped().map_or(Host::V6(ip, zone), Host::V4);
        return Some((host, port));
    }
    if let Ok(ip) = host.parse() {
        return Some((Host::V4(ip), port));
    }
    // Some resolvers take `2130706433` and `0x7f.1` for IPv4 addresses.
    let last = host.trim_end_matches('.').rsplit('.').next()?;
    let is_number = last.starts_with("0x") || last.bytes().all(|c| c.is_ascii_digit());
    let is_name = host.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
    (is_name && !is_number).then_some((Host::Name(host), port))
}

/// The one spelling of an address; none if it is none.
pub(super) fn canonical(address: &PeerAddr) -> Option<PeerAddr> {
    Some(PeerAddr(match parse(address)? {
        (Host::V4(ip), port) => format!("{ip}:{port}"),
        (Host::V6(ip, None), port) => format!("[{ip}]:{port}"),
        (Host::V6(ip, Some(zone)), port) => format!("[{ip}%{zone}]:{port}"),
        (Host::Name(name), port) => {
            format!("{}:{port}", name.trim_end_matches('.').to_ascii_lowercase())
        }
    }))
}

/// Whether a peer seen at `from` can know a node at this address: not if it means another place
/// there than here, or no single place.
pub fn may_be_told(address: &PeerAddr, from: &PeerAddr) -> bool {
    let is_loopback = |host: &Host<'_>| match host {
        Host::V4(ip) => ip.is_loopback(),
        Host::V6(ip, _) => ip.is_loopback(),
        Host::Name(name) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    };
    let Some((host, _)) = parse(address) else {
        return false;
    };
    let is_one_place = match &host {
        Host::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Host::V6(ip, zone) => zone.is_none() && !ip.is_unspecified() && !ip.is_multicast(),
        Host::Name(_) => true,
    };
    let same_machine = || parse(from).is_some_and(|(from, _)| is_loopback(&from));
    is_one_place && (!is_loopback(&host) || same_machine())
}

impl Group {
    /// The part of the network that an address is in. What is no address is in one of its own.
    pub fn of(address: &PeerAddr) -> Self {
        let of = |kind: u8, bytes: &[u8]| {
            let mut group = [0; 9];
            group[0] = kind;
            group[1..].iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Self(group)
        };
        match parse(address) {
            None => of(0, &[]),
            Some((Host::V4(ip), _)) => {
                let shared = ip.is_private() || ip.is_loopback() || ip.is_link_local();
                if shared { of(1, &ip.octets()[..3]) } else { of(2, &ip.octets()[..2]) }
            }
            Some((Host::V6(ip, _), _)) => {
                let shared = ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback();
                if shared { of(3, &ip.octets()[..8]) } else { of(4, &ip.octets()[..4]) }
            }
            Some((Host::Name(name), _)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let dots = name.rmatch_indices('.').nth(1);
                let domain = dots.map_or(&name[..], |(at, _)| &name[at + 1..]);
                of(5, &sha256(&[domain.as_bytes()]).0[..8])
            }
        }
    }

    /// Different bytes for different parts.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> PeerAddr {
        PeerAddr(text.into())
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, spelled) in [
            ("192.0.2.1:07071", "192.0.2.1:7071"),
            ("[::ffff:192.0.2.1]:7071", "192.0.2.1:7071"),
            ("[2001:DB8:0:0::1]:7071", "[2001:db8::1]:7071"),
            ("[fe80::1%eth0]:7071", "[fe80::1%eth0]:7071"),
            ("Raspi.Example.:7071", "raspi.example:7071"),
        ] {
            assert_eq!(canonical(&address(text)), Some(address(spelled)), "{text}");
        }
        let wrong = ["", "a", "a:0", ":1", "::1:7071", "[::1:7071", "2130706433:1", "0x7f.0x1:1"];
        for text in wrong.into_iter().chain(["1.2.3:1", "a]:1", "..:1", "a%b:1"]) {
            assert_eq!(canonical(&address(text)), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_one_network_are_in_one_group() {
        for (a, b, same) in [
            ("192.0.2.1:1", "192.0.77.9:2", true),
            ("192.0.2.1:1", "192.1.2.1:1", false),
            ("[2001:db8:1::1]:1", "[2001:db8:2::1]:1", true),
            ("[2001:db8::1]:1", "[2001:db9::1]:1", false),
            ("10.0.1.1:1", "10.0.1.2:1", true),
            ("10.0.1.1:1", "10.0.2.1:1", false),
            ("[fd00::1]:1", "[fd00::2]:1", true),
            ("[fd00::1]:1", "[fd00:0:0:1::1]:1", false),
            ("a.example.org:1", "B.Example.org.:1", true),
            ("a.example.org:1", "a.example.net:1", false),
            ("[::ffff:192.0.2.1]:1", "192.0.2.1:1", true),
        ] {
            let (one, other) = (Group::of(&address(a)), Group::of(&address(b)));
            assert_eq!(one == other, same, "{a} {b}");
        }
    }

    #[test]
    fn nobody_can_tell_of_a_place_that_is_elsewhere_from_here() {
        let (near, far) = (address("127.0.0.1:9"), address("192.0.2.9:9"));
        for text in ["127.0.0.1:1", "[::1]:1", "localhost:1"] {
            assert!(may_be_told(&address(text), &near), "{text}");
            assert!(!may_be_told(&address(text), &far), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "224.0.0.1:1", "255.255.255.255:1", "[ff02::1]:1"] {
            assert!(!may_be_told(&address(text), &near), "{text}");
        }
        assert!(!may_be_told(&address("[fe80::1%eth0]:1"), &near));
        assert!(may_be_told(&address("10.0.0.1:1"), &far));
    }
}
