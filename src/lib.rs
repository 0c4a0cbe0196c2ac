//! Sluice, a selective forwarding media server.
pub mod ids;
