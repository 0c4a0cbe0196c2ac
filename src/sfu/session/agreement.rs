//! What the offers and answers of a participant have settled so far, against which its next offer is held.
//!
//! A session goes on while it is negotiated anew, so everything is checked before str0m is touched.

use std::collections::HashSet;

use str0m::media::Mid;

use super::offer::{Media, Offer, OfferError, Settled, Shown};
use crate::ids::TrackId;
use crate::sfu::egress::Coding;
use crate::units::MediaKind;

/// What both ends hold to.
pub(super) struct Agreement {
    pub(super) first_track: TrackId,
    pub(super) seed: u64,
    /// The version of the last answer.
    pub(super) version: u64,
    /// What the numbers mean.
    pub(super) settled: Settled,
    transport: Transport,
    /// The mids of the sections, in the order of the client's last offer.
    places: Vec<String>,
    /// str0m's m-lines in their order.
    lines: Vec<KnownLine>,
    /// The SSRCs that were announced. str0m keeps a stream for each.
    announced: HashSet<u32>,
}

/// The most SSRCs that a session has announced in its life.
const MOST_ANNOUNCED: usize = 1_024;

/// The transport of the bundle, which stays as it is.
struct Transport {
    credentials: Option<(String, String)>,
    fingerprints: Vec<String>,
    setup: Option<String>,
}

/// An m-line that str0m knows.
#[derive(Debug, Clone)]
struct KnownLine {
    mid: String,
    /// `None` for the data channel.
    kind: Option<MediaKind>,
    /// The client gave it up, for good (RFC 8829 section 5.2.2). Its place may be taken by another section.
    stopped: bool,
}

/// How str0m is shown an offer.
pub(super) struct Plan {
    pub(super) shown: Vec<Shown>,
    lines: Vec<KnownLine>,
}

/// The version of a first answer.
pub(super) const FIRST_VERSION: u64 = 1;

impl Agreement {
    /// What a first offer and its answer settle.
    pub(super) fn new(offer: Offer<'_>, codings: Vec<Coding>, first_track: TrackId, seed: u64) -> Self {
        let known =
            |media: &Media<'_>| KnownLine { mid: media.mid.to_string(), kind: media.kind, stopped: false };
        let owned = |text: &&str| (*text).to_owned();
        let transport = Transport {
            credentials: offer.credentials().into_iter().next(),
            fingerprints: offer.transport.fingerprints.iter().map(owned).collect(),
            setup: offer.transport.setup.as_ref().map(owned),
        };
        Self {
            first_track,
            seed,
            version: FIRST_VERSION,
            transport,
            places: places(&offer),
            lines: offer.taken().map(known).collect(),
            announced: offer.announced().collect(),
            settled: offer.settle(codings),
        }
    }

    /// Judges a later offer, and says how str0m is to be shown it. What it may not have is left out of it.
    pub(super) fn plan(&self, offer: &mut Offer<'_>) -> Result<Plan, OfferError> {
        self.check_transport(offer)?;
        self.check_places(offer)?;
        offer.hold_to(self.settled.clone());
        let mut lines = self.lines.clone();
        let mut shown: Vec<Option<Shown>> = vec![None; lines.len()];
        for (place, media) in offer.sections.iter_mut().enumerate() {
            let known = lines.iter().position(|line| line.mid == media.mid && !line.stopped);
            match known.and_then(|index| Some((lines.get_mut(index)?, shown.get_mut(index)?))) {
                Some((line, slot)) => *slot = keep(line, media, place)?,
                None => media.taken &= lines.iter().all(|line| line.mid != media.mid),
            }
        }
        let is_known = |mid: &str| self.lines.iter().any(|line| line.mid == mid);
        for (place, media) in offer.sections.iter_mut().enumerate() {
            if media.taken && !is_known(&media.mid) {
                self.add(&mut lines, &mut shown, media, place);
            }
        }
        let shown: Vec<_> =
            shown.into_iter().zip(&lines).map(|(shown, line)| shown.unwrap_or_else(|| line.rest())).collect();
        let mut mids = HashSet::new();
        if !lines.iter().all(|line| mids.insert(Mid::from(line.mid.as_str()))) {
            return Err(refused("two of its mids are too much alike; use letters and digits, 16 at most"));
        }
        let more =
            offer.announced().filter(|ssrc| !self.announced.contains(ssrc)).collect::<HashSet<_>>().len();
        if more > 0 && self.announced.len() + more > MOST_ANNOUNCED {
            return Err(refused("the session had too many sources (a=ssrc) in its time; join again"));
        }
        if !offer.sections.iter().any(|media| media.taken) {
            return Err(refused("none of its sections can be accepted"));
        }
        Ok(Plan { shown, lines })
    }

