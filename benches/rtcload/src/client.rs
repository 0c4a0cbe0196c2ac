//! A connected client: sends one stream, or receives one.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use str0m::media::{KeyframeRequest, Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Event, Rtc};

use crate::media::{Stamp, VideoShape, audio_packet};
use crate::peer::{PayloadTypes, Peer, RIDS};
use crate::track::{Continuity, Seen, SeqTrack};
use crate::udp::realtime_ns;

const AUDIO_INTERVAL: Duration = Duration::from_millis(20);

/// Keyframes that are asked for keep this distance, as in libwebrtc's encoder.
const KEYFRAME_DISTANCE: Duration = Duration::from_millis(300);

/// The steady window, in CLOCK_REALTIME nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    pub start_ns: u64,
    pub end_ns: u64,
}

impl Window {
    pub fn has(&self, ns: u64) -> bool {
        (self.start_ns..self.end_ns).contains(&ns)
    }
}

/// What all clients of an engine measure into.
pub struct Meter {
    pub window: Window,
    /// Microseconds.
    pub latency: Histogram<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Meter { window: Window::default(), latency }
    }
}

pub struct Client {
    pub rtc: Rtc,
    pub ip: Ipv4Addr,
    pub role: Role,
    pub connected: Option<Instant>,
    /// When the engine must look at this client again.
    pub deadline: Instant,
    /// The deadline that is in the engine's queue.
    pub scheduled: Option<Instant>,
}

#[allow(clippy::large_enum_variant)]
pub enum Role {
    Publisher(Publisher),
    Subscriber(Subscriber),
}

impl Client {
    pub fn new(peer: Peer, role: Role) -> Client {
        let now = Instant::now();
        Client { rtc: peer.rtc, ip: peer.ip, role, connected: None, deadline: now, scheduled: None }
    }

    pub fn handle_event(&mut self, event: Event, now: Instant, meter: &mut Meter) {
        match (event, &mut self.role) {
            (Event::Connected, role) => {
                self.connected = Some(now);
                if let Role::Publisher(p) = role {
                    p.start(now);
                }
            }
            (Event::KeyframeRequest(r), Role::Publisher(p)) => p.keyframe_requested(&r),
            (Event::RtpPacket(p), Role::Subscriber(s)) => s.verified(&p, meter),
            _ => {}
        }
    }
}

/// Sends audio and the video layers of one stream.
pub struct Publisher {
    stream: u32,
    audio: Option<AudioTx>,
    layers: Vec<VideoTx>,
    /// Packets sent in the window by track.
    pub window_sent: [u64; 4],
    pub keyframe_requests: u64,
    pub keyframes: u64,
}

struct AudioTx {
    mid: Mid,
    pt: Pt,
    count: u32,
    next: Instant,
    running: bool,
}

struct VideoTx {
    mid: Mid,
    rid: Option<Rid>,
    pt: Pt,
    track: u8,
    shape: VideoShape,
    count: u32,
    frame: u32,
    frames_since_key: u32,
    key_wanted: bool,
    /// The frame being sent: whether it is a keyframe, and the packet that comes next.
    sending: Option<(bool, usize)>,
    frame_start: Instant,
    next: Instant,
    running: bool,
}

impl Publisher {
    /// `layers` has one shape, or three from low to high for simulcast.
    pub fn new(stream: u32, peer: &Peer, pts: &PayloadTypes, layers: &[VideoShape]) -> Publisher {
        let now = Instant::now();
        let audio = peer.audio.zip(pts.audio).map(|(mid, pt)| AudioTx {
            mid,
            pt,
            count: 0,
            next: now,
            running: false,
        });
        let layers = peer.video.zip(pts.video).map_or(vec![], |(mid, pt)| {
            let tx = |(i, shape): (usize, &VideoShape)| VideoTx {
                mid,
                rid: (layers.len() > 1).then(|| Rid::from(RIDS[i])),
                pt,
                track: i as u8 + 1,
                shape: *shape,
                count: 0,
                frame: 0,
                frames_since_key: 0,
                key_wanted: false,
                sending: None,
                frame_start: now,
                next: now,
                running: false,
            };
            layers.iter().enumerate().map(tx).collect()
        });
        Publisher { stream, audio, layers, window_sent: [0; 4], keyframe_requests: 0, keyframes: 0 }
    }

    pub fn stream(&self) -> u32 {
        self.stream
    }

    fn start(&mut self, now: Instant) {
        // Streams start at different phases, so that they do not send in step.
        let phase = |period: Duration, salt: u32| {
            period.mul_f64(f64::from(self.stream.wrapping_mul(0x9e37_79b9) ^ salt) / f64::from(u32::MAX))
        };
        if let Some(a) = &mut self.audio {
            a.next = now + phase(AUDIO_INTERVAL, 0);
            a.running = true;
        }
        for v in &mut self.layers {
            v.frame_start = now + phase(v.frame_interval(), 0x5555_5555);
            v.next = v.frame_start;
            v.running = true;
        }
    }

