//! SDP fragments (RFC 8840 section 9): what trickle ICE and ICE restarts send beside offers and answers.

use std::fmt::Write as _;

use super::sdp::Sdp;

/// The answerer's side of a transport without its credentials, which an ICE restart replaces: the server's agent, the
/// bundle, and the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport {
    above: Box<str>,
    section: Box<str>,
    candidates: Box<str>,
}

/// What is said of the agent and the bundle (RFC 9725 section 4.3.3 wants it as it was in the answer). Some of it may stand in
/// the sections there.
const ABOVE: [&str; 3] = ["ice-lite", "ice-options", "group"];

impl Transport {
    /// The transport of an answer, as its first section with candidates tells it.
    #[must_use]
    pub fn of(answer: &Sdp<'_>) -> Self {
        let (mut above, mut section, mut candidates) = (String::new(), String::new(), String::new());
        let with_candidates = answer.sections.iter().find(|section| section.lines.has("candidate"));
        let of_section = with_candidates.map(|section| &section.lines);
        for name in ABOVE {
            let own = || of_section.and_then(|lines| lines.attribute(name));
            let value = answer.session.attribute(name).or_else(own);
            value.into_iter().for_each(|value| write_attribute(&mut above, name, value));
        }
        if let Some(first) = with_candidates {
            let format = first.formats.first().copied().unwrap_or("0");
            let _ = write!(section, "m={} 9 {} {format}\r\n", first.kind, first.protocol);
            first.mid().into_iter().for_each(|mid| write_attribute(&mut section, "mid", mid));
            for candidate in first.lines.attributes("candidate") {
                write_attribute(&mut candidates, "candidate", candidate);
            }
            write_attribute(&mut candidates, "end-of-candidates", "");
        }
        Self { above: above.into(), section: section.into(), candidates: candidates.into() }
    }

    /// The fragment that tells it with these credentials.
    #[must_use]
    pub fn with(&self, ufrag: &str, password: &str) -> String {
        let Self { above, section, candidates } = self;
        format!("{above}{section}a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n{candidates}")
    }
}

fn write_attribute(text: &mut String, name: &str, value: &str) {
    let _ =
        if value.is_empty() { write!(text, "a={name}\r\n") } else { write!(text, "a={name}:{value}\r\n") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_of_an_answer_is_told_with_other_credentials() {
        let answer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 1\r\na=ice-lite\r\n\
                      m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=inactive\r\n\
                      m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=ice-options:ice2\r\na=ice-ufrag:old\r\na=ice-pwd:older\r\n\
                      a=candidate:1 1 udp 9 192.0.2.1 3478 typ host\r\na=end-of-candidates\r\n";
        let transport = Transport::of(&Sdp::parse(answer).unwrap());
        assert_eq!(
            transport.with("name", "word"),
            "a=ice-lite\r\na=ice-options:ice2\r\na=group:BUNDLE 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n\
             a=ice-ufrag:name\r\na=ice-pwd:word\r\na=candidate:1 1 udp 9 192.0.2.1 3478 typ host\r\n\
             a=end-of-candidates\r\n"
        );
    }
}
