//! `answer(offer)`: the one routine that makes a session out of an offer, for WHIP and WHEP alike.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{Direction, Mid, Pt};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use super::answer::{Pair, rewrite};
use super::channels::LARGEST_READ;
use super::dtls::Identity;
use super::offer::{Media, Offer, OfferError, Role};
use super::{PublishedTrack, Session, Slot};
use crate::ids::{SessionId, TrackId};
use crate::net::demux::Ufrag;
use crate::sfu::egress::{PayloadType, Sender};
use crate::sfu::forward::subscription::Subscription;
use crate::units::{Format, MediaKind};
use crate::wire::sdp::{Sdp, Section};

/// How often str0m's statistics are read.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// What is the same for all sessions of this process.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The DTLS certificate.
    pub identity: Identity,
    /// The announced addresses of the media port, in the order of the answer.
    pub candidates: Vec<SocketAddr>,
}

/// The identity of a new session, minted by the caller, so that this floor draws no random numbers.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The session's id.
    pub id: SessionId,
    /// The local ICE user fragment.
    pub ufrag: Ufrag,
    /// The local ICE password: at least 22 ICE characters (RFC 8445 section 5.3).
    pub password: String,
    /// The id of the first published track; the others count up from it.
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

/// A track of a publisher, as far as the offer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredTrack {
    /// The track's id.
    pub id: TrackId,
    /// Audio or video.
    pub kind: MediaKind,
    /// The format that the client will most likely send: the first that both ends know.
    pub format: Format,
}

/// A section of a viewer's offer that a track can be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredSlot {
    /// The index of the slot in its session.
    pub index: usize,
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
    catch_unwind(AssertUnwindSafe(|| accept(&offer, role, new, endpoint, now)))
        .unwrap_or_else(|_| Err(OfferError::Refused("its lines contradict each other".to_owned())))
}

/// Answers an offer that was found fit.
fn accept(
    offer: &Offer<'_>,
    role: Role,
    new: &NewSession,
    endpoint: &Endpoint,
    now: Instant,
) -> Result<Answered, OfferError> {
    let (codecs, offered) = offer.codecs();
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_stats_interval(Some(STATS_INTERVAL))
        .set_ice_lite(true)
        .set_sctp_max_message_size(LARGEST_READ)
        .set_local_ice_credentials(IceCreds { ufrag: new.ufrag.to_string(), pass: new.password.clone() })
        .set_dtls_cert(endpoint.identity.certificate())
        .set_crypto_provider(endpoint.identity.crypto())
        // One second of video at 30 frames and 4 Mbit/s; each entry costs memory for every viewer.
        .set_send_buffer_video(512);
    *config.codec_config() = codecs;
    let mut rtc = config.build(now);
    for address in &endpoint.candidates {
        let candidate = Candidate::host(*address, "udp").map_err(|e| OfferError::Refused(e.to_string()))?;
        rtc.add_local_candidate(candidate);
    }
    let refused = |error: &dyn std::fmt::Display| OfferError::Refused(error.to_string());
    let cleaned = SdpOffer::from_sdp_string(&offer.cleaned()).map_err(|e| refused(&e))?;
    let answered = rtc.sdp_api().accept_offer(cleaned).map_err(|e| refused(&e))?.to_sdp_string();
    let answered = Sdp::parse(&answered).map_err(|e| refused(&e))?;
    // str0m leaves out sections whose m-line it does not know; then it is unclear which answer is whose.
    if answered.sections.len() != offer.taken().count() {
        return Err(refused(&"str0m skipped one of its m-lines"));
    }
    let mut lines = Vec::new();
    let mut answers = answered.sections.iter();
    let pairs: Vec<_> =
        offer.sections.iter().map(|media| pair(media, &mut answers, &rtc, &offered, &mut lines)).collect();
    let answer = rewrite(&answered.session, &pairs, role, &endpoint.candidates);
    if role == Role::Publish && pairs.iter().any(|pair| pair.offered.taken && pair.answer.is_none()) {
        return Err(refused(&"two of its sections give one payload type to different codecs"));
    }
    if lines.is_empty() {
        return Err(refused(&"none of its sections was accepted"));
    }
    let (tracks, published) =
        if role == Role::Publish { publish(&lines, new.first_track) } else { Default::default() };
    let (slots, open) = if role == Role::Watch { watch(&lines, new.seed) } else { Default::default() };
    let session = Session::new(new.id, new.ufrag, rtc, offered, published, open, now);
    Ok(Answered { session, answer, tracks, slots, remote_credentials: offer.credentials() })
}

/// A live audio or video section of an answered offer.
struct Line {
    mid: Mid,
    kind: MediaKind,
    /// What both ends know, in the client's order.
    payload_types: Vec<PayloadType>,
    /// The first of them.
    format: Format,
}

/// Pairs a section with its answer, and notes it in `lines` when media can flow.
fn pair<'s, 'a>(
    offered: &'s Media<'a>,
    answers: &mut impl Iterator<Item = &'s Section<'s>>,
    rtc: &Rtc,
    codecs: &[PayloadType],
    lines: &mut Vec<Line>,
) -> Pair<'s, 'a> {
    let answer = if offered.taken { answers.next() } else { None };
    let Some(kind) = offered.kind else { return Pair { offered, answer } };
    let mid = Mid::from(&*offered.mid);
    let Some(media) = rtc.media(mid) else { return Pair { offered, answer: None } };
    let agreed = |pt: &&PayloadType| media.remote_pts().contains(&Pt::from(pt.number));
    let payload_types: Vec<_> = codecs.iter().filter(agreed).copied().collect();
    // Where nothing was agreed on, str0m would answer a live section without a format.
    let Some(first) = payload_types.first() else { return Pair { offered, answer: None } };
    if media.direction() != Direction::Inactive {
        lines.push(Line { mid, kind, format: first.format, payload_types });
    }
    Pair { offered, answer }
}

/// What a publisher's sections become: for the rooms, and for the session.
fn publish(lines: &[Line], first: TrackId) -> (Vec<AnsweredTrack>, Vec<PublishedTrack>) {
    let track = |(id, line): (u64, &Line)| {
        let (id, kind) = (TrackId(id), line.kind);
        (AnsweredTrack { id, kind, format: line.format }, PublishedTrack { id, mid: line.mid, kind })
    };
    (first.0..).zip(lines).map(track).unzip()
}

/// What a viewer's sections become: for the rooms, and for the session.
fn watch(lines: &[Line], seed: u64) -> (Vec<AnsweredSlot>, Vec<Slot>) {
    let slot = |(index, line): (usize, &Line)| {
        let payload_types = line.payload_types.clone();
        (AnsweredSlot { index, kind: line.kind, payload_types }, open_slot(line, index, seed))
    };
    lines.iter().enumerate().map(slot).unzip()
}

/// A slot to which nothing is bound.
fn open_slot(line: &Line, index: usize, seed: u64) -> Slot {
    // Each slot begins with other numbers: the seed is turned by a different amount for each.
    let turned = seed.rotate_left(u32::try_from(index % 61).unwrap_or_default());
    let [a, b, c, d, e, f, ..] = turned.to_be_bytes();
    Slot {
        kind: line.kind,
        track: None,
        subscription: Subscription::new(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
        sender: Sender::new(line.mid, line.kind, line.payload_types.clone()),
    }
}
