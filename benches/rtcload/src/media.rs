//! Synthetic but well-formed media: Opus-like audio, VP8 and H264 video.
//!
//! Every RTP payload ends in a [`Stamp`]: publisher, track, packet counter and
//! send time. It sits at the end because servers rewrite only the front of a
//! payload (VP8 descriptors). The bytes before it are cut from a fixed pattern,
//! so a receiver can check the whole payload with one memory comparison.

use std::sync::OnceLock;

use clap::ValueEnum;

/// Encoded length of a [`Stamp`] in bytes.
pub const STAMP_LEN: usize = 32;

/// Largest RTP payload that is produced: 1200 bytes less room for RTP header,
/// header extensions, SRTP tag and an RTX header.
pub const MAX_PAYLOAD: usize = 1120;

const MAGIC: u32 = 0x52_54_4c_44; // "RTLD"

/// Room for codec headers in front of the patterned bytes.
const FRONT: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VideoCodec {
    Vp8,
    H264,
}

impl VideoCodec {
    pub fn codec(self) -> str0m::format::Codec {
        match self {
            VideoCodec::Vp8 => str0m::format::Codec::Vp8,
            VideoCodec::H264 => str0m::format::Codec::H264,
        }
    }
}

/// What one packet says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub stream: u32,
    /// 0 is audio, 1.. are video layers.
    pub track: u8,
    pub counter: u32,
    /// CLOCK_REALTIME in nanoseconds.
    pub sent_ns: u64,
    /// Payload length, to notice truncation. 0 means the payload holds no pattern.
    pub len: u16,
}

impl Stamp {
    /// Writes the stamp over the last [`STAMP_LEN`] bytes of `payload`.
    ///
    /// 28 bytes are spread over 32 bytes of 7 bits each, with the top bit set:
    /// no zero byte, so no H264 start code can be imitated.
    pub fn write(&self, payload: &mut [u8]) {
        let mut raw = [0u8; 28];
        raw[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        raw[4..8].copy_from_slice(&self.stream.to_be_bytes());
        raw[8..12].copy_from_slice(&self.counter.to_be_bytes());
        raw[12..20].copy_from_slice(&self.sent_ns.to_be_bytes());
        raw[20] = self.track;
        raw[21..23].copy_from_slice(&self.len.to_be_bytes());
        let sum = checksum(&raw[..24]);
        raw[24..28].copy_from_slice(&sum.to_be_bytes());

        let at = payload.len() - STAMP_LEN;
        for (group, out) in raw.chunks_exact(7).zip(payload[at..].chunks_exact_mut(8)) {
            let mut v = group.iter().fold(0u64, |v, b| v << 8 | u64::from(*b));
            for o in out.iter_mut().rev() {
                *o = 0x80 | (v & 0x7f) as u8;
                v >>= 7;
            }
        }
    }

    /// Reads the stamp at the end of `payload`, or None if there is no valid one.
    pub fn read(payload: &[u8]) -> Option<Stamp> {
        let at = payload.len().checked_sub(STAMP_LEN)?;
        let mut raw = [0u8; 28];
        for (group, inp) in raw.chunks_exact_mut(7).zip(payload[at..].chunks_exact(8)) {
            let mut v = inp.iter().fold(0u64, |v, b| v << 7 | u64::from(b & 0x7f));
            for o in group.iter_mut().rev() {
                *o = v as u8;
                v >>= 8;
            }
        }
        let u32_at = |i: usize| u32::from_be_bytes(raw[i..i + 4].try_into().unwrap());
        if u32_at(0) != MAGIC || u32_at(24) != checksum(&raw[..24]) {
            return None;
        }
        Some(Stamp {
            stream: u32_at(4),
            counter: u32_at(8),
            sent_ns: u64::from_be_bytes(raw[12..20].try_into().unwrap()),
            track: raw[20],
            len: u16::from_be_bytes(raw[21..23].try_into().unwrap()),
        })
    }

    /// Whether the bytes between the codec headers and the stamp are the ones that were sent.
    pub fn body_is_intact(&self, payload: &[u8]) -> bool {
        if self.len == 0 {
            return true;
        }
        if payload.len() != usize::from(self.len) {
            return false;
        }
        let end = payload.len() - STAMP_LEN;
        let start = FRONT.min(end);
        payload[start..end] == *pattern(self.counter, end - start)
    }
}

fn checksum(b: &[u8]) -> u32 {
    b.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// `len` pattern bytes that depend on the packet counter. None is zero.
fn pattern(counter: u32, len: usize) -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    let all = PATTERN.get_or_init(|| {
        let mut x = 0x2545_f491_4f6c_dd1du64;
        (0..256 + 2048)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x as u8).max(1)
            })
            .collect()
    });
    let at = (counter % 256) as usize;
    &all[at..at + len]
}

