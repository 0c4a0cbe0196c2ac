//! Sluice, a selective forwarding media server: encoders and browsers publish, browsers and players watch, and each
//! packet is forwarded without being decoded.
//!
//! # Floors
//!
//! Modules import from lower floors only; `tests/architecture.rs` keeps it so.
//!
//! | floor | modules | what they know |
//! |---|---|---|
//! | 7 | [`server`], `main` | how everything is started, wired and stopped |
//! | 6 | [`signal`], [`metrics`], [`doctor`], [`health`], [`log`] | HTTP: WHIP, WHEP, pages; Prometheus; what keeps people out; the health check; the log |
//! | 5 | [`room`] on [`protocol`] | who is where, and what that means for the workers; the words of room clients |
//! | 4 | [`worker`] | the media threads |
//! | 3 | [`sfu`] | forwarding, without I/O: `session` on `egress` on `forward` |
//! | 2 | [`net`], [`turn`] | sockets and whose a datagram is; the STUN server |
//! | 1 | [`wire`] | bytes: STUN, SDP, the codecs' payload headers |
//! | 0 | [`ids`], [`units`], [`config`] | words that everybody uses |
//!
//! # The way of a packet
//!
//! 1. `net::udp` receives a batch of datagrams in one system call ([`net::udp::UdpPort::receive`]).
//! 2. [`net::demux`] tells whose each is ([`net::demux::Demux::route`]).
//! 3. `sfu::session` lets str0m decrypt it ([`sfu::session::Session::receive`]).
//! 4. `sfu::core` notes it down for each subscriber of its track, and when the batch is read, serves subscriber after
//!    subscriber ([`sfu::Core::forward`]).
//! 5. `sfu::forward` decides and renumbers ([`sfu::forward::subscription::Subscription::accept`]), `sfu::egress`
//!    seals and sends ([`sfu::egress::Egress::send`]).
//! 6. `net::udp` sends what came of it in as few system calls as it takes ([`net::udp::UdpPort::send`]).
//!
//! # Invariants
//!
//! - Whatever decides takes `now` as an argument: no clock below the worker's loop.
//! - Workers share nothing. What crosses a thread is a value ([`worker::message`]), never a handle.
//! - Nothing on the way of a packet locks, and nothing there knows HTTP, rooms or Prometheus.
//! - Bytes from the network cannot panic a parser; a panic in one session ends that session alone.
//! - What is dropped is counted.

pub mod ids;
pub mod units;
pub mod config;
pub mod wire;
pub mod net;
pub mod turn;
pub mod sfu;
pub mod worker;
pub mod protocol;
pub mod room;
pub mod health;
pub mod log;
pub mod doctor;
pub mod signal;
pub mod metrics;
pub mod server;
