//! The WHIP endpoint (RFC 9725 sections 4.1, 4.2 and 4.4 to 4.9).

use crate::http::Request;
use crate::media::Publisher;
use crate::row::Level::{May, Must, MustNot, Should, ShouldNot};
use crate::row::{Judged, Row, Verdict, check, check_that, not_applicable};
use crate::sdp;
use crate::subject::{SDP, Subject};

pub(crate) const ENDPOINT: &[Row] = &[
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer",
        expects: "201",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PUBLISH)?;
            check(reply.status == 201, &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer",
        expects: "Content-Type application/sdp",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PUBLISH)?;
            check(reply.is_of(SDP), &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer",
        expects: "a Location",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PUBLISH)?;
            check(reply.header("location").is_some_and(|location| !location.is_empty()), &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer",
        expects: "an answer with the m-lines and mids of the offer (RFC 9429 section 5.3.1)",
        judge: |subject| judge_answer(subject, sdp::PUBLISH, sdp::mismatch),
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer",
        expects: "an answer with offered payload types only",
        judge: |subject| judge_answer(subject, sdp::PUBLISH, sdp::foreign_format),
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer",
        expects: "an answer that only receives",
        judge: |subject| judge_answer(subject, sdp::PUBLISH, |_, answer| not_receiving(answer)),
    },
    Row {
        section: "4.2",
        level: May,
        request: "POST an offer that is sendrecv",
        expects: "it is taken in, and the answer only receives",
        judge: |subject| {
            let offer = sdp::PUBLISH.replace("a=sendonly", "a=sendrecv");
            judge_answer(subject, &offer, |_, answer| not_receiving(answer))
        },
    },
    Row {
        section: "4.2",
        level: MustNot,
        request: "POST an offer that only receives",
        expects: "it is refused",
        judge: |subject| {
            let reply = subject.post(SDP, &sdp::PUBLISH.replace("a=sendonly", "a=recvonly"))?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST text/plain",
        expects: "4xx",
        judge: |subject| {
            let reply = subject.post("text/plain", sdp::PUBLISH)?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "POST what is no SDP",
        expects: "4xx",
        judge: |subject| {
            let reply = subject.post(SDP, "this is no SDP")?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "RFC 9110 8.3",
        level: Should,
        request: "POST application/sdp; charset=utf-8",
        expects: "201: a parameter does not matter",
        judge: |subject| {
            let reply = subject.post("application/sdp; charset=utf-8", sdp::PUBLISH)?;
            check(reply.status == 201, &reply)
        },
    },
    Row {
        section: "4.3.2",
        level: Must,
        request: "POST an offer",
        expects: "all of the server's candidates in the answer",
        judge: |subject| {
            judge_answer(subject, sdp::PUBLISH, |_, answer| {
                sdp::value(answer, "candidate").is_none().then(|| "there is none".to_owned())
            })
        },
    },
    Row {
        section: "4.4.1",
        level: Must,
        request: "POST an offer",
        expects: "one bundle, with RTP and RTCP on one port",
        judge: |subject| {
            judge_answer(subject, sdp::PUBLISH, |_, answer| {
                let group = sdp::values(answer, "group").find_map(|group| group.strip_prefix("BUNDLE "));
                let members: Vec<_> = group.unwrap_or_default().split(' ').collect();
                let bundled = |section: &String| {
                    sdp::value(section, "mid").is_some_and(|mid| members.contains(&mid))
                        && section.lines().any(|line| line.starts_with("a=rtcp-mux"))
                };
                let live: Vec<_> =
                    sdp::sections(answer).into_iter().filter(|one| sdp::is_live(one)).collect();
                (!live.iter().all(bundled)).then(|| format!("the bundle is {members:?}"))
            })
        },
    },
    Row {
        section: "4.4.4",
        level: Must,
        request: "POST an offer with setup:actpass",
        expects: "setup is active or passive",
        judge: |subject| {
            judge_answer(subject, sdp::PUBLISH, |_, answer| {
                let setup = sdp::value(answer, "setup").unwrap_or_default();
                (!["active", "passive"].contains(&setup)).then(|| format!("it is {setup:?}"))
            })
        },
    },
    Row {
        section: "4.4.4",
        level: Should,
        request: "POST an offer with setup:active",
        expects: "setup:passive, or 422 or 400",
        judge: |subject| {
            let offer = sdp::PUBLISH.replace("a=setup:actpass", "a=setup:active");
            let session = match subject.session_by(&offer) {
                Ok(session) => session,
                Err(error) => {
                    let reply = subject.post(SDP, &offer)?;
                    return check_that([400, 422].contains(&reply.status), error.to_string());
                }
            };
            check_that(sdp::value(&session.reply.body, "setup") == Some("passive"), "it is another")
        },
    },
    Row {
        section: "4.4.3",
        level: ShouldNot,
        request: "POST an offer",
        expects: "no section is refused: all are, or none",
        judge: |subject| {
            judge_answer(subject, sdp::PUBLISH, |_, answer| {
                (!sdp::sections(answer).iter().all(|one| sdp::is_live(one))).then(|| "one is".to_owned())
            })
        },
    },
    Row {
        section: "4.4.2",
        level: Must,
        request: "POST an offer with two videos",
        expects: "201, or 422 or 400 where that is not supported",
        judge: |subject| {
            let (_, video) = sdp::PUBLISH.rsplit_once("m=video").unwrap_or_default();
            let second = format!("m=video{video}").replace("a=mid:1", "a=mid:2");
            let offer = sdp::PUBLISH.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 2") + &second;
            let reply = subject.post(SDP, &offer)?;
            check([201, 400, 422].contains(&reply.status), &reply)
        },
    },
    Row {
        section: "4.8",
        level: May,
        request: "POST a simulcast offer",
        expects: "all encodings are received (RFC 8853 section 5.3.2)",
        judge: |subject| {
            judge_answer(subject, sdp::SIMULCAST, |offer, answer| {
                let sent = sdp::value(offer, "simulcast").and_then(|sent| sent.strip_prefix("send "));
                let received = sdp::value(answer, "simulcast").and_then(|got| got.strip_prefix("recv "));
                (sent.is_none() || sent != received)
                    .then(|| format!("{sent:?} is sent, {received:?} received"))
            })
        },
    },
    Row {
        section: "4.1",
        level: Must,
        request: "GET",
        expects: "2xx",
        judge: |subject| {
            let reply = subject.ask("GET")?;
            check(reply.is_success(), &reply)
        },
    },
    Row {
        section: "RFC 9110 15.5.6",
        level: Must,
        request: "PUT",
        expects: "405 with Allow, or another 4xx",
        judge: |subject| {
            let reply = subject.ask("PUT")?;
            let good = if reply.status == 405 { reply.header("allow").is_some() } else { reply.is_refusal() };
            check(good, &reply)
        },
    },
    Row {
        section: "4.2",
        level: Should,
        request: "OPTIONS",
        expects: "200 with Accept-Post: application/sdp",
        judge: accept_post,
    },
    Row {
        section: "4.2",
        level: Must,
        request: "OPTIONS of a page (CORS preflight), without a token",
        expects: "2xx, and POST is allowed",
        judge: preflight,
    },
    Row {
        section: "4.6",
        level: ShouldNot,
        request: "OPTIONS of a page (CORS preflight), without a token",
        expects: "no ICE servers",
        judge: |subject| {
            let reply = subject.send_bare(&preflight_request(subject))?;
            check(!reply.all("link").any(|link| link.contains("ice-server")), &reply)
        },
    },
    Row {
        section: "4.6",
        level: Must,
        request: "POST an offer",
        expects: "each Link names one target and a rel",
        judge: links,
    },
    Row {
        section: "4.5",
        level: MustNot,
        request: "POST an offer",
        expects: "no 301, 302 or 303",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PUBLISH)?;
            check(![301, 302, 303].contains(&reply.status), &reply)
        },
    },
    Row {
        section: "4.7",
        level: Must,
        request: "POST an offer without the token",
        expects: "401 with WWW-Authenticate",
        judge: |subject| {
            if subject.token.is_none() {
                return not_applicable("no --token was given");
            }
            let reply =
                subject.send_bare(&Request::new("POST", subject.endpoint.clone()).body(SDP, sdp::PUBLISH))?;
            check(reply.status == 401 && reply.header("www-authenticate").is_some(), &reply)
        },
    },
    Row {
        section: "4.7",
        level: Must,
        request: "POST an offer with another token",
        expects: "401 or 403",
        judge: |subject| {
            if subject.token.is_none() {
                return not_applicable("no --token was given");
            }
            let request = Request::new("POST", subject.endpoint.clone()).body(SDP, sdp::PUBLISH);
            let reply = subject.send_bare(&request.with("Authorization", "Bearer of-nobody"))?;
            check([401, 403].contains(&reply.status), &reply)
        },
    },
];