    /// Whether an offer asks for an ICE restart: it has other credentials than the one before it (RFC 8839 section 4.4.1.1.1).
    pub(super) fn is_restarted_by(&self, offer: &Offer<'_>) -> bool {
        self.transport.credentials != offer.credentials().into_iter().next()
    }

    /// Takes note of an offer that was answered.
    pub(super) fn renew(&mut self, offer: Offer<'_>, plan: Plan) {
        self.version += 1;
        self.transport.credentials = offer.credentials().into_iter().next();
        self.places = places(&offer);
        self.announced.extend(offer.announced());
        self.lines = plan.lines;
        self.settled = offer.settle(self.settled.codings.clone());
    }

    /// Other certificates and other DTLS roles would need another transport.
    fn check_transport(&self, offer: &Offer<'_>) -> Result<(), OfferError> {
        let same = |(known, offered): (&String, &&str)| known.eq_ignore_ascii_case(offered);
        let (known, offered) = (&self.transport.fingerprints, &offer.transport.fingerprints);
        let same_certificate = known.len() == offered.len() && known.iter().zip(offered).all(same);
        if !same_certificate {
            return Err(OfferError::OtherCertificate);
        }
        // `actpass` leaves the roles as they are (RFC 8842 section 5.5); the server is passive unless the client is.
        let is_passive = |setup: Option<&str>| setup == Some("passive");
        let setup = offer.transport.setup;
        if setup != Some("actpass") && is_passive(setup) != is_passive(self.transport.setup.as_deref()) {
            return Err(refused("it changes the DTLS roles (a=setup)"));
        }
        Ok(())
    }

    /// Sections keep their places; only one that was given up or never accepted may be replaced (RFC 3264 section 8).
    fn check_places(&self, offer: &Offer<'_>) -> Result<(), OfferError> {
        if offer.sections.len() < self.places.len() {
            return Err(refused("it has fewer m-lines than the offer before it"));
        }
        for (number, (known, media)) in self.places.iter().zip(&offer.sections).enumerate() {
            let is_live = self.lines.iter().any(|line| line.mid == *known && !line.stopped);
            if is_live && media.mid != *known {
                let reason = format!("m-line {} was the live section {known:?} before", number + 1);
                return Err(OfferError::Refused(reason));
            }
        }
        Ok(())
    }

    /// Gives a section that is new a line of str0m's: one that was stopped before this offer, so that they do not
    /// pile up, or one at the end. There is one data channel section at most.
    fn add(
        &self,
        lines: &mut Vec<KnownLine>,
        shown: &mut Vec<Option<Shown>>,
        media: &mut Media<'_>,
        place: usize,
    ) {
        let line = KnownLine { mid: media.mid.to_string(), kind: media.kind, stopped: false };
        if line.kind.is_none() && lines.iter().any(|known| known.kind.is_none()) {
            media.taken = false;
            return;
        }
        let was_stopped =
            |index: usize| self.lines.get(index).is_some_and(|known| known.stopped && known.kind.is_some());
        let mut places = lines.iter_mut().zip(shown.iter_mut()).enumerate();
        let free = places.find(|(index, (known, _))| known.stopped && was_stopped(*index));
        match free.filter(|_| line.kind.is_some()) {
            Some((_, (known, slot))) => {
                *known = line;
                *slot = Some(Shown::Section(place));
            }
            None => {
                lines.push(line);
                shown.push(Some(Shown::Section(place)));
            }
        }
    }
}

impl KnownLine {
    /// The line when no section of the offer stands for it.
    fn rest(&self) -> Shown {
        match self.kind {
            Some(kind) => Shown::Stopped(self.mid.clone(), kind),
            None => Shown::StoppedChannel(self.mid.clone()),
        }
    }
}

/// What becomes of a line that was live: the section goes on, or the client has given it up.
fn keep(line: &mut KnownLine, media: &Media<'_>, place: usize) -> Result<Option<Shown>, OfferError> {
    if media.rejected {
        line.stopped = true;
        return Ok(None);
    }
    if !media.taken || media.kind != line.kind {
        let reason = format!("the section {:?} lost the kind, protocol or codecs that it had", line.mid);
        return Err(OfferError::Refused(reason));
    }
    Ok(Some(Shown::Section(place)))
}

fn places(offer: &Offer<'_>) -> Vec<String> {
    offer.sections.iter().map(|media| media.mid.to_string()).collect()
}

fn refused(reason: &str) -> OfferError {
    OfferError::Refused(reason.to_owned())
}
