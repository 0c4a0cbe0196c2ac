//! Which header extensions are answered (RFC 8285 section 6).

use std::collections::BTreeMap;

use sluice::sfu::egress::header::{ExtensionId, ExtensionIds};
use sluice::sfu::session::offer::Role;
use sluice::wire::sdp::{Sdp, Section};

use super::join::Participant;
use super::{answer_as, fixture, fixtures, live, pairs};

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const TRANSPORT: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const ORIENTATION: &str = "urn:3gpp:video-orientation";
const DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
const DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const LAYERS: &str = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00";
const OFFSET: &str = "urn:ietf:params:rtp-hdrext:toffset";
const TIMING: &str = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing";
const COLOR: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";

/// The extensions of a section by URI: number and direction.
fn extensions<'a>(section: &Section<'a>) -> BTreeMap<&'a str, (&'a str, &'a str)> {
    let lines = section.lines.attributes("extmap").map(|line| {
        let (number, uri) = line.split_once(' ').expect("number and URI");
        (uri, number.split_once('/').unwrap_or((number, "")))
    });
    lines.collect()
}

fn uris<'a>(section: &Section<'a>) -> Vec<&'a str> {
    extensions(section).into_keys().collect()
}

fn section<'s, 'a>(sdp: &'s Sdp<'a>, mid: &str) -> &'s Section<'a> {
    sdp.sections.iter().find(|section| section.mid() == Some(mid)).expect("the section")
}

fn of_kind<'s, 'a>(sdp: &'s Sdp<'a>, kind: &str) -> &'s Section<'a> {
    sdp.sections.iter().find(|section| section.kind == kind).expect("a section")
}

const FOLDERS: [(&str, Role); 3] = [("publish", Role::Publish), ("play", Role::Watch), ("join", Role::Join)];

/// What is answered has the number that was offered, and the other direction.
#[test]
fn answers_turn_the_directions_of_extensions_around() {
    let mut turned = 0;
    for (folder, role) in FOLDERS {
        for (name, offer) in fixtures(folder) {
            let answered = answer_as(&offer, role).expect("answered").answer;
            let (offer, answer) =
                (Sdp::parse(&offer).expect("fixture"), Sdp::parse(&answered).expect("valid"));
            for (theirs, ours) in pairs(&offer, &answer).filter(|(_, ours)| ours.port != 0) {
                let theirs = extensions(theirs);
                for (uri, (number, direction)) in extensions(ours) {
                    let wanted = match theirs.get(uri).copied().expect("offered") {
                        (number, "sendonly") => (number, "recvonly"),
                        (number, "recvonly") => (number, "sendonly"),
                        (number, _) => (number, ""),
                    };
                    assert_eq!((number, direction), wanted, "{name}: {uri}");
                    turned += usize::from(!direction.is_empty());
                }
            }
        }
    }
    assert!(turned > 0, "Firefox names directions");
}

/// What belongs to one hop is neither taken nor given, and a publisher is asked only for what is of use.
#[test]
fn what_belongs_to_one_hop_is_not_answered() {
    for (folder, role) in FOLDERS {
        for (name, offer) in fixtures(folder) {
            let answered = answer_as(&offer, role).expect("answered").answer;
            for section in live(&Sdp::parse(&answered).expect("valid")) {
                let uris = uris(section);
                for hop in [OFFSET, TIMING] {
                    assert!(!uris.contains(&hop), "{name}: {hop}");
                }
                let sends = section.lines.has("sendonly");
                assert!(sends || !uris.contains(&SEND_TIME), "{name}");
                assert!(!sends || !uris.contains(&RID), "{name}");
            }
        }
    }
}

#[test]
fn browsers_get_what_they_can_use() {
    let answered = answer_as(&fixture("play", "chromium"), Role::Watch).expect("answered").answer;
    let sdp = Sdp::parse(&answered).expect("valid");
    let video = uris(of_kind(&sdp, "video"));
    for wanted in [MID, SEND_TIME, TRANSPORT, ORIENTATION, DELAY, COLOR] {
        assert!(video.contains(&wanted), "{wanted}: {video:?}");
    }
    let mut audio = uris(of_kind(&sdp, "audio"));
    audio.sort_unstable();
    let mut wanted = [LEVEL, SEND_TIME, TRANSPORT, MID];
    wanted.sort_unstable();
    assert_eq!(audio, wanted);
}

/// Browsers describe the frames of all codecs once they may; only AV1 needs it.
#[test]
fn dependency_descriptors_are_taken_with_av1() {
    for (name, is_taken) in [
        ("chromium-av1-svc", true),
        ("chromium-simulcast-av1", true),
        ("chromium-simulcast-vp8", false),
        ("chromium-vp9-svc", false),
    ] {
        let offer = fixture("publish", name);
        assert!(offer.contains(DESCRIPTOR), "{name}");
        let answered = answer_as(&offer, Role::Publish).expect("answered").answer;
        let sdp = Sdp::parse(&answered).expect("valid");
        let uris = uris(of_kind(&sdp, "video"));
        assert_eq!(uris.contains(&DESCRIPTOR), is_taken, "{name}");
        assert!(uris.contains(&LAYERS), "{name}");
    }
}

/// Packets are written by what the answer said.
#[test]
fn headers_are_written_as_answered() {
    for (folder, role) in [("play", Role::Watch), ("join", Role::Join)] {
        for (name, offer) in fixtures(folder) {
            let answered = answer_as(&offer, role).expect("answered");
            let sdp = Sdp::parse(&answered.answer).expect("valid");
            for (slot, written) in answered.slots.iter().zip(&answered.session.slots) {
                let answer = section(&sdp, &slot.mid);
                let mut ids = numbers(written.headers().ids());
                ids.sort_unstable();
                let mut lines: Vec<_> = extensions(answer)
                    .values()
                    .map(|(number, _)| number.parse::<u8>().expect("a number"))
                    .collect();
                lines.sort_unstable();
                assert_eq!(ids, lines, "{name}: {}", slot.mid);
                let mixed = sdp.inherited(answer, "extmap-allow-mixed").is_some();
                assert_eq!(written.headers().ids().mixed, mixed, "{name}");
            }
        }
    }
}

