//! Sluice, a selective forwarding media server.
pub mod ids;
pub mod units;
pub mod wire;
pub mod net;
pub mod turn;
pub mod sfu;
pub mod worker;
