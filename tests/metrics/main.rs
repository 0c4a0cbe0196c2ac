//! The metrics as Prometheus and its users meet them: the text of a scrape, and in [`page`] the page that
//! explains them.

mod page;
mod text;

use std::time::Duration;

use sluice::metrics::exporter::{CONTENT_TYPE, Exporter};
use sluice::metrics::names::METRICS;
use sluice::net::demux::DropReason;
use sluice::room::directory::Census;
use sluice::sfu::session::EndReason;
use sluice::sfu::session::channels::DataCounters;
use sluice::worker::message::Snapshot;
use text::{Family, Labels, Sample};

fn scrape(exporter: &Exporter, snapshots: &[Snapshot]) -> Vec<Family> {
    let text = exporter.scrape(snapshots, Census { rooms: 5, streams: 4, participants: 7 }).unwrap();
    text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn exporter() -> Exporter {
    Exporter::new("1.2.3").unwrap()
}

fn samples<'a>(families: &'a [Family], name: &str) -> &'a [Sample] {
    families.iter().find(|family| family.name == name).map(|family| &family.samples[..]).unwrap_or_default()
}

/// The value of a series; `labels` is written as `name=value,name=value`.
#[track_caller]
fn value(families: &[Family], name: &str, labels: &str) -> f64 {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let wanted: Labels = labels.split(',').filter_map(pair).collect();
    let mut all = families.iter().flat_map(|family| &family.samples);
    let found = all.find(|sample| sample.name == name && sample.labels == wanted);
    found.unwrap_or_else(|| panic!("no {name}{{{labels}}}")).value
}

#[test]
fn all_metrics_are_there_from_the_first_scrape() {
    let families = scrape(&exporter(), &[]);
    let exported: Vec<_> =
        families.iter().map(|family| (family.name.as_str(), family.help.as_str())).collect();
    // A route is known when it was asked for; what the kernel says is known on Linux.
    // A certificate ends where there is one.
    let later = ["sluice_http_", "process_", "sluice_certificate_end"];
    let from_start = |name: &str| !later.iter().any(|begin| name.starts_with(begin));
    for metric in METRICS.iter().filter(|metric| from_start(metric.name)) {
        assert!(exported.contains(&(metric.name, metric.help)), "no {}", metric.name);
    }
}

#[test]
fn each_reason_is_there_with_zero_before_it_happens() {
    for snapshots in [&[][..], &[Snapshot::default()]] {
        let families = scrape(&exporter(), snapshots);
        let reasons = |name| -> Vec<(&str, f64)> {
            samples(&families, name)
                .iter()
                .map(|sample| (sample.labels["reason"].as_str(), sample.value))
                .collect()
        };
        let ended: Vec<_> = EndReason::ALL.iter().map(|reason| (reason.name(), 0.0)).collect();
        assert_eq!(reasons("sluice_sessions_ended_total"), ended);
        let dropped = DropReason::ALL.iter().map(|reason| (reason.name(), 0.0));
        let dropped: Vec<_> = dropped.chain([("malformed", 0.0)]).collect();
        assert_eq!(reasons("sluice_udp_received_dropped_datagrams_total"), dropped);
        let unsent = ["awaiting_keyframe", "unplayable", "silent", "muted", "unsealed", "slow_link"]
            .map(|reason| (reason, 0.0));
        assert_eq!(reasons("sluice_media_unsent_packets_total"), unsent);
    }
}

#[test]
fn two_workers_are_summed() {
    let mut first = Snapshot::default();
    first.core.sessions = 3;
    first.core.media_packets_out = 1 << 40;
    first.core.malformed = 7;
    first.core.ended(EndReason::IceFailed);
    first.core.join_time.observe(Duration::from_millis(30));
    first.udp.send_calls = 9;
    let mut second = Snapshot::default();
    second.core.sessions = 4;
    second.core.media_packets_out = 1;
    second.core.ended(EndReason::IceFailed);
    second.core.ended(EndReason::Unplayable);
    second.core.drop(DropReason::UnknownSource);
    second.core.join_time.observe(Duration::from_millis(500));
    second.core.join_time.observe(Duration::from_secs(20));
    second.udp.send_calls = 11;

    let families = scrape(&exporter(), &[first, second]);
    let get = |name, labels| value(&families, name, labels);
    assert_eq!(get("sluice_sessions", ""), 7.0);
    assert_eq!(get("sluice_media_sent_packets_total", ""), 1_099_511_627_777.0);
    assert_eq!(get("sluice_udp_send_calls_total", ""), 20.0);
    assert_eq!(get("sluice_sessions_ended_total", "reason=ice_failed"), 2.0);
    assert_eq!(get("sluice_sessions_ended_total", "reason=unplayable"), 1.0);
    assert_eq!(get("sluice_sessions_ended_total", "reason=requested"), 0.0);
    assert_eq!(get("sluice_udp_received_dropped_datagrams_total", "reason=unknown_source"), 1.0);
    assert_eq!(get("sluice_udp_received_dropped_datagrams_total", "reason=malformed"), 7.0);
    assert_eq!(get("sluice_session_join_duration_seconds_bucket", "le=0.01024"), 0.0);
    assert_eq!(get("sluice_session_join_duration_seconds_bucket", "le=0.04096"), 1.0);
    assert_eq!(get("sluice_session_join_duration_seconds_bucket", "le=10.48576"), 2.0);
    assert_eq!(get("sluice_session_join_duration_seconds_bucket", "le=+Inf"), 3.0);
    assert_eq!(get("sluice_session_join_duration_seconds_sum", ""), 20.53);
}

