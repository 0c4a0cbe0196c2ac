//! Figures of one steady window, as JSON and as text.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::engine::{EngineReport, Received};
use crate::flood::FloodReport;
use crate::server::{Memory, Reading};
use crate::subscriber::SubscriberStats;

#[derive(Debug, Serialize)]
pub struct Report {
    pub label: String,
    /// Whether frames were sent whole.
    pub burst: bool,
    /// Every subscriber asked for each so-manieth video packet again; 0 is none.
    pub nack_every: u32,
    pub streams: u32,
    pub subscribers: usize,
    pub window_s: f64,
    /// Media packets that subscribers received in the window, without RTX.
    pub forwarded_packets: u64,
    pub forwarded_pps: f64,
    pub forwarded_mbps: f64,
    pub server: Option<ServerReport>,
    pub delivery: Delivery,
    pub latency: Option<LatencyMs>,
    pub first_media: Option<LatencyMs>,
    pub subscribers_without_media: usize,
    pub keyframe_requests: u64,
    pub keyframes: u64,
    pub generator: GeneratorReport,
    pub flood: Option<FloodReport>,
    /// Reasons to doubt the figures; empty is good.
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct ServerReport {
    pub cpu_us_per_packet: f64,
    pub user_us_per_packet: f64,
    pub system_us_per_packet: f64,
    /// 100 is one core.
    pub cpu_percent: f64,
    pub cycles_per_packet: Option<f64>,
    pub instructions_per_packet: Option<f64>,
    pub user_instructions_per_packet: Option<f64>,
    /// Why there are no counts of instructions.
    pub instructions_missing: Option<String>,
    pub context_switches_per_s: f64,
    pub context_switches_per_1000_packets: f64,
    pub rss_idle_kib: u64,
    pub rss_kib: u64,
    pub pss_kib: u64,
    pub peak_rss_kib: u64,
    /// Growth of RSS from before the first subscriber, by subscriber.
    pub rss_bytes_per_subscriber: f64,
}

#[derive(Debug, Serialize)]
pub struct Delivery {
    /// By publishers' counters, of the subscribers that verify.
    pub expected: u64,
    pub missing: u64,
    pub loss_percent: f64,
    /// By RTP sequence numbers, of all subscribers.
    pub sequence_expected: u64,
    pub sequence_missing: u64,
    pub sequence_loss_percent: f64,
    pub reordered: u64,
    pub duplicates: u64,
    pub payload_duplicates: u64,
    pub rtx_packets: u64,
    /// Packets that came and were asked for again (`--nack-every`), and what was sent again: retransmissions and
    /// duplicates.
    pub asked_again: u64,
    pub resent: u64,
    pub verified: u64,
    pub corrupt: u64,
    pub misrouted: u64,
}

#[derive(Debug, Serialize)]
pub struct LatencyMs {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Debug, Serialize)]
pub struct GeneratorReport {
    pub cpu_percent: f64,
    pub cpu_us_per_packet: f64,
    pub syscalls_per_packet: f64,
    pub dropped_at_socket: u64,
    pub send_errors: u64,
}

/// What the scenario knows beside the engine's report.
pub struct Context<'a> {
    pub label: &'a str,
    pub burst: bool,
    pub nack_every: u32,
    pub instructions_missing: Option<String>,
    pub streams: u32,
    /// The tracks whose loss is counted: 0 is audio, 1.. are video layers.
    pub counted: Range<usize>,
    pub window: Duration,
    pub server: Option<(Reading, Reading)>,
    pub idle: Memory,
    pub memory: Memory,
}

