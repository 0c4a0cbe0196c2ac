//! Sluice, a selective forwarding media server.
pub mod ids;
pub mod net;
pub mod turn;
pub mod wire;
