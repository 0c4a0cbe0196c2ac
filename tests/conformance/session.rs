//! The session resource, which WHIP and WHEP share: trickle, ICE restart, and what is around them.

use crate::http::{Reply, Request};
use crate::row::Level::{May, Must, MustNot, Should};
use crate::row::{Judged, Row, check, check_that, not_applicable};
use crate::sdp::{self, CANDIDATE};
use crate::subject::{FRAGMENT, SDP, Session, Subject};

const NEW: (&str, &str) = ("newF", "a-new-password-of-28-letters");

pub(crate) const ROWS: &[Row] = &[
    Row {
        section: "4.3.1",
        level: Must,
        request: "POST",
        expects: "a server that restarts ICE gives a strong ETag",
        judge: |subject| {
            let session = subject.session()?;
            let Some(tag) = session.etag() else { return not_applicable("it gives no ETag") };
            let is_strong = tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"');
            check(is_strong, &session.reply)
        },
    },
    Row {
        section: "4.3.1",
        level: Must,
        request: "POST, POST",
        expects: "each ICE session has an ETag of its own",
        judge: |subject| {
            let (one, other) = (subject.session()?, subject.session()?);
            if one.etag().is_none() {
                return not_applicable("it gives no ETag");
            }
            check_that(one.etag() != other.etag(), "two sessions have the same")
        },
    },
    Row {
        section: "4.3.2",
        level: Must,
        request: "PATCH a candidate",
        expects: "204, or that this is not supported",
        judge: |subject| judge_trickle(subject, CANDIDATE, |reply| reply.status == 204),
    },
    Row {
        section: "4.3.2",
        level: MustNot,
        request: "PATCH a candidate",
        expects: "no ETag",
        judge: |subject| judge_trickle(subject, CANDIDATE, |reply| reply.header("etag").is_none()),
    },
    Row {
        section: "4.3.2",
        level: Must,
        request: "PATCH a candidate",
        expects: "no body",
        judge: |subject| judge_trickle(subject, CANDIDATE, |reply| reply.body.is_empty()),
    },
    Row {
        section: "4.3.2",
        level: Must,
        request: "PATCH a candidate by mDNS name",
        expects: "204: what cannot be resolved is discarded",
        judge: |subject| {
            let hidden = "1 1 udp 1 0b6a35a8-4a0c-4b7c-9d0a-2f3c5e7d9b11.local 50000 typ host";
            judge_trickle(subject, hidden, |reply| reply.status == 204)
        },
    },
    Row {
        section: "4.3.2",
        level: Must,
        request: "PATCH a candidate of another transport",
        expects: "204: what is not supported is discarded",
        judge: |subject| {
            judge_trickle(subject, "1 1 tcp 1 192.0.2.9 9 typ host tcptype active", |reply| {
                reply.status == 204
            })
        },
    },
    Row {
        section: "4.3.2",
        level: Must,
        request: "PATCH end-of-candidates",
        expects: "204",
        judge: |subject| {
            let session = subject.session()?;
            let of = |name| sdp::value(&session.offer, name).unwrap_or_default();
            let fragment = format!(
                "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{}\r\na=end-of-candidates\r\n",
                of("ice-ufrag"),
                of("ice-pwd"),
                of("mid")
            );
            let reply = session.patch(Some(session.etag().unwrap_or("*")), &fragment)?;
            if is_unsupported(&reply) {
                not_applicable("no trickle")
            } else {
                check(reply.status == 204, &reply)
            }
        },
    },
    Row {
        section: "4.3.1",
        level: Must,
        request: "PATCH without If-Match",
        expects: "428",
        judge: |subject| judge_tag(subject, None, 428),
    },
    Row {
        section: "4.3.1",
        level: Must,
        request: "PATCH with another If-Match",
        expects: "412",
        judge: |subject| judge_tag(subject, Some("\"of-nobody\""), 412),
    },
    Row {
        section: "4.3.1",
        level: Must,
        request: "PATCH text/plain",
        expects: "4xx",
        judge: |subject| {
            let session = subject.session()?;
            let request = Request::new("PATCH", session.url.clone()).with("If-Match", "*");
            let reply = session.send(request.body("text/plain", "hello"))?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "4.3.1",
        level: Must,
        request: "PATCH what is no fragment",
        expects: "4xx",
        judge: |subject| {
            let session = subject.session()?;
            let reply = session.patch(Some(session.etag().unwrap_or("*")), "this is no SDP fragment")?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "PATCH new ICE credentials, If-Match: *",
        expects: "200, or 422 where only trickle is supported",
        judge: |subject| {
            let session = subject.session()?;
            let reply = restart(&session)?;
            check(reply.status == 200 || is_unsupported(&reply), &reply)
        },
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "PATCH new ICE credentials, If-Match: \"*\"",
        expects: "200: as the document prints it",
        judge: |subject| {
            let session = subject.session()?;
            let reply =
                session.patch(Some("\"*\""), &sdp::restart(NEW.0, NEW.1, &session.offer, CANDIDATE))?;
            if is_unsupported(&reply) {
                not_applicable(NO_RESTART)
            } else {
                check(reply.status == 200, &reply)
            }
        },
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "ICE restart",
        expects: "the answer is a fragment with other credentials than before",
        judge: |subject| {
            judge_restart(subject, |session, reply| {
                let other = |name| {
                    let new = sdp::value(&reply.body, name);
                    new.is_some() && new != sdp::value(&session.reply.body, name)
                };
                reply.is_of(FRAGMENT) && other("ice-ufrag") && other("ice-pwd")
            })
        },
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "ICE restart",
        expects: "a new ETag",
        judge: |subject| {
            judge_restart(subject, |session, reply| {
                reply.header("etag").is_some() && reply.header("etag") != session.etag()
            })
        },
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "ICE restart",
        expects: "ice-lite and ice-options as in the answer",
        judge: |subject| {
            judge_restart(subject, |session, reply| {
                let lite = |text: &str| text.lines().any(|line| line.trim_end() == "a=ice-lite");
                lite(&reply.body) == lite(&session.reply.body)
                    && sdp::value(&reply.body, "ice-options")
                        == sdp::value(&session.reply.body, "ice-options")
            })
        },
    },
    Row {
        section: "4.3.3",
        level: Should,
        request: "ICE restart",
        expects: "the server's candidates",
        judge: |subject| judge_restart(subject, |_, reply| sdp::value(&reply.body, "candidate").is_some()),
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "ICE restart, PATCH with the old tag",
        expects: "412",
        judge: |subject| {
            let session = subject.session()?;
            let reply = restart(&session)?;
            if reply.status != 200 || session.etag().is_none() {
                return not_applicable(NO_RESTART);
            }
            let fragment = sdp::restart(NEW.0, NEW.1, &session.offer, CANDIDATE);
            let late = session.patch(session.etag(), &fragment)?;
            check(late.status == 412, &late)
        },
    },
    Row {
        section: "4.3.3",
        level: MustNot,
        request: "ICE restart that cannot be",
        expects: "the session does not end",
        judge: |subject| {
            let session = subject.session()?;
            session.patch(Some("*"), "a=ice-ufrag:halfOfIt\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n")?;
            let reply = session.ask("GET")?;
            check(reply.status != 404 && reply.status != 410, &reply)
        },
    },
    Row {
        section: "4.1",
        level: Must,
        request: "GET the session",
        expects: "2xx",
        judge: |subject| {
            let reply = subject.session()?.ask("GET")?;
            check(reply.is_success(), &reply)
        },
    },
    Row {
        section: "5",
        level: Should,
        request: "POST, POST",
        expects: "session URLs that cannot be guessed: 128 random bits",
        judge: |subject| {
            let (one, other) = (subject.session()?, subject.session()?);
            let name =
                |session: &Session<'_>| session.url.path.rsplit('/').next().unwrap_or_default().to_owned();
            let (one, other) = (name(&one), name(&other));
            let same = one.bytes().zip(other.bytes()).filter(|(a, b)| a == b).count();
            check_that(one.len() >= 22 && same * 2 < one.len(), format!("{one} and {other}"))
        },
    },
    Row {
        section: "4.2",
        level: Should,
        request: "POST from a page of another origin",
        expects: "the page may read Location",
        judge: |subject| {
            let request =
                Request::new("POST", subject.endpoint.clone()).with("Origin", "https://page.example");
            let reply = subject.send(request.body(SDP, subject.offer()))?;
            if let Some(location) = reply.header("location") {
                subject.send(Request::new("DELETE", subject.endpoint.join(location)?))?;
            }
            let exposed =
                reply.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
            let origin = reply.header("access-control-allow-origin").unwrap_or_default();
            let all = ["*", "https://page.example"].contains(&origin);
            check(all && (exposed.contains("location") || exposed.contains('*')), &reply)
        },
    },
    Row {
        section: "4.3.1",
        level: Must,
        request: "DELETE with an If-Match of another session",
        expects: "200: the tag is ignored",
        judge: |subject| {
            let session = subject.session()?;
            let request = Request::new("DELETE", session.url.clone()).with("If-Match", "\"of-nobody\"");
            let reply = session.send(request)?;
            check(reply.status == 200, &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "DELETE",
        expects: "200",
        judge: |subject| {
            let reply = subject.session()?.ask("DELETE")?;
            check(reply.status == 200, &reply)
        },
    },
    Row {
        section: "RFC 9110 9.2",
        level: Must,
        request: "DELETE twice",
        expects: "the second does no harm",
        judge: |subject| {
            let session = subject.session()?;
            session.ask("DELETE")?;
            let reply = session.ask("DELETE")?;
            check(reply.status < 500, &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "DELETE, PATCH",
        expects: "4xx: the session is over",
        judge: |subject| {
            let session = subject.session()?;
            session.ask("DELETE")?;
            // It may take a moment.
            let mut reply = session.trickle(CANDIDATE)?;
            for _ in 0..50 {
                if reply.is_refusal() {
                    break;
                }
                reply = session.trickle(CANDIDATE)?;
            }
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "RFC 9110 15.5",
        level: Must,
        request: "GET a session that never was",
        expects: "4xx",
        judge: |subject| {
            let session = subject.session()?;
            let stranger = session.url.join(&format!("{}x", session.url.path))?;
            let reply = session.send(Request::new("GET", stranger))?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "RFC 9457",
        level: May,
        request: "PATCH text/plain",
        expects: "the refusal is application/problem+json",
        judge: |subject| {
            let session = subject.session()?;
            let request = Request::new("PATCH", session.url.clone()).with("If-Match", "*");
            let reply = session.send(request.body("text/plain", "hello"))?;
            check(reply.is_of("application/problem+json"), &reply)
        },
    },
];

const NO_RESTART: &str = "it does not restart ICE";

/// RFC 9725 section 4.3.1 has 422 for what is not supported; servers that support neither say 405 or 501.
fn is_unsupported(reply: &Reply) -> bool {
    matches!(reply.status, 405 | 422 | 501)
}

fn judge_trickle(subject: &Subject, candidate: &str, good: fn(&Reply) -> bool) -> Judged {
    let session = subject.session()?;
    let reply = session.trickle(candidate)?;
    if is_unsupported(&reply) { not_applicable("no trickle") } else { check(good(&reply), &reply) }
}

fn judge_tag(subject: &Subject, tag: Option<&str>, status: u16) -> Judged {
    let session = subject.session()?;
    if session.etag().is_none() {
        return not_applicable("it gives no ETag");
    }
    let reply = session.patch(tag, &sdp::fragment(&session.offer, CANDIDATE))?;
    check(reply.status == status, &reply)
}

fn restart(session: &Session<'_>) -> Result<Reply, crate::http::Error> {
    session.patch(Some("*"), &sdp::restart(NEW.0, NEW.1, &session.offer, CANDIDATE))
}

fn judge_restart(subject: &Subject, good: fn(&Session<'_>, &Reply) -> bool) -> Judged {
    let session = subject.session()?;
    let reply = restart(&session)?;
    if is_unsupported(&reply) {
        return not_applicable(NO_RESTART);
    }
    check(reply.status == 200 && good(&session, &reply), &reply)
}
