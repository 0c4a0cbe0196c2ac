//! Sluice, a selective forwarding media server.
pub mod health;
pub mod ids;
pub mod units;
pub mod config;
pub mod wire;
pub mod net;
pub mod turn;
pub mod sfu;
pub mod worker;
pub mod room;
pub mod signal;
pub mod metrics;
pub mod server;