/// A payload of `len` bytes with `head` in front, pattern bytes and a stamp.
fn payload(head: &[u8], len: usize, stamp: Stamp) -> Vec<u8> {
    let len = len.max(head.len().max(FRONT) + STAMP_LEN);
    let end = len - STAMP_LEN;
    let mut p = Vec::with_capacity(len);
    p.extend_from_slice(head);
    if p.len() < FRONT {
        p.extend_from_slice(pattern(7, FRONT - p.len()));
    }
    p.extend_from_slice(pattern(stamp.counter, end - p.len()));
    p.resize(len, 0);
    let stamp = Stamp { len: len as u16, ..stamp };
    stamp.write(&mut p);
    p
}

/// One RTP payload to send.
#[derive(Debug)]
pub struct Packet {
    pub payload: Vec<u8>,
    pub marker: bool,
}

/// 20 ms Opus-like packets of 80 to 120 bytes.
pub fn audio_packet(stamp: Stamp) -> Packet {
    let len = 80 + (stamp.counter as usize * 7) % 41;
    // TOC byte: CELT fullband 20 ms, stereo off, one frame.
    let payload = payload(&[0xf8], len, stamp);
    Packet { payload, marker: false }
}

/// Shape of one video layer.
#[derive(Debug, Clone, Copy)]
pub struct VideoShape {
    pub codec: VideoCodec,
    pub bitrate: u64,
    pub fps: u32,
    /// Frames from one keyframe to the next.
    pub gop: u32,
    pub width: u16,
    pub height: u16,
}

/// A keyframe weighs this many times a delta frame.
const KEYFRAME_WEIGHT: u64 = 6;

impl VideoShape {
    /// Bytes of a frame such that a whole group of pictures meets the bitrate.
    fn frame_bytes(&self, key: bool) -> usize {
        let gop_bytes = self.bitrate * u64::from(self.gop) / u64::from(self.fps) / 8;
        let delta = gop_bytes / (u64::from(self.gop) - 1 + KEYFRAME_WEIGHT);
        (if key { delta * KEYFRAME_WEIGHT } else { delta }) as usize
    }

    /// Payload lengths of the packets of one frame, as equal as can be.
    fn packet_lens(&self, key: bool) -> Vec<usize> {
        let bytes = self.frame_bytes(key).max(FRONT + STAMP_LEN + 8);
        let n = bytes.div_ceil(MAX_PAYLOAD);
        (0..n).map(|i| bytes / n + usize::from(i < bytes % n)).collect()
    }

    /// How many packets the frame has.
    pub fn packets(&self, key: bool) -> usize {
        let extra = usize::from(key && self.codec == VideoCodec::H264);
        self.packet_lens(key).len() + extra
    }

    /// The packet with index `i` of the frame.
    pub fn packet(&self, key: bool, i: usize, picture_id: u16, stamp: Stamp) -> Packet {
        let count = self.packets(key);
        let marker = i + 1 == count;
        let lens = self.packet_lens(key);
        let payload = match self.codec {
            VideoCodec::Vp8 => {
                let mut head = vp8_descriptor(i == 0, picture_id);
                if i == 0 {
                    head.extend(self.vp8_frame_header(key));
                }
                payload(&head, lens[i], stamp)
            }
            VideoCodec::H264 if key && i == 0 => h264_parameter_sets(stamp),
            VideoCodec::H264 => {
                let i = i - usize::from(key);
                let nal = if key { 0x65u8 } else { 0x41 };
                if lens.len() == 1 {
                    payload(&[nal], lens[i], stamp)
                } else {
                    // FU-A: indicator keeps NRI, header carries start, end and type.
                    let start = u8::from(i == 0) << 7;
                    let end = u8::from(i + 1 == lens.len()) << 6;
                    let head = [nal & 0x60 | 28, start | end | nal & 0x1f];
                    payload(&head, lens[i], stamp)
                }
            }
        };
        Packet { payload, marker }
    }

