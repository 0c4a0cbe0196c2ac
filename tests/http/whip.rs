//! POST, GET, HEAD and OPTIONS on `/whip/{stream}` (RFC 9725 sections 4.1 and 4.2).

use sluice::config::PublicUrl;
use tokio::net::TcpStream;

use crate::message::{Reply, Request, read, speak, write};
use crate::running::Running;
use crate::{offer, offers};

/// What every 201 has, of WHIP as of WHEP. `before` is its Location up to the session's own name.
#[track_caller]
pub(crate) fn assert_created(what: &str, reply: &Reply, before: &str) {
    assert_eq!(reply.status, 201, "{what}: {reply:?}");
    // Exactly this: there are clients that compare the whole value.
    assert_eq!(reply.header("content-type"), Some("application/sdp"), "{what}");
    let id = reply.location().strip_prefix(before).unwrap_or_else(|| panic!("{what}: {}", reply.location()));
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{what}: {id}");
    let tag = reply.etag().strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    assert!(tag.is_some_and(|tag| !tag.is_empty() && !tag.contains('"')), "{what}: {}", reply.etag());
    assert_eq!(reply.header("accept-patch"), Some("application/trickle-ice-sdpfrag"), "{what}");
    assert_no_ice_server(what, reply);
    assert!(reply.body.starts_with("v=0\r\n") && reply.body.len() < 8192, "{what}: {}", reply.body);
    let host = reply.body.lines().find(|line| line.starts_with("a=candidate:")).unwrap_or_default();
    assert!(
        host.contains(" udp ") && host.contains(" 127.0.0.1 ") && host.ends_with(" typ host"),
        "{what}: {host}"
    );
}

/// The media port must not be named as a STUN server: Chromium takes all that comes from the address of one for its
/// replies, and then hears no connectivity check from the media port.
#[track_caller]
fn assert_no_ice_server(what: &str, reply: &Reply) {
    let links = reply.all("link");
    assert!(!links.iter().any(|link| link.contains("ice-server")), "{what}: {links:?}");
}

#[tokio::test]
async fn every_captured_publisher_is_taken_in() {
    let server = Running::start().await;
    for name in offers("publish") {
        let reply = server.ask(&Request::sdp("/whip/demo", offer(&name))).await;
        assert_created(&name, &reply, "/whip/demo/");
        assert!(!reply.body.contains("a=send"), "{name}: the server only receives: {}", reply.body);
    }
}

#[tokio::test]
async fn requests_that_are_odd_but_right() {
    let server = Running::start().await;
    let offer = offer("publish/obs-h264");
    let of_type = |media_type: &str| {
        Request::new("POST", "/whip/demo").with("Content-Type", media_type).body(offer.clone())
    };
    for (what, request) in [
        ("a slash at the end", Request::sdp("/whip/demo/", offer.clone())),
        ("a query", Request::sdp("/whip/demo?token=abc", offer.clone())),
        ("escaped letters", Request::sdp("/whip/%64emo", offer.clone())),
        ("a parameter", of_type("application/sdp; charset=utf-8")),
        ("a parameter without a space", of_type("application/sdp;charset=utf-8")),
        ("capitals", of_type("Application/SDP")),
        (
            "a token that nobody asked for",
            Request::sdp("/whip/demo", offer.clone()).with("Authorization", "Bearer x"),
        ),
        ("LF line ends", Request::sdp("/whip/demo", offer.replace("\r\n", "\n"))),
    ] {
        assert_created(what, &server.ask(&request).await, "/whip/demo/");
    }
    let longest = "x".repeat(128);
    for name in ["a", "A-Z_0.9~", "...", &longest] {
        let reply = server.ask(&Request::sdp(format!("/whip/{name}"), offer.clone())).await;
        assert_created(name, &reply, &format!("/whip/{name}/"));
    }
}

#[tokio::test]
async fn bodies_in_pieces_and_bodies_on_request() {
    let server = Running::start().await;
    let offer = offer("publish/obs-h264");
    let head =
        "POST /whip/demo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/sdp\r\n";
    let (first, second) = offer.split_at(700);
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let told = speak(server.address, chunked.as_bytes()).await;
    assert_created("chunked", &Reply::parse(&told, false), "/whip/demo/");

    let garbage = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nv=0\r\n\r\nno number\r\n");
    let reply = Reply::parse(&speak(server.address, garbage.as_bytes()).await, false);
    assert_eq!((reply.status, reply.problem().as_deref()), (400, Some("bad-request")), "{reply:?}");

    let expecting = format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{offer}", offer.len());
    let told = speak(server.address, expecting.as_bytes()).await;
    assert!(told.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&told));
    assert_created("100-continue", &Reply::parse(&told, false), "/whip/demo/");
}

#[tokio::test]
async fn the_location_is_absolute_where_a_proxy_stands_before() {
    let server = Running::with(|config| {
        config.http.public_url = PublicUrl::parse("https://live.example.org/sluice/");
    })
    .await;
    let reply = server.ask(&Request::sdp("/whip/demo", offer("publish/obs-h264"))).await;
    assert_created("public_url", &reply, "https://live.example.org/sluice/whip/demo/");
}

