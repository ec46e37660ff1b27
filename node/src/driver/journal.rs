//! What an operator reads in the log. Some lines are part of the surface and stay word for word.

use cairn_core::event::Event;

use crate::explain;

/// A dial begins.
pub(super) fn dialing(address: &str) {
    tracing::info!(address, "Attempting to establish outbound connections");
}

/// Something happened that is worth a line. Single facts are not.
pub(super) fn tell(event: &Event) {
    match event {
        Event::FactAdded(id) => tracing::trace!(%id, "fact"),
        Event::BlockConnected { tip, facts, .. } => {
            tracing::info!(height = tip.height.0, id = %tip.id, facts, "block connected");
        }
        Event::Reorged(reorg) => tracing::warn!(
            depth = reorg.depth,
            from = %reorg.from.id,
            to = %reorg.to.id,
            moved = reorg.moved,
            requeued = reorg.requeued,
            lost = reorg.lost,
            "the best chain changed"
        ),
        Event::Conflicted { fact, reason } => tracing::info!(%fact, reason, "fact in conflict"),
        Event::BlockRefused { block, reason } => tracing::warn!(%block, reason, "block refused"),
        Event::PeerConnected { node, outbound: true } => {
            tracing::info!(%node, "Successfully established outbound connection");
        }
        Event::PeerConnected { node, outbound: false } => tracing::info!(%node, "peer connected"),
        Event::Revoked { node } => tracing::warn!(%node, "revoked: it is cut off from now on"),
        Event::PeersHeard { node, count } => {
            tracing::info!(%node, count, "Received peer list from peer");
        }
        Event::PeerClosed { node, code: None, reason, .. } => {
            tracing::info!(%node, reason, "peer disconnected");
        }
        Event::PeerClosed { node, code: Some(code), by_peer, reason } => {
            let why = explain::close(*code, *by_peer, reason);
            let code = format!("{:#04x}", *code as u8);
            tracing::info!(%node, code, reason, by_peer, meaning = why.meaning, "peer disconnected");
        }
        Event::PeerBanned { node, until, reason } => {
            tracing::warn!(%node, %until, reason, "the peer misbehaved and is kept out");
        }
        Event::ReadOnly(true) => tracing::warn!(
            "the disk has no room to spare: read-only until there is (df -h, or --disk-limit)"
        ),
        Event::Twin(true) => tracing::warn!(
            "another running node has this node's key: this one seals no blocks until it is alone \
             (stop one of the two for good)"
        ),
        Event::Twin(false) => tracing::info!("no other node with this key: sealing resumes"),
        Event::ReadOnly(false) => tracing::info!("the disk has room again: writing resumes"),
        Event::Synced(tip) => tracing::info!("Synced to tip (height={})", tip.height),
    }
}
