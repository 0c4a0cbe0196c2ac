//! Units, and what media is made of: kinds, codecs, and the variants of a codec that tell who can decode what.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// An amount of memory in bytes, as the operating system takes it for socket buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u32);

impl ByteSize {
    /// The amount as the standard library counts memory.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// How much flows, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// What it takes to carry so many bytes in a time. None flow in no time.
    #[must_use]
    pub fn over(bytes: u64, time: Duration) -> Self {
        let bits = u128::from(bytes) * 8 * 1_000_000;
        let rate = bits.checked_div(time.as_micros()).unwrap_or_default();
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// How loud something is: 0 is silence (-127 dBov), 127 the loudest that can be said without distortion (0 dBov). RFC 6464
/// counts the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AudioLevel(pub u8);

impl AudioLevel {
    /// Whether there is anything to be heard.
    #[must_use]
    pub fn is_audible(self) -> bool {
        self > Self::SILENT
    }

    /// No sound at all.
    pub const SILENT: Self = Self(0);

    /// The level of a value in dBov, -127 to 0; others count as the nearest of these.
    #[must_use]
    pub fn from_dbov(dbov: i8) -> Self {
        Self(127_u8.saturating_sub(dbov.min(0).unsigned_abs()))
    }
}

/// Audio or video. A camera and a screen are both video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A microphone, or the sound of a screen.
    Audio,
    /// A camera or a screen.
    Video,
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
        })
    }
}

/// A codec that is forwarded. Everything else in an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the codecs' own")]
pub enum Codec {
    Opus,
    Vp8,
    Vp9,
    H264,
    H265,
    Av1,
}

impl Codec {
    /// The codec of an `a=rtpmap` encoding name, which is not case sensitive (RFC 8866 section 6.6).
    #[must_use]
    pub fn from_rtpmap(name: &str) -> Option<Self> {
        const NAMES: [(&str, Codec); 6] = [
            ("opus", Codec::Opus),
            ("VP8", Codec::Vp8),
            ("VP9", Codec::Vp9),
            ("H264", Codec::H264),
            ("H265", Codec::H265),
            ("AV1", Codec::Av1),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, codec)| *codec)
    }

    /// Whether the codec carries sound or pictures.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        if self == Self::Opus { MediaKind::Audio } else { MediaKind::Video }
    }

    /// RTP timestamp units per second (RFC 7587 section 4.1; 90 kHz for all video codecs here).
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        if self == Self::Opus { 48_000 } else { 90_000 }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opus => "Opus",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Av1 => "AV1",
        })
    }
}

/// A codec with the parameters that decide whether a decoder for one variant plays another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// VP9 `profile-id`, AV1 `profile`, H.265 `profile-id`; H.264 `profile_idc`. 0 where there is none.
    pub profile: u8,
    /// H.264 `profile-iop`, the constraint flags (RFC 6184 section 8.1). 0 for other codecs.
    pub constraints: u8,
    /// H.264 `packetization-mode`, 0 or 1 (RFC 6184 section 6.2). 0 for other codecs.
    pub packetization_mode: u8,
}

/// How well a receiver's format fits a stream; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fit(u8);

impl Format {
    /// Reads the parameters out of an `a=fmtp` value ("" when the offer has none).
    #[must_use]
    pub fn new(codec: Codec, fmtp: &str) -> Self {
        let parameter = |name: &str| {
            fmtp.split(';')
                .filter_map(|pair| pair.split_once('='))
                .find_map(|(key, value)| key.trim().eq_ignore_ascii_case(name).then(|| value.trim()))
        };
        let number =
            |name: &str, default: u8| parameter(name).and_then(|v| v.parse().ok()).unwrap_or(default);
        let (profile, constraints, packetization_mode) = match codec {
            Codec::Opus | Codec::Vp8 => (0, 0, 0),
            Codec::Vp9 => (number("profile-id", 0), 0, 0),
            Codec::Av1 => (number("profile", 0), 0, 0),
            // Profile 1 (Main) is the default of RFC 7798 section 7.1.
            Codec::H265 => (number("profile-id", 1), 0, 0),
            Codec::H264 => {
                let (idc, iop) = h264_profile(parameter("profile-level-id").unwrap_or_default());
                (idc, iop, number("packetization-mode", 0))
            }
        };
        Self { codec, profile, constraints, packetization_mode }
    }