#[tokio::test]
async fn a_refusal_waits_for_the_whole_body() {
    let server = Running::start().await;
    for (path, media_type, status) in [
        ("/whep/never", "application/sdp", 409),
        ("/whip/demo", "text/plain", 415),
        ("/whip/a%20b", "application/sdp", 400),
        ("/nothing", "application/sdp", 404),
        ("/", "application/sdp", 405),
    ] {
        let body = offer("publish/roamhq-wrtc-simulcast");
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\n");
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        let client = TcpStream::connect(server.address).await.expect("it listens");
        write(&client, head.as_bytes()).await.expect("it reads");
        // When a later request is answered, the server has seen this one. Would it refuse and close the connection
        // now, then the client, which is still sending, would find it reset, and never see the reason.
        server.ask(&Request::new("GET", "/healthz")).await;
        let rest = format!("{body}GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        write(&client, rest.as_bytes()).await.expect("it still reads");
        let mut told = Vec::new();
        while read(&client, &mut told).await.expect("the connection is not reset") > 0 {}
        let told = String::from_utf8(told).expect("UTF-8");
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {told}");
        assert!(told.ends_with("\r\n\r\nok\n"), "{path}: the connection serves the next request: {told}");
    }
}

#[tokio::test]
async fn what_is_refused() {
    let server = Running::start().await;
    let good = offer("publish/obs-h264");
    let lines = |line: &str, count| Request::sdp("/whip/demo", format!("v=0\r\n{}", line.repeat(count)));
    let sdp = |body: &str| Request::sdp("/whip/demo", body);
    let named = |name: &str| Request::sdp(format!("/whip/{name}"), good.clone());
    let plain = Request::new("POST", "/whip/demo").body(good.clone());
    let without = |attribute: &str| {
        let rest = good.lines().filter(|line| !line.starts_with(attribute));
        sdp(&rest.map(|line| format!("{line}\r\n")).collect::<String>())
    };
    for (what, request, status, problem) in [
        ("no content type", plain.clone(), 415, "media-type"),
        ("text", plain.clone().with("Content-Type", "text/plain"), 415, "media-type"),
        ("JSON", plain.clone().with("Content-Type", "application/json"), 415, "media-type"),
        ("a longer type", plain.clone().with("Content-Type", "application/sdpx"), 415, "media-type"),
        ("candidates", plain.with("Content-Type", "application/trickle-ice-sdpfrag"), 415, "media-type"),
        ("an empty body", sdp(""), 400, "malformed-sdp"),
        ("no SDP", sdp("hello"), 400, "malformed-sdp"),
        ("a broken line", sdp("v=0\r\nnonsense\r\n"), 400, "malformed-sdp"),
        ("a broken m-line", sdp("v=0\r\nm=audio\r\n"), 400, "malformed-sdp"),
        ("10,000 short lines", lines("a=x\n", 40_000), 400, "malformed-sdp"),
        ("40,000 lines", lines("a=x-filler:1\r\n", 40_000), 413, "too-large"),
        ("4 MB", sdp(&"v=0\r\n".repeat(800_000)), 413, "too-large"),
        ("not UTF-8", Request::sdp("/whip/demo", b"v=0\r\ns=\xff\xfe\r\n".to_vec()), 400, "bad-request"),
        ("no media", sdp("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"), 422, "offer"),
        ("only a data channel", sdp(&offer("session/chromium-data-channel")), 422, "offer"),
        ("a player's offer", sdp(&offer("play/chromium")), 422, "offer"),
        ("all inactive", sdp(&good.replace("a=sendonly", "a=inactive")), 422, "offer"),
        ("no ICE user fragment", without("a=ice-ufrag"), 422, "offer"),
        ("no fingerprint", without("a=fingerprint"), 422, "offer"),
        ("no bundle", without("a=group:BUNDLE"), 422, "offer"),
        ("another lite agent", sdp(&good.replacen("a=setup", "a=ice-lite\r\na=setup", 1)), 422, "offer"),
        ("unknown codecs", sdp(&good.replace("H264/90000", "H266/90000")), 422, "offer"),
        ("a space in the name", named("a%20b"), 400, "bad-request"),
        ("a slash in the name", named("a%2Fb"), 400, "bad-request"),
        ("a name of bytes", named("%ff%fe"), 400, "bad-request"),
        ("half an escape", named("a%2"), 400, "bad-request"),
        ("129 letters", named(&"x".repeat(129)), 400, "bad-request"),
        ("one dot", named("."), 400, "bad-request"),
        ("two dots", named(".."), 400, "bad-request"),
    ] {
        let reply = server.ask(&request).await;
        assert_eq!((reply.status, reply.problem().as_deref()), (status, Some(problem)), "{what}: {reply:?}");
        assert_eq!((reply.header("location"), reply.header("link")), (None, None), "{what}");
        let accept_post = (status == 415).then_some("application/sdp");
        assert_eq!(reply.header("accept-post"), accept_post, "{what}");
    }
    let rooms = server.ask(&Request::new("GET", "/metrics")).await;
    assert!(
        rooms.body.contains("\nsluice_rooms 0\n"),
        "a refused offer leaves nothing behind: {}",
        rooms.body
    );
}

#[tokio::test]
async fn what_may_be_asked_of_an_endpoint() {
    let server = Running::start().await;
    for side in ["whip", "whep"] {
        for slash in ["", "/"] {
            let path = format!("/{side}/demo{slash}");
            let get = server.ask(&Request::new("GET", &path)).await;
            assert_eq!((get.status, get.header("allow")), (204, None), "{path}");

            let head = server.ask(&Request::new("HEAD", &path)).await;
            let (status, media_type) =
                if side == "whep" { (200, Some("application/sdp")) } else { (204, None) };
            assert_eq!((head.status, head.header("content-type")), (status, media_type), "{path}");

            let options =
                server.ask(&Request::new("OPTIONS", &path).with("Origin", "https://a.example")).await;
            assert_eq!(
                (options.status, options.header("accept-post")),
                (200, Some("application/sdp")),
                "{path}"
            );
            assert_no_ice_server(&path, &options);
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            let reply = server.ask(&Request::new(method, format!("/{side}/a%20b"))).await;
            assert_eq!(reply.status, 400, "{method} of a name that cannot be");
        }
    }
}

#[tokio::test]
async fn a_preflight_is_answered_everywhere_and_tells_no_secrets() {
    let server = Running::with(|config| {
        let key = sluice::config::StreamKey::new("a-stream-key").expect("a key");
        config.auth.stream_keys.insert("*".to_owned(), key);
    })
    .await;
    let session = format!("/whip/demo/{}", "0".repeat(32));
    for path in ["/whip/demo", "/whip/demo/", "/whep/demo", &session, "/nothing/here"] {
        let preflight = Request::new("OPTIONS", path)
            .with("Origin", "https://player.example")
            .with("Access-Control-Request-Method", "POST")
            .with("Access-Control-Request-Headers", "authorization,content-type");
        let reply = server.ask(&preflight).await;
        assert_eq!(
            (reply.status, reply.header("link"), reply.header("location")),
            (204, None, None),
            "{path}"
        );
        let lists = |header, wanted: &[&str]| {
            let listed = reply.header(header).unwrap_or_default();
            wanted.iter().all(|wanted| listed.split(", ").any(|one| one == *wanted))
        };
        assert!(
            lists("access-control-allow-methods", &["GET", "POST", "PATCH", "DELETE", "OPTIONS"]),
            "{path}"
        );
        let headers = ["Authorization", "Content-Type", "If-Match", "ETag"];
        assert!(lists("access-control-allow-headers", &headers), "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn wrong_methods_and_wrong_places() {
    let server = Running::start().await;
    let session = format!("/whip/demo/{}", "0".repeat(32));
    for (method, path, allowed) in [
        ("PUT", "/whip/demo", &["POST", "GET", "HEAD", "OPTIONS"][..]),
        ("DELETE", "/whip/demo", &["POST", "GET", "HEAD", "OPTIONS"]),
        ("PATCH", "/whep/demo/", &["POST", "GET", "HEAD", "OPTIONS"]),
        ("POST", &session, &["PATCH", "DELETE", "GET", "HEAD"]),
        ("PUT", &session, &["PATCH", "DELETE", "GET", "HEAD"]),
        ("POST", "/", &["GET", "HEAD"]),
        ("DELETE", "/metrics", &["GET", "HEAD"]),
    ] {
        let reply = server.ask(&Request::new(method, path)).await;
        assert_eq!((reply.status, reply.problem().as_deref()), (405, Some("method")), "{method} {path}");
        let mut told: Vec<_> = reply.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        let mut allowed = allowed.to_vec();
        told.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(told, allowed, "{method} {path}");
    }
    let unknown_session = format!("{session}/more");
    for path in
        ["/nothing/here", "/whip", "/whip/", "/whep/", "/WHIP/demo", &unknown_session, "/assets/none.js"]
    {
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            let reply = server.ask(&Request::new(method, path)).await;
            // `/assets/{file}` is a place; there, only the file is missing.
            let status =
                if path.starts_with("/assets") && !["GET", "HEAD"].contains(&method) { 405 } else { 404 };
            assert_eq!(reply.status, status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_asks_for_relays_is_told_of_them() {
    let server = Running::start().await;
    let reply = server.ask(&Request::sdp("/whip/demo?relay=all", offer("publish/obs-h264"))).await;
    let links = reply.all("link");
    assert_eq!(links.len(), 2, "{links:?}");
    for (link, transport) in links.into_iter().zip(["udp", "tcp"]) {
        let (url, words) = link.split_once(">; rel=\"ice-server\"; username=\"").expect("an ICE server");
        let transport = format!("?transport={transport}");
        assert!(url.starts_with("<turn:127.0.0.1:") && url.ends_with(&transport), "{link}");
        let (_, credential) = words.split_once(":s").expect("the time until when it is good, and a session");
        assert!(credential.contains("\"; credential=\""), "{link}");
        assert!(credential.ends_with("\"; credential-type=\"password\""), "{link}");
    }
}
