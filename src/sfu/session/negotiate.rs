//! `answer(offer)`: the one routine that makes a session out of an offer, for WHIP and WHEP alike.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::format::CodecConfig;
use str0m::media::{Mid, Pt};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use super::agreement::{Agreement, FIRST_VERSION};
use super::answer::{Pair, rewrite};
use super::dtls::{Identity, with_key_slot};
use super::extensions;
use super::messages::LARGEST_READ;
use super::offer::{Flow, Media, Offer, OfferError, Role, Shown};
use super::{PublishedTrack, Session, Slot};
use crate::ids::{SessionId, Ssrc, TrackId};
use crate::net::addresses::Announced;
use crate::net::demux::IceCredentials;
use crate::sfu::egress::allocate::Wish;
use crate::sfu::egress::header::HeaderTemplate;
use crate::sfu::egress::sender::Sender;
use crate::sfu::egress::{Coding, Egress, PayloadType};
use crate::sfu::forward::packet::EncodingIndex;
use crate::sfu::forward::subscription::Subscription;
use crate::units::{Format, MediaKind};
use crate::wire::ntp::Epoch;
use crate::wire::sdp::{Sdp, Section};

/// How often str0m's statistics are read.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// What is the same for all sessions of this process.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The DTLS certificate.
    pub identity: Identity,
    /// The announced addresses, in the order of the answer.
    pub candidates: Announced,
    /// One moment on both clocks, for sender reports.
    pub epoch: Epoch,
}

/// The identity of a new session, minted by the caller, so that this floor draws no random numbers.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The session's id.
    pub id: SessionId,
    /// What the client's connectivity checks have to show.
    pub ice: IceCredentials,
    /// The id of the first published track. The others count up from it: by one for each track of a publisher, and by the
    /// place of their section in a participant's offer, which is less than [`MAX_SECTIONS`](crate::wire::sdp::MAX_SECTIONS).
    pub first_track: TrackId,
    /// Where sequence numbers and timestamps begin (RFC 3550 section 5.1).
    pub seed: u64,
}

/// An answered offer.
pub struct Answered {
    /// The session, for a worker to drive.
    pub session: Session,
    /// The SDP answer.
    pub answer: String,
    /// What the client will send.
    pub tracks: Vec<AnsweredTrack>,
    /// What the client can receive.
    pub slots: Vec<AnsweredSlot>,
    /// The client's ICE user fragments and passwords, of all sections. One pair at least.
    pub remote_credentials: Vec<(String, String)>,
}

/// A published track, as far as the offer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredTrack {
    /// The track's id.
    pub id: TrackId,
    /// The name of its section.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// The format that the client will most likely send: the first that both ends know.
    pub format: Format,
}

/// A section of an offer that a track can be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredSlot {
    /// The index of the slot in its session.
    pub index: usize,
    /// The name of its section.
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the viewer decodes.
    pub payload_types: Vec<PayloadType>,
}

/// Answers an offer.
///
/// # Errors
/// [`OfferError`] says what is wrong with the offer, in words for its sender.
pub fn answer(
    offer: &str,
    role: Role,
    new: &NewSession,
    endpoint: &Endpoint,
    now: Instant,
) -> Result<Answered, OfferError> {
    let offer = Offer::parse(offer, role)?;
    // str0m panics at some offers, such as one codec under two payload types. Nothing it held outlives that.
    catch_unwind(AssertUnwindSafe(|| accept(offer, role, new, endpoint, now)))
        .unwrap_or_else(|_| Err(OfferError::Refused("its lines contradict each other".to_owned())))
}

