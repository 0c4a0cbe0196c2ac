//! What is known of a session's media: how much flows, and how much of it gets lost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use str0m::media::Mid;
use str0m::stats::MediaIngressStats;

use crate::ids::{SessionId, TrackId};
use crate::sfu::egress::sender::Totals;
use crate::sfu::forward::ladder::{Rung, Selection};
use crate::units::{Bitrate, Format};

/// The state of a connected session's media over the last interval, some two seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStats {
    /// The session.
    pub session: SessionId,
    /// Round-trip time, by the newest report of the client as receiver (RFC 3550 section 6.4.1). `None` when it
    /// receives nothing.
    pub rtt: Option<Duration>,
    /// How much the client believes that it can receive, if it says so (REMB).
    pub estimate: Option<Bitrate>,
    /// The way from the server to the client. `None` when nothing is sent to it.
    pub link: Option<LinkStats>,
    /// What the client sends.
    pub tracks: Vec<TrackStats>,
    /// What the client receives.
    pub slots: Vec<SlotStats>,
    /// How each video track that it sends can be received, the worst picture first. The core adds this.
    pub ladders: Vec<(TrackId, Vec<NamedRung>)>,
}

/// A way to receive a video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRung {
    /// The encoding's name (RFC 8851). `None` where the publisher gave it none.
    pub rid: Option<String>,
    /// What it is.
    pub rung: Rung,
}

/// The way from the server to a client.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkStats {
    /// What it can carry, by the server's own estimate. `None` while there is none.
    pub estimate: Option<Bitrate>,
    /// How much of that was given to tracks. `None` while nothing is given out.
    pub allotted: Option<Bitrate>,
    /// All media that was sent, with what was sent again.
    pub sent: Bitrate,
    /// The part of it that was lost on the way, 0 to 1.
    pub lost: f32,
    /// How long media waited at the server before it was sent.
    pub queue: Duration,
}

/// A track on its way from its publisher to the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackStats {
    /// The track.
    pub track: TrackId,
    /// RTP payload of all its encodings.
    pub bitrate: Bitrate,
    /// Packets received in the interval.
    pub packets: u64,
    /// The part of its packets that was lost on the way, 0 to 1, of the encoding that lost most.
    pub lost: f32,
    /// How many encodings were received so far (simulcast).
    pub encodings: u8,
    /// The format of the newest packet. `None` before the first.
    pub format: Option<Format>,
}

/// A slot on its way from the server to the client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlotStats {
    /// The index of the slot in its session.
    pub slot: usize,
    /// The track that is bound to it.
    pub track: Option<TrackId>,
    /// RTP payload handed to the client, without what was sent again.
    pub bitrate: Bitrate,
    /// The part of its packets that was lost on the way, 0 to 1: by the client's newest report or by what had to be sent
    /// again, whichever is more.
    pub lost: f32,
    /// How often the client asked for packets again in the interval (NACK).
    pub nacks: u64,
    /// What is forwarded of a video track with several encodings or layers.
    pub selection: Option<Selection>,
    /// The height of the forwarded picture in pixels; 0 while it is not known.
    pub height: u16,
    /// Nothing is forwarded, as the link does not carry it.
    pub paused: bool,
}

/// What is to be told of a track for its statistics.
pub(super) struct Published {
    pub(super) id: TrackId,
    pub(super) mid: Mid,
    pub(super) encodings: usize,
}

/// What is to be told of a slot for its statistics.
pub(super) struct Bound {
    pub(super) track: Option<TrackId>,
    /// What was counted since the session began.
    pub(super) totals: Totals,
    /// By the newest report: clients may take five seconds from one to the next.
    pub(super) lost: f32,
    pub(super) rtt: Option<Duration>,
    pub(super) picture: Picture,
}

/// What is forwarded of a video track.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Picture {
    pub(super) selection: Option<Selection>,
    pub(super) height: u16,
    pub(super) paused: bool,
}

/// What bandwidth estimation and allocation know of the way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// What it can carry. `None` while there is no estimate.
    pub estimate: Option<Bitrate>,
    /// How much of that was given to tracks. `None` while nothing is given out.
    pub allotted: Option<Bitrate>,
    /// What it was taken to carry when that was given. More than the estimate only while a queue on the way is new.
    pub allotted_of: Bitrate,
    /// How long media waits on the way.
    pub queue: Duration,
}

