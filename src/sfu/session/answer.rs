//! The last word on an answer: what clients of the field need, written over what str0m produced.

use std::collections::HashMap;
use std::fmt::Write as _;

use str0m::media::Mid;

use super::channels::MAX_MESSAGE;
use super::offer::{Flow, Media, Mixed, Role};
use crate::ids::Ssrc;
use crate::net::addresses::Announced;
use crate::sfu::egress::CNAME;
use crate::sfu::egress::sender::Sources;
use crate::units::MediaKind;
use crate::wire::sdp::{Lines, Section, payload_type};

/// A section of the offer, and what str0m answered to it.
pub(super) struct Pair<'s, 'a> {
    pub(super) offered: &'s Media<'a>,
    /// `None` when the section is rejected.
    pub(super) answer: Option<&'s Section<'s>>,
}

/// Writes the answer, from str0m's session lines and its sections.
///
/// - The first live section, and only it, carries the candidates, IPv4 first: FFmpeg and GStreamer's `whepsrc`
///   read no further than the first. Those of TCP stand last. All are there, so `end-of-candidates` follows (RFC 9725 section 4.3.2).
/// - A viewer's sections share one media stream, so that players keep sound and picture in step; each slot of a
///   participant is a stream of its own, as anybody's track may come to stand behind it; sections that the client
///   sends on carry no stream of ours.
/// - Only feedback that was offered is answered (RFC 4585 section 4.2).
/// - The header extensions are those that are read and written here, whichever str0m knows.
/// - Mids are written as they were offered: str0m changes those that it cannot keep in 16 letters and digits.
pub(super) fn rewrite(
    session: &Lines<'_>,
    pairs: &[Pair<'_, '_>],
    sources: &HashMap<Mid, Sources>,
    role: Role,
    version: u64,
    candidates: &Announced,
) -> String {
    let mut text = String::from("v=0\r\n");
    for line in &session.0 {
        let _ = match line.split_once(' ') {
            Some(("a=msid-semantic:", _)) => write!(text, "a=msid-semantic: WMS *\r\n"),
            Some(("a=group:BUNDLE", _)) => write_bundle(&mut text, pairs),
            None if *line == ALLOW_MIXED
                && !pairs.iter().any(|pair| pair.offered.mixed == Some(Mixed::Above)) =>
            {
                continue;
            }
            // No need to tell everybody which library of which version is at work.
            Some((origin, rest)) if origin.starts_with("o=") => write_origin(&mut text, rest, version),
            _ => write!(text, "{line}\r\n"),
        };
    }
    let live = |kind: MediaKind| {
        pairs.iter().filter(|pair| pair.answer.is_some() && pair.offered.kind == Some(kind)).count()
    };
    let several = [MediaKind::Audio, MediaKind::Video].map(|kind| (kind, live(kind) > 1));
    let mut candidates_written = false;
    for pair in pairs {
        let Some(answer) = pair.answer else {
            write_rejection(&mut text, pair.offered);
            continue;
        };
        let one_of_several =
            several.iter().any(|(kind, several)| *several && pair.offered.kind == Some(*kind));
        let track = if one_of_several { format!("-{}", pair.offered.mid) } else { String::new() };
        let stream = match role {
            Role::Publish => None,
            Role::Watch => Some(format!("{STREAM} {STREAM}-{}{track}", answer.kind)),
            Role::Join if pair.offered.flow == Flow::Down => {
                Some(format!("slot-{mid} slot-{mid}", mid = pair.offered.mid))
            }
            Role::Join => None,
        };
        write_section(&mut text, answer, pair.offered, role, stream.as_deref());
        if let Some(sources) = sources.get(&Mid::from(&*pair.offered.mid)).filter(|_| stream.is_some()) {
            write_sources(&mut text, *sources);
        }
        if !candidates_written {
            candidates_written = true;
            write_candidates(&mut text, candidates);
        }
    }
    text
}

/// `rest` is what str0m wrote behind the name of the user. The version counts up with each answer (RFC 3264 section 8).
fn write_origin(text: &mut String, rest: &str, version: u64) -> std::fmt::Result {
    let mut words = rest.splitn(3, ' ');
    let (id, _, address) = (words.next(), words.next(), words.next());
    write!(text, "o=- {} {version} {}\r\n", id.unwrap_or("0"), address.unwrap_or("IN IP4 0.0.0.0"))
}

fn write_bundle(text: &mut String, pairs: &[Pair<'_, '_>]) -> std::fmt::Result {
    text.push_str("a=group:BUNDLE");
    for pair in pairs.iter().filter(|pair| pair.answer.is_some()) {
        write!(text, " {}", pair.offered.mid)?;
    }
    text.write_str("\r\n")
}

/// Port 0 means no (RFC 3264 section 6). The m-line must still have a format, and the first offered will do.
fn write_rejection(text: &mut String, offered: &Media<'_>) {
    let (kind, protocol) = (offered.section.kind, offered.section.protocol);
    let format = offered.section.formats.first().copied().unwrap_or("0");
    let _ = write!(text, "m={kind} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\n");
    if let Some(mid) = offered.section.mid() {
        let _ = write!(text, "a=mid:{mid}\r\n");
    }
    if let Some(first) = offered.payload_types.iter().next().filter(|pt| pt.number.to_string() == format)
        && let Some(rtpmap) = first.rtpmap
    {
        let _ = write!(text, "a=rtpmap:{format} {rtpmap}\r\n");
    }
    text.push_str("a=inactive\r\n");
}

