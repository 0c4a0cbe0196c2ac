//! What an offer says, checked and cleaned before str0m sees it.
//!
//! Clients write offers that are odd but meant well. They are mended here, in one place: sections without a
//! mid, bundle groups that name absent sections (FFmpeg 8.0), candidates that nobody needs (the server is
//! ICE-lite and learns addresses from connectivity checks), directions that browsers cannot help
//! (`addTrack` makes `sendrecv` of a WHIP offer).

use std::fmt::Write as _;

use str0m::format::{Codec as StrCodec, CodecConfig, CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Frequency, Pt};

use crate::sfu::egress::PayloadType;
use crate::units::{Codec, Format, MediaKind};
use crate::wire::sdp::{Sdp, SdpError, Section};

/// What the client wants of this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends (WHIP, RFC 9725).
    Publish,
    /// It receives (WHEP, draft-ietf-wish-whep).
    Watch,
}

/// Why an offer gets no answer. The sentences are shown to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The text is not SDP.
    #[error("{0}.")]
    Malformed(#[from] SdpError),
    /// The text is SDP, and lacks what WebRTC needs.
    #[error("The offer has no {0}.")]
    Missing(&'static str),
    /// Sections over several transports.
    #[error("The offer does not bundle all of its media. Use bundlePolicy \"max-bundle\".")]
    NotBundled,
    /// Both ends would wait for the other to begin.
    #[error("The offer says ice-lite, and so does this server: one of the two must be a full ICE agent.")]
    BothLite,
    /// A publisher that sends nothing, a viewer that receives nothing.
    #[error("The offer has no audio or video that the client {0}.")]
    NothingToDo(&'static str),
    /// Nothing that this server forwards.
    #[error(
        "The offer's {kind} codecs ({offered}) are not forwarded here. This server takes Opus, VP8, VP9, H.264, H.265 and AV1."
    )]
    NoCodec {
        /// The kind of the section.
        kind: MediaKind,
        /// The encoding names of the section.
        offered: String,
    },
    /// str0m's own reason.
    #[error("The offer cannot be answered: {0}.")]
    Refused(String),
}

/// An offer that was found fit to answer.
pub(super) struct Offer<'a> {
    pub(super) sdp: Sdp<'a>,
    role: Role,
}

impl<'a> Offer<'a> {
    pub(super) fn parse(text: &'a str, role: Role) -> Result<Self, OfferError> {
        let offer = Self { sdp: Sdp::parse(text)?, role };
        offer.check()?;
        Ok(offer)
    }

    fn check(&self) -> Result<(), OfferError> {
        let Some(first) = self.sdp.sections.first() else {
            return Err(OfferError::Missing("m-line"));
        };
        for (name, missing) in
            [("ice-ufrag", "a=ice-ufrag"), ("ice-pwd", "a=ice-pwd"), ("fingerprint", "a=fingerprint")]
        {
            // A rejected first section carries none of these; any section speaks for the bundle.
            let found = self.sdp.sections.iter().any(|s| self.sdp.inherited(s, name).is_some());
            if !found {
                return Err(OfferError::Missing(missing));
            }
        }
        if self.sdp.inherited(first, "ice-lite").is_some() {
            return Err(OfferError::BothLite);
        }
        let bundle = self.sdp.bundle();
        let active = || self.sdp.sections.iter().filter(|s| !self.rejected(s));
        if active().count() > 1 && active().any(|s| !s.mid().is_some_and(|mid| bundle.contains(&mid))) {
            return Err(OfferError::NotBundled);
        }
        let wanted: Vec<_> = active().filter(|s| kind_of(s).is_some() && self.flows(s)).collect();
        if wanted.is_empty() {
            let verb = if self.role == Role::Publish { "sends" } else { "wants to receive" };
            return Err(OfferError::NothingToDo(verb));
        }
        // A publisher's every section must be understood; a viewer's are checked against the stream.
        for section in wanted {
            if formats(section).is_empty() {
                let kind = kind_of(section).unwrap_or(MediaKind::Video);
                return Err(OfferError::NoCodec { kind, offered: encoding_names(section) });
            }
        }
        Ok(())
    }

