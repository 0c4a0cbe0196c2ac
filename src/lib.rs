//! Sluice, a selective forwarding media server.
pub mod ids;
pub mod units;
pub mod config;
pub mod wire;
pub mod net;
pub mod turn;
pub mod sfu;
pub mod worker;
pub mod room;