impl Report {
    pub fn new(c: Context, e: &EngineReport) -> Report {
        let mut total = SubscriberStats::default();
        let mut expected = 0;
        let mut unique = 0;
        let tracks = c.counted;
        for Received { streams, verify, stats } in &e.subscribers {
            total.add(stats);
            if *verify {
                let sent = e.sent.iter().filter(|(stream, _)| streams.contains(stream));
                expected += sent.flat_map(|(_, n)| &n[tracks.clone()]).sum::<u64>();
                unique += stats.unique[tracks.clone()].iter().sum::<u64>();
            }
        }
        let window_s = c.window.as_secs_f64();
        let forwarded = total.received();
        let missing = expected.saturating_sub(unique);
        let sequence_missing = total.seq_expected.saturating_sub(total.seq_unique);
        let percent = |part: u64, whole: u64| {
            if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
        };

        // Of nothing there is no cost by packet; who is idle is told by the share of a core.
        let by = |n: f64, packets: u64| if packets == 0 { 0.0 } else { n / packets as f64 };

        let server = c.server.map(|(a, b)| {
            let by_packet = |n: f64| by(n, forwarded);
            let per_packet = |d: Duration| by_packet(d.as_secs_f64() * 1e6);
            let (user, system) = (b.user - a.user, b.system - a.system);
            let counter =
                |f: fn(&Reading) -> Option<u64>| Some(by_packet(f(&b)?.saturating_sub(f(&a)?) as f64));
            let switches = (b.voluntary_switches + b.involuntary_switches)
                .saturating_sub(a.voluntary_switches + a.involuntary_switches)
                as f64;
            let grown = c.memory.rss_kib.saturating_sub(c.idle.rss_kib) as f64 * 1024.0;
            ServerReport {
                cpu_us_per_packet: per_packet(user + system),
                user_us_per_packet: per_packet(user),
                system_us_per_packet: per_packet(system),
                cpu_percent: 100.0 * (user + system).as_secs_f64() / window_s,
                cycles_per_packet: counter(|r| r.cycles),
                instructions_per_packet: counter(|r| r.instructions),
                user_instructions_per_packet: counter(|r| r.user_instructions),
                instructions_missing: c.instructions_missing,
                context_switches_per_s: switches / window_s,
                context_switches_per_1000_packets: by_packet(1000.0 * switches),
                rss_idle_kib: c.idle.rss_kib,
                rss_kib: c.memory.rss_kib,
                pss_kib: c.memory.pss_kib,
                peak_rss_kib: c.memory.peak_rss_kib,
                rss_bytes_per_subscriber: grown / e.subscribers.len().max(1) as f64,
            }
        });

        let sent: u64 = e.sent.iter().flat_map(|(_, n)| n).sum();
        let generator = GeneratorReport {
            cpu_percent: 100.0 * e.cpu.as_secs_f64() / e.wall.as_secs_f64().max(1e-9),
            cpu_us_per_packet: by(e.cpu.as_secs_f64() * 1e6, forwarded + sent),
            syscalls_per_packet: by(e.syscalls as f64, forwarded + sent),
            dropped_at_socket: e.dropped,
            send_errors: e.send_errors,
        };

        let mut warnings = vec![];
        if generator.cpu_percent > 85.0 {
            warnings
                .push("the generator is near the limit of its core: latency and loss may be its own".into());
        }
        if generator.dropped_at_socket > 0 {
            warnings.push("the generator's socket dropped datagrams: loss is partly its own".into());
        }
        if e.without_media > 0 && sent > 0 {
            warnings.push(format!("{} subscribers never received media", e.without_media));
        }
        if total.corrupt + total.misrouted > 0 {
            warnings.push("packets arrived damaged or at the wrong subscriber".into());
        }

        Report {
            label: c.label.into(),
            burst: c.burst,
            nack_every: c.nack_every,
            streams: c.streams,
            subscribers: e.subscribers.len(),
            window_s,
            forwarded_packets: forwarded,
            forwarded_pps: forwarded as f64 / window_s,
            forwarded_mbps: total.received_bytes as f64 * 8.0 / 1e6 / window_s,
            server,
            delivery: Delivery {
                expected,
                missing,
                loss_percent: percent(missing, expected),
                sequence_expected: total.seq_expected,
                sequence_missing,
                sequence_loss_percent: percent(sequence_missing, total.seq_expected),
                reordered: total.seq_late,
                duplicates: total.seq_duplicates,
                payload_duplicates: total.payload_duplicates,
                rtx_packets: total.received_rtx,
                asked_again: total.asked_again,
                resent: total.received_rtx + total.seq_duplicates,
                verified: total.verified,
                corrupt: total.corrupt,
                misrouted: total.misrouted,
            },
            latency: LatencyMs::of(&e.latency_us),
            first_media: LatencyMs::of(&e.first_media_us),
            subscribers_without_media: e.without_media,
            keyframe_requests: e.keyframe_requests,
            keyframes: e.keyframes,
            generator,
            flood: None,
            warnings,
        }
    }

