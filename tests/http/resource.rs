//! PATCH, GET and DELETE on a session (RFC 9725 sections 4.3 and 4.2).

use crate::message::{Reply, Request};
use crate::offer;
use crate::running::Running;

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A session that was answered, of a client that has not connected.
struct Session {
    server: Running,
    path: String,
    etag: String,
    /// The client's ICE credentials as lines.
    credentials: String,
}

impl Session {
    async fn start() -> Self {
        let server = Running::start().await;
        let offer = offer("publish/obs-h264");
        let reply = server.ask(&Request::sdp("/whip/demo", offer.clone())).await;
        let of = |name| offer.lines().find(|line| line.starts_with(name)).expect("it is in the offer");
        let credentials = format!("{}\r\n{}\r\n", of("a=ice-ufrag:"), of("a=ice-pwd:"));
        let (path, etag) = (reply.location().to_owned(), reply.etag().to_owned());
        Self { server, path, etag, credentials }
    }

    fn patch(&self, body: impl Into<Vec<u8>>) -> Request {
        Request::new("PATCH", &self.path).with("Content-Type", FRAGMENT).body(body)
    }

    fn matching(&self, body: impl Into<Vec<u8>>) -> Request {
        self.patch(body).with("If-Match", self.etag.clone())
    }

    /// Nothing that was tried has hurt the session.
    async fn assert_alive(&self) {
        assert_eq!(self.server.ask(&self.matching("")).await.status, 204);
        assert_eq!(self.server.ask(&Request::new("GET", &self.path)).await.status, 204);
    }
}

const HOST: &str = "a=candidate:1 1 udp 2130706431 192.0.2.9 50000 typ host\r\n";

/// Fragments as clients write them. `{}` stands for the lines with their ICE credentials.
const FRAGMENTS: &[(&str, &str)] = &[
    (
        "RFC 9725's own form",
        "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.9 50000 typ host\r\n",
    ),
    (
        "credentials in the section",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{}a=candidate:1 1 udp 1 192.0.2.9 50000 typ host\r\n",
    ),
    (
        "no credentials",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 50000 typ host\r\n",
    ),
    ("no formats", "{}m=audio 9 UDP/TLS/RTP/SAVPF\r\na=mid:0\r\n"),
    (
        "a name that only its network knows",
        "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 0b6a35a8-4a0c-4b7c-9d0a-2f3c5e7d9b11.local 50000 typ host\r\n",
    ),
    ("component 0", "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 0 udp 1 192.0.2.9 50000 typ host\r\n"),
    (
        "TCP",
        "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 tcp 1 192.0.2.9 9 typ host tcptype active\r\n",
    ),
    (
        "IPv6 with a zone",
        "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 fe80::1%eth0 50000 typ host\r\n",
    ),
    ("a candidate of nonsense", "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:?\r\n"),
    ("an empty candidate", "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:\r\n"),
    (
        "a mid that is not there",
        "{}m=video 9 RTP/AVP 0\r\na=mid:77\r\na=candidate:1 1 udp 1 192.0.2.9 50000 typ host\r\n",
    ),
    (
        "each mid again",
        "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 50000 typ host\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:1 1 udp 1 192.0.2.9 50000 typ host\r\n",
    ),
    (
        "credentials in each section",
        "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{}m=video 9 RTP/AVP 0\r\na=mid:1\r\n{}",
    ),
    ("the end in a section", "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"),
    ("the end alone", "{}a=end-of-candidates\r\n"),
    ("a group", "a=group:BUNDLE 0 1\r\na=ice-options:trickle\r\n{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\n"),
    ("LF line ends", "{}m=audio 9 RTP/AVP 0\na=mid:0\na=candidate:1 1 udp 1 192.0.2.9 50000 typ host\n"),
    ("no end of the last line", "{}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates"),
    ("nothing", ""),
];

#[tokio::test]
async fn candidates_never_fail_for_their_content() {
    let session = Session::start().await;
    for (what, fragment) in FRAGMENTS {
        let request = session.matching(fragment.replace("{}", &session.credentials));
        let reply = session.server.ask(&request).await;
        // RFC 9725 section 4.3.2: no body, and no entity tag either.
        assert_eq!((reply.status, reply.header("etag")), (204, None), "{what}: {reply:?}");
    }
    session.assert_alive().await;
}

