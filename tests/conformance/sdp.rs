//! What an answer has to be, held against its offer (RFC 9429 section 5.3.1, and what WHIP and WHEP add).

/// Encoders and players of the field.
pub(crate) const PUBLISH: &str = include_str!("../fixtures/offers/publish/obs-h264.sdp");
pub(crate) const SIMULCAST: &str = include_str!("../fixtures/offers/publish/obs-simulcast-h264.sdp");
pub(crate) const PLAY: &str = include_str!("../fixtures/offers/play/chromium.sdp");

/// The value of the first `a=name:` line.
pub(crate) fn value<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    values(sdp, name).next()
}

pub(crate) fn values<'a>(sdp: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let prefix = format!("a={name}:");
    sdp.lines().filter_map(move |line| line.trim_end().strip_prefix(prefix.as_str()))
}

/// The sections, each beginning with its m-line.
pub(crate) fn sections(sdp: &str) -> Vec<String> {
    sdp.split("\nm=").skip(1).map(|section| format!("m={section}")).collect()
}

fn m_line(section: &str) -> Vec<&str> {
    section.lines().next().unwrap_or_default().trim_end().split(' ').collect()
}

pub(crate) fn is_live(section: &str) -> bool {
    m_line(section).get(1).is_some_and(|port| *port != "0")
}

/// What is wrong with the order, the kinds or the mids of an answer's sections.
pub(crate) fn mismatch(offer: &str, answer: &str) -> Option<String> {
    if !answer.starts_with("v=0\r\n") {
        return Some("it does not begin with v=0 and CRLF".to_owned());
    }
    let (offered, answered) = (sections(offer), sections(answer));
    if offered.len() != answered.len() {
        return Some(format!("it has {} m-lines for {}", answered.len(), offered.len()));
    }
    for (asked, given) in offered.iter().zip(&answered) {
        if m_line(asked).first() != m_line(given).first() || value(asked, "mid") != value(given, "mid") {
            return Some(format!("{:?} answers {:?}", m_line(given), m_line(asked)));
        }
    }
    None
}

/// A payload type of the answer that the offer does not have.
pub(crate) fn foreign_format(offer: &str, answer: &str) -> Option<String> {
    for (asked, given) in sections(offer).iter().zip(&sections(answer)) {
        let offered = m_line(asked);
        if let Some(format) = m_line(given).iter().skip(3).find(|format| !offered.contains(format)) {
            return Some(format!("payload type {format} was not offered"));
        }
    }
    None
}

/// Whether each section that is not rejected has one of these directions.
pub(crate) fn has_directions(answer: &str, allowed: &[&str]) -> bool {
    let allowed_in = |section: &String| {
        allowed
            .iter()
            .any(|direction| section.lines().any(|line| line.trim_end() == format!("a={direction}")))
    };
    sections(answer).iter().filter(|section| is_live(section)).all(allowed_in)
}

/// The fragment of a client that trickles a candidate to a session (RFC 8840 section 9).
pub(crate) fn fragment(offer: &str, candidate: &str) -> String {
    let of = |name| value(offer, name).unwrap_or_default();
    restart(of("ice-ufrag"), of("ice-pwd"), offer, candidate)
}

/// The fragment of a client that asks for an ICE restart.
pub(crate) fn restart(ufrag: &str, password: &str, offer: &str, candidate: &str) -> String {
    let kind = sections(offer)
        .first()
        .map_or("audio", |first| if first.starts_with("m=video") { "video" } else { "audio" })
        .to_owned();
    let mid = value(offer, "mid").unwrap_or("0");
    format!(
        "a=ice-options:trickle\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
         m={kind} 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\na=candidate:{candidate}\r\n"
    )
}

/// A candidate that any server can read.
pub(crate) const CANDIDATE: &str = "1 1 udp 2130706431 192.0.2.9 50000 typ host";
