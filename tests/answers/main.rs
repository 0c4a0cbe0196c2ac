//! Every captured offer of a real client gets a valid answer, or the documented refusal.
//!
//! `tests/fixtures/offers/README.md` says what produced each.

mod extensions;
mod join;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use sluice::ids::{SessionId, TrackId, WorkerId};
use sluice::net::addresses::Announced;
use sluice::net::demux::{IceCredentials, Ufrag};
use sluice::sfu::session::dtls::Identity;
use sluice::sfu::session::negotiate::{Answered, Endpoint, NewSession, answer};
use sluice::sfu::session::offer::{OfferError, Role};
use sluice::units::{Codec, MediaKind};
use sluice::wire::ntp::{Epoch, NtpTime};
use sluice::wire::sdp::{MAX_BYTES, MAX_SECTIONS, Sdp, SdpError, Section};

fn epoch() -> Epoch {
    Epoch { instant: Instant::now(), ntp: NtpTime::default() }
}

fn endpoint() -> Endpoint {
    let all = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
    let udp = all(&["192.0.2.7:3478", "198.51.100.9:3478", "[2001:db8::7]:3478"]);
    let candidates = Announced { udp, tcp: all(&["192.0.2.7:443", "[2001:db8::7]:443"]) };
    Endpoint { identity: Identity::generate().expect("a certificate"), candidates, epoch: epoch() }
}

fn answer_as(offer: &str, role: Role) -> Result<Answered, OfferError> {
    let new = NewSession {
        id: SessionId(1),
        ice: IceCredentials { ufrag: Ufrag::mint(WorkerId(0), [7; 10]), password: "p".repeat(24) },
        first_track: TrackId(64),
        seed: 0x1234_5678_9abc_def0,
    };
    answer(offer, role, &new, &endpoint(), Instant::now())
}

/// The captured offers of one folder: name, text.
fn fixtures(folder: &str) -> Vec<(String, String)> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/offers")).join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).expect("the fixtures are there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "sdp") {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
            found.push((name, std::fs::read_to_string(&path).expect("readable")));
        }
    }
    found.sort();
    found
}

fn fixture(folder: &str, wanted: &str) -> String {
    let found = fixtures(folder).into_iter().find(|(name, _)| name == wanted);
    found.unwrap_or_else(|| panic!("no fixture {folder}/{wanted}.sdp")).1
}

fn pairs<'s, 'a>(
    offer: &'s Sdp<'a>,
    answer: &'s Sdp<'a>,
) -> impl Iterator<Item = (&'s Section<'a>, &'s Section<'a>)> {
    offer.sections.iter().zip(&answer.sections)
}

fn live<'s, 'a>(answer: &'s Sdp<'a>) -> impl Iterator<Item = &'s Section<'a>> {
    let bundle: BTreeSet<&str> = answer.bundle().into_iter().collect();
    answer.sections.iter().filter(move |section| section.mid().is_some_and(|mid| bundle.contains(mid)))
}

/// The values of the `a=name:<payload type> value` lines of one payload type.
fn of_payload_type<'s, 'a>(
    section: &'s Section<'a>,
    name: &'s str,
    payload_type: &'s str,
) -> impl Iterator<Item = &'a str> + 's {
    section.lines.attributes(name).filter_map(move |value| {
        let (pt, rest) = value.split_once(' ')?;
        (pt == payload_type || pt == "*").then(|| rest.trim())
    })
}

#[test]
fn every_captured_publisher_is_answered_as_it_needs() {
    let offers = fixtures("publish");
    assert!(offers.len() > 25, "only {} fixtures", offers.len());
    for (name, offer) in offers {
        check_answer(&name, &offer, Role::Publish);
    }
}

#[test]
fn every_captured_player_is_answered_as_it_needs() {
    let offers = fixtures("play");
    assert!(offers.len() > 5, "only {} fixtures", offers.len());
    for (name, offer) in offers {
        check_answer(&name, &offer, Role::Watch);
    }
}

