//! Every window, count and time of the transport, and quinn's settings made from them. Quinn's own
//! defaults would let one peer pin 10 MiB.
//!
//! The connection's receive window is shared by its streams, and priorities order only sending. So
//! unread streams must never use it up: control and announce are read apart from everything else,
//! requests are read as they come (they are small), and an answer is asked for only when there is
//! room to read it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cairn_core::wire::Class;
use quinn::{MtuDiscoveryConfig, NoneTokenStore, TransportConfig, VarInt};

/// Frames on the control stream that wait for the driver, per connection.
pub(crate) const CONTROL_WAITING_MAX: usize = 16;
/// Announcements that wait for the driver, per connection.
pub(crate) const ANNOUNCE_WAITING_MAX: usize = 4;
/// Streams that a peer can leave unread by us: its control and its announce stream.
const UNREAD_STREAMS: u32 = 2;
/// What must stay free of the connection's window besides.
const WINDOW_RESERVE: u32 = 64 * 1024;

/// How much one endpoint and each of its connections may use and wait.
///
/// | worst case per hostile peer | `default` | `small` |
/// |---|---|---|
/// | received, unread or in pieces (`receive_window`; with gaps half more) | 1.1 MiB | 320 KiB |
/// | sent, not acknowledged (`send_window`) | 1 MiB | 192 KiB |
/// | control frames, announcements and requests waiting for the driver | 0.6 MiB | 0.6 MiB |
/// | control frames and announcements waiting to be sent | 2.5 MiB | 0.8 MiB |
/// | answers to it, unread by it (`answers_out_bytes`) | 8 MiB | 2.5 MiB |
/// | answers from it, untaken by the driver (`answers_in_bytes`) | 8 MiB | 2.5 MiB |
///
/// The last three need a peer to whom core speaks, that is a member; the third is there only while
/// the driver is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportLimits {
    /// Bytes a peer may send on one stream ahead of our reading.
    pub stream_window: u32,
    /// The same over all streams of a connection.
    pub receive_window: u32,
    /// Bytes sent and not acknowledged, per connection.
    pub send_window: u32,
    /// Bytes of answers to our requests, asked for or waiting for the driver, per connection. A
    /// request counts with the largest possible answer until that is here, so it also bounds
    /// how many large answers come at a time.
    pub answers_in_bytes: u32,
    /// Bytes of our answers not yet taken by the peer, per connection; more are refused.
    pub answers_out_bytes: u32,
    /// Requests of ours on one connection; more get `NoAnswer` at once.
    pub requests_max: usize,
    /// Control frames waiting to be sent, per connection; one more ends the connection.
    pub control_queue: usize,
    /// Announcements waiting to be sent, per connection (a power of two); one more displaces the
    /// oldest.
    pub announce_queue: usize,
    /// Connections from others, handshakes included: core's own limit, so that core can say why it
    /// refuses, and the two below.
    pub inbound_max: usize,
    /// Connections from others to whom the driver has not spoken yet; one more ends the oldest.
    pub strangers_max: usize,
    /// Connections to others, and attempts.
    pub outbound_max: usize,
    /// Handshakes under way that others began; one more ends the oldest.
    pub half_open_max: usize,
    /// For a handshake, and for a dial with all its addresses.
    pub handshake_timeout: Duration,
    /// For any step on a stream: opening it, the first byte of an answer, and a frame, which gets
    /// one more second for each `rate_min` bytes.
    pub frame_timeout: Duration,
    /// Bytes per second that a frame must make.
    pub rate_min: u32,
    /// A connection without any packet for this long is over.
    pub idle_timeout: Duration,
    /// The dialler sends a packet at least this often.
    pub keep_alive: Duration,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            stream_window: 256 * 1024,
            receive_window: 4 * 256 * 1024 + WINDOW_RESERVE,
            send_window: 1024 * 1024,
            answers_in_bytes: 8 * 1024 * 1024,
            answers_out_bytes: 8 * 1024 * 1024,
            requests_max: 32,
            control_queue: 64,
            announce_queue: 32,
            inbound_max: 64 + 16 + 16,
            strangers_max: 16,
            outbound_max: 32,
            half_open_max: 16,
            handshake_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(10),
            rate_min: 32 * 1024,
            idle_timeout: Duration::from_secs(60),
            // Many routers forget a UDP flow after 30 s.
            keep_alive: Duration::from_secs(25),
        }
    }
}

impl TransportLimits {
    /// For boards with little memory.
    pub fn small() -> Self {
        Self {
            stream_window: 64 * 1024,
            receive_window: 4 * 64 * 1024 + WINDOW_RESERVE,
            send_window: 192 * 1024,
            answers_in_bytes: 5 * 512 * 1024,
            answers_out_bytes: 5 * 512 * 1024,
            requests_max: 16,
            control_queue: 32,
            announce_queue: 8,
            ..Self::default()
        }
    }

