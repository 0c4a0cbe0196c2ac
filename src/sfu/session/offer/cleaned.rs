//! The offer as str0m shall read it: written anew, with what str0m needs and nothing else.
//!
//! str0m reads for each payload type all lines of its section, and keeps something for each layer and each source.
//! That is fine for offers that browsers write, so it is shown no other: each payload type is described once, and
//! nobody can make it work or remember in proportion to more than a reasonable offer.

use std::fmt::Write as _;

use super::codecs::{FEEDBACK, resends};
use super::{Flow, MAX_REPEATED, Media, Offer, Role};
use crate::units::MediaKind;

/// What is copied from media sections of a client that sends. A viewer is sent one encoding of each track, and says
/// nothing of sources.
const OF_PUBLISHERS: [&str; 5] = ["msid", "rid", "simulcast", "ssrc-group", "ssrc"];

/// What is copied from the section of a data channel.
const OF_DATA_CHANNELS: [&str; 3] = ["sctp-port", "max-message-size", "sctp-init"];

/// The extension by which a packet names its section (RFC 9143 section 15.2).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// An m-line as str0m is shown it. Those of a session keep their places, wherever the client has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sfu::session) enum Shown {
    /// The section of the offer with this index.
    Section(usize),
    /// A section that was stopped (RFC 8829 section 5.2.2).
    Stopped(String, MediaKind),
    /// A data channel that was stopped. str0m keeps its line as it is.
    StoppedChannel(String),
}

