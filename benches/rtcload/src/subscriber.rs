//! The receiving half of a client.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use str0m::media::{Mid, Pt};
use str0m::rtp::RtpPacket;

use crate::client::{Meter, Window};
use crate::media::Stamp;
use crate::peer::{PayloadTypes, Peer};
use crate::track::{Continuity, Seen, SeqTrack};

/// Receives one stream, or the slots of a room.
pub struct Subscriber {
    /// What it is to receive.
    pub streams: Vec<u32>,
    /// In a room: whose packets name which contributing source.
    pub csrcs: Option<Csrcs>,
    pts: PayloadTypes,
    mids: [Option<Mid>; 2],
    /// Decrypt and check payloads; otherwise only RTP headers are read.
    pub verify: bool,
    asked_at: Instant,
    /// Kernel receive time of the latest datagram.
    arrived_ns: u64,
    /// The contributing source that it named, unless it was a retransmission.
    arrived_csrc: Option<u32>,
    /// Its source, and its sequence number without wraps.
    arrived_as: Option<(usize, u32)>,
    /// Whether it is of the kind that is sent again.
    arrived_again: bool,
    /// Which video packets are kept from the connection, so that it asks for them again: those whose counter this
    /// divides. 0 is none.
    nack_every: u32,
    pub first_media: Option<Duration>,
    pub first_video: Option<Duration>,
    sources: Vec<Source>,
    tracks: HashMap<u32, [Continuity; 4]>,
    stats: SubscriberStats,
}

/// The streams of a room by the contributing source of their tracks, once they are known.
pub type Csrcs = Arc<OnceLock<HashMap<u32, u32>>>;

struct Source {
    ssrc: u32,
    kind: Kind,
    seq: SeqTrack,
    fed: bool,
    csrc: Option<u32>,
    /// What a sequence number without wraps is ahead of the publisher's counter.
    ahead: Option<u32>,
    /// When another contributing source came, since somebody began to watch for it.
    changed_ns: Option<u64>,
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
    /// Packets that came and were asked for again.
    pub asked_again: u64,
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
        self.asked_again += o.asked_again;
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
    pub fn new(
        streams: Vec<u32>,
        peer: &Peer,
        pts: PayloadTypes,
        verify: bool,
        asked_at: Instant,
    ) -> Subscriber {
        Subscriber {
            streams,
            csrcs: None,
            pts,
            mids: [peer.audio, peer.video],
            verify,
            asked_at,
            arrived_ns: 0,
            arrived_csrc: None,
            arrived_as: None,
            arrived_again: false,
            nack_every: 0,
            first_media: None,
            first_video: None,
            sources: vec![],
            tracks: Default::default(),
            stats: SubscriberStats::default(),
        }
    }

    /// A participant of a room, whose sections the server names in each packet.
    pub fn in_room(self, csrcs: Csrcs) -> Subscriber {
        Subscriber { csrcs: Some(csrcs), mids: [None, None], ..self }
    }

    /// Asks for every `nack_every`th video packet again, by the publisher's count: all subscribers for the same.
    pub fn asking_again(self, nack_every: u32) -> Subscriber {
        Subscriber { nack_every, ..self }
    }

    /// How long after asking that was.
    pub fn since_asked(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.asked_at)
    }

    /// Looks at a datagram's RTP header, in the clear, as it arrives.
    pub fn arrived(&mut self, data: &[u8], received_ns: u64, window: &Window) -> Feed {
        self.arrived_ns = received_ns;
        self.arrived_csrc = None;
        self.arrived_as = None;
        self.arrived_again = false;
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
                self.sources.push(Source {
                    ssrc,
                    kind,
                    seq: SeqTrack::default(),
                    fed: false,
                    csrc: None,
                    ahead: None,
                    changed_ns: None,
                });
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
        let mut withheld = false;
        if source.kind == Kind::Rtx {
            self.arrived_again = true;
        } else {
            let (extended, seen) = source.seq.see(seq, in_window);
            self.arrived_as = Some((at, extended));
            self.arrived_again = seen == Seen::Duplicate;
            let is_new = matches!(seen, Seen::InOrder | Seen::AfterGap);
            if let (true, true, Some(ahead)) = (is_new, self.nack_every > 0, source.ahead) {
                withheld = extended.wrapping_sub(ahead).is_multiple_of(self.nack_every);
                self.stats.asked_again += u64::from(withheld && in_window);
            }
            let elapsed = || self.asked_at.elapsed();
            self.first_media.get_or_insert_with(elapsed);
            if source.kind == Kind::Video {
                self.first_video.get_or_insert_with(elapsed);
            }
            self.arrived_csrc = first_csrc(data);
            if source.csrc != self.arrived_csrc {
                source.csrc = self.arrived_csrc;
                source.changed_ns.get_or_insert(received_ns);
            }
        }
        // Without verification the first packet of a source is enough for the
        // connection to send receiver reports (with no loss) ever after.
        let to_rtc = (self.verify && !withheld) || !source.fed;
        source.fed = true;
        Feed { to_rtc, unannounced }
    }

    /// Takes a decrypted packet: one that came out of the datagram that `arrived` last.
    pub fn verified(&mut self, p: &RtpPacket, meter: &mut Meter) {
        if !self.verify || p.payload.is_empty() {
            return;
        }
        let Some(stamp) = Stamp::read(&p.payload) else {
            self.stats.corrupt += 1;
            return;
        };
        if !self.is_for_us(&stamp) {
            self.stats.misrouted += 1;
            return;
        }
        if let (true, Some((at, extended))) = (stamp.track > 0, self.arrived_as) {
            self.sources[at].ahead = Some(extended.wrapping_sub(stamp.counter));
        }
        let tracks = self.tracks.entry(stamp.stream).or_default();
        let seen = tracks[usize::from(stamp.track)].see(stamp.counter);
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
                // What was withheld comes when it was asked for: that is no latency of the server.
                if self.nack_every == 0 || !self.arrived_again {
                    let us = self.arrived_ns.saturating_sub(stamp.sent_ns) / 1000;
                    meter.latency.saturating_record(us.max(1));
                }
            }
        }
    }

    fn is_for_us(&self, stamp: &Stamp) -> bool {
        let stream = match &self.csrcs {
            None => self.streams.contains(&stamp.stream),
            // Whatever comes in a room has to be what it says it is. Retransmissions need not say it.
            Some(csrcs) => match (csrcs.get(), self.arrived_csrc) {
                (Some(streams), Some(csrc)) => streams.get(&csrc) == Some(&stamp.stream),
                _ => true,
            },
        };
        stream && stamp.track <= 3
    }

    /// From now on the first change of each video source is noted.
    pub fn watch_for_changes(&mut self) {
        for s in &mut self.sources {
            s.changed_ns = None;
        }
    }

    /// When the video sources first named another contributing source.
    pub fn changes(&self) -> Vec<Option<u64>> {
        self.sources.iter().filter(|s| s.kind == Kind::Video).map(|s| s.changed_ns).collect()
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

/// The first contributing source of an RTP packet (RFC 3550 section 5.1).
fn first_csrc(data: &[u8]) -> Option<u32> {
    let has_one = data.first()? & 0x0f > 0;
    let csrc = data.get(12..16).filter(|_| has_one)?;
    Some(u32::from_be_bytes(csrc.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contributing_source_is_read_where_there_is_one() {
        let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 1, 4, 9];
        assert_eq!(first_csrc(&packet), None);
        packet[0] |= 1;
        assert_eq!(first_csrc(&packet), Some(260));
        assert_eq!(first_csrc(&packet[..14]), None);
    }
}