    fn keyframe_requested(&mut self, r: &KeyframeRequest) {
        self.keyframe_requests += 1;
        for v in self.layers.iter_mut().filter(|v| r.rid.is_none() || v.rid == r.rid) {
            v.key_wanted = true;
        }
    }

    /// When the next packet is due.
    pub fn next_due(&self) -> Option<Instant> {
        let audio = self.audio.iter().filter(|a| a.running).map(|a| a.next);
        let video = self.layers.iter().filter(|v| v.running).map(|v| v.next);
        audio.chain(video).min()
    }

    /// Writes one packet that is due at `now`, if there is one.
    pub fn write_due(&mut self, rtc: &mut Rtc, now: Instant, window: &Window) -> bool {
        let sent_ns = realtime_ns();
        let mut stamp = Stamp { stream: self.stream, track: 0, counter: 0, sent_ns, len: 0 };
        let (mid, rid, write) = if let Some(a) = self.audio.as_mut().filter(|a| a.running && a.next <= now) {
            stamp.counter = a.count;
            let packet = audio_packet(stamp);
            let ext_vals = ExtensionValues {
                audio_level: Some(-20 - (a.count % 30) as i8),
                voice_activity: Some(true),
                ..Default::default()
            };
            let seq = u64::from(a.count) + 1;
            let time = a.count.wrapping_mul(960);
            a.count += 1;
            a.next += AUDIO_INTERVAL;
            let write = RtpWrite::new(a.pt, seq.into(), time, now, packet.payload)
                .marker(a.count == 1)
                .ext_vals(ext_vals);
            (a.mid, None, write)
        } else if let Some(v) = self.layers.iter_mut().find(|v| v.running && v.next <= now) {
            let (key, i) = v.sending.unwrap_or_else(|| {
                let rested = v.frame_interval() * v.frames_since_key >= KEYFRAME_DISTANCE;
                let key = v.frame == 0 || v.key_wanted && rested || v.frames_since_key >= v.shape.gop;
                if key {
                    v.key_wanted = false;
                    v.frames_since_key = 0;
                    self.keyframes += 1;
                }
                v.frames_since_key += 1;
                (key, 0)
            });
            stamp.counter = v.count;
            stamp.track = v.track;
            let packet = v.shape.packet(key, i, v.frame as u16, stamp);
            let seq = u64::from(v.count) + 1;
            let time = v.frame.wrapping_mul(90_000 / v.shape.fps);
            v.count += 1;
            if packet.marker {
                v.sending = None;
                v.frame = v.frame.wrapping_add(1);
                v.frame_start += v.frame_interval();
                v.next = v.frame_start;
            } else {
                // A frame's packets are spread over half its time, as a pacer would.
                v.sending = Some((key, i + 1));
                v.next += v.frame_interval() / 2 / v.shape.packets(key) as u32;
            }
            let write = RtpWrite::new(v.pt, seq.into(), time, now, packet.payload)
                .marker(packet.marker)
                .nackable(true);
            (v.mid, v.rid, write)
        } else {
            return false;
        };
        if window.has(sent_ns) {
            self.window_sent[usize::from(stamp.track)] += 1;
        }
        if let Some(tx) = rtc.direct_api().stream_tx_by_mid(mid, rid) {
            tx.write_rtp(write);
        }
        true
    }
}

impl VideoTx {
    fn frame_interval(&self) -> Duration {
        Duration::from_secs(1) / self.shape.fps
    }
}

/// Receives one stream.
pub struct Subscriber {
    stream: u32,
    pts: PayloadTypes,
    mids: [Option<Mid>; 2],
    /// Decrypt and check payloads; otherwise only RTP headers are read.
    pub verify: bool,
    asked_at: Instant,
    /// Kernel receive time of the latest datagram.
    arrived_ns: u64,
    pub first_media: Option<Duration>,
    sources: Vec<Source>,
    tracks: [Continuity; 4],
    stats: SubscriberStats,
}

struct Source {
    ssrc: u32,
    kind: Kind,
    seq: SeqTrack,
    fed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Audio,
    Video,
    Rtx,
}

/// Counts of one window. "Received" is by arrival, "unique" by the sender's time.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SubscriberStats {
    pub received_audio: u64,
    pub received_video: u64,
    pub received_rtx: u64,
    pub received_bytes: u64,
    pub seq_expected: u64,
    pub seq_unique: u64,
    pub seq_late: u64,
    pub seq_duplicates: u64,
    pub verified: u64,
    pub corrupt: u64,
    pub misrouted: u64,
    pub payload_duplicates: u64,
    pub payload_late: u64,
    pub payload_ancient: u64,
    /// Different packets of the window that arrived, by track.
    pub unique: [u64; 4],
}

impl SubscriberStats {
    pub fn add(&mut self, o: &SubscriberStats) {
        self.received_audio += o.received_audio;
        self.received_video += o.received_video;
        self.received_rtx += o.received_rtx;
        self.received_bytes += o.received_bytes;
        self.seq_expected += o.seq_expected;
        self.seq_unique += o.seq_unique;
        self.seq_late += o.seq_late;
        self.seq_duplicates += o.seq_duplicates;
        self.verified += o.verified;
        self.corrupt += o.corrupt;
        self.misrouted += o.misrouted;
        self.payload_duplicates += o.payload_duplicates;
        self.payload_late += o.payload_late;
        self.payload_ancient += o.payload_ancient;
        for (a, b) in self.unique.iter_mut().zip(o.unique) {
            *a += b;
        }
    }