#[test]
fn an_offer_with_a_stopped_section_is_answered() {
    for name in ["chromium-reoffer-after-stop", "firefox-reoffer-after-stop"] {
        check_answer(name, &fixture("session", name), Role::Publish);
    }
}

#[test]
fn a_data_channel_alone_is_not_publishing() {
    for name in ["chromium-data-channel", "firefox-data-channel"] {
        let refused = answer_as(&fixture("session", name), Role::Publish).err();
        assert_eq!(refused, Some(OfferError::NothingToDo("sends")), "{name}");
    }
}

fn check_answer(name: &str, offer: &str, role: Role) {
    let answered = answer_as(offer, role).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (offered, text) = (Sdp::parse(offer).expect("fixture"), &answered.answer);
    let sdp = Sdp::parse(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    check_shape(name, &offered, &sdp, text);
    if role != Role::Join {
        assert!(text.len() < 8 * 1024, "{name}: FFmpeg reads 8 KiB, this has {}", text.len());
    }
    check_transport(name, &offered, &sdp);
    check_codecs(name, &offered, &sdp);
    check_candidates(name, &sdp, text);
    match role {
        Role::Watch => check_viewer(name, &sdp),
        Role::Publish => check_publisher(name, &offered, &sdp),
        Role::Join => join::check_participant(name, &offered, &sdp),
    }
}

fn check_shape(name: &str, offered: &Sdp<'_>, sdp: &Sdp<'_>, text: &str) {
    assert!(text.starts_with("v=0\r\n") && text.ends_with("\r\n"), "{name}");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{name}: line ends");
    assert_eq!(sdp.sections.len(), offered.sections.len(), "{name}");
    for (theirs, ours) in pairs(offered, sdp) {
        assert_eq!((ours.kind, ours.protocol), (theirs.kind, theirs.protocol), "{name}");
        assert_eq!(ours.mid(), theirs.mid(), "{name}");
    }
    assert!(sdp.session.has("ice-lite"), "{name}");
    assert!(!sdp.bundle().is_empty(), "{name}");
}

fn check_transport(name: &str, offered: &Sdp<'_>, sdp: &Sdp<'_>) {
    for section in live(sdp) {
        let theirs = offered.sections.iter().find(|s| s.mid() == section.mid()).expect("same mids");
        let wanted = match offered.inherited(theirs, "setup") {
            Some("passive") => "active",
            _ => "passive",
        };
        assert_eq!(sdp.inherited(section, "setup"), Some(wanted), "{name}");
        for attribute in ["ice-ufrag", "ice-pwd", "fingerprint"] {
            assert!(sdp.inherited(section, attribute).is_some(), "{name}: {attribute}");
        }
        if section.kind != "application" {
            assert!(section.lines.has("rtcp-mux"), "{name}");
            assert_eq!(section.lines.has("rtcp-rsize"), theirs.lines.has("rtcp-rsize"), "{name}");
        }
    }
}

/// An answer uses the offer's numbers for the offer's codecs and extensions, and promises no other feedback
/// (RFC 3264 section 6.1, RFC 8285 section 6, RFC 4585 section 4.2).
fn check_codecs(name: &str, offered: &Sdp<'_>, sdp: &Sdp<'_>) {
    for (theirs, ours) in pairs(offered, sdp).filter(|(theirs, _)| theirs.kind != "application") {
        for pt in ours.formats.iter().filter(|_| ours.port != 0) {
            let map = |section: &Section<'_>| {
                let map =
                    of_payload_type(section, "rtpmap", pt).next().unwrap_or_default().to_ascii_lowercase();
                map.split('/').take(2).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(map(ours), map(theirs), "{name}: payload type {pt}");
            for feedback in of_payload_type(ours, "rtcp-fb", pt) {
                let asked = of_payload_type(theirs, "rtcp-fb", pt).any(|known| known == feedback);
                assert!(asked, "{name}: rtcp-fb {pt} {feedback} was not offered");
            }
            let h264 = |section: &Section<'_>| {
                let fmtp = of_payload_type(section, "fmtp", pt).next().unwrap_or_default().to_owned();
                let of = |key: &str| {
                    fmtp.split(';').find(|p| p.trim().starts_with(key)).map(|p| p.trim().to_owned())
                };
                (of("profile-level-id"), of("packetization-mode").unwrap_or("packetization-mode=0".into()))
            };
            if map(ours).first().is_some_and(|codec| codec == "h264") {
                assert_eq!(h264(ours).1, h264(theirs).1, "{name}: payload type {pt}");
            }
        }
        for extmap in ours.lines.attributes("extmap") {
            let (id, uri) = extmap.split_once(' ').expect("id and URI");
            let id = id.split('/').next().expect("an id");
            let same = |line: &str| {
                line.split_once(' ')
                    .is_some_and(|(theirs, u)| theirs.split('/').next() == Some(id) && u == uri)
            };
            assert!(theirs.lines.attributes("extmap").any(same), "{name}: extmap {extmap}");
        }
    }
}

