//! Streams: the same messages come out however a stream is cut, and no more is held than may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::framing::{Frames, Framing, FramingError};

const LIMIT: usize = 2048;

/// The messages, and why it ended if it did not end well. Pieces are as long as the next byte of `cuts` says.
fn split(framing: Framing, stream: &[u8], cuts: &[u8]) -> (Vec<Vec<u8>>, Option<FramingError>) {
    let mut frames = Frames::new(framing, LIMIT);
    let (mut messages, mut rest) = (Vec::new(), stream);
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece = &rest[..rest.len().min(1 + usize::from(*cut))];
        let taken = frames.push(piece);
        assert!(taken > 0, "there is room when all was taken out");
        rest = &rest[taken..];
        loop {
            match frames.take() {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(frames.held() <= LIMIT);
    }
    (messages, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first_chunk::<4>() else { return };
    for framing in [Framing::Turn, Framing::Rfc4571] {
        let (whole, error) = split(framing, stream, &[255]);
        assert_eq!(split(framing, stream, cut), (whole.clone(), error), "{framing:?}");
        assert!(whole.iter().map(Vec::len).sum::<usize>() <= stream.len());
        assert!(whole.iter().all(|message| !message.is_empty() && message.len() <= LIMIT));
    }
});
