//! Reading SDP (RFC 8866) by section and attribute, without judging it.
//!
//! Offers come from many hands. This reader takes what it can: any line end, any order of attributes (Firefox
//! writes `a=fmtp` before `a=rtpmap`), unknown lines. What the lines mean is decided by the session floor.
//!
//! Anybody may post a body, so nothing here takes more time than in proportion to its size.

use std::collections::BTreeSet;

/// The largest body that is read, in bytes. Chromium describes a section that receives video in 5 KiB and 165 lines, so
/// that an offer with four sections that send, 25 that receive video and four that receive audio has 139 KiB.
pub const MAX_BYTES: usize = 192 * 1024;
/// The most lines that are read. The same offer has 4,600.
pub const MAX_LINES: usize = 7_000;
/// The most m-sections: a room client with a full pool of slots stays far below.
pub const MAX_SECTIONS: usize = 64;
/// The most formats of one m-line. An RTP payload type has 7 bits (RFC 3550 section 5.1), and other m-lines have fewer
/// formats still. What is done for each format is so bounded, however long the m-line.
pub const MAX_FORMATS: usize = 128;

/// Why a text was not read as SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Larger than [`MAX_BYTES`], [`MAX_LINES`] or [`MAX_SECTIONS`].
    #[error(
        "the SDP is too large (more than {MAX_BYTES} bytes, {MAX_LINES} lines or {MAX_SECTIONS} m-lines)"
    )]
    TooLarge,
    /// The first line is not `v=0`.
    #[error("the SDP does not begin with v=0")]
    Version,
    /// A line is not `x=...`.
    #[error("line {0} of the SDP is not of the form x=value")]
    Line(usize),
    /// An `m=` line without kind, port, protocol and formats.
    #[error("line {0} of the SDP is not a valid m-line")]
    MediaLine(usize),
    /// An `m=` line with more than [`MAX_FORMATS`] formats, or with one format twice.
    #[error("the m-line in line {0} of the SDP has more than {MAX_FORMATS} formats, or one of them twice")]
    Formats(usize),
}

/// A session description, borrowed from its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdp<'a> {
    /// The lines before the first m-line.
    pub session: Lines<'a>,
    /// The m-sections in their order.
    pub sections: Vec<Section<'a>>,
}

/// One m-section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'a> {
    /// `audio`, `video` or `application`; others exist.
    pub kind: &'a str,
    /// 0 in a rejected section, and in sections that only exist inside a bundle (RFC 8843 section 6).
    pub port: u16,
    /// For example `UDP/TLS/RTP/SAVPF`.
    pub protocol: &'a str,
    /// The payload types of an RTP section, in order of preference.
    pub formats: Vec<&'a str>,
    /// The lines below the m-line.
    pub lines: Lines<'a>,
}

/// Lines of one part of the description, each without its line end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines<'a>(pub Vec<&'a str>);

impl<'a> Lines<'a> {
    /// The values of all `a=name:value` lines, `""` for a bare `a=name`.
    pub fn attributes<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.0.iter().filter_map(move |line| attribute(line, name))
    }

    /// The value of the first `a=name` line.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|line| attribute(line, name))
    }

    /// Whether there is an `a=name` line.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }
}

/// The value of `line` if it is an `a=` line of that name.
#[must_use]
pub fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("a=")?.strip_prefix(name)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(':').map(str::trim) }
}

impl<'a> Section<'a> {
    /// The section's identification (RFC 5888).
    #[must_use]
    pub fn mid(&self) -> Option<&'a str> {
        self.lines.attribute("mid")
    }

    /// What the section says of its payload types, gathered in one pass over its lines.
    #[must_use]
    pub fn payload_types(&self) -> PayloadTypes<'a> {
        let described = |format: &&'a str| Some(Description::new(payload_type(format)?));
        let mut found = PayloadTypes {
            described: self.formats.iter().filter_map(described).collect(),
            feedback_for_all: BTreeSet::new(),
        };
        for line in &self.lines.0 {
            if let Some((name, value)) = line.strip_prefix("a=").and_then(|line| line.split_once(':')) {
                found.take(name, value);
            }
        }
        found
    }
}

/// The payload types of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadTypes<'a> {
    described: Vec<Description<'a>>,
    feedback_for_all: BTreeSet<&'a str>,
}

/// What a section says of one payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description<'a> {
    /// The payload type, 0 to 127.
    pub number: u8,
    /// Its `a=rtpmap`, for example `opus/48000/2`.
    pub rtpmap: Option<&'a str>,
    /// Its `a=fmtp`.
    pub fmtp: Option<&'a str>,
    feedback: BTreeSet<&'a str>,
}

