//! Both ends of a flow of media over a link, and what they have in common: the camera.

use std::time::{Duration, Instant};

use crate::link::Random;

const FRAME: Duration = Duration::from_micros(33_333);
/// The largest packet, bytes of UDP payload.
pub(crate) const LARGEST: usize = 1_200;
/// The most that a sender has to send, bit/s.
pub(crate) const MOST: u64 = 5_000_000;

/// What a camera with simulcast sends, bit/s.
pub(crate) const ENCODINGS: [u64; 3] = [200_000, 700_000, 2_000_000];

/// Which of them is chosen, by their number: the next one up needs some room.
pub(crate) fn encoding(before: usize, estimate: u64) -> usize {
    let fits = |room: u64| ENCODINGS.iter().filter(|rate| *rate * room / 100 <= estimate).count();
    before.clamp(fits(115), fits(100))
}

/// A packet on the way from the sender to the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// Its transport-wide number with all bits, where that is not read from the datagram.
    pub(crate) number: u64,
    /// How long it is.
    pub(crate) bytes: usize,
    /// What it says, where that matters.
    pub(crate) datagram: Vec<u8>,
}

/// A sender and a receiver with a link between them.
pub(crate) trait Flow {
    /// What the sender sends by now.
    fn send(&mut self, now: Instant) -> Vec<Packet>;
    /// A packet reaches the receiver.
    fn receive(&mut self, at: Instant, packet: Packet);
    /// What the receiver says by now.
    fn answer(&mut self, now: Instant) -> Vec<Vec<u8>>;
    /// That reaches the sender.
    fn hear(&mut self, now: Instant, datagram: &[u8]);
    /// What the sender thinks the link carries, bit/s.
    fn estimate(&self) -> u64;
}

/// A camera, 30 frames in a second. Its encoder does as it is told, or has some encodings to choose from.
pub(crate) struct Camera {
    encoding: Option<usize>,
    next: Instant,
    pub(crate) frames: u32,
    random: Random,
}

impl Camera {
    pub(crate) fn new(now: Instant, has_encodings: bool, seed: u64) -> Self {
        let mut random = Random(seed);
        Self {
            encoding: has_encodings.then_some(0),
            next: now + FRAME.mul_f64(random.part()),
            frames: 0,
            random,
        }
    }

    /// The packets of a frame, if it is time for one.
    pub(crate) fn frame(&mut self, now: Instant, estimate: u64) -> Vec<usize> {
        let mut packets = Vec::new();
        if now < self.next {
            return packets;
        }
        self.next += FRAME;
        self.frames += 1;
        if let Some(before) = self.encoding.as_mut() {
            *before = encoding(*before, estimate);
        }
        let chosen =
            self.encoding.map(|number| ENCODINGS.get(number.max(1) - 1).copied().unwrap_or_default());
        let rate = chosen.unwrap_or_else(|| estimate.min(MOST));
        // Sizes of frames vary; now and then there is a key frame.
        let factor = if self.frames % 300 == 1 { 4.0 } else { 0.8 + 0.4 * self.random.part() - 0.01 };
        #[expect(clippy::cast_sign_loss, reason = "all of it is above nothing")]
        let mut left = (rate as f64 * FRAME.as_secs_f64() / 8.0 * factor) as usize;
        while left > 0 {
            packets.push(left.min(LARGEST));
            left -= left.min(LARGEST);
        }
        packets
    }
}
