//! What is known of a session's media: how much flows, and how much of it gets lost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use str0m::media::Mid;
use str0m::stats::{MediaEgressStats, MediaIngressStats};

use crate::ids::{SessionId, TrackId};
use crate::units::{Bitrate, Format};

/// The state of a connected session's media over the last interval, some two seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStats {
    /// The session.
    pub session: SessionId,
    /// Round-trip time, by the newest report of the client as receiver (RFC 3550 section 6.4.1). `None` when it
    /// receives nothing.
    pub rtt: Option<Duration>,
    /// What the client sends.
    pub tracks: Vec<TrackStats>,
    /// What the client receives.
    pub slots: Vec<SlotStats>,
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
    /// The part of its packets that was lost on the way, 0 to 1: by the client's reports or by what had to be sent again,
    /// whichever is more. str0m mixes into the reports those on the packets that were sent again.
    pub lost: f32,
    /// How often the client asked for packets again in the interval (NACK).
    pub nacks: u64,
}

/// What is to be told of a track for its statistics.
pub(super) struct Published {
    pub(super) id: TrackId,
    pub(super) mid: Mid,
    pub(super) encodings: usize,
}

/// What is counted between two [`SessionStats`].
#[derive(Debug)]
pub(super) struct Stats {
    /// Since when.
    since: Instant,
    received: Vec<Received>,
    /// By the index of the slot.
    sent: Vec<Sent>,
    sections: HashMap<Mid, Section>,
    rtt: Option<Duration>,
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

/// What was handed to the client, without what was sent again.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    packets: u64,
    bytes: u64,
}

/// What str0m knows of a section.
#[derive(Debug, Default, Clone, Copy)]
struct Section {
    /// The part that was lost of what came in, and of what went out: the latter by the newest report, as clients may take
    /// five seconds from one to the next.
    lost_in: f32,
    lost_out: f32,
    /// Packets that the client asked for again: all of them, and those told before.
    nacks: u64,
    nacks_told: u64,
    /// Packets sent, those that were sent again too: all of them, and those taken into account before.
    packets: u64,
    packets_told: u64,
}

impl Section {
    /// What is new since the last call: how often the client asked again, and the part of so many packets that was lost.
    fn news(&mut self, sent: u64) -> (u64, f32) {
        let nacks = self.nacks.saturating_sub(std::mem::replace(&mut self.nacks_told, self.nacks));
        let packets = self.packets.saturating_sub(std::mem::replace(&mut self.packets_told, self.packets));
        let again = if sent == 0 { 0.0 } else { packets.saturating_sub(sent) as f32 / sent as f32 };
        (nacks, self.lost_out.max(again).min(1.0))
    }
}

impl Stats {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            received: Vec::new(),
            sent: Vec::new(),
            sections: HashMap::new(),
            rtt: None,
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

    /// Counts a packet that was handed to the client through a slot.
    pub(super) fn sent(&mut self, slot: usize, bytes: usize) {
        if slot >= self.sent.len() {
            self.sent.resize(slot + 1, Sent::default());
        }
        if let Some(sent) = self.sent.get_mut(slot) {
            sent.packets += 1;
            sent.bytes += bytes as u64;
        }
    }

    /// str0m begins to tell, with what it knows of the whole connection.
    pub(super) fn begin(&mut self) {
        self.reported = true;
        for section in self.sections.values_mut() {
            section.lost_in = 0.0;
        }
    }

    /// What str0m knows of an encoding that is received.
    pub(super) fn ingress(&mut self, stats: &MediaIngressStats) {
        let section = self.sections.entry(stats.mid).or_default();
        section.lost_in = section.lost_in.max(stats.loss.unwrap_or_default());
    }

    /// What str0m knows of a section in which is sent.
    pub(super) fn egress(&mut self, stats: &MediaEgressStats) {
        self.rtt = stats.rtt.or(self.rtt);
        let section = self.sections.entry(stats.mid).or_default();
        section.lost_out = stats.loss.unwrap_or(section.lost_out);
        (section.nacks, section.packets) = (stats.nacks, stats.packets);
    }

    /// Whether str0m has told its part, so that all is known.
    pub(super) fn is_due(&self) -> bool {
        self.reported
    }

    /// Takes what was counted. Of each slot, the section and the bound track are to be
    /// told.
    pub(super) fn take(
        &mut self,
        now: Instant,
        session: SessionId,
        published: &[Published],
        slots: impl Iterator<Item = (Mid, Option<TrackId>)>,
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
                lost: self.sections.get(&track.mid).map_or(0.0, |section| section.lost_in),
                encodings: u8::try_from(track.encodings).unwrap_or(u8::MAX),
                format: counted.map(|counted| counted.format),
            }
        });
        let tracks = tracks.collect();
        let slots = slots.enumerate().map(|(index, (mid, track))| {
            let section = self.sections.entry(mid).or_default();
            let sent = self.sent.get(index).copied().unwrap_or_default();
            let (nacks, lost) = section.news(sent.packets);
            SlotStats { slot: index, track, bitrate: Bitrate::over(sent.bytes, time), lost, nacks }
        });
        let slots = slots.collect();
        self.received.retain(|received| published.iter().any(|track| track.id == received.track));
        self.received.iter_mut().for_each(|received| (received.packets, received.bytes) = (0, 0));
        self.sent.fill(Sent::default());
        SessionStats { session, rtt: self.rtt, tracks, slots }
    }
}