pub(crate) const END: &[Row] = &[Row {
    section: "RFC 9457",
    level: May,
    request: "POST what is no SDP",
    expects: "the refusal is application/problem+json",
    judge: |subject| {
        let reply = subject.post(SDP, "this is no SDP")?;
        check(reply.is_of("application/problem+json"), &reply)
    },
}];

pub(crate) const MEDIA: &[Row] = &[
    Row {
        section: "4.2",
        level: Must,
        request: "POST an offer, then ICE and DTLS",
        expects: "the connection comes up",
        judge: |subject| {
            let publisher = Publisher::start(subject);
            publisher.map(|_| Verdict::Pass).or_else(|error| Ok(Verdict::Fail(error.to_string())))
        },
    },
    Row {
        section: "4.3.3",
        level: Must,
        request: "ICE restart while media flows",
        expects: "checks with the new credentials are answered",
        judge: |subject| {
            let mut publisher = Publisher::start(subject)?;
            match publisher.restart()? {
                None => not_applicable("it does not restart ICE"),
                Some(answered) => check_that(answered, "no check was answered within 10 s"),
            }
        },
    },
    Row {
        section: "4.2",
        level: Must,
        request: "DELETE while media flows",
        expects: "the server ends DTLS, or lets checks go unanswered",
        judge: |subject| {
            let publisher = Publisher::start(subject)?;
            check_that(publisher.delete()?, "the connection went on for 20 s")
        },
    },
];

