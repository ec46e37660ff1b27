//! Calling back: whether a node can be reached from a socket that it never sent anything to.
//!
//! A router or firewall that lets answers in remembers where they may come from; the usual socket
//! of this node may be such a place, so a call is made from a socket of its own. What is left
//! unknown: some routers look at the address alone and not at the port.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use cairn_core::engine::{CallId, PeerAddr};
use cairn_core::id::NodeId;
use cairn_core::wire::CloseCode;
use quinn::VarInt;
use tokio::time::timeout;

use crate::endpoint::{Endpoint, Shared};
use crate::error::DialError;
use crate::event::TransportEvent;

/// For a call; who asked waits for it.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// For the other side to hear that it is over.
const HANG_UP_WAIT: Duration = Duration::from_secs(1);

impl Endpoint {
    /// Finds out whether the node `expected` can be reached at `ip:port` from another port than
    /// this endpoint's, and hangs up. `CalledBack` follows within 4 s. How many calls there are at a
    /// time is for the caller to bound.
    pub fn call_back(&self, call: CallId, address: &PeerAddr, expected: NodeId) {
        let (shared, address) = (Arc::clone(&self.0), address.0.parse());
        self.0.runtime.spawn(async move {
            let outcome = match address {
                Ok(address) => shared.call(address, expected).await,
                Err(_) => Err(DialError::Resolve("not an IP address and a port".to_owned())),
            };
            let result = match outcome {
                // Too busy to be talked to, and there.
                Err(DialError::Refused) => Ok(()),
                outcome => outcome,
            };
            shared.sink.put_own(TransportEvent::CalledBack { call, result });
        });
    }
}

impl Shared {
    async fn call(&self, address: SocketAddr, expected: NodeId) -> Result<(), DialError> {
        let failed = |error: std::io::Error| DialError::Handshake(error.to_string());
        let from = SocketAddr::new(self.address.ip(), 0);
        let socket = UdpSocket::bind(from).map_err(failed)?;
        let (config, runtime) = (quinn::EndpointConfig::default(), quinn::TokioRuntime);
        let quinn =
            quinn::Endpoint::new(config, None, socket, Arc::new(runtime)).map_err(failed)?;
        let dialled = timeout(CALL_TIMEOUT, self.try_address(&quinn, address, Some(expected)));
        let dialled = dialled.await.unwrap_or(Err(DialError::Timeout));
        // The other side may hear no code: this is before the handshake is confirmed (RFC 9000, 10.2.3).
        quinn.close(VarInt::from_u32(CloseCode::Duplicate as u32), b"called back");
        // The answer need not wait for that.
        self.runtime.spawn(async move { drop(timeout(HANG_UP_WAIT, quinn.wait_idle()).await) });
        dialled.map(drop)
    }
}