    /// Says what contradicts what.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let unread = self.stream_window.saturating_mul(UNREAD_STREAMS);
        let largest = Class::ALL.map(Class::answer_bytes_max).into_iter().max();
        let holds = |bytes: u32| largest.is_some_and(|largest| bytes as usize >= largest);
        if self.receive_window < unread.saturating_add(WINDOW_RESERVE) {
            Err("receive_window must be at least 2 × stream_window + 64 KiB")
        } else if self.receive_window > VARINT_SAFE || self.stream_window > VARINT_SAFE {
            Err("windows must be less than 1 GiB")
        } else if !holds(self.answers_in_bytes) || !holds(self.answers_out_bytes) {
            Err("answers_in_bytes and answers_out_bytes must hold the largest answer")
        } else if self.rate_min == 0 || self.control_queue == 0 || self.announce_queue == 0 {
            Err("rate_min, control_queue and announce_queue must not be 0")
        } else {
            Ok(())
        }
    }

    /// How long `bytes` of a frame may take.
    pub(crate) fn frame_deadline(&self, bytes: usize) -> Duration {
        let seconds = bytes as u64 / u64::from(self.rate_min);
        self.frame_timeout + Duration::from_secs(seconds)
    }

    fn transport(&self, keep_alive: Option<Duration>) -> Arc<TransportConfig> {
        let requests: usize =
            Class::ALL.into_iter().filter(|class| class.is_request()).map(Class::inbound_max).sum();
        let bidirectional = u32::try_from(requests + Class::Control.inbound_max());
        let idle = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        let mut mtu = MtuDiscoveryConfig::default();
        mtu.upper_bound(1452);
        let mut config = TransportConfig::default();
        config
            .max_concurrent_bidi_streams(bidirectional.unwrap_or(u32::MAX).into())
            .max_concurrent_uni_streams(1u32.into())
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.receive_window.into())
            .send_window(self.send_window.into())
            .crypto_buffer_size(16 * 1024)
            .datagram_receive_buffer_size(None)
            .datagram_send_buffer_size(0)
            .max_idle_timeout(Some(VarInt::from_u32(idle).into()))
            .keep_alive_interval(keep_alive)
            .initial_mtu(1200)
            .mtu_discovery_config(Some(mtu))
            .enable_segmentation_offload(true)
            .allow_spin(false);
        Arc::new(config)
    }

    /// Quinn's settings for those who dial us.
    pub(crate) fn server(&self, tls: Arc<dyn quinn::crypto::ServerConfig>) -> quinn::ServerConfig {
        let mut config = quinn::ServerConfig::with_crypto(tls);
        config
            .transport_config(self.transport(None))
            .max_incoming(2 * self.half_open_max)
            .incoming_buffer_size(8 * 1024)
            .incoming_buffer_size_total(64 * 1024)
            .migration(true)
            .time_source(Arc::new(SteadyTime::start()));
        config
    }

    /// Quinn's settings for a dial. Address tokens of earlier connections are not kept: all nodes
    /// have the same name in TLS, so one node's token would be shown to another.
    pub(crate) fn client(&self, tls: Arc<dyn quinn::crypto::ClientConfig>) -> quinn::ClientConfig {
        let mut config = quinn::ClientConfig::new(tls);
        config
            .transport_config(self.transport(Some(self.keep_alive)))
            .token_store(Arc::new(NoneTokenStore));
        config
    }
}

/// Windows beyond this are mistakes.
const VARINT_SAFE: u32 = 1 << 30;

/// Wall-clock time that a correction of the clock does not move, or a Retry under way when the
/// clock is first set would fail.
struct SteadyTime {
    wall: SystemTime,
    start: Instant,
}

impl SteadyTime {
    fn start() -> Self {
        Self { wall: SystemTime::now(), start: Instant::now() }
    }
}

impl quinn::TimeSource for SteadyTime {
    fn now(&self) -> SystemTime {
        self.wall + self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_limits_hold_together() {
        assert_eq!(TransportLimits::default().check(), Ok(()));
        assert_eq!(TransportLimits::small().check(), Ok(()));
    }

    #[test]
    fn contradictions_are_named() {
        let base = TransportLimits::small;
        let window = TransportLimits { receive_window: 100_000, ..base() };
        assert!(window.check().unwrap_err().contains("receive_window"));
        let room = TransportLimits { answers_in_bytes: 100_000, ..base() };
        assert!(room.check().unwrap_err().contains("answers_in_bytes"));
        let rate = TransportLimits { rate_min: 0, ..base() };
        assert!(rate.check().unwrap_err().contains("rate_min"));
    }
}
