//! One track on its way to one participant.

use super::cut::{Cap, Cut};
use super::ladder::Selection;
use super::packet::{EncodingIndex, Packet};
use super::rewrite::{Rewriter, Rewritten, Sent};
use super::target::Target;

/// The state of one slot of a subscriber: what it follows, and its numbering, which outlives sources.
#[derive(Debug)]
pub struct Subscription {
    rewriter: Rewriter,
    choice: Choice,
    cut: Cut,
    /// The encoding that is forwarded.
    following: Option<EncodingIndex>,
    /// The encoding that was to be followed by the last packet.
    followed: Option<EncodingIndex>,
    /// The subscriber's number of the key frame with which it began, or switched, last.
    entered: u64,
    /// The highest spatial layer that the subscriber can make use of.
    most_spatial: u8,
}

/// What a subscriber is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// The best that there is: nobody selected anything.
    Best,
    /// Nothing for now.
    Nothing,
    Selected(Selection),
}

/// What becomes of a packet for one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it with these numbers.
    Forward(Rewritten),
    /// It is of an encoding or a layer that this subscriber does not follow, or older than its entry point.
    Unwanted,
    /// The decoder cannot begin here: a key frame is needed.
    AwaitsEntry,
    /// The subscriber has a picture, and needs a key frame of this packet's encoding for the one that it is to have.
    AwaitsSwitch,
}

impl Subscription {
    /// Begins with random numbers, see [`Rewriter::new`].
    #[must_use]
    pub fn new(sequence: u16, timestamp: u32) -> Self {
        Self {
            rewriter: Rewriter::new(sequence, timestamp),
            choice: Choice::Best,
            cut: Cut::new(),
            following: None,
            followed: None,
            entered: 0,
            most_spatial: u8::MAX,
        }
    }

    /// Another track stands behind the slot now: nothing is forwarded until a decoder can begin with it, and the best that
    /// there is until something is selected.
    pub fn reset(&mut self) {
        self.rebind();
        self.choice = Choice::Best;
        self.followed = None;
        self.want(Cap::NONE);
    }

    /// What comes does not follow what came before: nothing is forwarded until a decoder can begin with it.
    pub fn rebind(&mut self) {
        self.following = None;
    }

    /// What of the track is to be forwarded from now on, as soon as a decoder can follow; `None` for nothing, at once.
    /// Until then what was forwarded goes on. Layers are left with the next picture, and taken up where the stream permits.
    pub fn select(&mut self, selection: Option<Selection>) {
        self.choice = selection.map_or(Choice::Nothing, Choice::Selected);
        match selection {
            // Another encoding goes on as it is until the switch.
            Some(Selection { encoding, .. })
                if self.following.is_some_and(|following| following != encoding) => {}
            Some(Selection { spatial, temporal, .. }) => self.want(Cap { spatial, temporal }),
            None => self.rebind(),
        }
    }

    /// What was forwarded ends at once if it is of another encoding than the one that is selected: there is no picture until
    /// that one's key frame. Returns whether it did end.
    pub fn leave(&mut self) -> bool {
        let leaves = self.is_leaving();
        if leaves {
            self.rebind();
        }
        leaves
    }

    /// Of what is forwarded, only the fewest pictures still are if it is of another encoding than the one that is selected.
    pub fn ease(&mut self) {
        if self.is_leaving() {
            self.want(Cap { spatial: u8::MAX, temporal: 0 });
        }
    }

    /// Whether another encoding is selected than the one that is forwarded.
    fn is_leaving(&self) -> bool {
        let selected = self.selected().map(|selection| selection.encoding);
        selected.is_some() && self.following.is_some() && self.following != selected
    }

    /// The subscriber's number of the key frame with which it began, or switched, last: nobody needs what was before it.
    #[must_use]
    pub fn entered(&self) -> u64 {
        self.entered
    }

    /// Whether a packet is of a spatial layer that is forwarded no more.
    #[must_use]
    pub fn has_left(&self, packet: &Packet) -> bool {
        self.following == Some(packet.encoding) && packet.layer.spatial > self.cut.cap().spatial
    }

    /// Spatial layers above this one are never forwarded.
    pub fn limit(&mut self, spatial: u8) {
        self.most_spatial = spatial;
    }

    /// What was selected, as long as it is neither nothing nor the best that there is.
    #[must_use]
    pub fn selected(&self) -> Option<Selection> {
        match self.choice {
            Choice::Selected(selection) => Some(selection),
            Choice::Best | Choice::Nothing => None,
        }
    }