    /// The client's ICE user fragment and password.
    pub(super) fn credentials(&self) -> (String, String) {
        let first = |name| self.sdp.sections.iter().find_map(|section| self.sdp.inherited(section, name));
        let text = |name| first(name).unwrap_or_default().to_owned();
        (text("ice-ufrag"), text("ice-pwd"))
    }

    /// Port 0 means rejected, unless the section lives inside the bundle only (RFC 8843 section 6).
    pub(super) fn rejected(&self, section: &Section<'_>) -> bool {
        section.port == 0 && !section.mid().is_some_and(|mid| self.sdp.bundle().contains(&mid))
    }

    /// Whether media goes the way that the role wants.
    fn flows(&self, section: &Section<'_>) -> bool {
        let direction = direction(&self.sdp, section);
        match self.role {
            Role::Publish => matches!(direction, "sendonly" | "sendrecv"),
            Role::Watch => matches!(direction, "recvonly" | "sendrecv"),
        }
    }

    /// The codecs of the offer with exactly the parameters and payload types that it names, in its order.
    ///
    /// A payload type is one thing in the whole bundle, so the first section that defines it decides.
    pub(super) fn codecs(&self) -> (CodecConfig, Vec<PayloadType>) {
        let mut params: Vec<PayloadParams> = Vec::new();
        let mut offered: Vec<PayloadType> = Vec::new();
        for section in self.sdp.sections.iter().filter(|s| !self.rejected(s)) {
            for entry in formats(section) {
                if offered.iter().any(|known| known.number == entry.number) {
                    continue;
                }
                params.push(payload_params(section, entry));
                offered.push(entry);
            }
        }
        (CodecConfig::new_from_payload_params(params), offered)
    }

    /// The offer as str0m shall read it.
    pub(super) fn cleaned(&self) -> String {
        let mut text = String::from("v=0\r\n");
        let mids: Vec<String> = (0..self.sdp.sections.len()).map(|index| self.mid(index)).collect();
        let bundled = self.sdp.sections.iter().zip(&mids).filter(|(s, _)| !self.rejected(s));
        let _ = write!(text, "{}", CleanLines(&self.sdp.session.0));
        text.push_str("a=group:BUNDLE");
        for (_, mid) in bundled {
            let _ = write!(text, " {mid}");
        }
        text.push_str("\r\n");
        for (section, mid) in self.sdp.sections.iter().zip(&mids) {
            let (kind, port, protocol) = (section.kind, section.port, section.protocol);
            let _ = write!(text, "m={kind} {port} {protocol}");
            for format in &section.formats {
                let _ = write!(text, " {format}");
            }
            let _ = write!(text, "\r\n{}a=mid:{mid}\r\n", CleanLines(&section.lines.0));
            if kind_of(section).is_some() {
                let _ = write!(text, "a={}\r\n", self.cleaned_direction(section));
            }
        }
        text
    }

    fn mid(&self, index: usize) -> String {
        let given = self.sdp.sections.get(index).and_then(Section::mid);
        given.map_or_else(|| index.to_string(), str::to_owned)
    }

    fn cleaned_direction(&self, section: &Section<'_>) -> &'static str {
        match (self.flows(section), self.role) {
            (false, _) => "inactive",
            (true, Role::Publish) => "sendonly",
            (true, Role::Watch) => "recvonly",
        }
    }
}

/// Lines without what [`Offer::cleaned`] leaves out or writes anew.
struct CleanLines<'s, 'a>(&'s [&'a str]);

