//! What the driver drives and acts on, as traits, so that tests can hold the loop to its contract.

use cairn_core::engine::{
    CallId, ConnId, DialId, Engine, Frame, Input, Output, PeerAddr, PeerStatus, Status,
};
use cairn_core::id::NodeId;
use cairn_core::store::{StoreFault, View};
use cairn_core::time::{Instant, Now};
use cairn_core::wire::CloseCode;
use cairn_transport_quic::Endpoint;

/// What the driver does to the network.
pub trait Transport: Send {
    /// Connects, with a key to nobody else.
    fn dial(&self, dial: DialId, address: &PeerAddr, expected: Option<NodeId>);
    /// Finds out whether a node can be reached, from another socket.
    fn call_back(&self, call: CallId, address: &PeerAddr, node: NodeId);
    /// Sends a frame.
    fn send(&self, conn: ConnId, frame: Frame);
    /// Ends a connection with a number and what there is to say besides.
    fn close(&self, conn: ConnId, code: CloseCode, detail: &str);
}

impl Transport for Endpoint {
    fn dial(&self, dial: DialId, address: &PeerAddr, expected: Option<NodeId>) {
        Self::dial(self, dial, address, expected);
    }
    fn call_back(&self, call: CallId, address: &PeerAddr, node: NodeId) {
        Self::call_back(self, call, address, node);
    }
    fn send(&self, conn: ConnId, frame: Frame) {
        Self::send(self, conn, frame);
    }
    fn close(&self, conn: ConnId, code: CloseCode, detail: &str) {
        Self::close(self, conn, code, detail);
    }
}

/// What the driver drives; the engine, but for tests.
pub trait Machine: Send {
    /// See `Engine::handle_input`.
    ///
    /// # Errors
    /// `StoreFault` if `view` fails.
    fn handle_input(
        &mut self,
        now: Now,
        input: Input<'_>,
        view: &dyn View,
    ) -> Result<(), StoreFault>;
    /// See `Engine::poll_output`.
    fn poll_output(&mut self) -> Option<Output>;
    /// See `Engine::poll_timeout`.
    fn poll_timeout(&self) -> Option<Instant>;
    /// See `Engine::status`.
    fn status(&self) -> &Status;
    /// See `Engine::peers`.
    fn peers(&self) -> Vec<PeerStatus>;
}

impl Machine for Engine {
    fn handle_input(
        &mut self,
        now: Now,
        input: Input<'_>,
        view: &dyn View,
    ) -> Result<(), StoreFault> {
        Self::handle_input(self, now, input, view)
    }
    fn poll_output(&mut self) -> Option<Output> {
        Self::poll_output(self)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self)
    }
    fn status(&self) -> &Status {
        Self::status(self)
    }
    fn peers(&self) -> Vec<PeerStatus> {
        Self::peers(self)
    }
}