/// `wrong` says what is wrong with an answer.
fn judge_answer(subject: &Subject, offer: &str, wrong: fn(&str, &str) -> Option<String>) -> Judged {
    let session = subject.session_by(offer)?;
    Ok(wrong(offer, &session.reply.body).map_or(Verdict::Pass, Verdict::Fail))
}

fn not_receiving(answer: &str) -> Option<String> {
    (!sdp::has_directions(answer, &["recvonly", "inactive"])).then(|| "a section is not".to_owned())
}

pub(crate) fn accept_post(subject: &Subject) -> Judged {
    let reply = subject.ask("OPTIONS")?;
    let accepted = reply.header("accept-post").unwrap_or_default().to_ascii_lowercase();
    check(reply.is_success() && accepted.contains(SDP), &reply)
}

fn preflight_request(subject: &Subject) -> Request {
    Request::new("OPTIONS", subject.endpoint.clone())
        .with("Origin", "https://page.example")
        .with("Access-Control-Request-Method", "POST")
        .with("Access-Control-Request-Headers", "authorization,content-type")
}

pub(crate) fn preflight(subject: &Subject) -> Judged {
    let reply = subject.send_bare(&preflight_request(subject))?;
    let methods = reply.header("access-control-allow-methods").unwrap_or_default();
    let origin = reply.header("access-control-allow-origin").is_some();
    check(reply.is_success() && origin && (methods.contains("POST") || methods == "*"), &reply)
}

pub(crate) fn links(subject: &Subject) -> Judged {
    let session = subject.session()?;
    let mut links = session.reply.all("link").peekable();
    if links.peek().is_none() {
        return not_applicable("there is no Link");
    }
    let is_whole = |link: &str| link.starts_with('<') && link.contains('>') && link.contains("rel=");
    check_that(links.all(is_whole), "one has not")
}