impl<'a> Description<'a> {
    fn new(number: u8) -> Self {
        Self { number, rtpmap: None, fmtp: None, feedback: BTreeSet::new() }
    }

    /// The encoding name of the rtpmap (RFC 8866 section 6.6).
    #[must_use]
    pub fn encoding_name(&self) -> Option<&'a str> {
        self.rtpmap?.split('/').next()
    }
}

impl<'a> PayloadTypes<'a> {
    /// The payload types in the order of the m-line.
    pub fn iter(&self) -> impl Iterator<Item = &Description<'a>> {
        self.described.iter()
    }

    /// What is said of one payload type; `None` when the m-line does not name it.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<&Description<'a>> {
        self.described.iter().find(|known| known.number == number)
    }

    /// Whether `a=rtcp-fb` names this feedback, for example `nack pli`, for the payload type or for all
    /// (RFC 4585 section 4.2).
    #[must_use]
    pub fn has_feedback(&self, number: u8, feedback: &str) -> bool {
        self.get(number)
            .is_some_and(|pt| pt.feedback.contains(feedback) || self.feedback_for_all.contains(feedback))
    }

    /// Takes an attribute in. The first rtpmap and the first fmtp of a payload type count; there should be no other.
    fn take(&mut self, name: &str, value: &'a str) {
        if !matches!(name, "rtpmap" | "fmtp" | "rtcp-fb") {
            return;
        }
        let Some((number, value)) = value.trim().split_once(' ') else { return };
        let value = value.trim();
        if name == "rtcp-fb" && number == "*" {
            self.feedback_for_all.insert(value);
        }
        let Some(number) = payload_type(number) else { return };
        let Some(known) = self.described.iter_mut().find(|known| known.number == number) else { return };
        match name {
            "rtpmap" => _ = known.rtpmap.get_or_insert(value),
            "fmtp" => _ = known.fmtp.get_or_insert(value),
            _ => _ = known.feedback.insert(value),
        }
    }
}

/// A payload type as SDP writes it: 0 to 127, in digits without a leading zero, so that equal numbers are equal texts.
#[must_use]
pub fn payload_type(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| plain && *number < 128)
}

impl<'a> Sdp<'a> {
    /// Reads a description.
    ///
    /// # Errors
    /// [`SdpError`] names the first line that cannot be read.
    pub fn parse(text: &'a str) -> Result<Self, SdpError> {
        if text.len() > MAX_BYTES {
            return Err(SdpError::TooLarge);
        }
        let mut lines = text.lines().map(str::trim_end).enumerate().filter(|(_, line)| !line.is_empty());
        if lines.next().map(|(_, line)| line) != Some("v=0") {
            return Err(SdpError::Version);
        }
        let mut sdp = Self { session: Lines::default(), sections: Vec::new() };
        for (index, line) in lines {
            let number = index + 1;
            if number > MAX_LINES || sdp.sections.len() > MAX_SECTIONS {
                return Err(SdpError::TooLarge);
            }
            if !matches!(line.as_bytes(), [b'a'..=b'z', b'=', ..]) {
                return Err(SdpError::Line(number));
            }
            if let Some(media) = line.strip_prefix("m=") {
                let section = media_line(media).ok_or(SdpError::MediaLine(number))?;
                if !are_distinct_and_few(&section.formats) {
                    return Err(SdpError::Formats(number));
                }
                sdp.sections.push(section);
            } else {
                sdp.sections.last_mut().map_or(&mut sdp.session, |section| &mut section.lines).0.push(line);
            }
        }
        Ok(sdp)
    }

    /// An attribute that may stand in the section or, for all sections, above the first (RFC 8866 section 5.13).
    #[must_use]
    pub fn inherited(&self, section: &Section<'a>, name: &str) -> Option<&'a str> {
        section.lines.attribute(name).or_else(|| self.session.attribute(name))
    }

    /// The mids of the bundle group (RFC 8843), empty when there is none.
    #[must_use]
    pub fn bundle(&self) -> Vec<&'a str> {
        self.session
            .attributes("group")
            .find_map(|value| value.strip_prefix("BUNDLE"))
            .map(|mids| mids.split_ascii_whitespace().collect())
            .unwrap_or_default()
    }
}

/// `<kind> <port>[/<number>] <protocol> <format> ...`
fn media_line(value: &str) -> Option<Section<'_>> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next()?;
    let port = words.next()?;
    let port = port.split_once('/').map_or(port, |(port, _)| port).parse().ok()?;
    let protocol = words.next()?;
    Some(Section { kind, port, protocol, formats: words.collect(), lines: Lines::default() })
}