/// Bundled sections should name the same credentials, but an offer that could do without bundling need not.
#[tokio::test]
async fn each_section_may_have_its_own_credentials() {
    let server = Running::start().await;
    let offer = offer("play/firefox").replace("a=recvonly", "a=sendonly");
    let of = |name| offer.lines().find_map(|line| line.strip_prefix(name)).expect("it is in the offer");
    let (ufrag, password) = (of("a=ice-ufrag:"), of("a=ice-pwd:"));
    let (first, last) = offer.split_at(offer.rfind("m=").expect("sections"));
    let last = last.replace(ufrag, "lastfrag").replace(password, "last-password-of-24-lett");
    let reply = server.ask(&Request::sdp("/whip/demo", format!("{first}{last}"))).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let lines = |ufrag: &str, password: &str| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    let (of_first, of_last) = (lines(ufrag, password), lines("lastfrag", "last-password-of-24-lett"));
    let section = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n";
    for (what, fragment, status) in [
        ("the first", of_first.clone(), 204),
        ("the last", of_last.clone(), 204),
        ("the last, in a section", format!("{section}{of_last}"), 204),
        ("each in its section", format!("{section}{of_first}{section}{of_last}"), 204),
        ("one of each", lines(ufrag, "last-password-of-24-lett"), 400),
        (
            "others in a later section",
            format!("{section}{of_first}{section}{}", lines("new1", password)),
            400,
        ),
    ] {
        let patch = Request::new("PATCH", reply.location()).with("Content-Type", FRAGMENT);
        let patch = patch.with("If-Match", reply.etag()).body(fragment);
        assert_eq!(server.ask(&patch).await.status, status, "{what}");
    }
}

#[tokio::test]
async fn preconditions() {
    let session = Session::start().await;
    let tag = session.etag.as_str();
    let other = format!("{}x\"", tag.trim_end_matches('"'));
    for (what, header, value, status) in [
        ("the tag", "If-Match", tag, 204),
        ("the tag among others", "If-Match", &format!("\"abc\", {tag}"), 204),
        ("any", "If-Match", "*", 204),
        ("any, as the RFC prints it", "If-Match", "\"*\"", 204),
        ("the tag where one client puts it", "ETag", tag, 204),
        ("another tag", "If-Match", &other, 412),
        ("another tag where one client puts it", "ETag", "\"abc\"", 412),
        ("a weak tag, which never matches here", "If-Match", &format!("W/{tag}"), 412),
        ("nothing in it", "If-Match", "", 412),
        ("none", "If-None-Match", tag, 428),
    ] {
        let reply = session.server.ask(&session.patch(HOST).with(header, value)).await;
        assert_eq!((reply.status, reply.header("etag")), (status, None), "{what}: {reply:?}");
    }
    // A list may come in several lines (RFC 9110 section 5.3).
    let reply =
        session.server.ask(&session.patch(HOST).with("If-Match", "\"abc\"").with("If-Match", tag)).await;
    assert_eq!(reply.status, 204, "the tag in the second line: {reply:?}");
    session.assert_alive().await;
}

#[tokio::test]
async fn what_is_no_trickle() {
    let session = Session::start().await;
    let typed = |media_type: &str| {
        let request = Request::new("PATCH", &session.path).body(HOST).with("If-Match", session.etag.clone());
        request.with("Content-Type", media_type)
    };
    let half = format!("{}a=ice-pwd:new-password-of-24-letters\r\n", "a=ice-options:trickle\r\n");
    let known = session.credentials.lines().next().expect("a user fragment");
    for (what, request, status) in [
        ("a parameter", typed("application/trickle-ice-sdpfrag; charset=utf-8"), 204),
        ("an answer", typed("application/sdp"), 415),
        ("text", typed("text/plain"), 415),
        ("no type", Request::new("PATCH", &session.path).with("If-Match", session.etag.clone()), 415),
        ("another password alone", session.matching(half.clone()), 400),
        ("another user fragment alone", session.matching("a=ice-ufrag:newfrag1\r\n"), 400),
        ("another password of the same", session.matching(format!("{known}\r\n{half}")), 400),
        ("a short password", session.matching("a=ice-ufrag:newfrag1\r\na=ice-pwd:short\r\n"), 400),
        (
            "a short name",
            session.matching("a=ice-ufrag:abc\r\na=ice-pwd:new-password-of-24-letters\r\n"),
            400,
        ),
        ("no fragment", session.matching("hello"), 400),
        ("not UTF-8", session.matching(b"a=candidate:\xff\r\n".to_vec()), 400),
        ("too much", session.matching(HOST.repeat(8_000)), 413),
    ] {
        let reply = session.server.ask(&request).await;
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        // RFC 5789 section 2.2: what a PATCH may be.
        let accept = (status == 415).then_some(FRAGMENT);
        assert_eq!((reply.header("accept-patch"), reply.header("accept-post")), (accept, None), "{what}");
    }
    session.assert_alive().await;
}