/// Answers an offer that was found fit.
fn accept(
    offer: Offer<'_>,
    role: Role,
    new: &NewSession,
    endpoint: &Endpoint,
    now: Instant,
) -> Result<Answered, OfferError> {
    let (codecs, codings) = offer.codecs();
    let config = config(&offer, codecs, new, endpoint);
    let (mut rtc, keys) = with_key_slot(|| config.build(now));
    let refused = |error: &dyn std::fmt::Display| OfferError::Refused(error.to_string());
    for candidate in host_candidates(&endpoint.candidates)? {
        rtc.add_local_candidate(candidate);
    }
    let shown = offer.lines();
    let cleaned = SdpOffer::from_sdp_string(&offer.cleaned(&shown)).map_err(|e| refused(&e))?;
    let answered = rtc.sdp_api().accept_offer(cleaned).map_err(|e| refused(&e))?.to_sdp_string();
    let answered = Sdp::parse(&answered).map_err(|e| refused(&e))?;
    // str0m leaves out sections whose m-line it does not know; then it is unclear which answer is whose.
    if answered.sections.len() != shown.len() {
        return Err(refused(&"str0m skipped one of its m-lines"));
    }
    remove_senders(&mut rtc, &answered);
    let (pairs, lines) = pair_up(&offer.sections, &shown, &answered, &rtc, &codings);
    if role == Role::Publish && pairs.iter().any(|pair| pair.offered.taken && pair.answer.is_none()) {
        return Err(refused(&"two of its sections give one payload type to different codecs"));
    }
    let is_empty = match role {
        Role::Publish | Role::Watch => lines.is_empty(),
        Role::Join => pairs.iter().all(|pair| pair.answer.is_none()),
    };
    if is_empty {
        return Err(refused(&"none of its sections was accepted"));
    }
    let remote_credentials = offer.credentials();
    let egress = Egress::new(keys, endpoint.epoch);
    let mut session = Session::new(new.id, new.ice.ufrag, rtc, egress, payload_types(&codings), now);
    session.candidates.clone_from(&endpoint.candidates);
    let first = new.first_track;
    let (tracks, slots) = match role {
        // Ids without gaps, as ever.
        Role::Publish => (session.publish((first.0..).map(TrackId).zip(&lines)), Vec::new()),
        Role::Watch => (Vec::new(), session.open_slots(&lines, new.seed)),
        Role::Join => (session.publish(by_place(&lines, first)), session.open_slots(&lines, new.seed)),
    };
    let sources = session.sources_by_mid();
    let answer = rewrite(&answered.session, &pairs, &sources, role, FIRST_VERSION, &endpoint.candidates);
    drop(pairs);
    if role == Role::Join {
        session.agreement = Some(Agreement::new(offer, codings, first, new.seed));
    }
    Ok(Answered { session, answer, tracks, slots, remote_credentials })
}

/// The server's addresses in the words of the ICE agent.
pub(super) fn host_candidates(announced: &Announced) -> Result<Vec<Candidate>, OfferError> {
    let udp = announced.udp.iter().map(|address| (address, "udp"));
    let tcp = announced.tcp.iter().map(|address| (address, "tcp"));
    let host = |(address, protocol): (&SocketAddr, &str)| {
        Candidate::host(*address, protocol).map_err(|e| OfferError::Refused(e.to_string()))
    };
    udp.chain(tcp).map(host).collect()
}

/// How str0m is set up for a session.
fn config(offer: &Offer<'_>, codecs: CodecConfig, new: &NewSession, endpoint: &Endpoint) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_extension_map(offer.extension_map())
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_ice_lite(true)
        .set_sctp_max_message_size(LARGEST_READ)
        .set_local_ice_credentials(local_credentials(&new.ice))
        .set_dtls_cert(endpoint.identity.certificate())
        .set_crypto_provider(endpoint.identity.crypto());
    *config.codec_config() = codecs;
    config
}

/// A live audio or video section of an answered offer.
pub(super) struct Line {
    /// Its place in the offer.
    place: usize,
    name: String,
    mid: Mid,
    kind: MediaKind,
    flow: Flow,
    /// What both ends know, in the client's order.
    codings: Vec<Coding>,
    /// The first of them.
    format: Format,
    /// How packets towards the client begin.
    headers: HeaderTemplate,
    /// The SSRCs of encodings that have no names.
    grouped: Vec<Ssrc>,
}

pub(super) fn payload_types(codings: &[Coding]) -> Vec<PayloadType> {
    codings.iter().map(|coding| coding.payload_type).collect()
}

/// The published sections with ids that a section keeps as long as it has its place.
pub(super) fn by_place(lines: &[Line], first: TrackId) -> impl Iterator<Item = (TrackId, &Line)> {
    let sent = lines.iter().filter(|line| line.flow == Flow::Up);
    sent.map(move |line| (TrackId(first.0 + line.place as u64), line))
}

/// Pairs the sections of an offer with what str0m answered to the m-lines that it was shown; also returns those on
/// which media can flow.
pub(super) fn pair_up<'s, 'a>(
    offered: &'s [Media<'a>],
    shown: &[Shown],
    answered: &'s Sdp<'s>,
    rtc: &Rtc,
    codings: &[Coding],
) -> (Vec<Pair<'s, 'a>>, Vec<Line>) {
    let mut answers = vec![None; offered.len()];
    for (line, answer) in shown.iter().zip(&answered.sections) {
        if let Shown::Section(index) = line
            && let Some(place) = answers.get_mut(*index)
        {
            *place = Some(answer);
        }
    }
    let mut lines = Vec::new();
    let sections = offered.iter().zip(answers).enumerate();
    let pairs = sections.map(|(place, (media, answer))| pair(place, media, answer, rtc, codings, &mut lines));
    (pairs.collect(), lines)
}

