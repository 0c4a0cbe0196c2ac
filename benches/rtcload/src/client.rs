//! A connected client: sends a stream, receives, or both.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use str0m::media::{KeyframeRequest, Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Event, Rtc};

use crate::media::{Stamp, VideoShape, audio_packet};
use crate::peer::{PayloadTypes, Peer, RIDS};
use crate::subscriber::Subscriber;
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
    /// What it sends.
    pub publisher: Option<Publisher>,
    /// What it receives.
    pub subscriber: Option<Subscriber>,
    pub connected: Option<Instant>,
    /// When the engine must look at this client again.
    pub deadline: Instant,
    /// The deadline that is in the engine's queue.
    pub scheduled: Option<Instant>,
}

impl Client {
    pub fn new(peer: Peer, publisher: Option<Publisher>, subscriber: Option<Subscriber>) -> Client {
        let now = Instant::now();
        Client {
            rtc: peer.rtc,
            ip: peer.ip,
            publisher,
            subscriber,
            connected: None,
            deadline: now,
            scheduled: None,
        }
    }

    pub fn handle_event(&mut self, event: Event, now: Instant, meter: &mut Meter) {
        match (event, &mut self.publisher, &mut self.subscriber) {
            (Event::Connected, publisher, _) => {
                self.connected = Some(now);
                if let Some(p) = publisher {
                    p.start(now);
                }
            }
            (Event::KeyframeRequest(r), Some(p), _) => p.keyframe_requested(&r),
            (Event::RtpPacket(p), _, Some(s)) => s.verified(&p, meter),
            _ => {}
        }
    }
}

/// Who speaks when, in a room: some publishers at once, and one of them hands over to the next every [`TURN_NS`].
#[derive(Debug, Clone, Copy)]
pub struct Talk {
    pub publishers: u32,
    pub at_once: u32,
}

/// How long somebody speaks before the next one takes over from whoever has spoken longest, in nanoseconds.
const TURN_NS: u64 = 3_000_000_000;

impl Talk {
    /// Whether the publisher of `stream` speaks at `ns` of CLOCK_REALTIME.
    fn speaks(&self, stream: u32, ns: u64) -> bool {
        let publishers = self.publishers.max(1);
        let turn = (ns / TURN_NS % u64::from(publishers)) as u32;
        (stream + publishers - turn) % publishers < self.at_once
    }
}

/// Sends audio and the video layers of one stream.
pub struct Publisher {
    stream: u32,
    /// Without it the publisher speaks all the time.
    talk: Option<Talk>,
    /// Whether the packets of a frame leave at once.
    burst: bool,
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
        Publisher {
            stream,
            talk: None,
            burst: false,
            audio,
            layers,
            window_sent: [0; 4],
            keyframe_requests: 0,
            keyframes: 0,
        }
    }

    pub fn taking_turns(self, talk: Talk) -> Publisher {
        Publisher { talk: Some(talk), ..self }
    }

    pub fn in_bursts(self, burst: bool) -> Publisher {
        Publisher { burst, ..self }
    }

    /// A publisher that is connected and sends nothing.
    pub fn silent(self) -> Publisher {
        Publisher { audio: None, layers: vec![], ..self }
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
            let speaks = self.talk.is_none_or(|t| t.speaks(self.stream, sent_ns));
            let ext_vals = ExtensionValues {
                audio_level: Some(if speaks { -20 - (a.count % 30) as i8 } else { -127 }),
                voice_activity: Some(speaks),
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
                v.sending = Some((key, i + 1));
                if !self.burst {
                    // A frame's packets are spread over half its time, as a pacer would.
                    v.next += v.frame_interval() / 2 / v.shape.packets(key) as u32;
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_take_turns_and_as_many_speak_as_shall() {
        let talk = Talk { publishers: 5, at_once: 2 };
        let speaking = |turn: u64| -> Vec<u32> {
            (0..5).filter(|stream| talk.speaks(*stream, turn * TURN_NS + 1)).collect()
        };
        assert_eq!(speaking(0), [0, 1]);
        assert_eq!(speaking(1), [1, 2]);
        assert_eq!(speaking(4), [0, 4]);
        assert_eq!(speaking(5), [0, 1]);
    }
}
