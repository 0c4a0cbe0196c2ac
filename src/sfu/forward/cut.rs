//! Which layers of an encoding one subscriber gets, from which packet on.
//!
//! A change holds from the first packet of a frame on, by its sequence number. So what comes late is judged by what held in
//! its place: a frame is forwarded whole or not at all, whatever order its packets come in.

use super::layer::LayerFacts;
use super::packet::{Packet, SourceId};

/// The highest layers that are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cap {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
}

impl Cap {
    /// All that there is.
    pub(super) const NONE: Self = Self { spatial: u8::MAX, temporal: u8::MAX };

    fn holds(self, layer: LayerFacts) -> bool {
        layer.spatial <= self.spatial && layer.temporal <= self.temporal
    }

    fn min(self, other: Self) -> Self {
        Self { spatial: self.spatial.min(other.spatial), temporal: self.temporal.min(other.temporal) }
    }
}

/// From which packet of a source on which layers are forwarded.
#[derive(Debug, Clone, Copy)]
struct Change {
    source: SourceId,
    from: u64,
    cap: Cap,
}

/// How many changes are remembered. What is older than the oldest is too late for any picture.
const MOST: usize = 8;

/// The layers of one subscription.
#[derive(Debug)]
pub(super) struct Cut {
    wanted: Cap,
    /// The newest first.
    changes: [Option<Change>; MOST],
    /// The timestamp of the newest picture.
    picture: u32,
    /// The highest spatial layer that the source sends.
    top: u8,
    /// How many pictures passed since a temporal layer is wanted that cannot be taken up.
    waited: u8,
}

/// Encoders that never mark where temporal layers can be taken up are asked for a key frame after so many pictures.
const PATIENCE: u8 = 90;

impl Cut {
    pub(super) fn new() -> Self {
        Self { wanted: Cap::NONE, changes: [None; MOST], picture: 0, top: 0, waited: 0 }
    }

    /// The layers that are wanted from now on, as soon as that can be.
    pub(super) fn want(&mut self, cap: Cap) {
        if self.wanted != cap {
            self.wanted = cap;
            self.waited = 0;
        }
    }

    /// The layers that are forwarded now.
    pub(super) fn cap(&self) -> Cap {
        self.changes[0].map_or(self.wanted, |change| change.cap)
    }

    /// Whether a key frame is needed for all that is wanted.
    pub(super) fn needs_entry(&self) -> bool {
        self.waited >= PATIENCE || self.cap().spatial < self.wanted.spatial.min(self.top)
    }

    /// Begins with a packet, of which a decoder needs nothing before.
    pub(super) fn begin(&mut self, packet: &Packet) {
        self.picture = packet.timestamp;
        self.top = packet.layer.top;
        self.change(packet, self.wanted);
    }

    /// Looks at a new packet of the source, in order: layers are left, or taken up, from here on. Returns whether they are.
    #[inline]
    pub(super) fn adjust(&mut self, packet: &Packet) -> bool {
        let layer = &packet.layer;
        if !layer.begins {
            return false;
        }
        let is_new_picture = packet.timestamp != self.picture;
        self.picture = packet.timestamp;
        self.top = layer.top;
        let cap = self.cap();
        if cap == self.wanted {
            return false;
        }
        let next = self.next(cap, packet, is_new_picture);
        if next == cap {
            if is_new_picture && layer.temporal > cap.temporal && cap.temporal < self.wanted.temporal {
                self.waited = self.waited.saturating_add(1);
            }
            return false;
        }
        self.change(packet, next);
        true
    }

    fn next(&self, mut cap: Cap, packet: &Packet, is_new_picture: bool) -> Cap {
        let layer = &packet.layer;
        if packet.entry {
            return self.wanted;
        }
        // What is left ends with a picture, which is whole.
        if is_new_picture {
            cap = cap.min(self.wanted);
        }
        if cap.temporal < self.wanted.temporal {
            let is_next = layer.temporal == cap.temporal + 1;
            if layer.sync && is_next {
                cap.temporal += 1;
            } else if layer.temporal <= cap.temporal && layer.spatial == cap.spatial.min(layer.top) {
                cap.temporal = self.reachable(cap.temporal, layer.switches_to);
            }
        }
        cap
    }

    /// The highest temporal layer among those, not above the one that is wanted.
    fn reachable(&self, from: u8, switches_to: u8) -> u8 {
        let highest = 7_u8.min(self.wanted.temporal);
        let reachable = (from.saturating_add(1)..=highest).rev().find(|layer| switches_to >> layer & 1 == 1);
        // Whoever wants all that there is has it with the highest.
        let all = self.wanted.temporal == u8::MAX && reachable.is_some_and(|layer| switches_to >> layer <= 1);
        if all { u8::MAX } else { reachable.unwrap_or(from) }
    }

    fn change(&mut self, packet: &Packet, cap: Cap) {
        self.waited = 0;
        self.changes.rotate_right(1);
        self.changes[0] = Some(Change { source: packet.source, from: packet.sequence, cap });
    }

    /// Whether a packet is of the layers that are forwarded in its place.
    #[inline]
    pub(super) fn holds(&self, packet: &Packet) -> bool {
        let here = |change: &&Change| change.source == packet.source && change.from <= packet.sequence;
        self.changes.iter().flatten().find(here).is_some_and(|change| change.cap.holds(packet.layer))
    }
}
