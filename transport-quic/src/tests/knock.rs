//! Who is answered at all: only who knocks. Every probe is sent from one socket, and at the end a good
//! knock, which is answered; whatever arrives there belongs to that one.

use std::net::UdpSocket;

use quinn::ConnectionIdGenerator as _;

use super::*;
use crate::DialError;

/// For an answer that must not come, after others have come.
const SILENCE: Duration = Duration::from_millis(300);

/// The datagrams with which quinn begins to dial, with a first connection id made like this.
fn first_flight(runtime: &Runtime, id: fn() -> quinn::ConnectionId) -> Vec<Vec<u8>> {
    let trap = UdpSocket::bind(LOOPBACK).unwrap();
    trap.set_read_timeout(Some(WAIT)).unwrap();
    let tls = client_tls(&Identity::from_seed(&[3; 32]).unwrap());
    let mut config = quinn::ClientConfig::new(quic_client(tls).unwrap());
    config.initial_dst_cid_provider(Arc::new(id));
    let _entered = runtime.enter();
    let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
    let to = trap.local_addr().unwrap();
    let _connecting = endpoint.connect_with(config, to, NAME).unwrap();
    // With a post-quantum key the first message of TLS takes two datagrams.
    let flight = if cfg!(feature = "pq") { 2 } else { 1 };
    let mut buffer = [0; 2_048];
    (0..flight)
        .map(|_| {
            let length = trap.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        })
        .collect()
}

/// The connection id that the sender of a first packet wants to be answered at.
fn sender(datagram: &[u8]) -> &[u8] {
    let after = 6 + usize::from(datagram[5]);
    &datagram[after + 1..][..usize::from(datagram[after])]
}

/// A packet with a long header: its first byte, version and connection id, and nothing sensible.
fn long_header(first: u8, version: u32, id: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(version.to_be_bytes());
    bytes.push(id.len() as u8);
    bytes.extend(id);
    bytes.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x44, 0x00]);
    bytes.resize(1_250, 0x55);
    bytes
}

/// Everything that a stranger might try.
fn probes(runtime: &Runtime) -> Vec<Vec<u8>> {
    let random = || quinn_proto::RandomConnectionIdGenerator::new(8).generate_cid();
    let foreign = || Knock::of(&MeshId([6; 32])).connection_id();
    let turned = || {
        let mut id = knock().connection_id().to_vec();
        id[19] ^= 1;
        quinn::ConnectionId::new(&id)
    };
    let longest = || quinn::ConnectionId::new(&[7; 20]);
    let flights: [fn() -> quinn::ConnectionId; 4] = [random, foreign, turned, longest];
    let mut probes: Vec<Vec<u8>> =
        flights.into_iter().flat_map(|id| first_flight(runtime, id)).collect();
    let good = knock().connection_id();
    // Quinn would say that it does not know the version, that the id is too short.
    for version in [0, 2, 0x6b33_43cf, 0xff00_001d, 0x0a1a_2a3a] {
        probes.push(long_header(0xc0, version, &good));
    }
    probes.extend((0..20).map(|length| long_header(0xc0, 1, &good[..length])));
    // Other packets of a connection that there is none of.
    probes.extend([0xd0, 0xe0, 0xf0].map(|first| long_header(first, 1, &[9; 8])));
    probes.extend([0x40, 0x5a, 0x00].map(|first| vec![first; 1_200]));
    probes.extend((0..60).map(|length| vec![0xc3; length]));
    probes
}

#[test]
fn who_does_not_knock_gets_no_answer_whatever_it_sends() {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::default());
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket.connect(node.endpoint.local_addr()).unwrap();
    for probe in probes(&runtime) {
        socket.send(&probe).unwrap();
    }
    let flight = first_flight(&runtime, || knock().connection_id());
    for datagram in &flight {
        socket.send(datagram).unwrap();
    }
    socket.set_read_timeout(Some(WAIT)).unwrap();
    let mut buffer = [0; 2_048];
    let mut answers = 0;
    while let Ok(length) = socket.recv(&mut buffer) {
        let answer = &buffer[..length];
        let long = answer[0] & 0x80 != 0;
        let to = if long { &answer[6..6 + usize::from(answer[5])] } else { &answer[1..9] };
        assert_eq!(to, sender(&flight[0]), "an answer, but not to the knock: {answer:02x?}");
        assert!(!long || answer[1..5] == [0, 0, 0, 1], "of version 1: {answer:02x?}");
        answers += 1;
        socket.set_read_timeout(Some(SILENCE)).unwrap();
    }
    assert!(answers > 0);
}

#[test]
fn nodes_of_two_meshes_do_not_hear_each_other() {
    let runtime = runtime();
    let limits = TransportLimits {
        handshake_timeout: Duration::from_millis(500),
        ..TransportLimits::default()
    };
    let ours = Node::start(&runtime, 1, limits.clone());
    let theirs = Node::start_in(&runtime, 2, Knock::of(&MeshId([6; 32])), limits);
    ours.dial(1, &theirs, None);
    let error = DialError::Timeout;
    assert_eq!(ours.next(), TransportEvent::DialFailed { dial: DialId(1), error });
    theirs.dial(2, &ours, Some(ours.endpoint.node_id()));
    let error = DialError::Timeout;
    assert_eq!(theirs.next(), TransportEvent::DialFailed { dial: DialId(2), error });
    assert_eq!((ours.inbox.try_recv(), theirs.inbox.try_recv()), (None, None));
}

#[test]
fn strangers_in_any_number_leave_the_way_in_free() {
    let runtime = runtime();
    let node = Node::start(&runtime, 1, TransportLimits::small());
    let flood = UdpSocket::bind(LOOPBACK).unwrap();
    flood.connect(node.endpoint.local_addr()).unwrap();
    let flight = first_flight(&runtime, || quinn::ConnectionId::new(&[7; 20]));
    for round in 0..6u8 {
        // More than quinn would queue, each as if of another dialler.
        for number in 0..200u8 {
            let mut datagram = flight[0].clone();
            (datagram[6], datagram[7]) = (round, number);
            // A full socket loses some.
            let _ = flood.send(&datagram);
        }
        let member = Node::start(&runtime, 100 + round, TransportLimits::small());
        member.dial(0, &node, None);
        assert_eq!(member.opened().1, node.endpoint.node_id());
        assert_eq!(node.opened().1, member.endpoint.node_id());
    }
}

#[test]
fn the_first_message_and_the_certificate_name_nothing() {
    let identity = Identity::from_seed(&[3; 32]).unwrap();
    let tls = Arc::new(client_tls(&identity));
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let version = rustls::quic::Version::V1;
    let mut client = rustls::quic::ClientConnection::new(tls, version, name, vec![]).unwrap();
    let mut hello = Vec::new();
    let _keys = client.write_hs(&mut hello);
    let shows = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(shows(&hello, crate::ALPN), "this is the message that names the protocol");
    assert!(!shows(&hello, NAME.as_bytes()) && !shows(&hello, b"invalid"));
    assert!(!shows(&hello, identity.node.as_bytes()));
    // The certificate has one name, the same for every node of every mesh; an empty subject and issuer.
    let certificate = &identity.certified.cert[0];
    let text: Vec<&[u8]> =
        certificate.split(|byte| !byte.is_ascii_graphic()).filter(|word| word.len() > 7).collect();
    assert!(shows(certificate, NAME.as_bytes()));
    assert!(
        text.iter().all(|word| shows(word, NAME.as_bytes()) || shows(word, b"0000")),
        "{text:?}"
    );
}
