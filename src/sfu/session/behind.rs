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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sfu::forward::packet::test::audio;

    /// A group of pictures at 30 a second, each of so many packets, of which some are missing; the first is there.
    fn group(sizes: &[u64], missing: &[bool]) -> Vec<Packet> {
        let mut packets = Vec::new();
        for (place, size) in sizes.iter().enumerate() {
            for part in 0..*size {
                let sequence = sizes[..place].iter().sum::<u64>() + part + 100;
                let timestamp = (u32::MAX - 20_000).wrapping_add(u32::try_from(place).unwrap() * 3_000);
                packets.push(Packet { timestamp, entry: place == 0, ..audio(1, sequence, None) });
            }
        }
        let is_there = |place: usize| place == 0 || !missing.get(place).copied().unwrap_or(false);
        (0..packets.len()).filter(|place| is_there(*place)).map(|place| packets[place].clone()).collect()
    }

    proptest! {
        #[test]
        fn pictures_stay_whole_in_order_and_just_before_the_newest(
            sizes in prop::collection::vec(1_u64..5, 1..60),
            missing in prop::collection::vec(prop::bool::weighted(0.1), 0..240),
            late in 0_usize..20,
        ) {
            let packets = group(&sizes, &missing);
            let mut kept = Group::default();
            packets.iter().for_each(|packet| { kept.push(packet, usize::MAX); });
            let stamps = Stamps::of(&kept).expect("it has a key frame");
            let newest = packets.last().expect("not empty");
            let stamped: Vec<_> = packets.iter().map(|packet| stamps.apply(packet).expect("it was there")).collect();
            for (pair, own) in stamped.windows(2).zip(packets.windows(2)) {
                let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
                prop_assert_eq!(step, if own[0].timestamp == own[1].timestamp { 0 } else { TICKS });
            }
            let last = stamped.last().expect("not empty");
            prop_assert_eq!((last.timestamp, last.arrived), (newest.timestamp, newest.arrived));
            // What comes later stays as it is, and of another source all does.
            let mut later = Packet { sequence: newest.sequence + 1 + late as u64, ..newest.clone() };
            prop_assert_eq!(stamps.apply(&later).expect("it is new").timestamp, newest.timestamp);
            (later.source, later.sequence) = (SourceId(2), 100);
            prop_assert_eq!(stamps.apply(&later).expect("not ours").timestamp, newest.timestamp);
        }
    }

    #[test]
    fn a_link_of_four_times_the_stream_catches_up_and_one_of_three_does_not() {
        // Two seconds of 1 Mbit/s.
        let mut kept = Group::default();
        let began = audio(1, 0, None).arrived;
        for number in 0..200_u64 {
            let arrived = began + Duration::from_millis(10 * number);
            let payload = vec![0; 1_250].into();
            let timestamp = u32::try_from(number).unwrap() * 900;
            kept.push(
                &Packet { entry: number == 0, timestamp, arrived, payload, ..audio(1, number, None) },
                usize::MAX,
            );
        }
        let second = kept.get(1).expect("kept");
        let may = |carries: u64| {
            let now = began + Duration::from_secs(2);
            let media = TurnMedia {
                track: TrackId(1),
                target: Target::only(EncodingIndex(0)),
                packet: second.clone(),
                entry: Some(0),
            };
            let mut behind = CatchUp::new(now, 0, 0, &media);
            // Less a tenth, and what it is given already.
            let spare = Bitrate(carries / 10 * 9 - 1_000_000);
            behind.earn(now + Duration::from_millis(5), spare);
            behind.may_go_on(spare, &kept, second)
        };
        assert!(may(4_000_000) && !may(3_000_000) && !may(1_200_000));
    }
}
