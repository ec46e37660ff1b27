//! What anybody on the path can read of a handshake: Initial packets are encrypted, but their keys
//! follow from the first connection id (RFC 9001, section 5.2).

use std::collections::HashMap;

use rustls::Side;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{DirectionalKeys, Version};

/// Bytes of a knock, so of the first connection id of a dialler.
const KNOCK: usize = 20;

/// Parts of an Initial packet of version 1, and where its packet number is.
struct Initial<'a> {
    to: &'a [u8],
    from: &'a [u8],
    number_at: usize,
    end: usize,
}

/// Takes a number of RFC 9000, section 16.
fn number(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let first = *bytes.get(*at)?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(*at + 1..*at + length)?;
    *at += length;
    Some(
        rest.iter()
            .fold(usize::from(first & 0x3f), |number, byte| number << 8 | usize::from(*byte)),
    )
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, length: usize) -> Option<&'a [u8]> {
    let part = bytes.get(*at..*at + length)?;
    *at += length;
    Some(part)
}

fn parse(datagram: &[u8]) -> Option<Initial<'_>> {
    if datagram.first()? & 0xb0 != 0x80 || datagram.get(1..5)? != [0, 0, 0, 1] {
        return None;
    }
    let mut at = 6;
    let to = take(datagram, &mut at, usize::from(datagram[5]))?;
    let from_length = take(datagram, &mut at, 1)?[0];
    let from = take(datagram, &mut at, usize::from(from_length))?;
    let token = number(datagram, &mut at)?;
    take(datagram, &mut at, token)?;
    let length = number(datagram, &mut at)?;
    Some(Initial { to, from, number_at: at, end: at + length })
}

fn keys(first_id: &[u8], side: Side) -> DirectionalKeys {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap();
    suite.keys(first_id, side, Version::V1).remote
}

fn decrypt(datagram: &[u8], packet: &Initial<'_>, keys: &DirectionalKeys) -> Option<Vec<u8>> {
    let mut bytes = datagram.get(..packet.end)?.to_vec();
    let (header, body) = bytes.split_at_mut(packet.number_at);
    let (number, rest) = body.split_at_mut(4);
    let sample = rest.get(..keys.header.sample_len())?.to_vec();
    keys.header.decrypt_in_place(&sample, &mut header[0], number).ok()?;
    let length = usize::from(bytes[0] & 3) + 1;
    let (header, payload) = bytes.split_at_mut(packet.number_at + length);
    let number = header[packet.number_at..].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    keys.packet.decrypt_in_place(number, header, payload).ok().map(<[u8]>::to_vec)
}

/// The payloads of all Initial packets at the start of these datagrams, decrypted.
pub(crate) fn readable(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // The first connection id, by the id that the dialler has itself answered at.
    let mut dials: HashMap<&[u8], &[u8]> = HashMap::new();
    let mut payloads = Vec::new();
    for datagram in datagrams {
        let Some(packet) = parse(datagram) else {
            continue;
        };
        if packet.to.len() == KNOCK {
            dials.insert(packet.from, packet.to);
        }
        let by_dialler = dials.get(packet.from).map(|id| keys(id, Side::Server));
        let keys = by_dialler.or_else(|| dials.get(packet.to).map(|id| keys(id, Side::Client)));
        payloads.extend(keys.and_then(|keys| decrypt(datagram, &packet, &keys)));
    }
    payloads
}
