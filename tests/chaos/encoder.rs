//! A model of an encoder: VP8 in one to three encodings, with or without two temporal layers. What each packet says of its
//! frame tells a decoder's model exactly what it needs.

use std::time::{Duration, Instant};

use crate::link::Random;

/// The names of encodings (RFC 8851), the smallest first.
pub(crate) const RIDS: [&str; 3] = ["q", "h", "f"];
/// What encodings cost, bit/s, the smallest first.
const BITRATES: [u64; 3] = [36_000, 100_000, 240_000];
const HEIGHTS: [u16; 3] = [180, 360, 720];
/// The payload bytes of a packet at most.
const LARGEST: usize = 1_000;
/// How many times as large as the mean a key frame is.
const KEY_FRAME: f64 = 5.0;
/// What a frame tells of itself stands in the last bytes of each of its packets.
pub(crate) const TRAILER: usize = 28;

/// Which frame of which source: nothing else has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameId {
    /// Told apart: each beginning of each encoder.
    pub(crate) source: u32,
    pub(crate) number: u32,
}

/// What a packet says in its last bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) id: FrameId,
    pub(crate) publisher: u16,
    pub(crate) encoding: u8,
    /// The packet's place in its frame, and how many there are.
    pub(crate) place: u8,
    pub(crate) count: u8,
    /// The numbers of the frames that are needed for this one; `u32::MAX` for none.
    pub(crate) needs: [u32; 2],
    /// When it left the encoder, ms since the play began.
    pub(crate) at: u32,
}

impl Told {
    fn write(&self) -> [u8; TRAILER] {
        let mut bytes = [0; TRAILER];
        bytes[0..4].copy_from_slice(&self.id.source.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.id.number.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.publisher.to_be_bytes());
        bytes[10..13].copy_from_slice(&[self.encoding, self.place, self.count]);
        bytes[13..17].copy_from_slice(&self.needs[0].to_be_bytes());
        bytes[17..21].copy_from_slice(&self.needs[1].to_be_bytes());
        bytes[21..25].copy_from_slice(&self.at.to_be_bytes());
        bytes
    }

    pub(crate) fn read(payload: &[u8]) -> Self {
        let bytes: &[u8; TRAILER] = payload.last_chunk().expect("every packet of the encoder has it");
        let number = |from: usize| u32::from_be_bytes(bytes[from..from + 4].try_into().expect("four"));
        Self {
            id: FrameId { source: number(0), number: number(4) },
            publisher: u16::from_be_bytes([bytes[8], bytes[9]]),
            encoding: bytes[10],
            place: bytes[11],
            count: bytes[12],
            needs: [number(13), number(17)],
            at: number(21),
        }
    }
}

/// A packet that the encoder sends.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) encoding: usize,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
}

/// One encoding.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The server wants it.
    pub(crate) is_wanted: bool,
    /// Since when the server says that nobody uses it.
    pub(crate) unused_since: Option<Instant>,
    /// The encoder sends it by its own whim: it has the processor time, and the uplink.
    pub(crate) is_able: bool,
    /// It sends nothing until then.
    pub(crate) starves_until: Option<Instant>,
    flowed: bool,
    source: u32,
    number: u32,
    picture: u16,
    tl0: u8,
    /// When the key frame leaves that was asked for.
    key_at: Option<Instant>,
    /// When the last key frame left.
    pub(crate) answered: Option<Instant>,
    last_base: u32,
    last_upper: u32,
    uppers: u32,
}

impl Stream {
    /// Which frames the next one needs, and whether it needs nothing of the upper layer though it is of it.
    fn refer(&mut self, is_key: bool, is_upper: bool) -> ([u32; 2], bool) {
        const NONE: u32 = u32::MAX;
        if is_upper {
            self.uppers += 1;
            let is_sync = self.uppers % 4 == 1 || self.last_upper == 0;
            let needs = [self.last_base, if is_sync { NONE } else { self.last_upper }];
            self.last_upper = self.number;
            return (needs, is_sync);
        }
        let needs = [if is_key { NONE } else { self.last_base }, NONE];
        if is_key {
            (self.uppers, self.last_upper) = (0, 0);
        }
        self.tl0 = self.tl0.wrapping_add(1);
        self.last_base = self.number;
        (needs, false)
    }
}

/// A camera.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) publisher: u16,
    pub(crate) streams: Vec<Stream>,
    has_temporal: bool,
    apart: Duration,
    pub(crate) next: Instant,
    frames: u32,
    /// Times as much as usual: what is shown moves more, or less.
    pub(crate) effort: f64,
}

