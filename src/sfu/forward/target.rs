//! What subscribers of a track can follow now.

use super::packet::EncodingIndex;

/// How many encodings of a track are told apart (RFC 8853 knows no limit; browsers send up to three).
pub const MOST_ENCODINGS: usize = 8;

/// The encodings to follow, whatever a subscriber selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The best picture that there is.
    pub best: EncodingIndex,
    /// What to follow in the place of each encoding: itself, or another while it does not flow.
    instead: [EncodingIndex; MOST_ENCODINGS],
}

impl Target {
    /// One encoding, whatever was selected.
    #[must_use]
    pub fn only(encoding: EncodingIndex) -> Self {
        Self { best: encoding, instead: [encoding; MOST_ENCODINGS] }
    }

    /// Of encodings, the worst first, each with whether it flows, and the one that is best as far as is known. An encoding
    /// that does not flow is replaced by the next lower one that does, else by the next higher one.
    pub(super) fn of(encodings: &[(EncodingIndex, bool)], best: EncodingIndex) -> Self {
        let mut target = Self::only(best);
        for index in 0..MOST_ENCODINGS {
            // The index is below eight.
            let own = EncodingIndex(index as u8);
            let place = encodings.iter().position(|(encoding, _)| *encoding == own);
            let (lower, higher) = encodings.split_at(place.map_or(encodings.len(), |place| place + 1));
            let flowing = |(encoding, flows): &(EncodingIndex, bool)| flows.then_some(*encoding);
            let instead = lower.iter().rev().find_map(flowing).or_else(|| higher.iter().find_map(flowing));
            target.instead[index] = instead.unwrap_or(if place.is_some() { own } else { best });
        }
        target.best = target.following(best);
        target
    }

    /// What to follow for an encoding.
    #[must_use]
    pub fn following(&self, encoding: EncodingIndex) -> EncodingIndex {
        self.instead.get(usize::from(encoding.0)).copied().unwrap_or(self.best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_flow_is_replaced_by_the_next_lower_one() {
        let [q, h, f] = [2, 0, 1].map(EncodingIndex);
        let of = |flows: [bool; 3]| Target::of(&[(q, flows[0]), (h, flows[1]), (f, flows[2])], f);
        let all = of([true; 3]);
        assert_eq!((all.best, [q, h, f].map(|of| all.following(of))), (f, [q, h, f]));
        let without_best = of([true, true, false]);
        assert_eq!((without_best.best, without_best.following(f)), (h, h));
        let only_best = of([false, false, true]);
        assert_eq!([q, h, f].map(|of| only_best.following(of)), [f, f, f]);
        assert_eq!(of([true, false, true]).following(h), q);
        assert_eq!(of([false; 3]).following(h), h, "nothing better is known");
        assert_eq!(all.following(EncodingIndex(9)), f);
    }
}
