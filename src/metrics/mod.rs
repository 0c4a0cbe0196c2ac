//! What Prometheus sees: the list of all metrics and the exporter that fills it.
//!
//! In reading order: `process` (what the operating system says of this process), [`names`] (every metric, once),
//! [`http`] (requests, counted where they are answered), [`exporter`] (one scrape). Workers publish a
//! [`Snapshot`](crate::worker::message::Snapshot) a second and a scrape sums the newest ones, so that it never
//! touches a worker. No label holds a room, a session or an address: the number of series is bounded by this
//! program, not by its users.
//!
//! `docs/metrics.md` is the page for users; a test keeps its table equal to [`names::METRICS`].

pub mod exporter;
pub mod http;
pub mod names;
mod process;

/// The metrics could not be built or written as text. As names and labels are fixed, this is a bug of the exporter.
#[derive(Debug, thiserror::Error)]
#[error("the metrics could not be written: {0}")]
pub struct Error(#[from] prometheus::Error);
