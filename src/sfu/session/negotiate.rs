//! `answer(offer)`: the one routine that makes a session out of an offer, for WHIP and WHEP alike.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{Mid, Pt};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use super::answer::rewrite;
use super::dtls::Identity;
use super::offer::{Offer, OfferError, Role, kind_of};
use super::{PublishedTrack, Session, Slot};
use crate::ids::{SessionId, TrackId};
use crate::net::demux::Ufrag;
use crate::sfu::egress::{PayloadType, Sender};
use crate::sfu::forward::subscription::Subscription;
use crate::units::{Format, MediaKind};
use crate::wire::sdp::Sdp;

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
    /// The client's ICE user fragment and password.
    pub remote_credentials: (String, String),
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
    let answered = Sdp::parse(&answered)?;
    // str0m leaves out sections whose m-line it does not know; RFC 3264 section 6 wants each one answered.
    if answered.sections.len() != offer.sdp.sections.len() {
        return Err(OfferError::Refused(
            "it has an m-line of a kind or protocol that is not spoken here".to_owned(),
        ));
    }
    let answer = rewrite(&answered, offer, role, &endpoint.candidates);
    let lines = sections(&rtc, offer, &answered, &offered);
    let tracks = if role == Role::Publish { published(&lines, new.first_track) } else { Vec::new() };
    let slots = if role == Role::Watch { slots(&lines) } else { Vec::new() };
    if tracks.is_empty() && slots.is_empty() {
        return Err(OfferError::Refused("none of its sections was accepted".to_owned()));
    }
    let session = Session::new(
        new.id,
        new.ufrag,
        rtc,
        offered,
        tracks
            .iter()
            .zip(&lines)
            .map(|(t, line)| PublishedTrack { id: t.id, mid: line.mid, kind: t.kind })
            .collect(),
        slots.iter().zip(&lines).map(|(slot, line)| new_slot(slot, line.mid, new.seed)).collect(),
        now,
    );
    Ok(Answered { session, answer, tracks, slots, remote_credentials: offer.credentials() })
}

/// A live audio or video section of an answered offer.
struct Line {
    mid: Mid,
    kind: MediaKind,
    payload_types: Vec<PayloadType>,
}

fn sections(rtc: &Rtc, offer: &Offer<'_>, answered: &Sdp<'_>, offered: &[PayloadType]) -> Vec<Line> {
    let live = answered.sections.iter().zip(&offer.sdp.sections).filter_map(|(answer, section)| {
        let kind = kind_of(section).filter(|_| !offer.rejected(section))?;
        let mid = Mid::from(answer.mid()?);
        let media = rtc.media(mid).filter(|media| media.direction() != str0m::media::Direction::Inactive)?;
        let agreed = |pt: &&PayloadType| media.remote_pts().contains(&Pt::from(pt.number));
        let payload_types: Vec<_> = offered.iter().filter(agreed).copied().collect();
        (!payload_types.is_empty()).then_some(Line { mid, kind, payload_types })
    });
    live.collect()
}

fn published(lines: &[Line], first: TrackId) -> Vec<AnsweredTrack> {
    let ids = (first.0..).map(TrackId);
    let with_format = lines.iter().filter_map(|line| Some((line, line.payload_types.first()?)));
    ids.zip(with_format)
        .map(|(id, (line, pt))| AnsweredTrack { id, kind: line.kind, format: pt.format })
        .collect()
}

fn slots(lines: &[Line]) -> Vec<AnsweredSlot> {
    let slot = |(index, line): (usize, &Line)| AnsweredSlot {
        index,
        kind: line.kind,
        payload_types: line.payload_types.clone(),
    };
    lines.iter().enumerate().map(slot).collect()
}

fn new_slot(slot: &AnsweredSlot, mid: Mid, seed: u64) -> Slot {
    // Each slot begins with other numbers: the seed is turned by a different amount for each.
    let turned = seed.rotate_left(u32::try_from(slot.index % 61).unwrap_or_default());
    let [a, b, c, d, e, f, ..] = turned.to_be_bytes();
    Slot {
        kind: slot.kind,
        track: None,
        subscription: Subscription::new(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
        sender: Sender::new(mid, slot.kind, slot.payload_types.clone()),
    }
}
