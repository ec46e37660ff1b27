//! What a link costs when nobody has anything to say: members pay for mobile data.

use std::time::{Duration, Instant};

use support::process::{Cairn, count, eventually};
use support::relay::Relay;

use crate::mesh::agree;

/// Seconds that are measured; `CAIRN_IDLE` in the environment.
const SECONDS: usize = 50;
/// Bytes of IPv4 and UDP in front of each packet.
const HEADERS: usize = 28;
const DAY: usize = 86_400;
/// What an idle link may cost in a day, both ways together.
const DAY_BYTES: usize = 1_000_000;
/// A round of pings and a comparison of sets: what comes too seldom for a short measurement.
const ROUND_BYTES: usize = 1_500;
/// Nothing is under way when nothing was sent for so long: a change is followed by a ping after 2 s.
const CALM: Duration = Duration::from_secs(5);

#[test]
fn an_idle_link_costs_less_than_a_megabyte_a_day() {
    let mut relay = Relay::default();
    let (private, public) = relay.place();
    let mut founder = Cairn::at("a", private);
    let public = public.to_string();
    let founded = founder.ok(&["init", "e2e", "--spacing", "200ms", "--address", &public]);
    founder.start(&[]);
    let mut other = Cairn::at("b", relay.place().0);
    other.ok(&["join", founded["invite"].as_str().unwrap(), "--name", "b"]);
    other.start(&[]);
    eventually("they are linked", 60, || {
        (other.get("/v1/status")["peers"]["connected"] == 1).then_some(())
    });
    agree(&[&founder, &other], 60);
    let mut last = (relay.carried(), Instant::now());
    eventually("nothing is under way", 120, || {
        if relay.carried() != last.0 {
            last = (relay.carried(), Instant::now());
        }
        (last.1.elapsed() > CALM).then_some(())
    });
    let seconds = count("CAIRN_IDLE", SECONDS);
    relay.record();
    let start = Instant::now();
    eventually("it was measured", seconds as u64 + 30, || {
        (start.elapsed().as_secs() as usize >= seconds).then_some(())
    });
    let packets = relay.recorded();
    let bytes: usize = packets.iter().map(|packet| packet.len() + HEADERS).sum();
    let day = bytes * DAY / seconds;
    eprintln!("{} packets, {bytes} bytes in {seconds} s: {day} bytes a day", packets.len());
    let allowed = DAY_BYTES * seconds / DAY + ROUND_BYTES;
    assert!(bytes <= allowed, "{bytes} bytes in {seconds} s, at most {allowed}");
    assert!(!packets.is_empty(), "the link is kept open");
}