impl std::fmt::Display for CleanLines<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DROPPED: [&str; 9] = [
            "a=candidate:",
            "a=end-of-candidates",
            "a=group:",
            "a=mid:",
            "a=sendrecv",
            "a=sendonly",
            "a=recvonly",
            "a=inactive",
            "a=remote-candidates:",
        ];
        for line in self.0.iter().filter(|line| !DROPPED.iter().any(|dropped| line.starts_with(dropped))) {
            write!(f, "{line}\r\n")?;
        }
        Ok(())
    }
}

pub(super) fn kind_of(section: &Section<'_>) -> Option<MediaKind> {
    match section.kind {
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    }
}

/// The direction of a section; `sendrecv` where nothing is said (RFC 8866 section 6.7).
pub(super) fn direction<'a>(sdp: &Sdp<'a>, section: &Section<'a>) -> &'static str {
    const DIRECTIONS: [&str; 4] = ["sendonly", "recvonly", "sendrecv", "inactive"];
    let of = |lines: &crate::wire::sdp::Lines<'_>| DIRECTIONS.into_iter().find(|name| lines.has(name));
    of(&section.lines).or_else(|| of(&sdp.session)).unwrap_or("sendrecv")
}

/// The payload types of a section that carry a codec we forward.
pub(super) fn formats(section: &Section<'_>) -> Vec<PayloadType> {
    let usable = |payload_type: &&str| {
        let rtpmap = section.of_payload_type("rtpmap", payload_type).next()?;
        let codec = Codec::from_rtpmap(rtpmap.split('/').next()?)?;
        let number: u8 = payload_type.parse().ok().filter(|pt| *pt < 128)?;
        let fmtp = section.of_payload_type("fmtp", payload_type).next().unwrap_or_default();
        let fits = kind_of(section) == Some(codec.kind());
        fits.then(|| PayloadType { number, format: Format::new(codec, fmtp) })
    };
    section.formats.iter().filter_map(usable).collect()
}

fn encoding_names(section: &Section<'_>) -> String {
    let name = |pt: &&str| section.of_payload_type("rtpmap", pt).next()?.split('/').next();
    let names: Vec<_> = section.formats.iter().filter_map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn payload_params(section: &Section<'_>, entry: PayloadType) -> PayloadParams {
    let pt = entry.number.to_string();
    let codec = entry.format.codec;
    let rtx = section.formats.iter().find(|candidate| {
        let of = |name| section.of_payload_type(name, candidate).next().unwrap_or_default();
        let apt = of("fmtp").split(';').find_map(|pair| pair.trim().strip_prefix("apt="));
        of("rtpmap").get(..4).is_some_and(|name| name.eq_ignore_ascii_case("rtx/")) && apt == Some(&pt)
    });
    let fmtp = section.of_payload_type("fmtp", &pt).next().unwrap_or_default();
    let channels = section.of_payload_type("rtpmap", &pt).next().and_then(|map| map.split('/').nth(2));
    let spec = CodecSpec {
        codec: match codec {
            Codec::Opus => StrCodec::Opus,
            Codec::Vp8 => StrCodec::Vp8,
            Codec::Vp9 => StrCodec::Vp9,
            Codec::H264 => StrCodec::H264,
            Codec::H265 => StrCodec::H265,
            Codec::Av1 => StrCodec::Av1,
        },
        clock_rate: if codec == Codec::Opus { Frequency::FORTY_EIGHT_KHZ } else { Frequency::NINETY_KHZ },
        channels: channels.and_then(|count| count.parse().ok()),
        format: FormatParams::parse_line(fmtp),
    };
    let resend = rtx.and_then(|pt| pt.parse::<u8>().ok()).map(Pt::from);
    let mut params = PayloadParams::new(Pt::from(entry.number), resend, spec);
    let feedback = |kind: &str| section.of_payload_type("rtcp-fb", &pt).any(|value| value == kind);
    params.set_fb_transport_cc(feedback("transport-cc"));
    params.set_fb_nack(feedback("nack"));
    params.set_fb_pli(feedback("nack pli"));
    params.set_fb_fir(feedback("ccm fir"));
    params.set_fb_remb(feedback("goog-remb"));
    params
}
