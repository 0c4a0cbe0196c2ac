//! Offers of participants of rooms: the first, and later ones in the same session.

use std::time::Instant;

use sluice::ids::{RequestId, SessionId, TrackId, WorkerId};
use sluice::net::addresses::AddressMap;
use sluice::net::datagram::SendBatch;
use sluice::net::demux::IceCredentials;
use sluice::sfu::session::negotiate::Answered;
use sluice::sfu::session::offer::{OfferError, Role};
use sluice::sfu::session::renegotiate::Renegotiated;
use sluice::sfu::{Core, CoreEvent};
use sluice::units::MediaKind;
use sluice::wire::sdp::{MAX_BYTES, Sdp, Section};

use super::{answer_as, check_answer, check_codecs, check_shape, fixture, live, obs, pairs};

const BROWSERS: [&str; 2] = ["chromium", "firefox"];

fn join(offer: &str) -> Answered {
    answer_as(offer, Role::Join).unwrap_or_else(|error| panic!("{error}"))
}

/// A session that made a first offer, in a core of its own.
pub(super) struct Participant(Core);

impl Participant {
    pub(super) fn join(offer: &str) -> Self {
        let mut core = Core::new(AddressMap::new(Vec::new(), &[]));
        core.join(Instant::now(), join(offer).session);
        Self(core)
    }