/// FFmpeg reads the first UDP host candidate of the whole description, GStreamer the first of the first section.
fn check_candidates(name: &str, sdp: &Sdp<'_>, text: &str) {
    let first = live(sdp).next().expect("a live section");
    let candidates: Vec<_> = first.lines.attributes("candidate").collect();
    let ends = [
        "192.0.2.7 3478 typ host",
        "198.51.100.9 3478 typ host",
        "2001:db8::7 3478 typ host",
        "192.0.2.7 443 typ host tcptype passive",
        "2001:db8::7 443 typ host tcptype passive",
    ];
    assert_eq!(candidates.len(), ends.len(), "{name}: {candidates:?}");
    for (candidate, end) in candidates.iter().zip(ends) {
        assert!(candidate.ends_with(end), "{name}: {candidate}");
        assert_eq!(candidate.contains(" tcp "), end.ends_with("passive"), "{name}: {candidate}");
    }
    let priorities =
        candidates.iter().map(|it| it.split(' ').nth(3).expect("one").parse::<u32>().expect("a number"));
    assert!(priorities.is_sorted_by(|before, behind| before > behind), "{name}: {candidates:?}");
    assert!(first.lines.has("end-of-candidates"), "{name}");
    assert_eq!(text.matches("a=candidate").count(), ends.len(), "{name}");
}

fn check_viewer(name: &str, sdp: &Sdp<'_>) {
    let mut streams = BTreeSet::new();
    let mut sources = BTreeSet::new();
    for section in live(sdp).filter(|section| section.kind != "application") {
        assert!(section.lines.has("sendonly"), "{name}");
        streams.insert(
            section.lines.attribute("msid").and_then(|msid| msid.split(' ').next()).expect("an msid"),
        );
        let described: Vec<_> =
            section.lines.attributes("ssrc").filter_map(|line| line.split(' ').next()).collect();
        assert!(!described.is_empty(), "{name}: no source in {}", section.kind);
        for group in section.lines.attributes("ssrc-group") {
            let members: Vec<_> = group.split(' ').skip(1).collect();
            // Chromium refuses a group with a member that has no a=ssrc line of its own.
            assert!(members.iter().all(|ssrc| described.contains(ssrc)), "{name}: {group}");
        }
        for ssrc in described {
            assert!(sources.insert(ssrc.to_owned()), "{name}: {ssrc} twice");
        }
    }
    assert_eq!(streams.len(), 1, "{name}: one stream keeps sound and picture in step");
}

fn check_publisher(name: &str, offered: &Sdp<'_>, sdp: &Sdp<'_>) {
    for section in live(sdp).filter(|section| section.kind != "application") {
        assert!(section.lines.has("recvonly"), "{name}");
        assert!(
            !section.lines.has("msid") && !section.lines.has("ssrc"),
            "{name}: a publisher is sent nothing"
        );
        let theirs = offered.sections.iter().find(|s| s.mid() == section.mid()).expect("same mids");
        let rids = |section: &Section<'_>| section.lines.attributes("rid").count();
        assert_eq!(rids(section), rids(theirs), "{name}: OBS stops unless every layer is accepted");
        if let Some(layers) = theirs.lines.attribute("simulcast") {
            let count = |value: &str| value.matches(';').count();
            let answered = section.lines.attribute("simulcast").expect("simulcast is answered");
            assert!(answered.starts_with("recv "), "{name}: {answered}");
            assert_eq!(count(answered), count(layers), "{name}");
        }
    }
}

