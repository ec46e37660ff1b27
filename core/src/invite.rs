//! Invites.
