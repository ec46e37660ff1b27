//! Numbers that name live things between the engine and the world: connections, dials, requests.
//! Each is given out once and never reused, so a late report can do no harm.

use core::fmt;
use core::net::IpAddr;

use alloc::string::String;

/// A live connection, numbered by the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// An attempt to connect, numbered by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// A call back to a peer that asked for one, numbered by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A request of ours, numbered by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestTag(pub u64);

/// A request of the peer on one connection, numbered by the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamTag(pub u64);

/// A place: `host:port` where host is a name, an IPv4 or a bracketed IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddr(pub String);

impl PeerAddr {
    /// Most bytes of an address.
    pub const BYTES_MAX: usize = 255;

    /// Whether the text has the form `host:port` with a port above 0, within bounds and without
    /// characters that no address has.
    pub fn check(&self) -> bool {
        let port_ok = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        self.0.len() <= Self::BYTES_MAX
            && self.0.bytes().all(|c| c.is_ascii_alphanumeric() || b".-_:[]%".contains(&c))
            && self.0.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port_ok(port))
    }

    /// The IP address in it, in its one form: without the zone, and IPv4 if it is that mapped into
    /// IPv6 (RFC 4291, section 2.5.5.2). None if the host is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        let (host, _) = self.0.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let bare = bare.map_or(host, |ip| ip.split_once('%').map_or(ip, |(ip, _)| ip));
        bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
