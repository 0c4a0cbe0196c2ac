//! Which sequence numbers were used of late. A number used twice would be a nonce of the cipher used twice.

/// How many of the latest numbers are remembered, in words of 64. 1,024 are more than a second of video at 8 Mbit/s; what
/// is later than that is too late for any jitter buffer.
const WORDS: u64 = 16;
const BITS: u64 = 64;

/// The numbers that one stream has used.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// One more than the highest number that was used.
    next: u64,
    /// One bit for each number, each word at the place of its numbers divided by 64, modulo the words that there are.
    words: [u64; WORDS as usize],
}

impl Used {
    /// Uses a number. False when it was used before, or is so old that nobody knows: it must not be used then.
    #[inline]
    pub(super) fn claim(&mut self, number: u64) -> bool {
        let (word, bit) = (number / BITS, 1 << (number % BITS));
        if number >= self.next {
            // Words that begin from here on still have the bits of their last round.
            let begun = self.next.div_ceil(BITS);
            if begun <= word {
                self.forget(begun, word);
            }
            self.next = number + 1;
        } else if !self.remembers(number) || self.words[place(word)] & bit != 0 {
            return false;
        }
        self.words[place(word)] |= bit;
        true
    }

    #[cold]
    fn forget(&mut self, begun: u64, word: u64) {
        for stale in begun..=word.min(begun + WORDS) {
            self.words[place(stale)] = 0;
        }
    }

    /// The latest number with these low 16 bits, if it was used; `None` when it is too old to know.
    pub(super) fn find(&self, low: u16) -> Option<u64> {
        let highest = self.next.checked_sub(1)?;
        let back = (highest & 0xffff).wrapping_sub(low.into()) & 0xffff;
        let number = highest.checked_sub(back)?;
        let is_used = self.remembers(number) && self.words[place(number / BITS)] & 1 << (number % BITS) != 0;
        is_used.then_some(number)
    }

    /// Whether the word of a number below the highest is still its own.
    fn remembers(&self, number: u64) -> bool {
        self.next.saturating_sub(1) / BITS - number / BITS < WORDS
    }
}

fn place(word: u64) -> usize {
    (word % WORDS) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a set would do it, as far back as it is promised.
        #[test]
        fn a_number_is_used_once(
            first in 0..70_000u64,
            steps in prop::collection::vec(prop_oneof![8 => 1..4i64, 3 => -80..0i64, 1 => 60..1_200i64, 1 => -1_100..0i64], 1..400),
        ) {
            let (mut used, mut model) = (Used::default(), HashSet::new());
            let (mut at, mut highest) = (first, 0);
            for step in steps {
                at = at.saturating_add_signed(step);
                let claimed = used.claim(at);
                prop_assert!(!claimed || model.insert(at), "{} twice", at);
                highest = highest.max(at);
                prop_assert!(claimed || model.contains(&at) || highest - at > (WORDS - 1) * BITS);
            }
            for number in highest.saturating_sub((WORDS - 1) * BITS)..=highest {
                let low = u16::try_from(number % 65_536).expect("16 bits");
                prop_assert_eq!(used.find(low), model.contains(&number).then_some(number));
            }
        }
    }
}