/// Pairs a section with its answer, and notes it in `lines` when media can flow.
fn pair<'s, 'a>(
    place: usize,
    offered: &'s Media<'a>,
    answer: Option<&'s Section<'s>>,
    rtc: &Rtc,
    codings: &[Coding],
    lines: &mut Vec<Line>,
) -> Pair<'s, 'a> {
    let Some(kind) = offered.kind else { return Pair { offered, answer } };
    let mid = Mid::from(&*offered.mid);
    let Some(media) = rtc.media(mid).filter(|_| answer.is_some()) else {
        return Pair { offered, answer: None };
    };
    let agreed = |pt: &PayloadType| {
        let known = codings.iter().find(|known| known.payload_type == *pt);
        known.filter(|_| media.remote_pts().contains(&Pt::from(pt.number))).copied()
    };
    let codings: Vec<_> = offered.formats.iter().filter_map(agreed).collect();
    // Where nothing was agreed on, str0m would answer a live section without a format.
    let Some(first) = codings.first() else { return Pair { offered, answer: None } };
    if offered.flow != Flow::Still {
        let (name, flow, format) = (offered.mid.to_string(), offered.flow, first.payload_type.format);
        let ids = extensions::ids(&offered.extensions, offered.mixed.is_some());
        let headers = HeaderTemplate::new(ids, &name);
        let grouped = offered.grouped();
        lines.push(Line { place, name, mid, kind, flow, format, codings, headers, grouped });
    }
    Pair { offered, answer }
}

impl Session {
    /// Publishes exactly these tracks from now on.
    pub(super) fn publish<'l>(
        &mut self,
        tracks: impl Iterator<Item = (TrackId, &'l Line)>,
    ) -> Vec<AnsweredTrack> {
        let mut grouped = HashMap::new();
        let track = |(id, line): (TrackId, &Line)| {
            let encodings = (0..).map(EncodingIndex).zip(&line.grouped);
            grouped.extend(encodings.map(|(encoding, ssrc)| (ssrc.0, encoding)));
            let (mid, kind, format) = (line.name.clone(), line.kind, line.format);
            (AnsweredTrack { id, mid, kind, format }, PublishedTrack { id, mid: line.mid, kind })
        };
        let (answered, published) = tracks.map(track).unzip();
        (self.published, self.grouped) = (published, grouped);
        self.forget_sources();
        answered
    }

    /// Opens a slot for each section towards the client, and closes those that are there no more. A slot that was there
    /// before keeps its index, its binding and its numbering.
    pub(super) fn open_slots(&mut self, lines: &[Line], seed: u64) -> Vec<AnsweredSlot> {
        for slot in &mut self.slots {
            slot.is_open = false;
        }
        let down = lines.iter().filter(|line| line.flow == Flow::Down);
        down.map(|line| {
            let index = self.open_slot(line, seed);
            let (mid, kind, payload_types) = (line.name.clone(), line.kind, payload_types(&line.codings));
            AnsweredSlot { index, mid, kind, payload_types }
        })
        .collect()
    }

    fn open_slot(&mut self, line: &Line, seed: u64) -> usize {
        let known = self
            .slots
            .iter_mut()
            .enumerate()
            .find(|(_, slot)| slot.sender.mid() == line.mid && slot.kind == line.kind);
        if let Some((index, slot)) = known {
            slot.is_open = true;
            slot.sender.renew(line.codings.clone(), line.headers.clone());
            return index;
        }
        let index = self.slots.len();
        self.slots.push(empty_slot(line, index, seed));
        index
    }
}

/// A slot to which nothing is bound.
fn empty_slot(line: &Line, index: usize, seed: u64) -> Slot {
    // Each slot begins with other numbers: the seed is turned by a different amount for each.
    let turned = seed.rotate_left(u32::try_from(index % 61).unwrap_or_default());
    let [a, b, c, d, e, f, ..] = turned.to_be_bytes();
    Slot {
        kind: line.kind,
        track: None,
        subscription: Subscription::new(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
        wish: Wish::default(),
        allotted_to: None,
        sent: None,
        height: 0,
        lost_until: None,
        stamps: None,
        is_open: true,
        told: None,
        sender: Sender::new(line.mid, line.codings.clone(), line.headers.clone(), seed, index),
    }
}

/// What a client is told, in the words of the ICE agent.
pub(super) fn local_credentials(ice: &IceCredentials) -> IceCreds {
    IceCreds { ufrag: ice.ufrag.to_string(), pass: ice.password.clone() }
}

/// str0m makes a sender for each section in which media goes to the client, with sender reports of its own. Media goes by
/// [`crate::sfu::egress`]: two senders under one key could use a nonce twice.
pub(super) fn remove_senders(rtc: &mut Rtc, answered: &Sdp<'_>) {
    let mut direct = rtc.direct_api();
    for mid in answered.sections.iter().filter_map(|section| section.mid()).map(Mid::from) {
        while let Some(ssrc) = direct.stream_tx_by_mid(mid, None).map(|stream| stream.ssrc()) {
            direct.remove_stream_tx(ssrc);
        }
    }
}