fn are_distinct_and_few(formats: &[&str]) -> bool {
    let mut seen = BTreeSet::new();
    formats.len() <= MAX_FORMATS && formats.iter().all(|format| seen.insert(format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:LS 0 1\r\na=group:BUNDLE 0 1\r\n\
        a=setup:actpass\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=fmtp:111 minptime=10\r\n\
        a=rtpmap:111 opus/48000/2\r\na=rtcp-mux\r\nm=video 9/2 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=setup:active\r\n";

    #[test]
    fn sections_and_attributes_are_found() {
        let sdp = Sdp::parse(OFFER).expect("reads");
        assert_eq!(sdp.bundle(), ["0", "1"]);
        let [audio, video] = sdp.sections.as_slice() else { panic!("{:?}", sdp.sections) };
        assert_eq!((audio.kind, audio.mid(), audio.lines.has("rtcp-mux")), ("audio", Some("0"), true));
        assert_eq!(audio.payload_types().get(111).and_then(|pt| pt.rtpmap), Some("opus/48000/2"));
        assert_eq!((video.port, video.formats.as_slice()), (9, ["96", "97"].as_slice()));
        assert_eq!(sdp.inherited(audio, "setup"), Some("actpass"));
        assert_eq!(sdp.inherited(video, "setup"), Some("active"));
        assert!(!audio.lines.has("rtcp"), "a name is not a prefix");
    }

    #[test]
    fn line_ends_do_not_matter() {
        let with_lf = OFFER.replace("\r\n", "\n");
        assert_eq!(Sdp::parse(&with_lf), Sdp::parse(OFFER));
    }

    #[test]
    fn the_bad_line_is_named() {
        assert_eq!(Sdp::parse("hello"), Err(SdpError::Version));
        assert_eq!(Sdp::parse("v=0\nnonsense\n"), Err(SdpError::Line(2)));
        assert_eq!(Sdp::parse("v=0\n=====\n"), Err(SdpError::Line(2)));
        assert_eq!(Sdp::parse("v=0\nm=audio\n"), Err(SdpError::MediaLine(2)));
        assert_eq!(Sdp::parse(&format!("v=0\n{}", "a=x\n".repeat(10_000))), Err(SdpError::TooLarge));
        assert_eq!(Sdp::parse(&format!("v=0\n{}", "m=audio 9 X 0\n".repeat(100))), Err(SdpError::TooLarge));
    }

    #[test]
    fn payload_types_are_described_in_the_order_of_the_m_line() {
        let sdp = "v=0\nm=video 9 UDP/TLS/RTP/SAVPF 97 096 96 128 x 5\na=fmtp:96 profile-id=2\na=rtpmap:96 VP9/90000\n\
            a=rtpmap:96 VP8/90000\na=fmtp:96 profile-id=0\na=rtcp-fb:96 nack pli\na=rtcp-fb:* ccm fir\n\
            a=rtpmap:98 AV1/90000\na=rtcp-fb:97\n";
        let sdp = Sdp::parse(sdp).expect("reads");
        let payload_types = sdp.sections.first().expect("one").payload_types();
        let numbers: Vec<_> = payload_types.iter().map(|pt| pt.number).collect();
        assert_eq!(numbers, [97, 96, 5]);
        let vp9 = payload_types.get(96).expect("described");
        assert_eq!(
            (vp9.encoding_name(), vp9.fmtp),
            (Some("VP9"), Some("profile-id=2")),
            "the first line counts"
        );
        let feedback = |number, kind| payload_types.has_feedback(number, kind);
        assert!(feedback(96, "nack pli") && feedback(96, "ccm fir") && feedback(97, "ccm fir"));
        assert!(!feedback(96, "nack") && !feedback(97, "nack pli") && !feedback(98, "ccm fir"));
        assert_eq!(payload_types.get(98), None, "the m-line does not name it");
    }

    /// Whatever is done for each format of an m-line is done 128 times at most.
    #[test]
    fn an_m_line_has_at_most_as_many_formats_as_there_are_payload_types() {
        let m_line = |formats: &str| format!("v=0\nm=video 9 UDP/TLS/RTP/SAVPF {formats}\n");
        let count = |count: usize| (0..count).map(|pt| pt.to_string()).collect::<Vec<_>>().join(" ");
        assert!(Sdp::parse(&m_line(&count(128))).is_ok());
        for bad in [count(129), "96 97 96".to_owned(), "96 ".repeat(20_000), count(11_000)] {
            assert_eq!(Sdp::parse(&m_line(&bad)), Err(SdpError::Formats(2)), "{}", &bad[..bad.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(v=0\r?\n)?([a-z]=[ -~]{0,20}\r?\n){0,20}[ -~äö]{0,30}") {
            let _ = Sdp::parse(&text);
        }
    }
}