    pub(super) fn offer(&mut self, offer: &str) -> Result<Renegotiated, OfferError> {
        let (session, mut batch) = (SessionId(1), SendBatch::new());
        self.0.offer(Instant::now(), session, RequestId(1), offer, &ice(), &mut batch);
        match self.0.take_events().next() {
            Some(CoreEvent::Answered { outcome, .. }) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

/// Every section that receives is a stream of its own, and the server says nothing of those that it receives.
pub(super) fn check_participant(name: &str, offered: &Sdp<'_>, sdp: &Sdp<'_>) {
    let mut sources = std::collections::BTreeSet::new();
    for (theirs, ours) in
        pairs(offered, sdp).filter(|(theirs, ours)| theirs.kind != "application" && ours.port != 0)
    {
        let mid = ours.mid().expect("a mid");
        if theirs.lines.has("recvonly") {
            assert!(ours.lines.has("sendonly"), "{name}: {mid}");
            let stream = format!("slot-{mid} slot-{mid}");
            assert_eq!(ours.lines.attribute("msid"), Some(stream.as_str()), "{name}");
            let mut described = ours.lines.attributes("ssrc").peekable();
            assert!(described.peek().is_some(), "{name}: {mid}");
            for source in described {
                assert!(
                    source.ends_with(" cname:sluice") && sources.insert(source.to_owned()),
                    "{name}: {source}"
                );
            }
        } else {
            let direction = if theirs.lines.has("inactive") { "inactive" } else { "recvonly" };
            assert!(ours.lines.has(direction), "{name}: {mid}");
            assert!(!ours.lines.has("msid") && !ours.lines.has("ssrc"), "{name}: {mid}");
        }
        assert!(ours.formats.iter().all(|format| theirs.formats.contains(format)), "{name}: {mid}");
    }
    let channel = live(sdp).filter(|section| section.kind == "application").count();
    let offered = live(offered).filter(|section| section.kind == "application").count();
    assert_eq!(channel, offered, "{name}");
}

#[test]
fn every_captured_participant_is_answered_as_it_needs() {
    for name in BROWSERS {
        let offer = fixture("join", name);
        check_answer(name, &offer, Role::Join);
        let answered = join(&offer);
        let tracks: Vec<_> =
            answered.tracks.iter().map(|track| (track.id, track.kind, track.mid.as_str())).collect();
        let (audio, video) = (MediaKind::Audio, MediaKind::Video);
        let wanted = [(64, audio, "0"), (65, video, "1"), (66, video, "2"), (67, audio, "3")];
        assert_eq!(tracks, wanted.map(|(id, kind, mid)| (TrackId(id), kind, mid)), "{name}");
        let slots: Vec<_> =
            answered.slots.iter().map(|slot| (slot.index, slot.kind, slot.mid.clone())).collect();
        let wanted =
            (0..12).map(|index| (index, if index < 9 { video } else { audio }, (index + 4).to_string()));
        assert_eq!(slots, wanted.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_later_offer_adds_slots_and_stops_a_section() {
    for name in BROWSERS {
        let mut participant = Participant::join(&fixture("join", name));
        let text = fixture("join", &format!("{name}-reoffer"));
        // Once more: what was answered does not change what is answered.
        for version in [2, 3] {
            let answered = participant.offer(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (offer, answer) =
                (Sdp::parse(&text).expect("fixture"), Sdp::parse(&answered.answer).expect("valid"));
            check_shape(name, &offer, &answer, &answered.answer);
            check_codecs(name, &offer, &answer);
            check_participant(name, &offer, &answer);
            let origin = answer.session.0.iter().find(|line| line.starts_with("o=")).expect("an origin");
            assert_eq!(origin.split(' ').nth(2), Some(version.to_string().as_str()), "{origin}");
            let stopped = answer.sections.get(2).expect("there");
            assert_eq!((stopped.port, answer.bundle().contains(&"2")), (0, false), "{name}");
            let tracks: Vec<_> = answered.tracks.iter().map(|track| track.id.0).collect();
            assert_eq!(tracks, [64, 65, 67], "{name}");
            let slots: Vec<_> = answered.slots.iter().map(|slot| slot.index).collect();
            assert_eq!(slots, (0..15).collect::<Vec<_>>(), "{name}");
            assert_eq!(answered.slots.last().map(|slot| slot.mid.as_str()), Some("19"), "{name}");
        }
        assert_eq!(participant.0.counters().tracks, 3);
    }
}

/// The text from its m-line to the next.
fn section<'a>(offer: &'a str, mid: &str) -> &'a str {
    let at = offer.find(&format!("a=mid:{mid}\r\n")).expect("a section of that name");
    let start = offer[..at].rfind("m=").expect("its m-line");
    let end = offer[at..].find("\r\nm=").map_or(offer.len(), |end| at + end + 2);
    &offer[start..end]
}

fn renamed(section: &str, from: &str, to: &str) -> String {
    section.replace(&format!("a=mid:{from}\r\n"), &format!("a=mid:{to}\r\n"))
}

/// The offer with another section in the place of one, or behind the last.
fn with_section(offer: &str, instead: Option<&str>, mid: &str, text: &str) -> String {
    let group = offer.lines().find(|line| line.starts_with("a=group:BUNDLE")).expect("a group");
    let offer = match instead {
        Some(old) => offer.replace(section(offer, old), text),
        None => format!("{offer}{text}"),
    };
    let bundle = match instead.filter(|old| group.split(' ').any(|word| word == *old)) {
        Some(old) => {
            group.split(' ').map(|word| if word == old { mid } else { word }).collect::<Vec<_>>().join(" ")
        }
        None => format!("{group} {mid}"),
    };
    offer.replace(group, &bundle)
}

#[test]
fn the_place_of_a_stopped_section_is_taken_again() {
    for name in BROWSERS {
        let mut participant = Participant::join(&fixture("join", name));
        let stopped = fixture("join", &format!("{name}-reoffer"));
        let slot = section(&stopped, "18").to_owned();
        participant.offer(&stopped).expect("answered");
        for (round, mid) in ["20", "21", "22"].into_iter().enumerate() {
            let offer = with_section(&stopped, Some("2"), mid, &renamed(&slot, "18", mid));
            let answered = participant.offer(&offer).unwrap_or_else(|error| panic!("{name}: {error}"));
            let sdp = Sdp::parse(&answered.answer).expect("valid");
            assert!(sdp.sections[2].lines.has("sendonly") && sdp.sections[2].mid() == Some(mid), "{name}");
            assert_eq!(
                sdp.sections[2].lines.attribute("msid"),
                Some(format!("slot-{mid} slot-{mid}").as_str())
            );
            let indices: Vec<_> = answered.slots.iter().map(|slot| slot.index).collect();
            assert_eq!(
                indices[0],
                15 + round,
                "{name}: it is the first of the list, with an index of its own"
            );
            let given_up = offer.replacen(section(&offer, mid), &format!(
                "m=video 0 UDP/TLS/RTP/SAVPF 120\r\na=inactive\r\na=mid:{mid}\r\na=rtpmap:120 VP8/90000\r\n"
            ), 1).replace(&format!(" {mid}"), "");
            assert_eq!(participant.offer(&given_up).expect("answered").slots.len(), 15, "{name}");
        }
    }
}

/// Numbers mean the same in the whole session (RFC 8843 section 10.1.2), and str0m learns no codecs after the first offer.
#[test]
fn a_later_section_is_answered_with_what_the_session_knows() {
    let offer = fixture("join", "firefox");
    let video = renamed(section(&offer, "12"), "12", "17");
    let with = |text: &str| with_section(&offer, None, "17", text);
    let mut participant = Participant::join(&offer);
    let number_of = |codec: &str| {
        let line = video.lines().find(|line| line.ends_with(&format!(" {codec}/90000"))).expect("offered");
        line["a=rtpmap:".len()..].split(' ').next().expect("a number").to_owned()
    };
    let (vp8, vp9) = (number_of("VP8"), number_of("VP9"));
    let lied = video.replace(&format!("a=rtpmap:{vp8} VP8"), &format!("a=rtpmap:{vp8} AV1"));
    let answered = participant.offer(&with(&lied)).expect("answered");
    let sdp = Sdp::parse(&answered.answer).expect("valid");
    let formats = &sdp.sections.last().expect("there").formats;
    assert!(formats.contains(&vp9.as_str()) && !formats.contains(&vp8.as_str()), "{formats:?}");
    assert_eq!(answered.slots.len(), 13);

    let mut participant = Participant::join(&offer);
    let mut foreign = video.clone();
    for codec in ["VP8", "VP9", "AV1", "H264"] {
        foreign = foreign.replace(&format!(" {codec}/90000"), " X/90000");
    }
    let answered = participant.offer(&with(&foreign)).expect("answered");
    let sdp = Sdp::parse(&answered.answer).expect("valid");
    assert_eq!((sdp.sections.last().map(|section| section.port), answered.slots.len()), (Some(0), 12));
    let extension = video
        .replace("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid", "a=extmap:3 urn:3gpp:video-orientation");
    assert_ne!(extension, video);
    let answered = participant.offer(&with(&extension)).expect("answered");
    let sdp = Sdp::parse(&answered.answer).expect("valid");
    assert_eq!(answered.slots.len(), 13);
    assert!(
        !sdp.sections.last().expect("there").lines.attributes("extmap").any(|line| line.starts_with("3 "))
    );
    let mids = sdp
        .sections
        .iter()
        .filter(|section| section.lines.attributes("extmap").any(|line| line.ends_with(":mid")));
    assert_eq!(mids.count(), 16, "the others keep it");
}

/// Keeps the sections for which `keep` says yes, and the data channel.
fn only(offer: &str, keep: impl Fn(&Section<'_>) -> bool) -> String {
    let sdp = Sdp::parse(offer).expect("fixture");
    let session = offer.split("m=").next().expect("a head");
    let kept: Vec<_> = sdp.sections.iter().filter(|section| keep(section)).filter_map(Section::mid).collect();
    let group = session.lines().find(|line| line.starts_with("a=group:BUNDLE")).expect("a group");
    let head = session.replace(group, &format!("a=group:BUNDLE {}", kept.join(" ")));
    kept.iter().fold(head, |text, mid| text + section(offer, mid))
}

#[test]
fn a_participant_may_do_anything_or_nothing() {
    for name in BROWSERS {
        let offer = fixture("join", name);
        let is_channel = |section: &Section<'_>| section.kind == "application";
        let listens = |section: &Section<'_>| is_channel(section) || section.lines.has("recvonly");
        let only_sends = |section: &Section<'_>| section.lines.has("sendonly");
        let count = |offer: &str| {
            let answered = join(offer);
            (answered.tracks.len(), answered.slots.len())
        };
        assert_eq!(count(&only(&offer, is_channel)), (0, 0), "{name}");
        assert_eq!(count(&only(&offer, listens)), (0, 12), "{name}");
        assert_eq!(count(&only(&offer, only_sends)), (4, 0), "{name}");
        assert_eq!(count(&offer.replace("a=sendonly", "a=sendrecv")), (4, 12), "{name}");
        let resting = offer.replace("a=sendonly", "a=inactive");
        assert_eq!(count(&resting), (0, 12), "{name}");
        let answered = Participant::join(&resting).offer(&offer).expect("answered");
        assert_eq!(
            answered.tracks.iter().map(|track| track.id.0).collect::<Vec<_>>(),
            [64, 65, 66, 67],
            "{name}"
        );

        let without_channel = only(&offer, |section| section.kind != "application");
        let (channel, mut participant) = (section(&offer, "16"), Participant::join(&without_channel));
        let answered =
            participant.offer(&with_section(&without_channel, None, "16", channel)).expect("answered");
        assert!(
            Sdp::parse(&answered.answer).expect("valid").bundle().contains(&"16"),
            "{name}: talks from now on"
        );

        let odd_sound = offer.replace("opus/48000", "PCMX/8000");
        check_answer(name, &odd_sound.replace("\r\na=rtcp-mux-only", ""), Role::Join);
        assert_eq!(count(&odd_sound), (2, 9), "{name}: sections without a known codec are rejected alone");
    }
    let nothing = obs().replace("opus/48000", "PCMX/8000").replace("H264/", "H263/");
    assert!(matches!(answer_as(&nothing, Role::Join).err(), Some(OfferError::NoCodec { .. })));
}

#[test]
fn a_full_pool_of_slots_fits() {
    let mut offer = fixture("join", "chromium");
    let (video, audio) = (section(&offer, "12").to_owned(), section(&offer, "15").to_owned());
    for number in 17..33 {
        offer = with_section(&offer, None, &number.to_string(), &renamed(&video, "12", &number.to_string()));
    }
    offer = with_section(&offer, None, "33", &renamed(&audio, "15", "33"));
    assert!(offer.len() > 128 * 1024 && offer.len() < MAX_BYTES, "{} bytes", offer.len());
    let answered = join(&offer);
    let of = |kind| answered.slots.iter().filter(|slot| slot.kind == kind).count();
    assert_eq!((answered.tracks.len(), of(MediaKind::Video), of(MediaKind::Audio)), (4, 25, 4));
    check_answer("full", &offer, Role::Join);
    let again = Participant::join(&offer).offer(&offer).expect("answered");
    assert_eq!((again.tracks, again.slots), (answered.tracks, answered.slots));
}

/// What a restart is given.
fn ice() -> IceCredentials {
    IceCredentials::mint(WorkerId(0), [2; 10], [2; 24])
}