#[test]
fn publishers_are_known_by_their_first_codec() {
    let of = |name: &str| {
        let offer = fixture("publish", name);
        let tracks = answer_as(&offer, Role::Publish).expect("answered").tracks;
        tracks.into_iter().map(|track| (track.kind, track.format.codec)).collect::<Vec<_>>()
    };
    assert_eq!(of("obs-h264"), [(MediaKind::Audio, Codec::Opus), (MediaKind::Video, Codec::H264)]);
    assert_eq!(of("obs-av1"), [(MediaKind::Audio, Codec::Opus), (MediaKind::Video, Codec::Av1)]);
    assert_eq!(of("firefox-vp9")[0], (MediaKind::Video, Codec::Vp9));
}

fn obs() -> String {
    fixture("publish", "obs-h264")
}

#[test]
fn odd_offers_are_mended() {
    let obs = obs();
    let with_lf = obs.replace("\r\n", "\n");
    let absent_in_bundle = obs.replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    let seven_digits = obs.replace("42e01f", "422001f");
    let odd_profile = obs.replace("42e01f", "640c1f");
    let unknown_profile = obs.replace("42e01f", "99ff1f");
    let sendrecv = obs.replace("a=sendonly", "a=sendrecv");
    let foreign_candidates = format!(
        "{obs}a=candidate:1 1 udp 2113937151 ba179a8c-caba-448d.local 54858 typ host\r\n\
         a=candidate:2 0 RTP/AVP 1 198.51.100.1 1 typ host\r\na=end-of-candidates\r\n"
    );
    for (what, offer) in [
        ("LF", with_lf),
        ("BUNDLE with an absent mid", absent_in_bundle),
        ("seven digits", seven_digits),
        ("constrained high", odd_profile),
        ("unknown profile", unknown_profile),
        ("sendrecv", sendrecv),
        ("candidates", foreign_candidates),
    ] {
        let answered = answer_as(&offer, Role::Publish).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answered.tracks.len(), 2, "{what}");
        let sdp = Sdp::parse(&answered.answer).expect("valid");
        assert!(live(&sdp).all(|section| section.lines.has("recvonly")), "{what}");
    }
}

#[test]
fn hopeless_offers_get_a_sentence() {
    let obs = obs();
    let without = |what: &str| {
        obs.lines().filter(|line| !line.contains(what)).map(|line| format!("{line}\r\n")).collect::<String>()
    };
    for (offer, role, wanted) in [
        (String::from("hello"), Role::Publish, "does not begin with v=0"),
        (String::from("v=0\r\n"), Role::Publish, "no m-line"),
        (without("ice-pwd"), Role::Publish, "no a=ice-pwd"),
        (without("fingerprint"), Role::Publish, "no a=fingerprint"),
        (without("BUNDLE"), Role::Publish, "does not bundle"),
        (obs.replace("a=group:LS 0 1", "a=ice-lite"), Role::Publish, "ice-lite"),
        (obs.clone(), Role::Watch, "wants to receive"),
        (obs.replace("a=sendonly", "a=recvonly"), Role::Publish, "the client sends"),
        (obs.replace("H264/90000", "H263/90000"), Role::Publish, "video codecs (H263)"),
        (format!("v=0\r\n{}", "a=x\r\n".repeat(10_000)), Role::Publish, "too large"),
    ] {
        let refused = answer_as(&offer, role).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(wanted), "wanted {wanted:?}, got {refused:?}");
    }
}

