//! Every metric, once. A new one is one more entry of [`METRICS`]; then regenerate the table of `docs/metrics.md`.
//!
//! Names follow the [rules of Prometheus](https://prometheus.io/docs/practices/naming/): base units, `_total` for
//! counters. `received` and `sent` are seen from this server.

use prometheus::proto::MetricType;

use super::process::Process;
use crate::net::demux::DropReason;
use crate::net::tls::CertificateCounters;
use crate::room::directory::Census;
use crate::sfu::counters::Histogram;
use crate::sfu::session::EndReason;
use crate::turn::counters::{Dropped, Refused};
use crate::worker::message::Snapshot;

/// A metric: what it is called, what it means and where its value comes from.
#[derive(Clone, Copy)]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: MetricType,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    pub(super) source: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A number of each worker's snapshot; the sum counts.
    Workers(fn(&Snapshot) -> u64),
    /// Numbers of each worker's snapshot, by the value of the label. All values are always told.
    WorkersBy(fn(&Snapshot) -> Vec<(&'static str, u64)>),
    /// A histogram of each worker's snapshot.
    WorkersTime(fn(&Snapshot) -> &Histogram),
    /// The control plane's count.
    Rooms(fn(&Census) -> u64),
    /// What the kernel says; left out when it says nothing.
    Process(fn(&Process) -> Option<f64>),
    /// Counts of certificates, by the value of the label. All values are always told.
    Certificates(fn(&CertificateCounters) -> [(&'static str, u64); 2]),
    /// When the certificate in use ends; left out without one.
    CertificateEnd,
    /// The version, with the value 1.
    Build,
    /// [`HttpMetrics`](super::http::HttpMetrics): how many requests.
    HttpRequests,
    /// [`HttpMetrics`](super::http::HttpMetrics): how long they took.
    HttpTime,
    /// [`HttpMetrics`](super::http::HttpMetrics): keys that were wrong.
    WrongKeys,
    /// [`HttpMetrics`](super::http::HttpMetrics): keys that were not looked at.
    RefusedTries,
}

impl Metric {
    /// The values that its label can have, where they are few and known: the reasons.
    #[must_use]
    pub fn label_values(&self) -> Vec<&'static str> {
        match self.source {
            Source::WorkersBy(read) => {
                read(&Snapshot::default()).into_iter().map(|(value, _)| value).collect()
            }
            Source::Certificates(read) => {
                read(&CertificateCounters::default()).into_iter().map(|(value, _)| value).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// All metrics, in the order in which they are exported.
pub static METRICS: &[Metric] = &[
    // Who is here.
    gauge("sluice_sessions", "Sessions (peer connections) at this moment.", |now| now.core.sessions),
    counter("sluice_sessions_started_total", "Sessions begun: offers that got an answer.", |sum| {
        sum.core.sessions_started
    }),
    counter("sluice_sessions_connected_total", "Sessions that got ICE and DTLS through.", |sum| {
        sum.core.sessions_connected
    }),
    counter_by("sluice_sessions_ended_total", "Sessions ended, by reason.", ended),
    histogram(
        "sluice_session_join_duration_seconds",
        "From a session's offer until media can flow, for sessions that connected.",
        |sum| &sum.core.join_time,
    ),
    rooms("sluice_rooms", "Rooms with anybody in them.", |now| now.rooms),
    rooms("sluice_participants", "Participants who joined rooms, at this moment.", |now| now.participants),
    rooms("sluice_streams", "Rooms with a publisher on air.", |now| now.streams),
    gauge("sluice_tracks", "Published tracks at this moment.", |now| now.core.tracks),
    gauge("sluice_subscriptions", "Tracks on their way to a participant at this moment.", |now| {
        now.core.subscriptions
    }),
    // Media.
    counter("sluice_media_received_packets_total", "Media packets received from publishers.", |sum| {
        sum.core.media_packets_in
    }),
    counter("sluice_media_received_bytes_total", "Media payload received from publishers.", |sum| {
        sum.core.media_bytes_in
    }),
    counter("sluice_media_sent_packets_total", "Media packets handed to subscribers.", |sum| {
        sum.core.media_packets_out
    }),
    counter("sluice_media_sent_bytes_total", "Media payload handed to subscribers.", |sum| {
        sum.core.media_bytes_out
    }),
    counter(
        "sluice_media_unknown_packets_total",
        "Received media packets dropped, as their source or payload type was not negotiated.",
        |sum| sum.core.unknown_media,
    ),
    counter_by(
        "sluice_media_unsent_packets_total",
        "Media packets not handed to a subscriber, by reason.",
        unsent,
    ),
    counter(
        "sluice_keyframe_requests_received_total",
        "Key-frame requests (PLI, FIR) received from subscribers.",
        |sum| sum.core.keyframe_requests_in,
    ),
    counter(
        "sluice_keyframe_requests_sent_total",
        "Key-frame requests sent to publishers, after merging and throttling.",
        |sum| sum.core.keyframe_requests_out,
    ),
    counter(
        "sluice_padding_sent_bytes_total",
        "Padding sent to see what links of subscribers carry.",
        |sum| sum.core.padding_bytes,
    ),
    gauge("sluice_links", "Links of subscribers that are estimated, at this moment.", |now| {
        now.core.links.estimated
    }),
    gauge("sluice_links_estimate_bytes_per_second", "What these links can carry, together.", |now| {
        now.core.links.estimate
    }),
    gauge("sluice_links_allotted_bytes_per_second", "What of that is given to video, together.", |now| {
        now.core.links.allotted
    }),
    gauge(
        "sluice_links_waiting_bytes",
        "Media that waits to be sent no faster than links carry it.",
        |now| now.core.links.waiting_bytes,
    ),
    gauge("sluice_paused_slots", "Video that is not sent to who shows it, as the link is too slow.", |now| {
        now.core.links.paused_slots
    }),
    counter("sluice_layer_switches_up_total", "Times that a subscriber was given a better picture.", |sum| {
        sum.core.switches_up
    }),
    counter(
        "sluice_layer_switches_down_total",
        "Times that a subscriber was given a smaller picture.",
        |sum| sum.core.switches_down,
    ),
    counter(
        "sluice_catch_ups_total",
        "Times that a subscriber began with a key frame from before it came, and caught up.",
        |sum| sum.core.caught_up,
    ),
    gauge(
        "sluice_catch_up_bytes",
        "Media since the last key frames of encoders that make none when asked, kept for who comes.",
        |now| now.core.group_bytes,
    ),
    counter("sluice_probes_sent_total", "Attempts to send faster, to see what a link carries.", |sum| {
        sum.core.probes
    }),
    counter("sluice_nacks_received_total", "Packets that subscribers asked for again (NACK).", |sum| {
        sum.core.nacks_in
    }),
    counter(
        "sluice_media_resent_packets_total",
        "Packets that were sent again to who asked for them.",
        |sum| sum.core.resent,
    ),
    counter(
        "sluice_nacks_unanswered_total",
        "Packets that subscribers asked for again and that were not sent: too old, sent a moment ago, or too many.",
        |sum| sum.core.not_resent,
    ),
    counter(
        "sluice_feedback_received_packets_total",
        "Packets of which subscribers said that they arrived (transport-wide feedback).",
        |sum| sum.core.transport_received,
    ),
    counter(
        "sluice_feedback_lost_packets_total",
        "Packets of which subscribers said that they did not arrive (transport-wide feedback).",
        |sum| sum.core.transport_lost,
    ),
    counter(
        "sluice_feedback_dropped_datagrams_total",
        "RTCP of subscribers dropped, as it was forged, replayed or broken.",
        |sum| sum.core.bad_feedback,
    ),
    counter(
        "sluice_nacks_sent_total",
        "Packets that publishers were asked for again (NACK). Counted every 2 s.",
        |sum| sum.core.nacks_out,
    ),
    // Data channels.
    counter("sluice_data_received_messages_total", "Messages received through data channels.", |sum| {
        sum.core.data.messages_in
    }),
    counter("sluice_data_received_bytes_total", "Bytes of messages received through data channels.", |sum| {
        sum.core.data.bytes_in
    }),
    counter_by(
        "sluice_data_received_dropped_messages_total",
        "Messages received through data channels and dropped, by reason.",
        data_refused,
    ),
    counter(
        "sluice_data_sent_messages_total",
        "Messages sent through data channels; one to several receivers counts for each.",
        |sum| sum.core.data.messages_out,
    ),
    counter("sluice_data_sent_bytes_total", "Bytes of messages sent through data channels.", |sum| {
        sum.core.data.bytes_out
    }),
    counter_by(
        "sluice_data_unsent_messages_total",
        "Messages not sent through a data channel, by reason.",
        data_unsent,
    ),
    counter(
        "sluice_data_ignored_channels_total",
        "Data channels opened whose labels mean nothing here.",
        |sum| sum.core.data.ignored_channels,
    ),
    // The network.
    counter("sluice_udp_received_datagrams_total", "Datagrams received on the media port.", |sum| {
        sum.udp.packets_in
    }),
    counter("sluice_udp_received_bytes_total", "UDP payload received on the media port.", |sum| {
        sum.udp.bytes_in
    }),
    counter_by(
        "sluice_udp_received_dropped_datagrams_total",
        "Datagrams received on the media port and dropped, by reason.",
        dropped,
    ),
    counter("sluice_udp_sent_datagrams_total", "Datagrams that the kernel took to send.", |sum| {
        sum.udp.packets_out
    }),
    counter("sluice_udp_sent_bytes_total", "UDP payload that the kernel took to send.", |sum| {
        sum.udp.bytes_out
    }),
    counter_by(
        "sluice_udp_unsent_datagrams_total",
        "Datagrams that the kernel refused to send, by reason.",
        |sum| sum.udp.unsent.named().to_vec(),
    ),
    counter("sluice_udp_send_calls_total", "System calls made to send datagrams.", |sum| sum.udp.send_calls),
    counter(
        "sluice_stun_bindings_total",
        "STUN Binding requests answered outside of sessions, for clients that ask for their own address.",
        |sum| sum.core.stun_bindings,
    ),
    // Streams: media over TCP.
    gauge("sluice_streams_open", "Connections that carry media over TCP at this moment.", |now| {
        now.streams.open.get()
    }),
    Metric {
        labels: &["carries"],
        ..counter_by("sluice_stream_opened_total", "Connections that began to carry media over TCP.", |sum| {
            vec![("ice", sum.streams.ice.get()), ("turn", sum.streams.turn.get())]
        })
    },
    counter_by(
        "sluice_stream_closed_total",
        "Connections of the HTTP port that this server gave up before they had said what they are for, and connections with \
         media that it closed, by reason.",
        |sum| sum.streams.closed().to_vec(),
    ),
    counter("sluice_stream_received_frames_total", "Messages received over TCP.", |sum| {
        sum.streams.frames_in.get()
    }),
    counter("sluice_stream_received_bytes_total", "Bytes received over TCP with media.", |sum| {
        sum.streams.bytes_in.get()
    }),
    counter("sluice_stream_sent_frames_total", "Messages written to TCP.", |sum| {
        sum.streams.frames_out.get()
    }),
    counter("sluice_stream_sent_bytes_total", "Bytes written to TCP with media.", |sum| {
        sum.streams.bytes_out.get()
    }),
    counter_by(
        "sluice_stream_unsent_frames_total",
        "Messages not written to TCP, by reason: their reader was too slow, or is gone.",
        |sum| sum.streams.unsent().to_vec(),
    ),
    // The relay.
    gauge("sluice_turn_allocations", "Clients of the TURN relay at this moment.", |now| now.turn.allocations),
    counter("sluice_turn_allocations_total", "Allocations of the TURN relay that began.", |sum| {
        sum.turn.server.allocated
    }),
    counter(
        "sluice_turn_received_packets_total",
        "Packets that TURN clients sent through the relay.",
        |sum| sum.turn.server.outward.packets,
    ),
    counter(
        "sluice_turn_received_bytes_total",
        "Bytes in them, without what TURN puts around them.",
        |sum| sum.turn.server.outward.bytes,
    ),
    counter("sluice_turn_sent_packets_total", "Packets sent to TURN clients through the relay.", |sum| {
        sum.turn.server.inward.packets
    }),
    counter("sluice_turn_sent_bytes_total", "Bytes in them, without what TURN puts around them.", |sum| {
        sum.turn.server.inward.bytes
    }),
    Metric {
        name: "sluice_turn_refused_requests_total",
        help: "Requests of TURN clients that were refused, by error code.",
        kind: MetricType::COUNTER,
        labels: &["code"],
        source: Source::WorkersBy(turn_refused),
    },
    counter("sluice_turn_wrong_passwords_total", "TURN requests whose password was wrong.", |sum| {
        sum.turn.server.wrong_passwords
    }),
    counter_by(
        "sluice_turn_dropped_messages_total",
        "Messages for and from TURN clients that were dropped, by reason.",
        turn_dropped,
    ),
    // The program.
    // Between workers.
    counter(
        "sluice_relay_media_packets_total",
        "Media packets sent from one worker to another, once for all its subscribers of the track.",
        |sum| sum.relay.packets,
    ),
    counter(
        "sluice_relay_media_dropped_packets_total",
        "Those of them that were dropped, as the other worker's queue was full.",
        |sum| sum.relay.packets_dropped,
    ),
    counter(
        "sluice_relay_handed_datagrams_total",
        "Received datagrams handed over to the worker that holds their session.",
        |sum| sum.relay.datagrams,
    ),
    counter(
        "sluice_relay_handed_dropped_datagrams_total",
        "Those of them that were dropped, as the other worker's queue was full.",
        |sum| sum.relay.datagrams_dropped,
    ),
    counter(
        "sluice_relay_turn_datagrams_total",
        "Datagrams for TURN clients handed over to the worker that has their relayed address.",
        |sum| sum.relay.to_clients,
    ),
    counter(
        "sluice_relay_turn_dropped_datagrams_total",
        "Those of them that were dropped, as the other worker's queue was full.",
        |sum| sum.relay.to_clients_dropped,
    ),
    histogram(
        "sluice_worker_turn_duration_seconds",
        "Time a worker took to handle what had come, without waiting; it adds to the delay of media.",
        |sum| &sum.turn_time,
    ),
    counter("sluice_panics_total", "Bugs that ended one session and left the others alone.", |sum| {
        sum.core.panics
    }),
    HTTP_REQUESTS,
    HTTP_TIME,
    http("sluice_auth_wrong_keys_total", "Requests and joins whose key was wrong.", Source::WrongKeys),
    http(
        "sluice_auth_refused_tries_total",
        "Those whose key was not looked at, as too many from their address were wrong.",
        Source::RefusedTries,
    ),
    // The certificate.
    Metric {
        name: "sluice_certificate_end_timestamp_seconds",
        help: "When the certificate of the HTTP server ends, in seconds since 1970; only with TLS.",
        kind: MetricType::GAUGE,
        labels: &[],
        source: Source::CertificateEnd,
    },
    Metric {
        name: "sluice_certificate_orders_total",
        help: "Certificates asked for from the certificate authority of tls.acme, by what came of it.",
        kind: MetricType::COUNTER,
        labels: &["outcome"],
        source: Source::Certificates(|count| {
            [("issued", count.issued.get()), ("failed", count.failed.get())]
        }),
    },
    Metric {
        name: "sluice_build_info",
        help: "Always 1; the label says which version runs.",
        kind: MetricType::GAUGE,
        labels: &["version"],
        source: Source::Build,
    },
    // Named as in every Prometheus client library, so that common dashboards find them.
    process(
        "process_cpu_seconds_total",
        "CPU time spent in user and kernel mode.",
        MetricType::COUNTER,
        |now| now.cpu_seconds,
    ),
    process("process_resident_memory_bytes", "Memory held in RAM.", MetricType::GAUGE, |now| {
        now.resident_bytes
    }),
    process("process_open_fds", "Open file descriptors.", MetricType::GAUGE, |now| now.open_fds),
    process("process_max_fds", "Most file descriptors that may be open.", MetricType::GAUGE, |now| {
        now.max_fds
    }),
    process("process_threads", "Threads of the operating system.", MetricType::GAUGE, |now| now.threads),
    process(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        MetricType::GAUGE,
        |now| now.start_time,
    ),
];

pub(super) const HTTP_REQUESTS: Metric = Metric {
    name: "sluice_http_requests_total",
    help: "HTTP requests answered.",
    kind: MetricType::COUNTER,
    labels: &["route", "method", "status"],
    source: Source::HttpRequests,
};

pub(super) const HTTP_TIME: Metric = Metric {
    name: "sluice_http_request_duration_seconds",
    help: "Time from a whole HTTP request to its answer.",
    kind: MetricType::HISTOGRAM,
    labels: &["route", "method"],
    source: Source::HttpTime,
};

fn ended(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    EndReason::ALL.iter().map(|reason| reason.name()).zip(sum.core.sessions_ended).collect()
}

fn unsent(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    vec![
        ("awaiting_keyframe", sum.core.awaiting_keyframe),
        ("unplayable", sum.core.unplayable),
        ("silent", sum.core.silent),
        ("muted", sum.core.muted),
        ("unsealed", sum.core.unsent),
        ("slow_link", sum.core.given_up),
    ]
}

fn data_refused(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    let data = &sum.core.data;
    vec![
        ("too_large", data.refused_too_large),
        ("too_many", data.refused_too_many),
        ("malformed", data.refused_malformed),
        ("no_channel", data.refused_no_channel),
    ]
}

fn data_unsent(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    let data = &sum.core.data;
    vec![
        ("no_channel", data.unsent_no_channel),
        ("full", data.unsent_full),
        ("waiting_too_long", data.unsent_waiting_too_long),
        ("refused", data.unsent_refused),
    ]
}

fn dropped(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    let before_a_session = DropReason::ALL.iter().map(|reason| reason.name()).zip(sum.core.dropped);
    before_a_session.chain([("malformed", sum.core.malformed)]).collect()
}

fn turn_refused(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    Refused::ALL.iter().map(|reason| (reason.label(), sum.turn.server.refused(*reason))).collect()
}

fn turn_dropped(sum: &Snapshot) -> Vec<(&'static str, u64)> {
    let server = Dropped::ALL.iter().map(|reason| (reason.name(), sum.turn.server.dropped(*reason)));
    server.chain([("no_connection", sum.turn.undelivered)]).collect()
}

const fn counter(name: &'static str, help: &'static str, read: fn(&Snapshot) -> u64) -> Metric {
    Metric { name, help, kind: MetricType::COUNTER, labels: &[], source: Source::Workers(read) }
}

/// A counter for each value of the label `reason`.
const fn counter_by(
    name: &'static str,
    help: &'static str,
    read: fn(&Snapshot) -> Vec<(&'static str, u64)>,
) -> Metric {
    Metric { name, help, kind: MetricType::COUNTER, labels: &["reason"], source: Source::WorkersBy(read) }
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Snapshot) -> u64) -> Metric {
    Metric { name, help, kind: MetricType::GAUGE, labels: &[], source: Source::Workers(read) }
}

const fn histogram(name: &'static str, help: &'static str, read: fn(&Snapshot) -> &Histogram) -> Metric {
    Metric { name, help, kind: MetricType::HISTOGRAM, labels: &[], source: Source::WorkersTime(read) }
}

const fn rooms(name: &'static str, help: &'static str, read: fn(&Census) -> u64) -> Metric {
    Metric { name, help, kind: MetricType::GAUGE, labels: &[], source: Source::Rooms(read) }
}

const fn http(name: &'static str, help: &'static str, source: Source) -> Metric {
    Metric { name, help, kind: MetricType::COUNTER, labels: &[], source }
}

const fn process(
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: fn(&Process) -> Option<f64>,
) -> Metric {
    Metric { name, help, kind, labels: &[], source: Source::Process(read) }
}