impl Encoder {
    pub(crate) fn new(now: Instant, publisher: u16, random: &mut Random, source: &mut u32) -> Self {
        let count = [1, 2, 3, 3][random.number() as usize % 4];
        let fps = 6 + random.number() % 4;
        let mut stream = || {
            *source += 1;
            Stream {
                is_wanted: true,
                unused_since: None,
                is_able: true,
                starves_until: None,
                flowed: false,
                source: *source,
                number: 0,
                picture: random.number() as u16 & 0x7fff,
                tl0: random.number() as u8,
                key_at: None,
                answered: None,
                last_base: 0,
                last_upper: 0,
                uppers: 0,
            }
        };
        let streams = (0..count).map(|_| stream()).collect();
        Self {
            publisher,
            streams,
            has_temporal: random.part() < 0.5,
            apart: Duration::from_secs(1) / u32::try_from(fps).expect("few"),
            next: now + Duration::from_millis(random.number() % 100),
            frames: 0,
            effort: 1.0,
        }
    }

    /// Somebody asks for a key frame.
    pub(crate) fn ask(&mut self, now: Instant, encoding: usize, random: &mut Random) {
        let Some(stream) = self.streams.get_mut(encoding) else { return };
        let takes = Duration::from_millis(20 + random.number() % 130);
        stream.key_at.get_or_insert(now + takes);
    }

    /// Whether an encoding is being sent.
    pub(crate) fn flows(&self, now: Instant, encoding: usize) -> bool {
        self.streams.get(encoding).is_some_and(|stream| {
            stream.is_wanted && stream.is_able && stream.starves_until.is_none_or(|until| until <= now)
        })
    }

    /// The cheapest encoding that is being sent, and what it costs, bit/s.
    pub(crate) fn lowest(&self, now: Instant) -> Option<(usize, u64)> {
        let flowing = (0..self.streams.len()).find(|encoding| self.flows(now, *encoding))?;
        Some((flowing, (BITRATES[flowing] as f64 * self.effort) as u64))
    }

    /// The packets that are due.
    pub(crate) fn encode(&mut self, began: Instant, now: Instant, random: &mut Random) -> Vec<Sent> {
        let mut sent = Vec::new();
        if self.next <= now {
            // What was not due while nobody was connected is not made up for.
            self.next = if now - self.next > self.apart { now } else { self.next } + self.apart;
            self.frames += 1;
            for encoding in 0..self.streams.len() {
                self.frame(began, now, encoding, random, &mut sent);
            }
        }
        sent
    }

    fn frame(
        &mut self,
        began: Instant,
        now: Instant,
        encoding: usize,
        random: &mut Random,
        sent: &mut Vec<Sent>,
    ) {
        let flows = self.flows(now, encoding);
        let is_upper_turn = self.has_temporal && self.frames % 2 == 1;
        let (apart, effort) = (self.apart.as_secs_f64(), self.effort);
        let ms = (now - began).as_millis() as u32;
        let stream = &mut self.streams[encoding];
        if !flows {
            stream.flowed = false;
            return;
        }
        let is_key = !stream.flowed || stream.key_at.is_some_and(|at| at <= now);
        if is_key {
            stream.key_at = None;
            stream.answered = Some(now);
        }
        stream.flowed = true;
        stream.number += 1;
        stream.picture = (stream.picture + 1) & 0x7fff;
        let is_upper = is_upper_turn && !is_key;
        let (needs, is_sync) = stream.refer(is_key, is_upper);
        let mean = BITRATES[encoding] as f64 * effort * apart / 8.0;
        let factor = if is_key { KEY_FRAME } else { 0.6 + 0.7 * random.part() };
        let size = ((mean * factor) as usize).max(80);
        let count = size.div_ceil(LARGEST);
        for place in 0..count {
            let told = Told {
                id: FrameId { source: stream.source, number: stream.number },
                publisher: self.publisher,
                encoding: encoding as u8,
                place: place as u8,
                count: count as u8,
                needs,
                at: ms,
            };
            let [high, low] = stream.picture.to_be_bytes();
            let start = if place == 0 { 0x90 } else { 0x80 };
            let layer = (u8::from(is_upper) << 6) | (u8::from(is_sync) << 5);
            let mut payload = vec![start, 0xe0, 0x80 | high, low, stream.tl0, layer];
            let [height_low, height_high] = HEIGHTS[encoding].to_le_bytes();
            if is_key && place == 0 {
                payload.extend([0, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, height_low, height_high]);
            } else {
                payload.push(1);
            }
            payload.resize((size / count).max(payload.len() + TRAILER), 0);
            let end = payload.len() - TRAILER;
            payload[end..].copy_from_slice(&told.write());
            let timestamp = ms.wrapping_mul(90);
            sent.push(Sent { encoding, timestamp, marker: place + 1 == count, payload });
        }
    }
}