#[test]
fn offers_that_str0m_cannot_take_are_refused_in_words() {
    let twice_vp8 = fixture("play", "firefox").replace("a=rtpmap:121 VP9/90000", "a=rtpmap:121 VP8/90000");
    let unknown_protocol = obs().replace("m=video 9 UDP/TLS/RTP/", "m=video 9 UDP/TLS/R");
    let unknown_kind = obs().replace("m=video", "m=text");
    for (offer, role, words) in [
        (twice_vp8, Role::Watch, "contradict each other"),
        (unknown_protocol, Role::Publish, "not spoken here"),
        (unknown_kind, Role::Publish, "\"text\""),
    ] {
        match answer_as(&offer, role) {
            Err(OfferError::Refused(reason)) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{:?}", other.map(|answered| answered.answer)),
        }
    }
}

/// A viewer's offer of two sections with the given names.
fn player(mids: [&str; 2]) -> String {
    let offer = fixture("play", "firefox");
    let sdp = Sdp::parse(&offer).expect("fixture");
    let [first, second] = sdp.sections.as_slice() else { panic!("two sections") };
    let of = |section: &Section<'_>| section.mid().expect("a mid").to_owned();
    let (old_first, old_second) = (of(first), of(second));
    offer
        .replace(&format!("BUNDLE {old_first} {old_second}"), &format!("BUNDLE {} {}", mids[0], mids[1]))
        .replace(&format!("a=mid:{old_first}\r"), &format!("a=mid:{}\r", mids[0]))
        .replace(&format!("a=mid:{old_second}\r"), &format!("a=mid:{}\r", mids[1]))
}

#[test]
fn a_viewer_is_served_in_the_sections_that_can_be_served() {
    let good = fixture("play", "firefox");
    let foreign_audio = good.replace("opus/48000", "PCMX/8000");
    let foreign_protocol = good.replace("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP");
    let unknown_kind = good.replace("m=audio", "m=text");
    for (what, offer) in [("codecs", foreign_audio), ("protocol", foreign_protocol), ("kind", unknown_kind)] {
        assert_ne!(offer, good, "{what}");
        let answered = answer_as(&offer, Role::Watch).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            answered.slots.iter().map(|slot| slot.kind).collect::<Vec<_>>(),
            [MediaKind::Video],
            "{what}"
        );
        let (offered, sdp) =
            (Sdp::parse(&offer).expect("valid"), Sdp::parse(&answered.answer).expect("valid"));
        assert_eq!(sdp.sections.len(), offered.sections.len(), "{what}");
        for (theirs, ours) in pairs(&offered, &sdp) {
            assert_eq!((ours.kind, ours.protocol, ours.mid()), (theirs.kind, theirs.protocol, theirs.mid()));
            let bundled = sdp.bundle().contains(&ours.mid().expect("a mid"));
            let served = theirs.kind == "video";
            assert_eq!(
                (bundled, ours.port != 0, ours.lines.has("inactive")),
                (served, served, !served),
                "{what}"
            );
            assert!(
                !ours.formats.is_empty() && ours.formats.iter().all(|pt| theirs.formats.contains(pt)),
                "{what}"
            );
        }
        check_candidates(what, &sdp, &answered.answer);
        check_viewer(what, &sdp);
    }
    let nothing = good.replace("opus/48000", "PCMX/8000").replace("VP8/", "X/").replace("VP9/", "X/");
    let nothing = nothing.replace("H264/", "X/").replace("AV1/", "X/");
    let refused = answer_as(&nothing, Role::Watch).err();
    assert!(matches!(refused, Some(OfferError::NoCodec { .. })), "{refused:?}");
}

#[test]
fn a_publisher_is_not_taken_in_without_its_sound() {
    let refused = answer_as(&obs().replace("opus/48000", "PCMX/8000"), Role::Publish).err();
    let no_audio = OfferError::NoCodec { kind: MediaKind::Audio, offered: "PCMX".to_owned() };
    assert_eq!(refused, Some(no_audio));
}

