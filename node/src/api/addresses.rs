//! Where this machine can be found by others, for invites. Asks the routing table (connecting a UDP
//! socket sends nothing) instead of listing interfaces.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The address that packets to `target` would be sent from.
fn source_toward(any: &str, target: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// The places, `host:port`, that a node which listens on `listen` can be found at: from the local
/// network first, from this machine last. At most three.
pub fn reachable(listen: SocketAddr) -> Vec<String> {
    let at = |ip: IpAddr| SocketAddr::new(ip, listen.port()).to_string();
    if !listen.ip().is_unspecified() {
        return vec![at(listen.ip())];
    }
    // Addresses reserved for documentation: routed like any foreign one, never answered.
    let v4 = source_toward("0.0.0.0:0", "192.0.2.1:9");
    let v6 = listen.is_ipv6().then(|| source_toward("[::]:0", "[2001:db8::1]:9")).flatten();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    v4.into_iter().chain(v6).chain([loopback]).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_address_is_the_only_place() {
        let listen = "192.0.2.7:7071".parse().unwrap();
        assert_eq!(reachable(listen), ["192.0.2.7:7071"]);
    }

    #[test]
    fn listening_everywhere_ends_with_this_machine_itself() {
        let places = reachable("0.0.0.0:7071".parse().unwrap());
        assert_eq!(places.last().unwrap(), "127.0.0.1:7071");
        assert!(places.len() <= 3);
    }
}