    /// The worse of the two ways to count loss.
    pub fn loss_percent(&self) -> f64 {
        self.delivery.loss_percent.max(self.delivery.sequence_loss_percent)
    }
}

impl LatencyMs {
    /// Of microseconds; None where there are none.
    pub fn of(h: &Histogram<u64>) -> Option<LatencyMs> {
        let at = |q| h.value_at_quantile(q) as f64 / 1000.0;
        (!h.is_empty()).then(|| LatencyMs {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: h.max() as f64 / 1000.0,
        })
    }
}

impl Display for LatencyMs {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let LatencyMs { p50, p95, p99, p999, max } = self;
        write!(f, "p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let d = &self.delivery;
        writeln!(
            f,
            "{}{} streams{}, {} subscribers, {:.1} s: {:.0} packets/s, {:.1} Mbit/s forwarded",
            if self.label.is_empty() { String::new() } else { format!("[{}] ", self.label) },
            self.streams,
            if self.burst { " of whole frames" } else { "" },
            self.subscribers,
            self.window_s,
            self.forwarded_pps,
            self.forwarded_mbps
        )?;
        if let Some(s) = &self.server {
            writeln!(
                f,
                "  server CPU     {:.2} us/packet (user {:.2}, system {:.2}), {:.1} % of a core",
                s.cpu_us_per_packet, s.user_us_per_packet, s.system_us_per_packet, s.cpu_percent
            )?;
            if let (Some(c), Some(i), Some(u)) =
                (s.cycles_per_packet, s.instructions_per_packet, s.user_instructions_per_packet)
            {
                writeln!(f, "  per packet     {i:.0} instructions ({u:.0} user), {c:.0} cycles")?;
            }
            if let Some(why) = &s.instructions_missing {
                writeln!(f, "  per packet     instructions unknown: {why}")?;
            }
            writeln!(
                f,
                "  server memory  RSS {:.1} MiB (peak {:.1}, PSS {:.1}), {:.1} KiB per subscriber",
                s.rss_kib as f64 / 1024.0,
                s.peak_rss_kib as f64 / 1024.0,
                s.pss_kib as f64 / 1024.0,
                s.rss_bytes_per_subscriber / 1024.0
            )?;
            writeln!(
                f,
                "  switches       {:.0}/s, {:.1} per 1000 packets",
                s.context_switches_per_s, s.context_switches_per_1000_packets
            )?;
        }
        writeln!(
            f,
            "  loss           {:.4} % ({} of {}) by counters, {:.4} % ({} of {}) by sequence numbers",
            d.loss_percent,
            d.missing,
            d.expected,
            d.sequence_loss_percent,
            d.sequence_missing,
            d.sequence_expected
        )?;
        writeln!(
            f,
            "  delivery       {} verified, {} corrupt, {} misrouted, {} reordered, {}+{} duplicates, {} rtx",
            d.verified,
            d.corrupt,
            d.misrouted,
            d.reordered,
            d.duplicates,
            d.payload_duplicates,
            d.rtx_packets
        )?;
        if self.nack_every > 0 {
            writeln!(f, "  asked again    {} packets, {} sent again", d.asked_again, d.resent)?;
        }
        if let Some(l) = &self.latency {
            writeln!(f, "  latency        {l}")?;
        }
        if let Some(l) = &self.first_media {
            writeln!(f, "  first media    {l} ({} without)", self.subscribers_without_media)?;
        }
        let g = &self.generator;
        writeln!(
            f,
            "  generator      {:.2} us/packet, {:.1} % of a core, {:.2} syscalls/packet, {} dropped, {} send errors",
            g.cpu_us_per_packet, g.cpu_percent, g.syscalls_per_packet, g.dropped_at_socket, g.send_errors
        )?;
        writeln!(f, "  keyframes      {} sent, {} requested", self.keyframes, self.keyframe_requests)?;
        if let Some(flood) = &self.flood {
            write!(f, "{flood}")?;
        }
        for w in &self.warnings {
            writeln!(f, "  WARNING        {w}")?;
        }
        Ok(())
    }
}
