//! What the session does with its link: what is sent waits in the pacer if it must, what the link could carry beyond that is
//! tried, and what it carries is given to the tracks behind the slots.

use std::time::Instant;

use super::link::{ASK_AGAIN, ASK_EVERY, Link, Probing, Waiting, voices};
use super::turn::{Served, SessionEvent, TurnMedia, Want};
use super::{Session, Slot, Turn};
use crate::ids::TrackId;
use crate::sfu::counters::Counters;
use crate::sfu::egress::allocate::Request;
use crate::sfu::egress::bandwidth::Purpose;
use crate::sfu::egress::pacer::{Admit, Frame};
use crate::sfu::egress::sender::{Outgoing, Unsent};
use crate::sfu::forward::ladder::{Ladder, Rung, Selection};
use crate::sfu::forward::rewrite::Rewritten;
use crate::units::{Bitrate, MediaKind};

/// What an RTP packet is longer than its payload, about: header, extensions, seal.
const OVERHEAD: usize = 50;
/// While more than this part of what flows does not fit, an encoding is left at once, without a picture until the next one's
/// key frame: what goes on would fill the queue on the way, and that key frame would come even later.
const FLOODED_PERCENT: u64 = 70;
/// The most padding that leaves at once, in packets.
const MOST_AT_ONCE: usize = 32;

impl Slot {
    /// How important its frames are.
    fn rank(&self) -> u8 {
        self.wish.priority.saturating_mul(2).saturating_add(u8::from(self.wish.screen))
    }
}

