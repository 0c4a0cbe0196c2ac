//! What a core counts: plain numbers that only grow, owned by one thread, copied out once a second.

use std::time::Duration;

use super::session::channels::DataCounters;
use super::session::ending::EndReason;
use crate::net::demux::DropReason;

/// Counters and histograms of one forwarding core.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Media packets received from publishers, after decryption.
    pub media_packets_in: u64,
    /// Media payload bytes received from publishers.
    pub media_bytes_in: u64,
    /// Media packets handed to subscribers.
    pub media_packets_out: u64,
    /// Media payload bytes handed to subscribers.
    pub media_bytes_out: u64,
    /// Packets of publishers whose source or payload type was not negotiated, or was left behind for a newer source.
    pub unknown_media: u64,
    /// Packets that could not be forwarded, as the subscriber's decoder had nothing to begin with.
    pub awaiting_keyframe: u64,
    /// Packets that the subscriber has no codec for.
    pub unplayable: u64,
    /// Packets that could not be sealed for a subscriber, or had nowhere to go.
    pub unsent: u64,
    /// Packets of frames that were given up for a subscriber whose link is too slow for them.
    pub given_up: u64,
    /// Times that a subscriber was given a better picture of what it shows.
    pub switches_up: u64,
    /// Times that a subscriber was given a smaller picture of what it shows, but one.
    pub switches_down: u64,
    /// Times that a subscriber began with a key frame from before it came, and caught up with the stream.
    pub caught_up: u64,
    /// Probes that were begun.
    pub probes: u64,
    /// Bytes of padding that were sent to see what links carry.
    pub padding_bytes: u64,
    /// Packets that were sent again, of those that were asked for.
    pub resent: u64,
    /// Packets that were asked for again and not sent: too old, asked for a moment ago, or beyond the subscriber's budget.
    pub not_resent: u64,
    /// Packets of which subscribers said that they arrived, and that they did not (transport-wide feedback).
    pub transport_received: u64,
    /// See above.
    pub transport_lost: u64,
    /// RTCP of subscribers that could not be read: forged, replayed, or broken.
    pub bad_feedback: u64,
    /// Packets that were not forwarded to a subscriber, as their audio track is silent.
    pub silent: u64,
    /// Packets that were not forwarded to a subscriber, as their track is muted.
    pub muted: u64,
    /// Media packets sent to other workers, once to each that has subscribers of the track.
    pub relayed_packets_out: u64,
    /// Media packets that came from other workers.
    pub relayed_packets_in: u64,
    /// Key-frame requests received from subscribers.
    pub keyframe_requests_in: u64,
    /// Key-frame requests sent to publishers, after merging and throttling.
    pub keyframe_requests_out: u64,
    /// Packets that subscribers asked for again (NACK, RFC 4585 section 6.2.1).
    pub nacks_in: u64,
    /// Packets that were asked of publishers again.
    pub nacks_out: u64,
    /// What goes through data channels.
    pub data: DataCounters,
    /// Datagrams for sessions that were not what they seemed.
    pub malformed: u64,
    /// Datagrams dropped before a session, by [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// STUN Binding requests answered by the server itself.
    pub stun_bindings: u64,
    /// Sessions begun.
    pub sessions_started: u64,
    /// Sessions that got ICE and DTLS through.
    pub sessions_connected: u64,
    /// Sessions ended, by [`EndReason::ALL`].
    pub sessions_ended: [u64; EndReason::ALL.len()],
    /// Panics that were contained in one session.
    pub panics: u64,
    /// From the offer to media being able to flow.
    pub join_time: Histogram,
    /// Sessions at this moment.
    pub sessions: u64,
    /// Published tracks at this moment.
    pub tracks: u64,
    /// Bound slots at this moment.
    pub subscriptions: u64,
    /// Payload bytes that are kept for those who come between two key frames, at this moment.
    pub group_bytes: u64,
    /// The links of subscribers at this moment.
    pub links: Links,
}

/// What is known of the links of subscribers, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Links {
    /// Those of which there is an estimate.
    pub estimated: u64,
    /// What these can carry, bytes a second, as Prometheus counts.
    pub estimate: u64,
    /// What of that was given to tracks, bytes a second.
    pub allotted: u64,
    /// Bytes that wait in pacers.
    pub waiting_bytes: u64,
    /// Slots that are bound to a track for which there is no room.
    pub paused_slots: u64,
}

impl Counters {
    /// Counts the end of a session.
    pub fn ended(&mut self, reason: EndReason) {
        let place = EndReason::ALL.iter().position(|known| *known == reason);
        if let Some(count) = place.and_then(|place| self.sessions_ended.get_mut(place)) {
            *count += 1;
        }
    }

    /// Counts a dropped datagram.
    pub fn drop(&mut self, reason: DropReason) {
        let place = DropReason::ALL.iter().position(|known| *known == reason);
        if let Some(count) = place.and_then(|place| self.dropped.get_mut(place)) {
            *count += 1;
        }
    }
}

/// A histogram with fixed buckets, in microseconds; each bucket is four times as wide as the one before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Histogram {
    /// Observations up to and including [`Histogram::BOUNDS`], not cumulative; the last is above all.
    pub buckets: [u64; Self::BOUNDS.len() + 1],
    /// The sum of all observations in microseconds.
    pub sum: u64,
}

impl Histogram {
    /// Upper bounds in microseconds: 10 us to 10.5 s.
    pub const BOUNDS: [u64; 11] =
        [10, 40, 160, 640, 2_560, 10_240, 40_960, 163_840, 655_360, 2_621_440, 10_485_760];

    /// Takes an observation.
    pub fn observe(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let place = Self::BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(micros);
    }

    /// The number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_fall_into_their_buckets() {
        let mut histogram = Histogram::default();
        for micros in [10, 11, 20_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1], histogram.buckets[11]), (1, 1, 1));
        assert_eq!((histogram.count(), histogram.sum), (3, 20_000_021));
    }

    #[test]
    fn each_reason_has_its_own_count() {
        let mut counters = Counters::default();
        for (index, reason) in EndReason::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| counters.ended(reason));
        }
        assert_eq!(counters.sessions_ended, [1, 2, 3, 4, 5, 6, 7]);
    }
}