/// RFC 9725 section 4.3.3. That media flows again is for tests with media to see.
#[tokio::test]
async fn a_restart_is_answered_with_new_credentials_and_a_new_tag() {
    let session = Session::start().await;
    let ask = |name: &str, above: bool| {
        let credentials = format!("a=ice-ufrag:{name}\r\na=ice-pwd:new-password-of-24-letters-{name}\r\n");
        let section = format!("m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{HOST}");
        if above { format!("{credentials}{section}") } else { format!("{section}{credentials}") }
    };
    let mut tags = vec![session.etag.clone()];
    let mut passwords = Vec::new();
    for (what, name, above, tag) in [
        ("as most do it", "new1", true, Some("*")),
        ("as the RFC prints it", "new2", false, Some("\"*\"")),
        ("with the tag", "new3", true, None),
    ] {
        let tag = tag.map_or(tags.last().cloned().expect("one"), str::to_owned);
        let reply = session.server.ask(&session.patch(ask(name, above)).with("If-Match", tag)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(FRAGMENT)), "{what}: {reply:?}");
        let lines: Vec<_> = reply.body.split_terminator("\r\n").collect();
        let ufrag = lines.iter().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a user fragment");
        let password = lines.iter().find_map(|line| line.strip_prefix("a=ice-pwd:")).expect("a password");
        assert!(lines.contains(&"a=ice-lite") && lines.contains(&"a=mid:0"), "{what}: {lines:?}");
        assert!(lines.iter().any(|line| line.ends_with(" typ host")), "{what}: {lines:?}");
        assert_eq!(lines.last(), Some(&"a=end-of-candidates"), "{what}");
        assert!(ufrag.len() >= 4 && password.len() >= 22, "{what}: {lines:?}");
        assert!(!tags.iter().any(|known| known == reply.etag()), "{what}: each ICE session has its own tag");
        assert!(!passwords.contains(&password.to_owned()), "{what}");
        tags.push(reply.etag().to_owned());
        passwords.push(password.to_owned());

        let same = ask(name, above);
        let trickled = session.patch(same.clone()).with("If-Match", reply.etag());
        assert_eq!(session.server.ask(&trickled).await.status, 204, "{what}: candidates of the new one");
        assert_eq!(
            session.server.ask(&session.matching(same)).await.status,
            412,
            "{what}: the old tag is void"
        );
    }
    assert_eq!(session.server.ask(&Request::new("GET", &session.path)).await.status, 204);
}

/// An answer that got lost on the way is told again; candidates are not taken for that question.
#[tokio::test]
async fn a_restart_can_be_asked_for_again_and_not_without_end() {
    let session = Session::start().await;
    let ask = |name: usize| {
        format!(
            "a=ice-ufrag:new{name}\r\na=ice-pwd:new-password-of-24-letters-{name}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        )
    };
    let patch = |body: String| session.patch(body).with("If-Match", "*");
    let first = session.server.ask(&patch(ask(1))).await;
    let again = session.server.ask(&patch(ask(1))).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!((&first.body, first.header("etag")), (&again.body, again.header("etag")));
    assert_eq!(session.server.ask(&patch(format!("{}{HOST}", ask(1)))).await.status, 204);
    let mut restarted = 0;
    for name in 2..40 {
        let reply = session.server.ask(&patch(ask(name))).await;
        match reply.status {
            200 => restarted += 1,
            429 => assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}"),
            other => panic!("{other}"),
        }
    }
    assert!((4..30).contains(&restarted), "five at once, then one a second: {restarted}");
}

#[tokio::test]
async fn a_session_is_known_by_its_whole_path_only() {
    let session = Session::start().await;
    let id = session.path.rsplit('/').next().expect("a last part");
    let guess = format!("{}{}", if id.starts_with('0') { '1' } else { '0' }, &id[1..]);
    for path in [
        format!("/whep/demo/{id}"),
        format!("/whip/other/{id}"),
        format!("/whip/demo/{guess}"),
        format!("/whip/demo/{}", id.to_ascii_uppercase()),
        format!("/whip/demo/{}", &id[1..]),
        format!("/whip/demo/{id}0"),
        "/whip/demo/nosuchsession".to_owned(),
        "/whip/demo/%ff".to_owned(),
    ] {
        // An id of digits only is the same in capitals.
        if path == session.path {
            continue;
        }
        let status = if path.ends_with("%ff") { 400 } else { 404 };
        for method in ["GET", "HEAD", "DELETE"] {
            assert_eq!(
                session.server.ask(&Request::new(method, &path)).await.status,
                status,
                "{method} {path}"
            );
        }
        let patch =
            Request::new("PATCH", &path).with("Content-Type", FRAGMENT).with("If-Match", "*").body(HOST);
        assert_eq!(session.server.ask(&patch).await.status, status, "PATCH {path}");
        // A client must not be sent to mend its headers when there is nothing to gain.
        assert_eq!(session.server.ask(&Request::new("PATCH", &path)).await.status, status, "PATCH {path}");
    }
    session.assert_alive().await;
}

#[tokio::test]
async fn deleting_twice_is_fine_and_the_rest_is_over() {
    let session = Session::start().await;
    // Clients that send conditions or nothing at all mean the same.
    let delete = Request::new("DELETE", &session.path);
    let conditional = delete.clone().with("If-Match", "\"of another session\"");
    assert_eq!(session.server.ask(&conditional).await.status, 200);
    let gone = |reply: &Reply| reply.status == 404;
    session.server.ask_until("patch: 404", &session.matching(HOST), gone).await;
    assert_eq!(session.server.ask(&Request::new("GET", &session.path)).await.status, 404);
    for _ in 0..2 {
        let reply = session.server.ask(&delete).await;
        // OBS logs a warning for anything but 200; FFmpeg 9 takes an empty body for a broken connection.
        assert_eq!((reply.status, reply.body.is_empty()), (200, false), "{reply:?}");
    }
}
