//! What is said: one service type of DNS-SD (RFC 6763) over multicast DNS (RFC 6762), with a hash of
//! the mesh and a port. Parsing is the library's; what it gives is as hostile as anything.

use cairn_core::hash::Tag;
use cairn_core::id::{Hex, MeshId};
use simple_dns::rdata::{PTR, RData, SRV, TXT};
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, SimpleDnsError, TYPE,
};

/// The service type.
const SERVICE: &str = "_cairn._udp.local";
/// A packet without these bytes is about something else, and not worth parsing.
const MARK: &[u8] = b"_cairn";
/// Seconds that others may remember an announcement (RFC 6762, section 10, for records with names
/// that move).
const TTL: u32 = 120;
/// What the mesh's hash is told under.
const TAG_KEY: &str = "m";
/// Bytes of the mesh's hash that are told.
const TAG_BYTES: usize = 16;
/// Services read from one packet.
const SERVICES_MAX: usize = 4;

/// This node, as others on the network see it: a random name, a hash, a port.
pub(super) struct Service {
    tag: String,
    instance: String,
    port: u16,
}

/// What a packet says that matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Somebody looks for nodes.
    pub(super) asked: bool,
    /// Ports of other nodes of the same mesh, at the address that the packet came from.
    pub(super) ports: Vec<u16>,
}

impl Service {
    pub(super) fn new(mesh: &MeshId, name: [u8; 8], port: u16) -> Self {
        let mut hasher = Tag::Lan.hasher();
        hasher.update(mesh.as_ref());
        let hash = hasher.finish();
        let tag = Hex(&hash[..TAG_BYTES]).to_string();
        Self { tag, instance: format!("{}.{SERVICE}", Hex(&name)), port }
    }

    /// Asks who is there.
    pub(super) fn question() -> Result<Vec<u8>, SimpleDnsError> {
        let mut packet = Packet::new_query(0);
        let (kind, class) = (QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN));
        packet.questions.push(Question::new(Name::new(SERVICE)?, kind, class, false));
        packet.build_bytes_vec_compressed()
    }

    /// Says that this node is there. The address is that of the packet.
    pub(super) fn announcement(&self) -> Result<Vec<u8>, SimpleDnsError> {
        let mut packet = Packet::new_reply(0);
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        let instance = Name::new(&self.instance)?;
        let record = |name: &Name<'_>, data| {
            ResourceRecord::new(name.clone().into_owned(), CLASS::IN, TTL, data)
        };
        let place = SRV { priority: 0, weight: 0, port: self.port, target: instance.clone() };
        let text = format!("{TAG_KEY}={}", self.tag);
        let text = TXT::new().with_string(&text)?;
        packet.answers = vec![
            record(&Name::new(SERVICE)?, RData::PTR(PTR(instance.clone()))),
            record(&instance, RData::SRV(place)),
            record(&instance, RData::TXT(text)),
        ];
        packet.build_bytes_vec_compressed()
    }

    /// Reads a packet; what is damaged or about something else says nothing.
    pub(super) fn read(&self, bytes: &[u8]) -> Heard {
        if !bytes.windows(MARK.len()).any(|part| part == MARK) {
            return Heard::default();
        }
        match Packet::parse(bytes) {
            Ok(packet) if packet.has_flags(PacketFlag::RESPONSE) => {
                Heard { asked: false, ports: self.others(&packet) }
            }
            Ok(packet) => Heard { asked: is_question(&packet), ports: Vec::new() },
            Err(_) => Heard::default(),
        }
    }

    fn others(&self, packet: &Packet<'_>) -> Vec<u16> {
        let records = || packet.answers.iter().chain(&packet.additional_records);
        let ours = |name: &Name<'_>| {
            records().any(|record| match &record.rdata {
                RData::TXT(text) => {
                    let same = |(key, value): (&[u8], Option<&[u8]>)| {
                        key == TAG_KEY.as_bytes() && value == Some(self.tag.as_bytes())
                    };
                    record.name == *name && text.iter_raw().any(same)
                }
                _ => false,
            })
        };
        let mut ports = Vec::new();
        for record in records() {
            let RData::SRV(place) = &record.rdata else { continue };
            let another = record.name.to_string() != self.instance;
            if another && place.port > 0 && ports.len() < SERVICES_MAX && ours(&record.name) {
                ports.push(place.port);
            }
        }
        ports
    }
}

fn is_question(packet: &Packet<'_>) -> bool {
    let wanted = |question: &Question<'_>| {
        let pointer = matches!(question.qtype, QTYPE::TYPE(TYPE::PTR) | QTYPE::ANY);
        pointer && question.qname.to_string() == SERVICE
    };
    packet.questions.iter().any(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn service(mesh: u8, name: u8, port: u16) -> Service {
        Service::new(&MeshId([mesh; 32]), [name; 8], port)
    }

    #[test]
    fn a_node_hears_the_ports_of_others_of_its_mesh_and_nobody_elses() {
        let me = service(1, 1, 7_071);
        let heard = |other: &Service| me.read(&other.announcement().unwrap());
        assert_eq!(heard(&service(1, 2, 9_000)).ports, [9_000]);
        assert!(heard(&service(2, 2, 9_000)).ports.is_empty(), "another mesh");
        assert!(heard(&service(1, 1, 9_000)).ports.is_empty(), "itself");
        assert!(heard(&service(1, 2, 0)).ports.is_empty(), "no port");
    }

    #[test]
    fn a_question_is_heard_as_one_and_both_packets_are_small() {
        let me = service(1, 1, 7_071);
        let (question, announcement) = (Service::question().unwrap(), me.announcement().unwrap());
        assert_eq!(me.read(&question), Heard { asked: true, ports: Vec::new() });
        assert!(!me.read(&announcement).asked);
        assert_eq!((question.len(), announcement.len()), (35, 161));
    }

    #[test]
    fn neither_the_mesh_nor_the_node_is_told() {
        let bytes = service(7, 1, 7_071).announcement().unwrap();
        let told = |secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!told(&[7; 8]) && !told(Hex(&[7; 8]).to_string().as_bytes()));
    }

    #[test]
    fn a_packet_full_of_services_gives_a_few() {
        let mut packet = Packet::new_reply(0);
        let names: Vec<String> = (0..500).map(|n| format!("n{n}.{SERVICE}")).collect();
        let text = format!("{TAG_KEY}={}", service(1, 2, 1).tag);
        for (n, name) in names.iter().enumerate() {
            let name = Name::new(name).unwrap();
            let (port, target) = (n as u16 + 1, name.clone());
            let place = SRV { priority: 0, weight: 0, port, target };
            let text = TXT::new().with_string(&text).unwrap();
            for data in [RData::SRV(place), RData::TXT(text)] {
                packet.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, 9, data));
            }
        }
        let bytes = packet.build_bytes_vec_compressed().unwrap();
        assert_eq!(service(1, 1, 1).read(&bytes).ports.len(), SERVICES_MAX);
    }

    proptest! {
        #[test]
        fn no_packet_breaks_the_reader(
            at in 0..200usize, bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let me = service(1, 1, 7_071);
            let mut packet = service(1, 2, 9_000).announcement().unwrap();
            let at = at.min(packet.len());
            let end = (at + bytes.len()).min(packet.len());
            packet.splice(at..end, bytes.iter().copied());
            prop_assert!(me.read(&packet).ports.len() <= SERVICES_MAX);
            me.read(&[MARK, &bytes].concat());
        }
    }
}
