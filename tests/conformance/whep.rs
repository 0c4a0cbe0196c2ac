//! The WHEP endpoint (draft-ietf-wish-whep), and its extensions for events and layers.

use crate::http::{Error, Request};
use crate::row::Level::{May, Must, MustNot, Should};
use crate::row::{Judged, Row, Verdict, check, not_applicable};
use crate::subject::{SDP, Session, Subject};
use crate::{sdp, whip};

/// While nobody publishes.
pub(crate) const UNPUBLISHED: &[Row] = &[Row {
    section: "whep 4.2",
    level: Must,
    request: "POST an offer while nobody publishes",
    expects: "409 with Retry-After, or 201 where viewers may wait",
    judge: |subject| {
        let reply = subject.post(SDP, sdp::PLAY)?;
        check(reply.status == 201 || (reply.status == 409 && reply.header("retry-after").is_some()), &reply)
    },
}];

pub(crate) const ENDPOINT: &[Row] = &[
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST an offer",
        expects: "201, or 406 with an offer of the server's",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PLAY)?;
            check(reply.status == 201 || (reply.status == 406 && reply.is_of(SDP)), &reply)
        },
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST an offer",
        expects: "Content-Type application/sdp and a Location",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PLAY)?;
            check(reply.is_of(SDP) && reply.header("location").is_some(), &reply)
        },
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST an offer",
        expects: "an answer with the m-lines and mids of the offer (RFC 9429 section 5.3.1)",
        judge: |subject| judge_answer(subject, |answer| sdp::mismatch(sdp::PLAY, answer)),
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST an offer",
        expects: "an answer with offered payload types only",
        judge: |subject| judge_answer(subject, |answer| sdp::foreign_format(sdp::PLAY, answer)),
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST an offer",
        expects: "an answer that only sends",
        judge: |subject| {
            judge_answer(subject, |answer| {
                let sends = sdp::has_directions(answer, &["sendonly", "inactive"]);
                (!sends).then(|| "a section does not".to_owned())
            })
        },
    },
    Row {
        section: "whep 4.4",
        level: Must,
        request: "POST an offer",
        expects: "all sections are of one media stream",
        judge: |subject| {
            judge_answer(subject, |answer| {
                let streams = sdp::values(answer, "msid").filter_map(|msid| msid.split(' ').next());
                let streams: std::collections::BTreeSet<_> = streams.collect();
                (streams.len() > 1).then(|| format!("they are of {streams:?}"))
            })
        },
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST text/plain",
        expects: "4xx",
        judge: |subject| {
            let reply = subject.post("text/plain", sdp::PLAY)?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST what is no SDP",
        expects: "4xx",
        judge: |subject| {
            let reply = subject.post(SDP, "this is no SDP")?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "POST an offer that only sends",
        expects: "it is refused",
        judge: |subject| {
            let reply = subject.post(SDP, &sdp::PLAY.replace("a=recvonly", "a=sendonly"))?;
            check(reply.is_refusal(), &reply)
        },
    },
    Row {
        section: "whep 4.1",
        level: Must,
        request: "GET",
        expects: "2xx",
        judge: |subject| {
            let reply = subject.ask("GET")?;
            check(reply.is_success(), &reply)
        },
    },
    Row {
        section: "whep 4.1",
        level: Should,
        request: "HEAD",
        expects: "200 with Content-Type application/sdp",
        judge: |subject| {
            let reply = subject.ask("HEAD")?;
            check(reply.status == 200 && reply.is_of(SDP), &reply)
        },
    },
    Row {
        section: "whep 4.1",
        level: Must,
        request: "HEAD",
        expects: "the Content-Type of GET, and no body",
        judge: |subject| {
            let (get, head) = (subject.ask("GET")?, subject.ask("HEAD")?);
            let same = get.header("content-type") == head.header("content-type");
            check(same && head.body.is_empty(), &head)
        },
    },
    Row {
        section: "whep 4.2",
        level: Should,
        request: "OPTIONS",
        expects: "200 with Accept-Post: application/sdp",
        judge: whip::accept_post,
    },
    Row {
        section: "whep 4.2",
        level: Must,
        request: "OPTIONS of a page (CORS preflight), without a token",
        expects: "2xx, and POST is allowed",
        judge: whip::preflight,
    },
    Row {
        section: "whep 4.5",
        level: MustNot,
        request: "POST an offer",
        expects: "no 301, 302 or 303",
        judge: |subject| {
            let reply = subject.post(SDP, sdp::PLAY)?;
            check(![301, 302, 303].contains(&reply.status), &reply)
        },
    },
    Row {
        section: "whep 4.6",
        level: Must,
        request: "POST an offer",
        expects: "each Link names one target and a rel",
        judge: whip::links,
    },
];

const EVENTS: &str = "urn:ietf:params:whep:ext:core:server-sent-events";
const LAYER: &str = "urn:ietf:params:whep:ext:core:layer";
const JSON: &str = "application/json";

pub(crate) const EXTENSIONS: &[Row] = &[
    Row {
        section: "events",
        level: Must,
        request: "POST [\"active\"] to the events extension",
        expects: "201 with a Location",
        judge: |subject| {
            with_events(subject, |session, url| {
                let reply = session.send(Request::new("POST", url).body(JSON, r#"["active"]"#))?;
                check(reply.status == 201 && reply.header("location").is_some(), &reply)
            })
        },
    },
    Row {
        section: "events",
        level: Must,
        request: "GET the stream of events",
        expects: "200 with Content-Type text/event-stream",
        judge: |subject| {
            with_events(subject, |session, url| {
                let made = session.send(Request::new("POST", url.clone()).body(JSON, r#"["active"]"#))?;
                let stream = url.join(made.header("location").unwrap_or_default())?;
                let reply = session.send(Request::new("GET", stream).streams())?;
                check(reply.status == 200 && reply.is_of("text/event-stream"), &reply)
            })
        },
    },
    Row {
        section: "events",
        level: Must,
        request: "POST an event that there is not",
        expects: "400",
        judge: |subject| {
            with_events(subject, |session, url| {
                let reply = session.send(Request::new("POST", url).body(JSON, r#"["no-such-event"]"#))?;
                check(reply.status == 400, &reply)
            })
        },
    },
    Row {
        section: "events",
        level: Must,
        request: "DELETE the stream of events",
        expects: "2xx, then GET is 404",
        judge: |subject| {
            with_events(subject, |session, url| {
                let made = session.send(Request::new("POST", url.clone()).body(JSON, r#"["active"]"#))?;
                let stream = url.join(made.header("location").unwrap_or_default())?;
                let deleted = session.send(Request::new("DELETE", stream.clone()))?;
                let reply = session.send(Request::new("GET", stream).streams())?;
                check(deleted.is_success() && reply.status == 404, &reply)
            })
        },
    },
    Row {
        section: "events",
        level: May,
        request: "POST nothing to the events extension",
        expects: "201: all events",
        judge: |subject| {
            with_events(subject, |session, url| {
                let reply = session.send(Request::new("POST", url))?;
                check(reply.status == 201, &reply)
            })
        },
    },
    Row {
        section: "layers",
        level: Must,
        request: "POST an offer",
        expects: "who offers layers offers events, layers among them",
        judge: |subject| {
            let session = subject.session()?;
            if session.linked(LAYER).is_none() {
                return not_applicable("it does not offer layers");
            }
            let told = session.reply.all("link").any(|link| link.contains(EVENTS) && link.contains("layers"));
            check(told, &session.reply)
        },
    },
    Row {
        section: "layers",
        level: Must,
        request: "POST a mediaId alone to the layers extension",
        expects: "200: the server chooses",
        judge: |subject| {
            let session = subject.session()?;
            let Some(url) = session.linked(LAYER) else { return not_applicable("it does not offer layers") };
            let reply = session.send(Request::new("POST", url).body(JSON, r#"{"mediaId":"0"}"#))?;
            check(reply.status == 200, &reply)
        },
    },
];

pub(crate) const END: &[Row] = whip::END;

fn judge_answer(subject: &Subject, wrong: fn(&str) -> Option<String>) -> Judged {
    let session = subject.session()?;
    Ok(wrong(&session.reply.body).map_or(Verdict::Pass, Verdict::Fail))
}

fn with_events(
    subject: &Subject,
    judge: fn(&Session<'_>, crate::http::Url) -> Result<Verdict, Error>,
) -> Judged {
    let session = subject.session()?;
    match session.linked(EVENTS) {
        Some(url) => judge(&session, url),
        None => not_applicable("it does not offer events"),
    }
}
