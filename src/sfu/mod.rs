//! The sans-IO selective forwarding core: datagrams and time go in, datagrams and events come out.
//!
//! A [`Core`] belongs to one thread and shares nothing. Its turn is: [`Core::receive`] for each datagram of a batch,
//! then [`Core::forward`] once, which serves subscriber by subscriber what the batch brought.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod forward;
pub mod egress;
pub mod session;
mod timers;
pub mod counters;
mod core;

pub use self::core::{Core, CoreEvent, relay};