/// The formats of the answered section. A participant's sections may each prefer other codecs, or do without some that
/// str0m knows from earlier sections: there, those that were offered count, in their order.
fn formats<'s>(section: &'s Section<'s>, offered: &'s Media<'_>, role: Role) -> Vec<&'s str> {
    if role != Role::Join || offered.kind.is_none() {
        return section.formats.clone();
    }
    let in_both = offered.section.formats.iter().filter(|format| section.formats.contains(format));
    in_both.copied().collect()
}

/// `stream` is what its `a=msid` names, where we send.
fn write_section(
    text: &mut String,
    section: &Section<'_>,
    offered: &Media<'_>,
    role: Role,
    stream: Option<&str>,
) {
    let (kind, port, protocol) = (section.kind, section.port, offered.section.protocol);
    let formats = formats(section, offered, role);
    let _ = write!(text, "m={kind} {port} {protocol}");
    for format in &formats {
        let _ = write!(text, " {format}");
    }
    text.push_str("\r\n");
    let is_left_out = |value: &str| !value.split(' ').next().is_some_and(|number| formats.contains(&number));
    for line in &section.lines.0 {
        let Some((name, value)) = line.strip_prefix("a=").and_then(|a| a.split_once(':')) else {
            if *line != "a=end-of-candidates" {
                let _ = write!(text, "{line}\r\n");
            }
            continue;
        };
        match name {
            "candidate" => {}
            "mid" => {
                let _ = write!(text, "a=mid:{}\r\n", offered.mid);
                offered.extensions.iter().for_each(|extmap| text.push_str(&extmap.answer()));
            }
            // Said above, as egress writes them.
            "extmap" => {}
            "max-message-size" => {
                let _ = write!(text, "a=max-message-size:{MAX_MESSAGE}\r\n");
            }
            "msid" => {
                if let Some(stream) = stream {
                    let _ = write!(text, "a=msid:{stream}\r\n");
                }
            }
            "ssrc" | "ssrc-group" => {}
            "rtpmap" | "fmtp" | "rtcp-fb" if is_left_out(value) => {}
            "rtcp-fb" if !was_offered(offered, value) => {}
            _ => {
                let _ = write!(text, "{line}\r\n");
            }
        }
    }
    if offered.kind.is_some() && offered.mixed == Some(Mixed::Here) {
        let _ = write!(text, "{ALLOW_MIXED}\r\n");
    }
    if offered.section.lines.has("rtcp-rsize") && !section.lines.has("rtcp-rsize") {
        text.push_str("a=rtcp-rsize\r\n");
    }
}

/// Packets with header extensions of either form may follow each other (RFC 8285 section 6).
const ALLOW_MIXED: &str = "a=extmap-allow-mixed";

/// The id of the one media stream.
const STREAM: &str = CNAME;

/// The msid says it for all; only the cname is left to say of a source (RFC 5576 section 6.1), and which one resends which
/// (RFC 4588 section 8.8).
fn write_sources(text: &mut String, sources: Sources) {
    let Ssrc(main) = sources.main;
    if let Some(Ssrc(resend)) = sources.resend {
        let _ = write!(text, "a=ssrc-group:FID {main} {resend}\r\n");
    }
    for Ssrc(ssrc) in [Some(sources.main), sources.resend].into_iter().flatten() {
        let _ = write!(text, "a=ssrc:{ssrc} cname:{CNAME}\r\n");
    }
}

fn was_offered(offered: &Media<'_>, feedback: &str) -> bool {
    feedback.split_once(' ').is_some_and(|(number, kind)| {
        payload_type(number).is_some_and(|number| offered.payload_types.has_feedback(number, kind))
    })
}

fn write_candidates(text: &mut String, candidates: &Announced) {
    let udp = candidates.udp.iter().map(|address| (address, "udp", HOST_OVER_UDP, u16::MAX, ""));
    // The client connects to us: passive, which stands in the local preference too (RFC 6544 section 4.2).
    let passive = 4 << 13 | 0x1FFF;
    let tcp =
        candidates.tcp.iter().map(|address| (address, "tcp", HOST_OVER_TCP, passive, " tcptype passive"));
    for (index, (address, protocol, kind, local, rest)) in udp.chain(tcp).enumerate() {
        let priority = priority(kind, local, index);
        let (foundation, ip, port) = (index + 1, address.ip(), address.port());
        let _ =
            write!(text, "a=candidate:{foundation} 1 {protocol} {priority} {ip} {port} typ host{rest}\r\n");
    }
    text.push_str("a=end-of-candidates\r\n");
}

/// Type preferences (RFC 8445 section 5.1.2.1). TCP is for those whose network lets no UDP through: it is below all that
/// clients give to UDP, and above relays.
const HOST_OVER_UDP: u32 = 126;
const HOST_OVER_TCP: u32 = 90;

/// RFC 8445 section 5.1.2.1 with component 1 (RTP), and a local preference that falls with the position.
fn priority(kind: u32, local: u16, index: usize) -> u32 {
    let local = local.saturating_sub(u16::try_from(index).unwrap_or(u16::MAX));
    (kind << 24) + (u32::from(local) << 8) + 255
}