    /// Whether a receiver that offered `self` decodes a `stream`, and how well it fits.
    ///
    /// H.264 is judged mildly: encoders announce profiles that they do not keep (OBS writes 42e01f whatever it
    /// encodes) and every browser decodes all profiles up to High with one decoder. What does not bend is the
    /// packetization: a mode 0 receiver cannot read the fragments of a mode 1 sender (RFC 6184 section 6.2).
    #[must_use]
    pub fn fit(&self, stream: &Self) -> Option<Fit> {
        if self.codec != stream.codec {
            return None;
        }
        if self.codec != Codec::H264 {
            return (self.profile == stream.profile).then_some(Fit(3));
        }
        if self.packetization_mode < stream.packetization_mode {
            return None;
        }
        // 4:4:4 is the one profile that the common decoders do not have.
        const HIGH_444: u8 = 0xf4;
        if stream.profile == HIGH_444 && self.profile != HIGH_444 {
            return None;
        }
        let same_mode = u8::from(self.packetization_mode == stream.packetization_mode);
        let closeness = if self.profile == stream.profile && self.constraints == stream.constraints {
            4
        } else if self.profile == stream.profile {
            2
        } else {
            0
        };
        Some(Fit(closeness + same_mode))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.codec {
            Codec::H264 => {
                let name = match (self.profile, self.constraints & 0x40) {
                    (0x42, 0) => "Baseline",
                    (0x42, _) => "Constrained Baseline",
                    (0x4d, _) => "Main",
                    (0x64, _) => "High",
                    (0xf4, _) => "High 4:4:4",
                    _ => return write!(f, "H.264 profile {:02x}{:02x}", self.profile, self.constraints),
                };
                write!(f, "H.264 {name}")
            }
            Codec::Vp9 | Codec::Av1 if self.profile > 0 => {
                write!(f, "{} profile {}", self.codec, self.profile)
            }
            codec => write!(f, "{codec}"),
        }
    }
}

/// `profile_idc` and `profile-iop` of a `profile-level-id`. Absent or malformed ones (FFmpeg 8.0 writes seven
/// digits) count as Constrained Baseline, which is what such senders mean.
fn h264_profile(profile_level_id: &str) -> (u8, u8) {
    const CONSTRAINED_BASELINE: (u8, u8) = (0x42, 0xe0);
    if profile_level_id.len() != 6 {
        return CONSTRAINED_BASELINE;
    }
    u32::from_str_radix(profile_level_id, 16).map_or(CONSTRAINED_BASELINE, |id| {
        let [_, idc, iop, _level] = id.to_be_bytes();
        (idc, iop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(fmtp: &str) -> Format {
        Format::new(Codec::H264, fmtp)
    }

    #[test]
    fn a_viewer_plays_every_h264_profile_it_can_unpack() {
        let viewer = h264("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
        for id in ["42e01f", "42001f", "4d001f", "64001f", "640c1f", "42000d"] {
            let stream = h264(&format!("packetization-mode=1;profile-level-id={id}"));
            assert!(viewer.fit(&stream).is_some(), "{id}");
        }
        let stream_444 = h264("packetization-mode=1;profile-level-id=f4001f");
        assert_eq!(viewer.fit(&stream_444), None);
        assert!(stream_444.fit(&stream_444).is_some());
    }

    #[test]
    fn single_nal_receivers_do_not_get_fragments() {
        let mode_0 = h264("packetization-mode=0;profile-level-id=42e01f");
        let mode_1 = h264("packetization-mode=1;profile-level-id=42e01f");
        assert_eq!(mode_0.fit(&mode_1), None);
        assert!(mode_1.fit(&mode_0).is_some());
        assert_eq!(h264("").packetization_mode, 0);
    }

    #[test]
    fn a_bitrate_is_bits_over_time() {
        assert_eq!(Bitrate::over(250_000, Duration::from_millis(2_000)), Bitrate(1_000_000));
        assert_eq!(Bitrate::over(1, Duration::ZERO), Bitrate(0));
    }

    #[test]
    fn audio_levels_grow_with_loudness() {
        assert_eq!([-128, -127, -30, 0, 5].map(|dbov| AudioLevel::from_dbov(dbov).0), [0, 0, 97, 127, 127]);
    }

    #[test]
    fn the_nearest_profile_fits_best() {
        let stream = h264("packetization-mode=1;profile-level-id=42001f");
        let exact = h264("packetization-mode=1;profile-level-id=42001f").fit(&stream);
        let same_idc = h264("packetization-mode=1;profile-level-id=42e01f").fit(&stream);
        let other = h264("packetization-mode=1;profile-level-id=4d001f").fit(&stream);
        assert!(exact > same_idc && same_idc > other && other.is_some());
    }

    #[test]
    fn codecs_and_profiles_do_not_mix() {
        let vp9 = |fmtp| Format::new(Codec::Vp9, fmtp);
        assert!(vp9("profile-id=0").fit(&vp9("")).is_some());
        assert_eq!(vp9("profile-id=2").fit(&vp9("profile-id=0")), None);
        assert_eq!(Format::new(Codec::Vp8, "").fit(&vp9("")), None);
        assert_eq!(Codec::from_rtpmap("OPUS"), Some(Codec::Opus));
        assert_eq!(Codec::from_rtpmap("red"), None);
    }

    #[test]
    fn a_malformed_profile_counts_as_constrained_baseline() {
        assert_eq!(h264("profile-level-id=4220014"), h264("profile-level-id=42e01f"));
        assert_eq!(h264("profile-level-id=zzzzzz"), h264("profile-level-id=42e01f"));
    }
}
