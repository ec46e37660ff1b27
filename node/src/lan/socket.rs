//! The multicast socket. It is bound to the group and not to the port alone, so that only what was
//! sent to this network is heard: routers do not forward 224.0.0.0/24 (RFC 5771).

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

/// Where multicast DNS is spoken (RFC 6762, section 3).
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Interfaces that are spoken on.
const INTERFACES_MAX: usize = 16;
/// As RFC 6762, section 11, has it.
const HOPS: u32 = 255;

/// The socket and the interfaces that it has joined the group on.
pub(super) struct Group {
    socket: UdpSocket,
    joined: BTreeSet<Ipv4Addr>,
}

impl Group {
    /// Opens it beside other programs that speak multicast DNS.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(HOPS)?;
        socket.bind(&GROUP.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, joined: BTreeSet::new() })
    }

    /// Joins on interfaces that came up since, for a node that listens on `listen`. Whether there
    /// are any that it was not joined on before.
    pub(super) fn refresh(&mut self, listen: IpAddr) -> bool {
        self.join(&interfaces(listen))
    }

    /// Joins on those of these addresses where it is not joined, and forgets all others. What fails
    /// is tried again the next time.
    fn join(&mut self, wanted: &BTreeSet<Ipv4Addr>) -> bool {
        let socket = SockRef::from(&self.socket);
        self.joined.retain(|address| wanted.contains(address));
        let before = self.joined.len();
        for address in wanted {
            match socket.join_multicast_v4(GROUP.ip(), address) {
                Ok(()) => self.joined.insert(*address),
                // As after an interface that was away for a while.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    self.joined.insert(*address)
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "no multicast there");
                    self.joined.remove(address)
                }
            };
        }
        self.joined.len() > before
    }

    /// Sends on every interface; one that does not take it has gone.
    pub(super) async fn send(&self, packet: &[u8]) {
        for address in &self.joined {
            let chosen = SockRef::from(&self.socket).set_multicast_if_v4(address);
            if chosen.is_ok()
                && let Err(error) = self.socket.send_to(packet, GROUP).await
            {
                tracing::debug!(%address, %error, "not sent");
            }
        }
    }

    pub(super) async fn receive(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(packet).await
    }
}

/// Addresses of the interfaces that lead to a node that listens there: those of the networks that
/// this machine is on, or, without any, of the machine alone.
fn interfaces(listen: IpAddr) -> BTreeSet<Ipv4Addr> {
    let IpAddr::V4(listen) = listen.to_canonical() else {
        // A socket for all addresses takes IPv4 as well.
        let all = listen.is_unspecified().then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        return all.map_or_else(BTreeSet::new, interfaces);
    };
    let up = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    let up = up.filter(|interface| interface.is_oper_up() && !interface.is_p2p());
    let (near, far): (BTreeSet<_>, BTreeSet<_>) = up
        .filter_map(|interface| match interface.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .take(INTERFACES_MAX)
        .partition(Ipv4Addr::is_loopback);
    match listen {
        all if all.is_unspecified() && !far.is_empty() => far,
        near_only if near_only.is_unspecified() || near_only.is_loopback() => near,
        one => far.into_iter().filter(|ip| *ip == one).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interface_that_could_not_be_joined_is_tried_again() {
        let mut group = Group::open().unwrap();
        let (near, gone) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 200));
        assert!(!group.join(&BTreeSet::from([gone])));
        assert!(group.joined.is_empty(), "it would never be joined");
        assert!(group.join(&BTreeSet::from([near, gone])));
        assert!(!group.join(&BTreeSet::from([near])));
        assert!(!group.join(&BTreeSet::new()));
        assert!(group.join(&BTreeSet::from([near])), "it came back");
    }

    #[test]
    fn a_node_that_listens_on_loopback_is_told_of_nowhere_else() {
        assert!(interfaces(Ipv4Addr::LOCALHOST.into()).iter().all(Ipv4Addr::is_loopback));
        assert!(interfaces("192.0.2.200".parse().unwrap()).is_empty(), "not this machine's");
    }
}