impl Session {
    /// Lets a packet wait if the pacer says so. Returns whether it does.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        index: usize,
        media: &TurnMedia,
        numbers: Rewritten,
        served: &mut Served,
    ) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| link.is_paced(now)) else { return false };
        let Some(slot) = self.slots.get(index) else { return false };
        let bytes = media.packet.payload.len() + OVERHEAD;
        if slot.kind != MediaKind::Video {
            link.pacer.spent(now, bytes);
            return false;
        }
        let stream = stream(index);
        if numbers.sequence == slot.subscription.entered() {
            // What waits of the encoding that it leaves would only delay the key frame.
            served.given_up += link.pacer.remove(stream).len() as u64;
        }
        if link.pacer.admit(now, bytes) == Admit::Now {
            return false;
        }
        let frame = Frame { stream, timestamp: numbers.timestamp, rank: slot.rank() };
        let waiting = Waiting { slot: index, track: media.track, packet: media.packet.clone(), numbers };
        let given_up = link.pacer.push(now, frame, bytes, waiting);
        served.given_up += given_up.len() as u64;
        for waiting in given_up {
            let Some(slot) = self.slots.get_mut(waiting.slot) else { continue };
            // What depends on it is of no use, so that the next to be sent is a key frame.
            slot.lost_until = slot.lost_until.max(Some(waiting.numbers.sequence));
            if !slot.subscription.awaits_entry() {
                slot.subscription.rebind();
                let encoding = waiting.packet.encoding;
                served.wants = Some(Want { track: waiting.track, encoding, begins: true });
            }
        }
        true
    }

    /// Whether a packet may be sent again now. What waits goes first: who still misses it will ask again.
    pub(super) fn may_resend(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.pacer.is_empty())
    }

    /// Sends what waited for long enough, and what is to be tried.
    pub(super) fn attend_link(&mut self, now: Instant, turn: &mut Turn<'_>) {
        if self.link.as_ref().and_then(|link| link.deadline()).is_none_or(|at| at > now) {
            return;
        }
        while let Some(waiting) = self.link.as_mut().and_then(|link| link.pacer.pop(now)) {
            if self.send_waiting(now, &waiting, turn).is_err() {
                turn.counters.unsent += 1;
            }
        }
        self.catch_up(now, turn);
        self.begin_probe(now, turn);
        self.send_probe(now, turn);
    }

    fn send_waiting(&mut self, now: Instant, waiting: &Waiting, turn: &mut Turn<'_>) -> Result<(), Unsent> {
        let path = self.paths.outgoing().ok_or(Unsent::NoKeys)?;
        let slot = self.slots.get_mut(waiting.slot).filter(|slot| slot.is_open).ok_or(Unsent::Forgotten)?;
        let csrc = self.agreement.is_some().then(|| waiting.track.csrc());
        let outgoing = Outgoing { packet: &waiting.packet, numbers: waiting.numbers, csrc };
        let stamp = self.egress.stamp(now);
        let departed = self.egress.send(&stamp, path, &mut slot.sender, &outgoing, turn.batch)?;
        if let Some(link) = &mut self.link {
            link.departed(now, departed, Purpose::Media);
        }
        Ok(())
    }

    fn begin_probe(&mut self, now: Instant, turn: &mut Turn<'_>) {
        let Some(link) = self.link.as_mut().filter(|link| link.is_measured && link.probing.is_none()) else {
            return;
        };
        let due = link.estimator.deadline().is_some_and(|at| at <= now);
        if !due || now < link.ask_from {
            return;
        }
        let probe = link.poll_probe(now);
        link.ask_from = now + if probe.is_some() { ASK_EVERY } else { ASK_AGAIN };
        turn.counters.probes += u64::from(probe.is_some());
        link.probing = probe.map(|probe| Probing { probe, begun: now, bytes: 0, packets: 0 });
    }

    fn send_probe(&mut self, now: Instant, turn: &mut Turn<'_>) {
        let Some((path, link)) = self.paths.outgoing().zip(self.link.as_mut()) else { return };
        let Some(probing) = &mut link.probing else { return };
        let stamp = self.egress.stamp(now);
        let (due, purpose) = (probing.due(now), Purpose::Probe(probing.probe.cluster));
        for _ in 0..MOST_AT_ONCE {
            if probing.bytes > due || probing.is_sent() {
                break;
            }
            let padded = self.slots.iter_mut().filter(|slot| slot.is_open && slot.kind == MediaKind::Video);
            let padded = padded.map(|slot| self.egress.pad(&stamp, path, &mut slot.sender, turn.batch));
            let Some(departed) = padded.filter_map(Result::ok).next() else {
                // Nothing can be padded, so nothing can be tried.
                (probing.bytes, probing.packets) = (probing.probe.bytes, probing.probe.packets);
                break;
            };
            turn.counters.padding_bytes += departed.bytes as u64;
            probing.bytes += departed.bytes;
            probing.packets += 1;
            if let Some(number) = departed.number {
                link.estimator.sent(now, number, departed.bytes, purpose);
            }
            link.pacer.spent(now, departed.bytes);
        }
        if probing.is_sent() {
            link.probing = None;
        }
    }

    /// Gives what the link carries to the tracks behind the slots. `ladder_of` tells how each can be received.
    pub fn allot<'a>(
        &mut self,
        now: Instant,
        ladder_of: impl Fn(TrackId) -> Option<&'a Ladder>,
        counters: &mut Counters,
        events: &mut Vec<SessionEvent>,
    ) {
        let Some(link) = &mut self.link else { return };
        let mut requests = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let track = slot.track.filter(|_| slot.is_open && slot.kind == MediaKind::Video);
            if slot.allotted_to != track {
                slot.allotted_to = None;
                link.allocator.forget(index);
            }
            let Some(ladder) = track.and_then(&ladder_of).filter(|ladder| !ladder.rungs.is_empty()) else {
                continue;
            };
            requests.push(Request {
                slot: index,
                ladder,
                wish: slot.wish,
                current: slot.subscription.selected(),
            });
        }
        if requests.is_empty() {
            link.dealt_out(now, None);
            return link.estimator.want(Bitrate(0));
        }
        let is_voice = |slot: &&Slot| slot.kind == MediaKind::Audio && slot.is_open && slot.track.is_some();
        let voices = voices(now, self.slots.iter().filter(is_voice).map(|slot| slot.sent));
        let (mut given, budget) = (Vec::new(), link.budget(now, voices));
        link.allocator.allocate(now, budget, &requests, &mut given);
        dare(now, link, &self.slots, &requests, &mut given);
        link.want(voices);
        let flows = requests.iter().filter_map(|request| {
            Some(flowing(request.ladder, self.slots.get(request.slot)?.subscription.current()?))
        });
        let is_flooded = flows.sum::<u64>() / 100 * FLOODED_PERCENT > budget.0;
        let mut allotted = 0;
        for (request, (index, selection)) in requests.iter().zip(given) {
            // A viewer who came for one stream gets it, however it looks.
            let lowest = request.ladder.rungs.first().map(|rung| rung.selection);
            let selection = if self.agreement.is_none() { selection.or(lowest) } else { selection };
            let rung = request.ladder.rungs.iter().find(|rung| Some(rung.selection) == selection);
            allotted += rung.map_or(0, |rung| rung.bitrate.0);
            let Some(slot) = self.slots.get_mut(index) else { continue };
            slot.height = rung.map_or(0, |rung| rung.height);
            events.extend(slot.show(index, request.ladder, selection, counters));
            let is_new = std::mem::replace(&mut slot.allotted_to, slot.track).is_none();
            events.extend(slot.entry_of(selection).filter(|_| is_new));
            let is_left = slot.step_down(request.ladder, rung, is_flooded, events);
            if is_left || selection.is_none() {
                link.pacer.remove(stream(index));
            }
        }
        link.dealt_out(now, Some(Bitrate(allotted)));
    }
}