#[test]
fn mids_come_back_as_they_were_offered() {
    let long = "4b0c3c66-93a4-4d0f-a8ee-2c5d3c1d7b58";
    for mids in [["0", "1"], ["audio0", "video1"], ["audio-0", "video.1"], ["a", long]] {
        let answered =
            answer_as(&player(mids), Role::Watch).unwrap_or_else(|error| panic!("{mids:?}: {error}"));
        let sdp = Sdp::parse(&answered.answer).expect("valid");
        assert_eq!(sdp.bundle(), mids);
        assert_eq!(sdp.sections.iter().filter_map(Section::mid).collect::<Vec<_>>(), mids);
        // A longer one would not fit the form of header extensions that every receiver knows.
        for section in &sdp.sections {
            let is_named = section.lines.attributes("extmap").any(|line| line.ends_with("hdrext:sdes:mid"));
            assert_eq!(is_named, section.mid() != Some(long), "{mids:?}");
        }
    }
    let refused = answer_as(&player(["x", "x"]), Role::Watch).err();
    assert_eq!(refused, Some(OfferError::SameMid("x".to_owned())));
}

#[test]
fn a_section_without_a_mid_gets_one_that_is_free() {
    // The first section, which the client gave up, has the number that the other would get by its place.
    let rejected = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\na=inactive\r\n";
    let offer = obs().replace("a=group:BUNDLE 0 1\r\n", "").replace("a=group:LS 0 1\r\n", "");
    let (before, audio) = offer.split_once("m=audio").expect("audio");
    let (_, video) = audio.split_once("m=video").expect("video");
    let offer = format!("{before}{rejected}m=video{}", video.replace("a=mid:1\r\n", ""));
    for (rejected, mid) in [("a=mid:1\r\n", "0"), ("a=mid:0\r\n", "1")] {
        let offer = offer.replace("a=mid:1\r\n", rejected);
        let answered = answer_as(&offer, Role::Publish).expect("answered");
        let sdp = Sdp::parse(&answered.answer).expect("valid");
        assert_eq!((sdp.bundle(), sdp.sections[1].mid()), (vec![mid], Some(mid)));
        assert_eq!((answered.tracks.len(), sdp.sections[0].port), (1, 0));
    }
}

/// The largest captured offer of a player, with its video section again and again.
fn many_videos(limit: usize) -> String {
    let offer = fixture("play", "eyevinn-whep");
    let offers = fixtures("play");
    assert!(offers.iter().all(|(_, other)| other.len() <= offer.len()), "this is the largest");
    let at = offer.find("m=video").expect("video");
    let end = offer[at + 1..].find("\r\nm=").map_or(offer.len(), |end| at + 1 + end + 2);
    let video = &offer[at..end];
    let mid = Sdp::parse(&offer)
        .expect("fixture")
        .sections
        .iter()
        .find(|s| s.kind == "video")
        .and_then(Section::mid)
        .expect("a mid")
        .to_owned();
    let group = offer.lines().find(|line| line.starts_with("a=group:BUNDLE")).expect("a group");
    let (mut text, mut bundle) = (offer.clone(), group.to_owned());
    for number in 100.. {
        let more = video.replace(&format!("a=mid:{mid}\r\n"), &format!("a=mid:{number}\r\n"));
        if Sdp::parse(&text).expect("valid").sections.len() >= limit
            || text.len() + bundle.len() + more.len() > MAX_BYTES
        {
            break;
        }
        text.push_str(&more);
        bundle = format!("{bundle} {number}");
    }
    text.replace(group, &bundle)
}

#[test]
fn as_many_sections_as_fit_are_answered() {
    let offer = many_videos(MAX_SECTIONS);
    let count = Sdp::parse(&offer).expect("valid").sections.len();
    assert!(count >= 9, "{count}");
    let answered = answer_as(&offer, Role::Watch).expect("answered");
    assert_eq!(answered.slots.len(), count);
    check_viewer("many", &Sdp::parse(&answered.answer).expect("valid"));
}