fn numbers(ids: &ExtensionIds) -> Vec<u8> {
    let ExtensionIds {
        mid,
        send_time,
        transport_number,
        audio_level,
        orientation,
        playout_delay,
        dependency_descriptor,
        layers_allocation,
        others,
        mixed: _,
    } = ids;
    let known = [mid, send_time, transport_number, audio_level, orientation, playout_delay];
    let known = known.into_iter().chain([dependency_descriptor, layers_allocation]).flatten();
    known.chain(others.iter().map(|(id, _)| id)).map(|id: &ExtensionId| id.get()).collect()
}

#[test]
fn mixed_forms_are_answered_where_they_were_offered() {
    let mixed = |offer: &str| {
        let answered = answer_as(offer, Role::Watch).expect("answered");
        let is_allowed = answered.session.slots.first().expect("a slot").headers().ids().mixed;
        let sdp = Sdp::parse(&answered.answer).expect("valid");
        let here = live(&sdp).all(|section| section.lines.has("extmap-allow-mixed"));
        (sdp.session.has("extmap-allow-mixed"), here, is_allowed)
    };
    let (chromium, firefox) = (fixture("play", "chromium"), fixture("play", "firefox"));
    assert_eq!(mixed(&chromium), (true, false, true));
    assert_eq!(mixed(&firefox), (false, true, true));
    assert_eq!(mixed(&chromium.replace("a=extmap-allow-mixed\r\n", "")), (false, false, false));
}

/// An extension that means nothing here is taken with the number that the client gave it.
#[test]
fn unknown_extensions_are_negotiated_at_either_end() {
    let own = "urn:example:tally";
    let with = |offer: &str, number: &str| {
        offer.replace("a=rtcp-mux\r\n", &format!("a=extmap:{number} {own}\r\na=rtcp-mux\r\n"))
    };
    let taken = |offer: &str, role| {
        let answered = answer_as(offer, role).expect("answered").answer;
        let sdp = Sdp::parse(&answered).expect("valid");
        live(&sdp).all(|section| uris(section).contains(&own))
    };
    let publisher = fixture("publish", "firefox-vp8");
    let viewer = fixture("play", "firefox");
    assert!(taken(&with(&publisher, "16"), Role::Publish) && taken(&with(&viewer, "200"), Role::Watch));
    assert!(!taken(&with(&publisher, "17"), Role::Publish), "str0m does not read it");
    for bad in ["0", "256", "x", "3"] {
        assert!(!taken(&with(&viewer, bad), Role::Watch), "{bad}");
    }
    assert!(!taken(&with(&publisher, "16/recvonly"), Role::Publish), "it will not send it");
    assert!(taken(&with(&viewer, "16/recvonly"), Role::Watch));
    let long = with(&viewer, "16").replace(own, &format!("{own}{}", "y".repeat(256)));
    assert!(!answer_as(&long, Role::Watch).expect("answered").answer.contains("yyy"));
}

/// However many are offered, few are taken.
#[test]
fn a_publisher_cannot_have_any_number_of_extensions_read() {
    let many: String = (8..=16).map(|number| format!("a=extmap:{number} urn:example:{number}\r\n")).collect();
    let offer = fixture("publish", "firefox-vp8").replace("a=rtcp-mux\r\n", &format!("{many}a=rtcp-mux\r\n"));
    let answered = answer_as(&offer, Role::Publish).expect("answered").answer;
    let sdp = Sdp::parse(&answered).expect("valid");
    let taken = |section| uris(section).into_iter().filter(|uri| uri.starts_with("urn:example")).count();
    assert_eq!(live(&sdp).map(taken).collect::<Vec<_>>(), [6, 6]);
}

/// A number means one thing as long as the session lasts (RFC 8843 section 10.1.2).
#[test]
fn later_offers_keep_the_numbers_of_extensions() {
    for name in ["chromium", "firefox"] {
        let mut participant = Participant::join(&fixture("join", name));
        let reoffer = fixture("join", &format!("{name}-reoffer"));
        let (number, _) = extensions(of_kind(&Sdp::parse(&reoffer).expect("fixture"), "video"))[MID];
        let answered = participant.offer(&reoffer).expect("answered").answer;
        let sdp = Sdp::parse(&answered).expect("valid");
        assert!(live(&sdp).filter(|s| s.kind != "application").all(|s| uris(s).contains(&MID)), "{name}");
        let swapped = reoffer.replace(&format!("a=extmap:{number} {MID}"), &format!("a=extmap:99 {MID}"));
        let answered = participant.offer(&swapped).expect("answered").answer;
        assert!(!answered.contains(MID), "{name}");
        let another = reoffer.replace(MID, "urn:example:else");
        let answered = participant.offer(&another).expect("answered").answer;
        assert!(!answered.contains("urn:example:else"), "{name}");
        let new = reoffer.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:15 urn:example:else\r\n");
        let answered = participant.offer(&new).expect("answered").answer;
        for section in live(&Sdp::parse(&answered).expect("valid")).filter(|s| s.kind != "application") {
            let is_down = section.lines.has("sendonly");
            assert_eq!(
                uris(section).contains(&"urn:example:else"),
                is_down,
                "{name}: str0m learns nothing new"
            );
        }
    }
}