/// What was sent in an interval, for [`LinkStats`].
#[derive(Debug, Default)]
struct Sum {
    bytes: u64,
    packets: u64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, news: Totals, lost: f32) {
        // What is sent again is as large as other packets, on average.
        let again = (news.bytes * news.resent).checked_div(news.packets).unwrap_or_default();
        self.bytes += news.bytes + again;
        self.packets += news.packets;
        self.lost += f64::from(lost) * news.packets as f64;
    }

    fn link(&self, time: Duration, known: Link) -> LinkStats {
        let lost = if self.packets == 0 { 0.0 } else { (self.lost / self.packets as f64) as f32 };
        let Link { estimate, allotted, queue, .. } = known;
        LinkStats { estimate, allotted, sent: Bitrate::over(self.bytes, time), lost, queue }
    }
}

/// What is counted between two [`SessionStats`].
#[derive(Debug)]
pub(super) struct Stats {
    /// Since when.
    since: Instant,
    received: Vec<Received>,
    /// By the index of the slot: what was told before.
    told: Vec<Totals>,
    /// Of each section that comes in, the part that was lost.
    lost: HashMap<Mid, f32>,
    estimate: Option<Bitrate>,
    /// str0m has begun to tell what it knows; it goes on until it has no more to say.
    reported: bool,
}

#[derive(Debug)]
struct Received {
    track: TrackId,
    packets: u64,
    bytes: u64,
    format: Format,
}

impl Stats {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            received: Vec::new(),
            told: Vec::new(),
            lost: HashMap::new(),
            estimate: None,
            reported: false,
        }
    }

    /// Counts a packet of the client.
    pub(super) fn received(&mut self, track: TrackId, bytes: usize, format: Format) {
        let bytes = bytes as u64;
        match self.received.iter_mut().find(|received| received.track == track) {
            Some(received) => {
                received.packets += 1;
                received.bytes += bytes;
                received.format = format;
            }
            None => self.received.push(Received { track, packets: 1, bytes, format }),
        }
    }

    /// str0m begins to tell, with what it knows of the whole connection.
    pub(super) fn begin(&mut self) {
        self.reported = true;
        self.lost.clear();
    }

    /// What str0m knows of an encoding that is received.
    pub(super) fn ingress(&mut self, stats: &MediaIngressStats) {
        let lost = self.lost.entry(stats.mid).or_default();
        *lost = lost.max(stats.loss.unwrap_or_default());
    }

    /// The client says how much it can receive.
    pub(super) fn estimated(&mut self, bitrate: Bitrate) {
        self.estimate = Some(bitrate);
    }

    /// Whether str0m has told its part, so that all is known.
    pub(super) fn is_due(&self) -> bool {
        self.reported
    }

    /// Takes what was counted.
    pub(super) fn take(
        &mut self,
        now: Instant,
        session: SessionId,
        published: &[Published],
        slots: &[Bound],
        link: Link,
    ) -> SessionStats {
        self.reported = false;
        let since = std::mem::replace(&mut self.since, now);
        let time = now.saturating_duration_since(since);
        let tracks = published.iter().map(|track| {
            let counted = self.received.iter().find(|received| received.track == track.id);
            TrackStats {
                track: track.id,
                bitrate: Bitrate::over(counted.map_or(0, |counted| counted.bytes), time),
                packets: counted.map_or(0, |counted| counted.packets),
                lost: self.lost.get(&track.mid).copied().unwrap_or_default(),
                encodings: u8::try_from(track.encodings).unwrap_or(u8::MAX),
                format: counted.map(|counted| counted.format),
            }
        });
        let tracks = tracks.collect();
        self.told.resize(slots.len(), Totals::default());
        let mut sum = Sum::default();
        let slots_told = slots.iter().zip(&mut self.told).enumerate().map(|(slot, (bound, told))| {
            let news = bound.totals.since(*told);
            *told = bound.totals;
            let again = if news.packets == 0 { 0.0 } else { news.resent as f32 / news.packets as f32 };
            let lost = bound.lost.max(again).min(1.0);
            sum.add(news, lost);
            let Picture { selection, height, paused } = bound.picture;
            let bitrate = Bitrate::over(news.bytes, time);
            SlotStats {
                slot,
                track: bound.track,
                bitrate,
                lost,
                nacks: news.asked,
                selection,
                height,
                paused,
            }
        });
        let slots_told: Vec<_> = slots_told.collect();
        let link = (!slots_told.is_empty()).then(|| sum.link(time, link));
        self.received.retain(|received| published.iter().any(|track| track.id == received.track));
        self.received.iter_mut().for_each(|received| (received.packets, received.bytes) = (0, 0));
        let rtt = slots.iter().filter_map(|bound| bound.rtt).min();
        let ladders = Vec::new();
        SessionStats { session, rtt, estimate: self.estimate, link, tracks, slots: slots_told, ladders }
    }
}
