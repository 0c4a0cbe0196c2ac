//! Sluice, a selective forwarding media server.
pub mod config;
pub mod ids;
pub mod units;
