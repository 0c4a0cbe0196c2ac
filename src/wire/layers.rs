//! What a publisher says of its layers: the `video-layers-allocation00` header extension, as
//! `docs/native-code/rtp-hdrext/video-layers-allocation00` of WebRTC's sources describes it.

/// The same, told of the one stream that the message came with.
///
/// A simulcast publisher tells on each of its streams of them all, by their numbers. A receiver gets one stream, which has
/// the number 0 there. `None` for what cannot be read.
#[must_use]
pub fn of_own_stream(message: &[u8]) -> Option<Vec<u8>> {
    const NOTHING_IS_SENT: u8 = 0;
    let (first, rest) = message.split_first()?;
    if *first == NOTHING_IS_SENT && rest.is_empty() {
        return Some(vec![NOTHING_IS_SENT]);
    }
    let (own, streams, shared) = (usize::from(first >> 6), usize::from(first >> 4 & 3) + 1, first & 0x0f);
    let mut rest = Reader(rest);
    let masks = if shared == 0 { rest.packed(streams, 4)? } else { vec![shared; streams] };
    let own_mask = *masks.get(own)?;
    let layers =
        |masks: &[u8]| masks.iter().map(|mask| usize::try_from(mask.count_ones()).unwrap_or(0)).sum();
    let all: usize = layers(&masks);
    let before: usize = layers(masks.get(..own)?);
    let own_layers = before..before + layers(&[own_mask]);
    let rates = rest.packed(all, 2)?;
    let mut bitrates = Vec::new();
    for (layer, rates) in rates.iter().enumerate() {
        for _ in 0..=*rates {
            let bitrate = rest.number()?;
            if own_layers.contains(&layer) {
                bitrates.extend_from_slice(bitrate);
            }
        }
    }
    if own_mask == 0 {
        return Some(vec![NOTHING_IS_SENT]);
    }
    let mut told = vec![own_mask];
    told.extend(pack_pairs(rates.get(own_layers.clone())?));
    told.extend(bitrates);
    // Width, height and frame rate of each layer, or of none.
    const SIZE: usize = 5;
    if let Some(sizes) = rest.take(SIZE * all) {
        told.extend_from_slice(sizes.get(SIZE * own_layers.start..SIZE * own_layers.end)?);
    }
    Some(told)
}

/// Numbers of two bits, four to a byte, the first in the highest bits.
fn pack_pairs(numbers: &[u8]) -> impl Iterator<Item = u8> {
    numbers.chunks(4).map(|chunk| {
        let shifted = chunk.iter().zip([6, 4, 2, 0]).map(|(number, shift)| number << shift);
        shifted.fold(0, |byte, bits| byte | bits)
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many numbers of `bits` bits each (2 or 4), the first in the highest bits; the last byte is filled up.
    fn packed(&mut self, count: usize, bits: u8) -> Option<Vec<u8>> {
        let in_byte = 8 / usize::from(bits);
        let bytes = self.take(count.div_ceil(in_byte))?;
        let shifts = || (1..=8 / bits).map(move |place| 8 - place * bits);
        let numbers =
            bytes.iter().flat_map(|byte| shifts().map(move |shift| byte >> shift & ((1 << bits) - 1)));
        Some(numbers.take(count).collect())
    }

    /// The bytes of a number in LEB128, 5 at most.
    fn number(&mut self) -> Option<&'a [u8]> {
        let last = self.0.iter().take(5).position(|byte| byte & 0x80 == 0)?;
        self.take(last + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_layer_of_simulcast_is_told_of_itself() {
        // The second of three streams; one spatial layer each; 2, 3 and 1 temporal layers; bitrates; sizes.
        let size = |n: u8| [1, n, 0, n, 30];
        let head = [0b0110_0001, 0b0110_0000, 50, 60, 0x80, 1, 0x81, 1, 0x82, 1, 0x90, 3];
        let message: Vec<u8> = head.into_iter().chain(size(1)).chain(size(2)).chain(size(3)).collect();
        let wanted: Vec<u8> =
            [0b0000_0001, 0b1000_0000, 0x80, 1, 0x81, 1, 0x82, 1].into_iter().chain(size(2)).collect();
        assert_eq!(of_own_stream(&message), Some(wanted));
        let without_sizes = [0b0000_0001, 0b1000_0000, 0x80, 1, 0x81, 1, 0x82, 1];
        assert_eq!(of_own_stream(&head), Some(without_sizes.to_vec()));
    }

    #[test]
    fn streams_may_have_layers_of_their_own() {
        // The first of two streams has two spatial layers, the second none.
        let message = [0b0001_0000, 0b0011_0000, 0b0001_0000, 10, 20, 30];
        assert_eq!(of_own_stream(&message), Some(vec![0b0000_0011, 0b0001_0000, 10, 20, 30]));
        let of_the_other = [0b0101_0000, 0b0011_0000, 0b0001_0000, 10, 20, 30];
        assert_eq!(of_own_stream(&of_the_other), Some(vec![0]), "nothing is sent on it");
        assert_eq!(of_own_stream(&[0]), Some(vec![0]));
    }

    #[test]
    fn what_one_stream_says_of_itself_stays_as_it_is() {
        let svc = [
            0b0000_0111,
            0b0101_0100,
            1,
            2,
            3,
            4,
            5,
            0x86,
            1,
            0,
            1,
            0,
            1,
            15,
            0,
            3,
            0,
            3,
            30,
            0,
            9,
            0,
            9,
            30,
        ];
        assert_eq!(of_own_stream(&svc), Some(svc.to_vec()));
    }

    #[test]
    fn broken_ones_are_not_read() {
        let whole = [0b0110_0001, 0b0110_0000, 50, 60, 0x80, 1, 0x81, 1, 0x82, 1, 0x90, 3];
        for end in 0..whole.len() {
            assert_eq!(of_own_stream(&whole[..end]), None, "{end}");
        }
        assert_eq!(of_own_stream(&[0b1100_0001, 0, 1]), None, "the fourth stream of one");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_was_cut_stays(message in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(told) = of_own_stream(&message) {
                let again = of_own_stream(&told);
                prop_assert_eq!(again, Some(told));
            }
        }
    }
}