    pub fn received(&self) -> u64 {
        self.received_audio + self.received_video
    }
}

/// What [`Subscriber::arrived`] wants done with a datagram.
pub struct Feed {
    pub to_rtc: bool,
    /// An SSRC that nobody announced, and the m-line its payload type belongs to.
    pub unannounced: Option<(u32, Mid)>,
}

impl Subscriber {
    pub fn new(stream: u32, peer: &Peer, pts: PayloadTypes, verify: bool, asked_at: Instant) -> Subscriber {
        Subscriber {
            stream,
            pts,
            mids: [peer.audio, peer.video],
            verify,
            asked_at,
            arrived_ns: 0,
            first_media: None,
            sources: vec![],
            tracks: Default::default(),
            stats: SubscriberStats::default(),
        }
    }

    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Looks at a datagram's RTP header, in the clear, as it arrives.
    pub fn arrived(&mut self, data: &[u8], received_ns: u64, window: &Window) -> Feed {
        self.arrived_ns = received_ns;
        let is_rtp = data.len() >= 12 && data[0] >> 6 == 2 && !(64..96).contains(&(data[1] & 0x7f));
        if !is_rtp {
            return Feed { to_rtc: true, unannounced: None };
        }
        let pt = Pt::from(data[1] & 0x7f);
        let seq = u16::from_be_bytes([data[2], data[3]]);
        let ssrc = u32::from_be_bytes(data[8..12].try_into().unwrap());
        let mut unannounced = None;
        let at = match self.sources.iter().position(|s| s.ssrc == ssrc) {
            Some(at) => at,
            None => {
                let kind = match Some(pt) {
                    p if p == self.pts.audio => Kind::Audio,
                    p if p == self.pts.video => Kind::Video,
                    _ => Kind::Rtx,
                };
                let mid = match kind {
                    Kind::Audio => self.mids[0],
                    Kind::Video => self.mids[1],
                    Kind::Rtx => None,
                };
                unannounced = mid.map(|m| (ssrc, m));
                self.sources.push(Source { ssrc, kind, seq: SeqTrack::default(), fed: false });
                self.sources.len() - 1
            }
        };
        let source = &mut self.sources[at];
        let in_window = window.has(received_ns);
        if in_window {
            match source.kind {
                Kind::Audio => self.stats.received_audio += 1,
                Kind::Video => self.stats.received_video += 1,
                Kind::Rtx => self.stats.received_rtx += 1,
            }
            self.stats.received_bytes += data.len() as u64;
        }
        if source.kind != Kind::Rtx {
            source.seq.see(seq, in_window);
            if self.first_media.is_none() {
                self.first_media = Some(self.asked_at.elapsed());
            }
        }
        // Without verification the first packet of a source is enough for the
        // connection to send receiver reports (with no loss) ever after.
        let to_rtc = self.verify || !source.fed;
        source.fed = true;
        Feed { to_rtc, unannounced }
    }

    /// Takes a decrypted packet: one that came out of the datagram that `arrived` last.
    fn verified(&mut self, p: &RtpPacket, meter: &mut Meter) {
        if !self.verify || p.payload.is_empty() {
            return;
        }
        let Some(stamp) = Stamp::read(&p.payload) else {
            self.stats.corrupt += 1;
            return;
        };
        if stamp.stream != self.stream || stamp.track > 3 {
            self.stats.misrouted += 1;
            return;
        }
        let seen = self.tracks[usize::from(stamp.track)].see(stamp.counter);
        if !meter.window.has(stamp.sent_ns) {
            return;
        }
        self.stats.verified += 1;
        if !stamp.body_is_intact(&p.payload) {
            self.stats.corrupt += 1;
        }
        match seen {
            Seen::Duplicate => self.stats.payload_duplicates += 1,
            Seen::Ancient => self.stats.payload_ancient += 1,
            seen => {
                self.stats.payload_late += u64::from(seen == Seen::Late);
                self.stats.unique[usize::from(stamp.track)] += 1;
                let us = self.arrived_ns.saturating_sub(stamp.sent_ns) / 1000;
                meter.latency.saturating_record(us.max(1));
            }
        }
    }

    pub fn open_window(&mut self) {
        self.stats = SubscriberStats::default();
        for s in &mut self.sources {
            s.seq.open_window();
        }
    }

    /// The stats of the window, with the sequence number accounts added up.
    pub fn window_stats(&self) -> SubscriberStats {
        let mut s = self.stats.clone();
        for source in self.sources.iter().filter(|s| s.kind != Kind::Rtx) {
            s.seq_expected += source.seq.window_expected();
            s.seq_unique += source.seq.window_unique;
            s.seq_late += source.seq.window_late;
            s.seq_duplicates += source.seq.window_duplicates;
        }
        s
    }
}