/// The counters and gauges that stand alone, each with its metric.
fn fields_of(snapshot: &mut Snapshot) -> Vec<(&mut u64, &'static str)> {
    let (core, udp) = (&mut snapshot.core, &mut snapshot.udp);
    vec![
        (&mut core.sessions, "sluice_sessions"),
        (&mut core.sessions_started, "sluice_sessions_started_total"),
        (&mut core.sessions_connected, "sluice_sessions_connected_total"),
        (&mut core.tracks, "sluice_tracks"),
        (&mut core.subscriptions, "sluice_subscriptions"),
        (&mut core.links.estimated, "sluice_links"),
        (&mut core.links.estimate, "sluice_links_estimate_bytes_per_second"),
        (&mut core.links.allotted, "sluice_links_allotted_bytes_per_second"),
        (&mut core.links.waiting_bytes, "sluice_links_waiting_bytes"),
        (&mut core.links.paused_slots, "sluice_paused_slots"),
        (&mut core.switches_up, "sluice_layer_switches_up_total"),
        (&mut core.switches_down, "sluice_layer_switches_down_total"),
        (&mut core.caught_up, "sluice_catch_ups_total"),
        (&mut core.group_bytes, "sluice_catch_up_bytes"),
        (&mut core.probes, "sluice_probes_sent_total"),
        (&mut core.media_packets_in, "sluice_media_received_packets_total"),
        (&mut core.media_bytes_in, "sluice_media_received_bytes_total"),
        (&mut core.media_packets_out, "sluice_media_sent_packets_total"),
        (&mut core.media_bytes_out, "sluice_media_sent_bytes_total"),
        (&mut core.unknown_media, "sluice_media_unknown_packets_total"),
        (&mut core.keyframe_requests_in, "sluice_keyframe_requests_received_total"),
        (&mut core.keyframe_requests_out, "sluice_keyframe_requests_sent_total"),
        (&mut core.nacks_in, "sluice_nacks_received_total"),
        (&mut core.nacks_out, "sluice_nacks_sent_total"),
        (&mut core.data.messages_in, "sluice_data_received_messages_total"),
        (&mut core.data.bytes_in, "sluice_data_received_bytes_total"),
        (&mut core.data.messages_out, "sluice_data_sent_messages_total"),
        (&mut core.data.bytes_out, "sluice_data_sent_bytes_total"),
        (&mut core.data.ignored_channels, "sluice_data_ignored_channels_total"),
        (&mut core.stun_bindings, "sluice_stun_bindings_total"),
        (&mut core.panics, "sluice_panics_total"),
        (&mut udp.packets_in, "sluice_udp_received_datagrams_total"),
        (&mut udp.bytes_in, "sluice_udp_received_bytes_total"),
        (&mut udp.packets_out, "sluice_udp_sent_datagrams_total"),
        (&mut udp.bytes_out, "sluice_udp_sent_bytes_total"),
        (&mut udp.send_calls, "sluice_udp_send_calls_total"),
    ]
}

