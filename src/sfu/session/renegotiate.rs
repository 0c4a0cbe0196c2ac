//! Later offers of a participant: sections come, rest, live again and go, while media flows.

use std::time::Instant;

use str0m::change::SdpOffer;

use super::Session;
use super::agreement::Plan;
use super::answer::rewrite;
use super::ending::EndReason;
use super::negotiate::{AnsweredSlot, AnsweredTrack, by_place, pair_up, remove_senders};
use super::offer::{Offer, OfferError, Role};
use super::turn::{SessionEvent, Turn};
use crate::net::demux::IceCredentials;
use crate::wire::sdp::Sdp;

/// The most slots that a session has had in its life. Slots that are closed keep their index and their numbering.
const MOST_SLOTS: usize = 256;

/// A later offer, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renegotiated {
    /// The SDP answer.
    pub answer: String,
    /// All that the client sends now. A section keeps its id as long as it has its place.
    pub tracks: Vec<AnsweredTrack>,
    /// All that the client can receive now. A section keeps its index; new ones get higher indices.
    pub slots: Vec<AnsweredSlot>,
}

impl Session {
    /// Answers a later offer of a participant. If it restarts ICE, checks have to show `ice` from then on, and media goes
    /// where it went until one does.
    ///
    /// # Errors
    /// [`OfferError`] says what is wrong with the offer. The session goes on as it was, except when str0m itself stumbled,
    /// which ends it.
    pub fn renegotiate(
        &mut self,
        now: Instant,
        offer: &str,
        ice: &IceCredentials,
        turn: &mut Turn<'_>,
    ) -> Result<Renegotiated, OfferError> {
        let Some(agreement) = &self.agreement else {
            return Err(OfferError::Refused("this session has all that it was made for".to_owned()));
        };
        let mut offer = Offer::parse(offer, Role::Join)?;
        let plan = agreement.plan(&mut offer)?;
        if self.slots.len() + offer.sections.len() > MOST_SLOTS && self.slots.len() > MOST_SLOTS / 2 {
            let reason = "the session had too many sections in its time; join again".to_owned();
            return Err(OfferError::Refused(reason));
        }
        let restarts = agreement.is_restarted_by(&offer);
        let refused = |error: &dyn std::fmt::Display| OfferError::Refused(error.to_string());
        let cleaned = SdpOffer::from_sdp_string(&offer.cleaned(&plan.shown)).map_err(|e| refused(&e))?;
        // From here on str0m may have changed.
        let answered = self.rtc.sdp_api().accept_offer(cleaned).map_err(|e| refused(&e));
        let answered = answered.map(|answer| answer.to_sdp_string());
        let answered =
            if restarts { answered.map(|text| self.restart_with(now, &text, ice)) } else { answered };
        let answered = answered.and_then(|text| self.settle(&text, offer, plan));
        if answered.is_err() {
            turn.events.push(SessionEvent::Ended(EndReason::Broken));
        }
        self.drive(now, turn);
        answered
    }

    /// Puts into effect what str0m answered.
    fn settle(&mut self, answer: &str, offer: Offer<'_>, plan: Plan) -> Result<Renegotiated, OfferError> {
        let refused = |reason: &str| OfferError::Refused(reason.to_owned());
        let answered = Sdp::parse(answer).map_err(|_| refused("str0m's answer cannot be read"))?;
        let Some(agreement) = &self.agreement else { return Err(refused("it is not negotiable")) };
        if answered.sections.len() != plan.shown.len() {
            return Err(refused("str0m skipped one of its m-lines"));
        }
        remove_senders(&mut self.rtc, &answered);
        let (pairs, lines) =
            pair_up(&offer.sections, &plan.shown, &answered, &self.rtc, &agreement.settled.codings);
        let (first, seed, version) = (agreement.first_track, agreement.seed, agreement.version + 1);
        let tracks = self.publish(by_place(&lines, first));
        let slots = self.open_slots(&lines, seed);
        let sources = self.sources_by_mid();
        let answer = rewrite(&answered.session, &pairs, &sources, Role::Join, version, &self.candidates);
        drop(pairs);
        if let Some(agreement) = &mut self.agreement {
            agreement.renew(offer, plan);
        }
        self.nacks.retain(|mid, _| self.rtc.media(*mid).is_some());
        Ok(Renegotiated { answer, tracks, slots })
    }
}