    /// What is forwarded now; layers of 255 are as many as there are. `None` while nothing is.
    #[must_use]
    pub fn current(&self) -> Option<Selection> {
        let Cap { spatial, temporal } = self.cut.cap();
        self.following.map(|encoding| Selection { encoding, spatial, temporal })
    }

    /// The encoding whose key frame it waits for. `None` for one that has what it wants, and before the first packet.
    #[must_use]
    pub fn wants_keyframe_of(&self) -> Option<EncodingIndex> {
        let wanted = match self.choice {
            Choice::Nothing => return None,
            Choice::Best => self.followed?,
            Choice::Selected(selection) => self.followed.unwrap_or(selection.encoding),
        };
        (self.following != Some(wanted) || self.cut.needs_entry()).then_some(wanted)
    }

    /// Whether nothing of the track is to be forwarded.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.choice == Choice::Nothing
    }

    /// Whether the subscriber has no picture yet, or none of the track it is bound to.
    #[must_use]
    pub fn awaits_entry(&self) -> bool {
        self.following.is_none()
    }

    /// The encoding to follow. `None` for nothing.
    #[must_use]
    pub fn follows(&self, target: &Target) -> Option<EncodingIndex> {
        match self.choice {
            Choice::Best => Some(target.best),
            Choice::Nothing => None,
            Choice::Selected(selection) => Some(target.following(selection.encoding)),
        }
    }

    /// Which packet the subscriber was sent with this sequence number, see [`Rewriter::sent`].
    #[must_use]
    pub fn sent(&self, sequence: u16) -> Option<Sent> {
        self.rewriter.sent(sequence)
    }

    /// Judges a packet of the track behind the slot. `target` tells what can be followed; while a switch waits for a key
    /// frame, what was followed goes on.
    pub fn accept(&mut self, packet: &Packet, target: &Target) -> Verdict {
        let Some(follow) = self.follows(target) else { return Verdict::Unwanted };
        self.followed = Some(follow);
        let has_picture = self.following.is_some();
        // Padding that a publisher sends to probe its own link says nothing to a decoder.
        let is_padding = packet.payload.is_empty();
        if !has_picture || self.rewriter.source() != Some(packet.source) {
            // The last of a source comes behind the first of the next, now and then.
            if has_picture && self.rewriter.owes(packet) {
                return self.forward(packet);
            }
            if packet.encoding != follow || is_padding {
                return Verdict::Unwanted;
            }
            if !packet.entry {
                // Of an encoding that stopped there is a last picture, which is none.
                let flows = self.following.is_some_and(|following| target.following(following) == following);
                return if flows { Verdict::AwaitsSwitch } else { Verdict::AwaitsEntry };
            }
            self.begin(packet, follow);
            let verdict = self.forward(packet);
            if let Verdict::Forward(numbers) = verdict {
                self.entered = numbers.sequence;
            }
            return verdict;
        } else if self.rewriter.is_new(packet) && self.cut.adjust(packet) {
            self.rewriter.end_pictures_with(packet, self.cut.cap().spatial);
        }
        // Padding that comes late is a gap already, which it fills.
        if is_padding && self.rewriter.skip(packet) {
            return Verdict::Unwanted;
        }
        self.forward(packet)
    }

    /// Follows the source of a packet from here on.
    fn begin(&mut self, packet: &Packet, encoding: EncodingIndex) {
        self.rewriter.switch(packet);
        // Of an encoding in the place of the selected one, there is nothing to choose.
        let cap = match self.choice {
            Choice::Selected(Selection { encoding: selected, spatial, temporal }) if selected == encoding => {
                Cap { spatial, temporal }
            }
            _ => Cap::NONE,
        };
        self.want(cap);
        self.cut.begin(packet);
        self.rewriter.end_pictures_with(packet, self.cut.cap().spatial);
        self.following = Some(encoding);
    }

    fn want(&mut self, Cap { spatial, temporal }: Cap) {
        self.cut.want(Cap { spatial: spatial.min(self.most_spatial), temporal });
    }

    fn forward(&mut self, packet: &Packet) -> Verdict {
        if self.cut.holds(packet) {
            return self.rewriter.rewrite(packet).map_or(Verdict::Unwanted, Verdict::Forward);
        }
        self.rewriter.skip(packet);
        if self.cut.needs_entry() { Verdict::AwaitsSwitch } else { Verdict::Unwanted }
    }
}

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "selection_model_tests.rs"]
mod model_tests;