impl Slot {
    /// Forwards this much of its track. Returns what the client is to be told.
    fn show(
        &mut self,
        index: usize,
        ladder: &Ladder,
        selection: Option<Selection>,
        counters: &mut Counters,
    ) -> Option<SessionEvent> {
        let place = |selection| ladder.rungs.iter().position(|rung| rung.selection == selection);
        if let Some((before, after)) =
            self.subscription.selected().and_then(place).zip(selection.and_then(place))
        {
            counters.switches_up += u64::from(after > before);
            counters.switches_down += u64::from(after < before);
        }
        let was_paused = self.subscription.is_paused();
        // Of a track that comes in one way only there is nothing to choose.
        let is_only = ladder.rungs.len() == 1 && self.subscription.selected().is_none() && !was_paused;
        if selection.is_none() || !is_only {
            self.subscription.select(selection);
        }
        let paused = selection.is_none();
        let track = self.track.filter(|_| paused != was_paused)?;
        Some(SessionEvent::Throttled { slot: index, track, paused })
    }
}

impl Slot {
    /// Asks for the key frame of what is given to a slot that shows nothing yet, without waiting for a packet of it.
    fn entry_of(&self, given: Option<Selection>) -> Option<SessionEvent> {
        let (track, given) = self.track.zip(given).filter(|_| self.subscription.awaits_entry())?;
        Some(SessionEvent::Awaits { track, encoding: given.encoding, begins: true })
    }

    /// Makes room for the key frame of the smaller encoding that is selected now, and asks for it. Returns whether nothing is
    /// forwarded until then.
    fn step_down(
        &mut self,
        ladder: &Ladder,
        selected: Option<&Rung>,
        is_flooded: bool,
        events: &mut Vec<SessionEvent>,
    ) -> bool {
        let Some((track, rung)) = self.track.zip(selected) else { return false };
        let Some(current) = self.subscription.current() else { return false };
        if current.encoding == rung.selection.encoding || flowing(ladder, current) <= rung.bitrate.0 {
            return false;
        }
        events.push(SessionEvent::Awaits { track, encoding: rung.selection.encoding, begins: false });
        if is_flooded {
            return self.subscription.leave();
        }
        self.subscription.ease();
        false
    }
}

/// Gives the least that there is of all tracks to a link of which nothing more would be learned otherwise.
fn dare(
    now: Instant,
    link: &mut Link,
    slots: &[Slot],
    requests: &[Request<'_>],
    given: &mut [(usize, Option<Selection>)],
) {
    let is_tried = link.is_measured && slots.iter().any(|slot| slot.sender.pads());
    let is_stuck = !is_tried && given.iter().all(|(_, selection)| selection.is_none());
    if !link.dares(now, is_stuck) {
        return;
    }
    let least = requests.iter().filter_map(|request| Some((request.slot, request.ladder.rungs.first()?)));
    let Some((slot, rung)) = least.min_by_key(|(_, rung)| rung.bitrate) else { return };
    given
        .iter_mut()
        .filter(|(index, _)| *index == slot)
        .for_each(|(_, chosen)| *chosen = Some(rung.selection));
}

/// What it costs to forward this, in bits per second: as much as is known of it.
fn flowing(ladder: &Ladder, current: Selection) -> u64 {
    let holds = |rung: &&Rung| {
        let Selection { encoding, spatial, temporal } = rung.selection;
        encoding == current.encoding && spatial <= current.spatial && temporal <= current.temporal
    };
    ladder.rungs.iter().filter(holds).map(|rung| rung.bitrate.0).max().unwrap_or_default()
}

/// The pacer's number of a slot.
fn stream(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
