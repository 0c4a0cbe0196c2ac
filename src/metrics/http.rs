//! HTTP requests, counted where they are answered.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};

use super::Error;
use super::names::{HTTP_REQUESTS, HTTP_TIME};

/// The methods that have a label value of their own: what this server answers and what browsers send unasked.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
/// The label value of everything that a client made up.
const OTHER: &str = "other";
/// Upper bounds in seconds. An SDP answer takes about a millisecond; seconds mean trouble.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The counts of HTTP requests. Cheap to clone, clones count together; any thread may count.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    time: HistogramVec,
    wrong_keys: IntCounter,
    refused_guesses: IntCounter,
}

impl HttpMetrics {
    pub(super) fn new() -> Result<Self, Error> {
        let requests = Opts::new(HTTP_REQUESTS.name, HTTP_REQUESTS.help);
        let time = HistogramOpts::new(HTTP_TIME.name, HTTP_TIME.help).buckets(BOUNDS.to_vec());
        Ok(Self {
            requests: IntCounterVec::new(requests, HTTP_REQUESTS.labels)?,
            time: HistogramVec::new(time, HTTP_TIME.labels)?,
            wrong_keys: IntCounter::new("wrong_keys", "wrong")?,
            refused_guesses: IntCounter::new("refused_guesses", "refused")?,
        })
    }

    /// Counts a request that was answered.
    ///
    /// `route` is the pattern that matched (`/whep/{stream}`), never the path that was asked for: its values are
    /// those of the program. A `method` or `status` that HTTP does not know is counted as `other`.
    pub fn observe(&self, route: &'static str, method: &str, status: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER);
        let status = if (100..600).contains(&status) { status.to_string() } else { OTHER.to_owned() };
        // These fail only if the number of values were not that of the labels.
        if let Ok(requests) = self.requests.get_metric_with_label_values(&[route, method, &status]) {
            requests.inc();
        }
        if let Ok(time) = self.time.get_metric_with_label_values(&[route, method]) {
            time.observe(took.as_secs_f64());
        }
    }

    /// Counts a key that was wrong.
    pub fn wrong_key(&self) {
        self.wrong_keys.inc();
    }

    /// Counts a key that was not looked at.
    pub fn refused_guess(&self) {
        self.refused_guesses.inc();
    }

    pub(super) fn wrong_keys(&self) -> u64 {
        self.wrong_keys.get()
    }

    pub(super) fn refused_guesses(&self) -> u64 {
        self.refused_guesses.get()
    }

    pub(super) fn requests(&self) -> Vec<MetricFamily> {
        self.requests.collect()
    }

    pub(super) fn time(&self) -> Vec<MetricFamily> {
        self.time.collect()
    }
}