    /// RFC 6386 section 9.1: frame tag, and for keyframes start code and size.
    fn vp8_frame_header(&self, key: bool) -> Vec<u8> {
        let first_partition = (self.frame_bytes(key) as u32 / 4).min(0x7ffff);
        let tag = first_partition << 5 | 1 << 4 | u32::from(!key);
        let mut h = tag.to_le_bytes()[..3].to_vec();
        if key {
            h.extend([0x9d, 0x01, 0x2a]);
            h.extend(self.width.to_le_bytes());
            h.extend(self.height.to_le_bytes());
        }
        h
    }
}

/// RFC 7741 payload descriptor with a 15 bit picture id, partition 0.
fn vp8_descriptor(start: bool, picture_id: u16) -> Vec<u8> {
    let first = 0x80 | u8::from(start) << 4;
    let [hi, lo] = (0x8000 | picture_id & 0x7fff).to_be_bytes();
    vec![first, 0x80, hi, lo]
}

/// STAP-A with SPS, PPS and an SEI that ends in the stamp.
fn h264_parameter_sets(stamp: Stamp) -> Vec<u8> {
    // Constrained baseline, level 3.1, 640x360.
    const SPS: &[u8] =
        &[0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc, 0xb0, 0x0f, 0x08, 0x84, 0x6a];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    let mut head = vec![0x78];
    for nal in [SPS, PPS] {
        head.extend((nal.len() as u16).to_be_bytes());
        head.extend(nal);
    }
    // SEI, user data unregistered: header, type, size, UUID, stamp.
    let sei_body = 16 + STAMP_LEN;
    head.extend((3 + sei_body as u16).to_be_bytes());
    head.extend([0x06, 0x05, sei_body as u8]);
    let len = head.len() + sei_body;
    let mut p = payload(&head, len, stamp);
    // Real parameter sets reach past FRONT, where the pattern would begin.
    Stamp { len: 0, ..stamp }.write(&mut p);
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp { stream: 7, track: 1, counter: 4_000_000_001, sent_ns: 1_790_000_000_123_456_789, len: 0 }
    }

    #[test]
    fn stamp_survives_a_round_trip_without_zero_bytes() {
        let p = audio_packet(stamp()).payload;
        let s = Stamp::read(&p).unwrap();
        assert_eq!((s.stream, s.track, s.counter, s.sent_ns), (7, 1, 4_000_000_001, stamp().sent_ns));
        assert!(s.body_is_intact(&p));
        assert!(!p[1..].contains(&0));
    }

    #[test]
    fn damage_is_noticed() {
        let p = audio_packet(stamp()).payload;
        for i in FRONT..p.len() {
            let mut q = p.clone();
            q[i] ^= 0x01;
            let ok = Stamp::read(&q).is_some_and(|s| s.body_is_intact(&q));
            assert!(!ok, "flip at {i} of {}", p.len());
        }
    }

    #[test]
    fn gop_meets_the_bitrate() {
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            let shape = VideoShape { codec, bitrate: 1_500_000, fps: 30, gop: 60, width: 640, height: 360 };
            let bytes: usize = (0..60u32)
                .map(|f| {
                    let key = f == 0;
                    (0..shape.packets(key))
                        .map(|i| shape.packet(key, i, 1, stamp()).payload.len())
                        .sum::<usize>()
                })
                .sum();
            let bps = bytes * 8 / 2;
            assert!((1_450_000..1_560_000).contains(&bps), "{codec:?} {bps}");
        }
    }

    #[test]
    fn h264_keyframe_is_stap_then_fu_a_with_start_and_end() {
        let shape = VideoShape {
            codec: VideoCodec::H264,
            bitrate: 1_500_000,
            fps: 30,
            gop: 60,
            width: 640,
            height: 360,
        };
        let n = shape.packets(true);
        let p: Vec<_> = (0..n).map(|i| shape.packet(true, i, 0, stamp())).collect();
        assert_eq!(p[0].payload[0] & 0x1f, 24);
        assert_eq!((p[1].payload[0] & 0x1f, p[1].payload[1]), (28, 0x80 | 5));
        assert_eq!(p[n - 1].payload[1], 0x40 | 5);
        assert!(p[n - 1].marker && !p[0].marker);
        assert!(p.iter().all(|p| Stamp::read(&p.payload).is_some()));
    }
}
