//! Where a slot is that has to catch up with a stream, and what becomes of the timestamps meanwhile.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::turn::TurnMedia;
use crate::ids::TrackId;
use crate::sfu::forward::group::Group;
use crate::sfu::forward::packet::{EncodingIndex, Packet, SourceId};
use crate::sfu::forward::target::Target;
use crate::units::Bitrate;

/// What would take longer than this part of the time in which it came, in percent, does not leave: on a link that carries four
/// times the stream, a viewer without anything else catches up just so.
const WORTH_PERCENT: u32 = 40;
/// What takes no longer than this leaves in any case.
const SHORT: Duration = Duration::from_millis(250);
/// What may leave at once beyond what the link has carried: a few packets.
const BURST: i64 = 6_000;
/// One millisecond of the clock of video.
const TICKS: u32 = 90;

/// A slot that has to catch up.
#[derive(Debug)]
pub(super) struct CatchUp {
    pub(super) slot: usize,
    pub(super) track: TrackId,
    pub(super) source: SourceId,
    pub(super) encoding: EncodingIndex,
    /// What can be followed by the last packet that came.
    pub(super) target: Target,
    /// The source's number of the key frame.
    pub(super) entry: u64,
    /// And of the next packet to be sent.
    pub(super) next: u64,
    /// The payload bytes of the group that were sent.
    sent: usize,
    /// What may leave, bytes; less than nothing after a key frame. And when that was true.
    credit: i64,
    at: Instant,
}

/// The timestamps that pictures of a group got, instead of their own, so that none is waited for.
#[derive(Debug)]
pub(super) struct Stamps {
    pub(super) source: SourceId,
    /// The source's number of the key frame.
    pub(super) entry: u64,
    /// Of each picture before the newest, the number of its first packet and its timestamp.
    pictures: Vec<(u64, u32)>,
    /// The number of the newest picture's first packet, from which on all stays as it is.
    until: u64,
    /// The newest picture's timestamp, when it was captured, and when it arrived.
    newest: (u32, Instant, Instant),
}

impl Stamps {
    /// For a group as it is now.
    pub(super) fn of(group: &Group) -> Option<Self> {
        let (first, newest) = (group.first()?, group.last()?);
        let mut pictures: Vec<(u64, u32)> = Vec::new();
        let mut until = newest.sequence;
        for packet in group.from(0) {
            if packet.timestamp == newest.timestamp {
                until = until.min(packet.sequence);
            } else if pictures.last().is_none_or(|(_, timestamp)| *timestamp != packet.timestamp) {
                pictures.push((packet.sequence, packet.timestamp));
            }
        }
        let newest = (newest.timestamp, newest.captured, newest.arrived);
        Some(Self { source: first.source, entry: first.sequence, pictures, until, newest })
    }

    /// The packet as it is to be sent. `None` for one of a picture that was missing.
    pub(super) fn apply<'a>(&self, packet: &'a Packet) -> Option<Cow<'a, Packet>> {
        if packet.source != self.source || packet.sequence < self.entry || packet.sequence >= self.until {
            return Some(Cow::Borrowed(packet));
        }
        let place = self.pictures.partition_point(|(first, _)| *first <= packet.sequence).checked_sub(1)?;
        self.pictures.get(place).filter(|(_, timestamp)| *timestamp == packet.timestamp)?;
        let before = u32::try_from(self.pictures.len() - place).unwrap_or(u32::MAX);
        let (timestamp, captured, arrived) = self.newest;
        let since = Duration::from_millis(before.into());
        Some(Cow::Owned(Packet {
            timestamp: timestamp.wrapping_sub(before.saturating_mul(TICKS)),
            captured: captured.checked_sub(since).unwrap_or(captured),
            arrived: arrived.checked_sub(since).unwrap_or(arrived),
            ..packet.clone()
        }))
    }
}

impl CatchUp {
    /// A slot begins, with the key frame that is kept of the source of what just came.
    pub(super) fn new(now: Instant, slot: usize, entry: u64, media: &TurnMedia) -> Self {
        let TurnMedia { track, target, packet, .. } = media;
        let (source, encoding) = (packet.source, packet.encoding);
        Self {
            slot,
            track: *track,
            source,
            encoding,
            target: *target,
            entry,
            next: entry,
            sent: 0,
            credit: 0,
            at: now,
        }
    }

    /// Time passes on a link that carries so much more than it is given.
    pub(super) fn earn(&mut self, now: Instant, spare: Bitrate) {
        let passed = now.saturating_duration_since(self.at).as_micros();
        let earned = u128::from(spare.0) * passed / 8_000_000;
        self.credit = self.credit.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(BURST);
        self.at = now;
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.sent += bytes;
        self.credit = self.credit.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Whether a packet of the group may leave that is not of the key frame, over a link that carries so much more than it is
    /// given.
    pub(super) fn may_go_on(&self, spare: Bitrate, group: &Group, packet: &Packet) -> bool {
        let left = group.bytes().saturating_sub(self.sent) as u64 * 8_000_000;
        let takes = Duration::from_micros(left / spare.0.max(1));
        let came = group.last().map(|last| last.arrived.saturating_duration_since(packet.arrived));
        self.credit > 0 && takes <= SHORT.max(came.unwrap_or_default() * WORTH_PERCENT / 100)
    }
}