/// A number that is copied from the wrong field would otherwise go unnoticed.
#[test]
fn each_field_has_its_own_metric() {
    let mut snapshot = Snapshot::default();
    let mut expected = vec![(101, "sluice_media_unsent_packets_total", "reason=awaiting_keyframe")];
    for (number, (field, name)) in (1_u32..).zip(fields_of(&mut snapshot)) {
        *field = number.into();
        expected.push((number, name, ""));
    }
    let (core, udp) = (&mut snapshot.core, &mut snapshot.udp);
    udp.unsent.too_large = 103;
    expected.push((103, "sluice_udp_unsent_datagrams_total", "reason=too_large"));
    core.awaiting_keyframe = 101;
    core.unplayable = 102;
    expected.push((102, "sluice_media_unsent_packets_total", "reason=unplayable"));
    (core.silent, core.muted) = (104, 105);
    expected.push((104, "sluice_media_unsent_packets_total", "reason=silent"));
    expected.push((105, "sluice_media_unsent_packets_total", "reason=muted"));
    expected.extend(number_reasons(&mut core.data));
    (0..2).for_each(|_| core.join_time.observe(Duration::ZERO));
    (0..3).for_each(|_| snapshot.turn_time.observe(Duration::ZERO));
    expected.push((2, "sluice_session_join_duration_seconds_count", ""));
    expected.push((3, "sluice_worker_turn_duration_seconds_count", ""));
    expected.extend([(5, "sluice_rooms", ""), (4, "sluice_streams", "")]);

    let families = scrape(&exporter(), &[snapshot]);
    for (number, name, labels) in expected {
        assert_eq!(value(&families, name, labels), f64::from(number), "{name}");
    }
}

/// Gives each reason for which messages are dropped a number of its own.
fn number_reasons(data: &mut DataCounters) -> Vec<(u32, &'static str, &'static str)> {
    let (received, sent) =
        ("sluice_data_received_dropped_messages_total", "sluice_data_unsent_messages_total");
    let reasons = [
        (&mut data.refused_too_large, received, "reason=too_large"),
        (&mut data.refused_too_many, received, "reason=too_many"),
        (&mut data.refused_malformed, received, "reason=malformed"),
        (&mut data.refused_no_channel, received, "reason=no_channel"),
        (&mut data.unsent_no_channel, sent, "reason=no_channel"),
        (&mut data.unsent_full, sent, "reason=full"),
        (&mut data.unsent_waiting_too_long, sent, "reason=waiting_too_long"),
        (&mut data.unsent_refused, sent, "reason=refused"),
    ];
    let mut expected = Vec::new();
    for (number, (field, name, reason)) in (110_u32..).zip(reasons) {
        *field = number.into();
        expected.push((number, name, reason));
    }
    expected
}

#[test]
fn clients_cannot_make_up_labels() {
    let exporter = exporter();
    let http = exporter.http();
    http.observe("/whep/{stream}", "POST", 201, Duration::from_millis(2));
    http.observe("/whep/{stream}", "POST", 201, Duration::from_millis(700));
    for number in 0..1000 {
        http.observe("/whep/{stream}", &format!("BREW{number}"), 405, Duration::ZERO);
        http.observe("/whep/{stream}", "GET", 1000 + number, Duration::ZERO);
    }
    let families = scrape(&exporter, &[]);
    let get = |name, labels| value(&families, name, labels);
    assert_eq!(get("sluice_http_requests_total", "route=/whep/{stream},method=POST,status=201"), 2.0);
    assert_eq!(get("sluice_http_requests_total", "route=/whep/{stream},method=other,status=405"), 1000.0);
    assert_eq!(get("sluice_http_requests_total", "route=/whep/{stream},method=GET,status=other"), 1000.0);
    assert_eq!(samples(&families, "sluice_http_requests_total").len(), 3);
    let post = "route=/whep/{stream},method=POST";
    let time = "sluice_http_request_duration_seconds_bucket";
    let bucket = |bound| value(&families, time, &format!("{post},le={bound}"));
    assert_eq!((bucket("0.001"), bucket("0.0025"), bucket("1"), bucket("+Inf")), (0.0, 1.0, 2.0, 2.0));
}

#[test]
fn the_version_and_the_format_are_told() {
    let families = scrape(&exporter(), &[]);
    assert_eq!(value(&families, "sluice_build_info", "version=1.2.3"), 1.0);
    assert!(CONTENT_TYPE.starts_with(prometheus::TEXT_FORMAT));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_described() {
    let exporter = exporter();
    let (first, second) = (scrape(&exporter, &[]), scrape(&exporter, &[]));
    for metric in METRICS.iter().filter(|metric| metric.name.starts_with("process_")) {
        // A machine may have no limit of open files.
        assert!(
            metric.name == "process_max_fds" || samples(&first, metric.name).len() == 1,
            "{}",
            metric.name
        );
    }
    let started = |families| value(families, "process_start_time_seconds", "");
    assert_eq!(started(&first), started(&second));
}