#[test]
fn tracks_of_one_kind_have_names_of_their_own() {
    for (sections, wanted) in [(2, "sluice-video"), (3, "sluice-video-100")] {
        let answered = answer_as(&many_videos(sections), Role::Watch).expect("answered");
        let sdp = Sdp::parse(&answered.answer).expect("valid");
        let tracks: Vec<_> = sdp.sections.iter().filter_map(|s| s.lines.attribute("msid")).collect();
        assert!(tracks.contains(&format!("sluice {wanted}").as_str()), "{tracks:?}");
        assert!(tracks.contains(&"sluice sluice-audio"), "there is one: {tracks:?}");
        assert_eq!(tracks.iter().collect::<BTreeSet<_>>().len(), sections, "{tracks:?}");
    }
}

#[test]
fn the_credentials_of_all_sections_are_known() {
    let pair = |ufrag: &str, password: &str| (ufrag.to_owned(), password.to_owned());
    let offer = fixture("play", "gst128-whepclientsrc");
    let known = answer_as(&offer, Role::Watch).expect("answered").remote_credentials;
    let [(ufrag, password)] = known.as_slice() else { panic!("{known:?}") };
    let at = offer.rfind("m=").expect("sections");
    let (first, last) = offer.split_at(at);
    let other = last.replace(ufrag, "other").replace(password, "another-password-of-24-");
    let answered = answer_as(&format!("{first}{other}"), Role::Watch).expect("answered");
    let both = [pair(ufrag, password), pair("other", "another-password-of-24-")];
    assert_eq!(answered.remote_credentials, both);
    let refused = answer_as(&offer.replace(ufrag, &"u".repeat(257)), Role::Watch).err();
    assert!(matches!(refused, Some(OfferError::Missing(_))), "{refused:?}");
}

/// Anybody may post these: they must cost no more than their size. What has no limit of its own is refused.
#[test]
fn offers_made_to_keep_the_server_busy_are_refused() {
    let m_line = |formats: &str| {
        fixture("play", "firefox").replace("UDP/TLS/RTP/SAVPF 120", &format!("UDP/TLS/RTP/SAVPF {formats}"))
    };
    let count = |from: usize, to: usize| (from..to).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    for formats in ["120 ".repeat(15_000), count(0, 129), count(1_000, 12_000)] {
        let offer = m_line(&formats);
        assert!(offer.len() <= MAX_BYTES);
        let refused = answer_as(&offer, Role::Watch).err();
        assert!(matches!(refused, Some(OfferError::Malformed(SdpError::Formats(_)))), "{refused:?}");
    }
    let layers = (0..9_000).map(|n| n.to_string()).collect::<Vec<_>>().join(";");
    let simulcast = |offer: &str, way: &str| {
        offer.replacen("a=rtcp-mux\r\n", &format!("a=rtcp-mux\r\na=simulcast:{way} {layers}\r\n"), 1)
    };
    let refused = answer_as(&simulcast(&obs(), "send"), Role::Publish).err();
    assert!(matches!(refused, Some(OfferError::Refused(_))), "{refused:?}");
    // str0m would keep a stream for each layer that a viewer asks for.
    let viewer = simulcast(&fixture("play", "firefox"), "recv");
    let answered = answer_as(&viewer, Role::Watch).expect("answered").answer;
    assert!(!answered.contains("simulcast") && answered.matches(" cname:").count() <= 4, "{answered}");
}

/// A payload type is one thing in the whole bundle (RFC 8843 section 10.1.2).
#[test]
fn a_section_whose_payload_types_mean_something_else_is_not_answered_as_if_it_were_live() {
    let video = |mid: &str, codec: &str| {
        format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na=rtcp-mux\r\na=rtpmap:96 {codec}/90000\r\n"
        )
    };
    let offer = format!(
        "v=0\r\na=group:BUNDLE a b\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
         a=fingerprint:sha-256 00:11\r\na=setup:actpass\r\n{}{}",
        video("a", "VP8"),
        video("b", "VP9")
    );
    let answered = answer_as(&offer, Role::Watch).expect("answered");
    let sdp = Sdp::parse(&answered.answer).expect("valid");
    assert_eq!((sdp.bundle(), answered.slots.len(), sdp.sections[1].port), (vec!["a"], 1, 0));
    let refused = answer_as(&offer, Role::Publish).err();
    assert!(matches!(refused, Some(OfferError::Refused(_))), "{refused:?}");
}
