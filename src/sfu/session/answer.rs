//! The last word on an answer: what clients of the field need, written over what str0m produced.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::offer::{Offer, Role};
use crate::wire::sdp::{Sdp, Section};

/// Rewrites str0m's answer. Both descriptions have the same sections in the same order.
///
/// - The first live section, and only it, carries the candidates, IPv4 first: FFmpeg and GStreamer's `whepsrc`
///   read no further than the first. All are there, so `end-of-candidates` follows (RFC 9725 section 4.3.2).
/// - A viewer's sections share one media stream, so that players keep sound and picture in step; a publisher's
///   carry no stream of ours.
/// - Only feedback that was offered is answered (RFC 4585 section 4.2).
pub(super) fn rewrite(answer: &Sdp<'_>, offer: &Offer<'_>, role: Role, candidates: &[SocketAddr]) -> String {
    let mut text = String::from("v=0\r\n");
    for line in &answer.session.0 {
        let _ = match line.split_once(' ') {
            Some(("a=msid-semantic:", _)) => write!(text, "a=msid-semantic: WMS *\r\n"),
            // No need to tell everybody which library of which version is at work.
            Some((origin, rest)) if origin.starts_with("o=") => write!(text, "o=- {rest}\r\n"),
            _ => write!(text, "{line}\r\n"),
        };
    }
    let mut candidates_written = false;
    for (section, offered) in answer.sections.iter().zip(&offer.sdp.sections) {
        write_section(&mut text, section, offered, role);
        if !candidates_written && !offer.rejected(offered) {
            candidates_written = true;
            write_candidates(&mut text, candidates);
        }
    }
    text
}

fn write_section(text: &mut String, section: &Section<'_>, offered: &Section<'_>, role: Role) {
    let (kind, port, protocol) = (section.kind, section.port, section.protocol);
    let _ = write!(text, "m={kind} {port} {protocol}");
    for format in &section.formats {
        let _ = write!(text, " {format}");
    }
    text.push_str("\r\n");
    let publishes = role == Role::Publish;
    for line in &section.lines.0 {
        let Some((name, value)) = line.strip_prefix("a=").and_then(|a| a.split_once(':')) else {
            if *line != "a=end-of-candidates" {
                let _ = write!(text, "{line}\r\n");
            }
            continue;
        };
        match name {
            "candidate" => {}
            "msid" | "ssrc" | "ssrc-group" if publishes => {}
            "msid" => {
                let _ = write!(text, "a=msid:{STREAM} {STREAM}-{kind}\r\n");
            }
            // The msid above says it for all; only the cname is left to say of a source (RFC 5576 section 6.1).
            "ssrc" => {
                if let Some((ssrc, _)) = value.split_once(" cname:") {
                    let _ = write!(text, "a=ssrc:{ssrc} cname:{STREAM}\r\n");
                }
            }
            "rtcp-fb" if !was_offered(offered, value) => {}
            _ => {
                let _ = write!(text, "{line}\r\n");
            }
        }
    }
    if offered.lines.has("rtcp-rsize") && !section.lines.has("rtcp-rsize") {
        text.push_str("a=rtcp-rsize\r\n");
    }
}

/// The id of the one media stream, and the canonical name of its sources: equal names mean one clock.
const STREAM: &str = "sluice";

fn was_offered(offered: &Section<'_>, feedback: &str) -> bool {
    feedback
        .split_once(' ')
        .is_some_and(|(pt, kind)| offered.of_payload_type("rtcp-fb", pt).any(|k| k == kind))
}

fn write_candidates(text: &mut String, candidates: &[SocketAddr]) {
    for (index, address) in candidates.iter().enumerate() {
        let priority = host_priority(index);
        let (foundation, ip, port) = (index + 1, address.ip(), address.port());
        let _ = write!(text, "a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host\r\n");
    }
    text.push_str("a=end-of-candidates\r\n");
}

/// RFC 8445 section 5.1.2.1 with type preference 126 (host), component 1 (RTP), and a local preference that
/// falls with the position.
fn host_priority(index: usize) -> u32 {
    let local = u32::from(u16::MAX) - u32::try_from(index).unwrap_or(u32::MAX).min(u32::from(u16::MAX));
    (126 << 24) + (local << 8) + 255
}
