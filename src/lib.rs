//! Sluice, a selective forwarding media server.
pub mod health;
pub mod ids;
