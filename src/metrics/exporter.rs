//! One scrape: the newest snapshots, summed and written as text.

use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::Error;
use super::http::HttpMetrics;
use super::names::{METRICS, Metric, Source};
use super::process::Process;
use crate::net::tls::CertificateCounters;
use crate::sfu::counters::Histogram;
use crate::worker::message::Snapshot;

/// The count of rooms and streams, as the control plane tells it.
use crate::room::directory::Census;

/// The media type of [`Exporter::scrape`]'s text: Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const MICROS_PER_SECOND: f64 = 1e6;

/// Answers scrapes.
#[derive(Debug)]
pub struct Exporter {
    version: &'static str,
    http: HttpMetrics,
    certificates: Arc<CertificateCounters>,
    start_time: Option<f64>,
}

impl Exporter {
    /// An exporter of a server of this version.
    ///
    /// # Errors
    /// Never, unless a name or a label in [`METRICS`] is not one that Prometheus allows.
    pub fn new(version: &'static str) -> Result<Self, Error> {
        let (http, certificates) = (HttpMetrics::new()?, Arc::default());
        Ok(Self { version, http, certificates, start_time: Process::read().start_time })
    }

    /// The counts of HTTP requests, which the HTTP server is to keep.
    #[must_use]
    pub fn http(&self) -> HttpMetrics {
        self.http.clone()
    }

    /// What is counted of the certificate, which whoever uses and renews it is to keep.
    #[must_use]
    pub fn certificates(&self) -> Arc<CertificateCounters> {
        self.certificates.clone()
    }

    /// All metrics as text: the sum of the workers' newest `snapshots`, the `rooms`, HTTP and process.
    ///
    /// # Errors
    /// Never, unless the encoder refuses a family, which would be a bug.
    pub fn scrape(&self, snapshots: &[Snapshot], rooms: Census) -> Result<String, Error> {
        let process = Process { start_time: self.start_time, ..Process::read() };
        let families: Vec<MetricFamily> = METRICS
            .iter()
            .map(|metric| family(metric, self.samples(metric, snapshots, &rooms, &process)))
            // The encoder takes no family without a sample: HTTP before the first request.
            .filter(|family| !family.get_metric().is_empty())
            .collect();
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }

    fn samples(
        &self,
        metric: &Metric,
        snapshots: &[Snapshot],
        rooms: &Census,
        process: &Process,
    ) -> Vec<proto::Metric> {
        let kind = metric.kind;
        match metric.source {
            Source::Workers(read) => {
                vec![number(kind, snapshots.iter().map(read).sum::<u64>() as f64)]
            }
            Source::WorkersBy(read) => {
                let sums = sum_by(snapshots, read).into_iter();
                let labels = metric.labels;
                sums.map(|(value, sum)| labelled(number(kind, sum as f64), labels, value)).collect()
            }
            Source::WorkersTime(read) => vec![time(snapshots.iter().map(read))],
            Source::Rooms(read) => vec![number(kind, read(rooms) as f64)],
            Source::Process(read) => read(process).map(|value| number(kind, value)).into_iter().collect(),
            Source::Certificates(read) => {
                let values = read(&self.certificates).into_iter();
                values
                    .map(|(value, count)| labelled(number(kind, count as f64), metric.labels, value))
                    .collect()
            }
            Source::CertificateEnd => {
                self.certificates.end().map(|end| number(kind, end as f64)).into_iter().collect()
            }
            Source::Build => vec![labelled(number(kind, 1.0), metric.labels, self.version)],
            Source::HttpRequests => taken(self.http.requests()),
            Source::HttpTime => taken(self.http.time()),
            Source::WrongKeys => vec![number(kind, self.http.wrong_keys() as f64)],
            Source::RefusedTries => vec![number(kind, self.http.refused_guesses() as f64)],
        }
    }
}

fn family(metric: &Metric, samples: Vec<proto::Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(metric.kind);
    family.set_metric(samples);
    family
}

fn taken(families: Vec<MetricFamily>) -> Vec<proto::Metric> {
    families.into_iter().flat_map(|mut family| family.take_metric()).collect()
}

fn number(kind: MetricType, value: f64) -> proto::Metric {
    let mut metric = proto::Metric::default();
    if kind == MetricType::COUNTER {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// `metric` with `value` for its only label.
fn labelled(mut metric: proto::Metric, labels: &[&str], value: &str) -> proto::Metric {
    let pair = |name: &&str| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

/// The sums over all workers. Without workers, all values of the label with 0.
fn sum_by(
    snapshots: &[Snapshot],
    read: fn(&Snapshot) -> Vec<(&'static str, u64)>,
) -> Vec<(&'static str, u64)> {
    let mut sums = read(&Snapshot::default());
    for snapshot in snapshots {
        for ((_, sum), (_, value)) in sums.iter_mut().zip(read(snapshot)) {
            *sum += value;
        }
    }
    sums
}

/// The sum of histograms in microseconds as one in seconds.
fn time<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> proto::Metric {
    let mut sum = Histogram::default();
    for histogram in histograms {
        sum.buckets.iter_mut().zip(histogram.buckets).for_each(|(total, count)| *total += count);
        sum.sum = sum.sum.saturating_add(histogram.sum);
    }
    let mut cumulative = 0;
    let buckets = Histogram::BOUNDS.into_iter().zip(sum.buckets).map(|(bound, count)| {
        cumulative += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound as f64 / MICROS_PER_SECOND);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(sum.count());
    histogram.set_sample_sum(sum.sum as f64 / MICROS_PER_SECOND);
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    metric
}