impl Offer<'_> {
    /// The m-lines of a first offer: all sections that are [taken](Media::taken).
    pub(in crate::sfu::session) fn lines(&self) -> Vec<Shown> {
        let taken = self.sections.iter().enumerate().filter(|(_, media)| media.taken);
        taken.map(|(index, _)| Shown::Section(index)).collect()
    }

    /// These m-lines, as an offer of their own.
    pub(in crate::sfu::session) fn cleaned(&self, lines: &[Shown]) -> String {
        let mut text = String::from("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE");
        for line in lines {
            let _ = match line {
                Shown::Section(index) => {
                    self.sections.get(*index).map_or(Ok(()), |media| write!(text, " {}", media.mid))
                }
                Shown::StoppedChannel(mid) => write!(text, " {mid}"),
                Shown::Stopped(..) => Ok(()),
            };
        }
        text.push_str("\r\n");
        // All sections share one transport: it is described once, above them.
        let transport = &self.transport;
        if let Some((ufrag, password)) = transport.credentials.first() {
            let _ = write!(text, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
        }
        for fingerprint in transport.fingerprints.iter().take(MAX_REPEATED) {
            let _ = write!(text, "a=fingerprint:{fingerprint}\r\n");
        }
        if let Some(setup) = transport.setup {
            let _ = write!(text, "a=setup:{setup}\r\n");
        }
        for line in lines {
            self.write_line(&mut text, line);
        }
        text
    }

    fn write_line(&self, text: &mut String, line: &Shown) {
        match line {
            Shown::Section(index) => match self.sections.get(*index) {
                Some(media) if media.kind.is_some() => self.write_media(text, media),
                Some(media) => write_data_channel(text, media),
                None => {}
            },
            Shown::Stopped(mid, kind) => {
                let _ = write!(text, "m={kind} 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\na=inactive\r\n");
            }
            Shown::StoppedChannel(mid) => {
                let _ = write!(text, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n");
            }
        }
    }

    fn write_media(&self, text: &mut String, media: &Media<'_>) {
        let resends = resends(&media.payload_types);
        let numbers = media.formats.iter().flat_map(|format| {
            let resend = resends.iter().find(|resend| resend.of == format.number);
            let resend = resend.filter(|resend| self.settled.resends(resend.of, resend.by));
            std::iter::once(format.number).chain(resend.map(|resend| resend.by))
        });
        let numbers: Vec<u8> = numbers.collect();
        let (kind, protocol) = (media.section.kind, media.section.protocol);
        let _ = write!(text, "m={kind} 9 {protocol}");
        for number in &numbers {
            let _ = write!(text, " {number}");
        }
        let direction = match media.flow {
            Flow::Still => "inactive",
            Flow::Up => "sendonly",
            Flow::Down => "recvonly",
        };
        let sends = self.role != Role::Watch && media.flow != Flow::Down;
        let _ = write!(text, "\r\na=mid:{}\r\na={direction}\r\na=rtcp-mux\r\n", media.mid);
        for extmap in &media.extensions {
            if sends || self.mids_are_plain || extmap.uri != MID_EXTENSION {
                let _ = write!(text, "a=extmap:{} {}\r\n", extmap.number.get(), extmap.uri);
            }
        }
        if sends {
            copy(text, media, &OF_PUBLISHERS);
        }
        for number in numbers {
            write_payload_type(text, media, number);
        }
    }
}

fn write_payload_type(text: &mut String, media: &Media<'_>, number: u8) {
    let Some(described) = media.payload_types.get(number) else { return };
    if let Some(rtpmap) = described.rtpmap {
        let _ = write!(text, "a=rtpmap:{number} {rtpmap}\r\n");
    }
    if let Some(fmtp) = described.fmtp {
        let _ = write!(text, "a=fmtp:{number} {fmtp}\r\n");
    }
    for feedback in FEEDBACK.iter().filter(|kind| media.payload_types.has_feedback(number, kind)) {
        let _ = write!(text, "a=rtcp-fb:{number} {feedback}\r\n");
    }
}

fn write_data_channel(text: &mut String, media: &Media<'_>) {
    let (kind, protocol) = (media.section.kind, media.section.protocol);
    let _ = write!(text, "m={kind} 9 {protocol}");
    for format in &media.section.formats {
        let _ = write!(text, " {format}");
    }
    let _ = write!(text, "\r\na=mid:{}\r\n", media.mid);
    copy(text, media, &OF_DATA_CHANNELS);
}

fn copy(text: &mut String, media: &Media<'_>, names: &[&str]) {
    for name in names {
        for value in media.section.lines.attributes(name).take(MAX_REPEATED) {
            let _ = write!(text, "a={name}:{value}\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sdp::{MAX_BYTES, MAX_LINES};

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 00\r\n";

    /// str0m takes time by the cube of what it is shown of payload types, and memory by what it is shown of layers and
    /// sources. So however long an offer is, what str0m is shown of a section has a bound.
    #[test]
    fn str0m_is_shown_little_however_much_is_offered() {
        let formats: String = (0..128).map(|pt| format!(" {pt}")).collect();
        let section = format!("m=video 9 UDP/TLS/RTP/SAVPF{formats}\r\na=mid:0\r\n");
        let lines: [&dyn Fn(usize) -> String; 12] = [
            &|n| format!("a=rtpmap:{} VP8/90000", n % 128),
            &|n| format!("a=rtpmap:{} rtx/90000", n % 128),
            &|n| format!("a=fmtp:{} apt=96", n % 128),
            &|n| format!("a=rtcp-fb:* x{n}"),
            &|n| format!("a=rtcp-fb:96 x{n}"),
            &|_| "a=rtcp-fb:* nack pli".to_owned(),
            &|n| format!("a=ssrc:{n} cname:x"),
            &|n| format!("a=ssrc-group:FID {n} 1"),
            &|n| format!("a=rid:{n} send"),
            &|n| format!("a=extmap:{n} urn:x"),
            &|n| format!("a=fingerprint:sha-256 {n:02x}"),
            &|n| format!("a=ice-ufrag:{n}"),
        ];
        // For each payload type: rtpmap, fmtp, feedback. Each kind of line that may be repeated. A few more.
        let bound = 128 * (2 + FEEDBACK.len()) + 8 * MAX_REPEATED + 20;
        for line in lines {
            let mut text = format!("{HEAD}{section}a=rtpmap:96 VP8/90000\r\n");
            for number in 0..MAX_LINES - 20 {
                let line = line(number);
                if text.len() + line.len() + 2 > MAX_BYTES {
                    break;
                }
                text = text + &line + "\r\n";
            }
            for role in [Role::Publish, Role::Watch, Role::Join] {
                let offer = Offer::parse(&text, role).unwrap_or_else(|error| panic!("{}: {error}", line(1)));
                let cleaned = offer.cleaned(&offer.lines());
                assert!(cleaned.lines().count() <= bound, "{}: {}", line(1), cleaned.lines().count());
                for pt in 0..128 {
                    assert!(cleaned.matches(&format!("a=rtpmap:{pt} ")).count() <= 1, "{}", line(1));
                    assert!(cleaned.matches(&format!("a=fmtp:{pt} ")).count() <= 1, "{}", line(1));
                }
            }
        }
    }

    #[test]
    fn a_viewer_tells_nothing_of_sources_and_layers() {
        let section = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\na=rid:h recv\r\n\
            a=simulcast:recv h\r\na=ssrc:1 cname:x\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=x-unknown\r\n";
        let text = format!("{HEAD}{section}");
        let shown = |role| {
            let offer = Offer::parse(&text, role).expect("fit");
            offer.cleaned(&offer.lines())
        };
        for name in ["a=rid", "a=simulcast", "a=ssrc"] {
            assert!(!shown(Role::Watch).contains(name) && shown(Role::Publish).contains(name), "{name}");
        }
        for name in ["candidate", "unknown"] {
            assert!(!shown(Role::Publish).contains(name), "{name}");
        }
    }
}
