//! What the payload types of an offer stand for, in this project's words and in str0m's.

use str0m::format::{Codec as StrCodec, CodecConfig, CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Frequency, Pt};

use crate::sfu::egress::{Coding, PayloadType};
use crate::sfu::session::extensions::Numbers;
use crate::units::{Codec, Format, MediaKind};
use crate::wire::sdp::{Description, PayloadTypes, payload_type};

/// What the numbers of a session mean, for all its offers.
#[derive(Debug, Clone, Default)]
pub(in crate::sfu::session) struct Settled {
    /// The payload types; none before the first answer.
    pub(in crate::sfu::session) codings: Vec<Coding>,
    /// The header extensions.
    pub(in crate::sfu::session) extensions: Numbers,
}

impl Settled {
    /// Whether `by` may resend `of`.
    pub(super) fn resends(&self, of: u8, by: u8) -> bool {
        let known = self.codings.iter().find(|known| known.payload_type.number == of);
        self.codings.is_empty() || known.is_some_and(|known| known.resend == Some(by))
    }
}

/// The feedback that str0m knows. Other kinds are not answered.
pub(super) const FEEDBACK: [&str; 5] = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];

/// The payload types of a section that carry a codec we forward.
pub(super) fn formats(kind: Option<MediaKind>, payload_types: &PayloadTypes<'_>) -> Vec<PayloadType> {
    let usable = |described: &Description<'_>| {
        let codec = Codec::from_rtpmap(described.encoding_name()?)?;
        let format = Format::new(codec, described.fmtp.unwrap_or_default());
        (kind == Some(codec.kind())).then_some(PayloadType { number: described.number, format })
    };
    payload_types.iter().filter_map(usable).collect()
}

/// The encoding names of a section, for people.
pub(super) fn encoding_names(payload_types: &PayloadTypes<'_>) -> String {
    let names: Vec<_> = payload_types.iter().filter_map(Description::encoding_name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The payload types that resend others (RFC 4588 section 8.1): which one, and for which.
pub(super) fn resends(payload_types: &PayloadTypes<'_>) -> Vec<Resend> {
    let resend = |described: &Description<'_>| {
        described.encoding_name().filter(|name| name.eq_ignore_ascii_case("rtx"))?;
        let apt = described.fmtp?.split(';').find_map(|pair| pair.trim().strip_prefix("apt="))?;
        Some(Resend { by: described.number, of: payload_type(apt)? })
    };
    payload_types.iter().filter_map(resend).collect()
}

/// A payload type that resends another.
pub(super) struct Resend {
    pub(super) by: u8,
    pub(super) of: u8,
}

/// The codecs of sections with exactly the parameters and payload types that they name, in their order.
///
/// A payload type is one thing in the whole bundle, so the first section that defines it decides.
pub(super) fn config<'m>(
    sections: impl Iterator<Item = (&'m PayloadTypes<'m>, &'m [PayloadType])>,
) -> (CodecConfig, Vec<Coding>) {
    let mut params: Vec<PayloadParams> = Vec::new();
    let mut offered: Vec<Coding> = Vec::new();
    for (payload_types, formats) in sections {
        let resends = resends(payload_types);
        for entry in formats {
            if offered.iter().any(|known| known.payload_type.number == entry.number) {
                continue;
            }
            params.push(payload_params(payload_types, *entry, &resends));
            let resend = resends.iter().find(|resend| resend.of == entry.number).map(|resend| resend.by);
            offered.push(Coding { payload_type: *entry, resend });
        }
    }
    (CodecConfig::new_from_payload_params(params), offered)
}

fn payload_params(payload_types: &PayloadTypes<'_>, entry: PayloadType, resends: &[Resend]) -> PayloadParams {
    let codec = entry.format.codec;
    let described = payload_types.get(entry.number);
    let channels = described.and_then(|pt| pt.rtpmap).and_then(|map| map.split('/').nth(2));
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
        format: FormatParams::parse_line(described.and_then(|pt| pt.fmtp).unwrap_or_default()),
    };
    let resend = resends.iter().find(|resend| resend.of == entry.number).map(|resend| Pt::from(resend.by));
    let mut params = PayloadParams::new(Pt::from(entry.number), resend, spec);
    let feedback = |kind: &str| payload_types.has_feedback(entry.number, kind);
    params.set_fb_transport_cc(feedback("transport-cc"));
    params.set_fb_nack(feedback("nack"));
    params.set_fb_pli(feedback("nack pli"));
    params.set_fb_fir(feedback("ccm fir"));
    params.set_fb_remb(feedback("goog-remb"));
    params
}
