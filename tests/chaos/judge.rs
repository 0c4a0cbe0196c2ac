//! What always holds.

use std::time::{Duration, Instant};

use crate::encoder::Told;
use crate::peer::VIDEO_SLOTS;
use crate::play::{LOOK, Play};

/// Nobody is without a picture for longer, while nothing stands in the way of one: hardly ever, and never.
const LONGEST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(4));
/// What is kept free for each voice, bit/s, and how much of a link is given to pictures, in percent.
const VOICE: u64 = 50_000;
const PAYLOAD_PERCENT: u64 = 92;
/// What is known of a link falls short of what it carries, by so much at most, in percent.
const KNOWN_PERCENT: u64 = 75;
/// What is taken for the cost of a layer that nothing is known of yet, bit/s, and what is kept free beside what is new, in
/// percent.
const UNMEASURED: u64 = 100_000;
const HEADROOM_PERCENT: u64 = 112;
/// From then on nothing changes in a calm play, and all is found out. So often at most a picture changes its encoding within
/// a minute then: eight upgrades that fail.
pub(crate) const CALM_AFTER: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
const MOST_SWITCHES: usize = 16;
/// From here on packets wait for long on the way.
const QUEUED_FROM: Duration = Duration::from_millis(60);
/// A link that is new is taken to carry what ordinary ones do. After this it is known what it does carry.
const KNOWN_AFTER: Duration = Duration::from_secs(3);
/// A link that got slower, or was tried too hard, has a queue. So long after what is known of it is no more than it
/// carries, the queue is gone.
const SLOWER_AFTER: Duration = Duration::from_secs(1);
/// What is known of a link is hardly ever for longer, and never, more than it carries, by so much, in percent, while packets
/// wait for so long for it.
const CROWDED_FOR: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
const CROWDED_PERCENT: u64 = 125;
const CROWDED_FROM: Duration = Duration::from_millis(50);
/// A publisher on whose own link wishes wait for longer cannot be blamed for key frames that do not come.
const HEARS_WITHIN: Duration = Duration::from_millis(200);
/// One encoding is not asked for key frames more often than this, and not again after so short a time even if the last
/// one came.
const ASK_EVERY: Duration = Duration::from_millis(500);
const ASK_LEAST: Duration = Duration::from_millis(200);
/// How long a key frame takes to the server.
const CROSSING: Duration = Duration::from_millis(15);
/// An encoding of which nobody got a frame for so long is off. Most of the time is for those who wait for its key frame
/// and then turn away, and for frames on their way.
const OFF_AFTER: Duration = Duration::from_secs(8);
/// What the server says is not used is off after this.
const UNUSED_AFTER: Duration = Duration::from_secs(2);
/// The payload type of sound.
const OPUS: u8 = 111;

impl Play {
    /// Sound is never held up or dropped: the numbers of what leaves have no gap.
    pub(crate) fn judge_left(&mut self) -> Result<(), String> {
        for (place, datagram) in std::mem::take(&mut self.world.left) {
            let [first, second, high, low, _, _, _, _, a, b, c, d, ..] = datagram[..] else { continue };
            if first >> 6 != 2 || second & 0x7f != OPUS {
                continue;
            }
            let number = u16::from_be_bytes([high, low]);
            let before = self.sound.insert((place, [a, b, c, d]), number);
            if before.is_some_and(|before| before.wrapping_add(1) != number) {
                return Err(format!("sound to client {place} goes from {before:?} to {number}"));
            }
        }
        Ok(())
    }

    /// What is given to tracks is no more than the estimate, less what is kept for voices and headers. While a queue on the
    /// way is new, it may be what arrives instead, as the estimate is lowered further to drain it. The viewer of one stream
    /// alone gets its lowest layer, whatever the link.
    pub(crate) fn judge_dealt(&mut self) -> Result<(), String> {
        for (session, link) in std::mem::take(&mut self.world.dealt) {
            let people = self.seats.iter().enumerate();
            let people = people.filter_map(|(place, seat)| Some((place, seat.person.as_ref()?)));
            let mut people = people.filter(|(_, person)| person.views.len() > 1);
            let Some((place, person)) = people.find(|(_, person)| person.joined.session == session) else {
                continue;
            };
            let Some((estimate, allotted)) = link.estimate.zip(link.allotted) else { continue };
            let voices = if person.sound.is_some() { VOICE } else { 0 };
            let budget = link.allotted_of.0.saturating_sub(voices) * PAYLOAD_PERCENT / 100;
            let is_queued = link.queue >= QUEUED_FROM;
            if allotted.0 > budget || link.allotted_of > estimate && !is_queued {
                return Err(format!("{place} was given more than {budget} bit/s: {link:?}"));
            }
        }
        Ok(())
    }

    /// Encoders are asked for key frames no more often than once in 500 ms; for those who have no picture at all, once in
    /// 200 ms if the last one came.
    pub(crate) fn judge_asked(&mut self) -> Result<(), String> {
        let now = self.world.now;
        for place in 0..self.seats.len() {
            let Some(client) = self.seats[place].person.as_ref().map(|person| person.place) else { continue };
            for (left, encoding) in std::mem::take(&mut self.world.ends[client].peer.asked) {
                let Some(person) = &mut self.seats[place].person else { continue };
                let before = person.asked[encoding].replace(left);
                let Some(encoder) = &mut person.encoder else { continue };
                let answered = encoder.streams[encoding].answered;
                if let Some(before) = before {
                    let apart = left - before;
                    // One that was on its way already is an answer too.
                    let is_answered = answered.is_some_and(|at| at + CROSSING >= before);
                    if apart < ASK_LEAST || apart < ASK_EVERY && !is_answered {
                        return Err(format!(
                            "{place} was asked for encoding {encoding} again after {apart:?}"
                        ));
                    }
                }
                encoder.ask(now, encoding, &mut self.random);
                self.tally.key_frames += 1;
                self.note(&format!("{place} is asked for a key frame of {encoding}"));
            }
        }
        Ok(())
    }

    /// Viewers decode what came.
    pub(crate) fn watch(&mut self) -> Result<(), String> {
        let now = self.world.now;
        for place in 0..self.seats.len() {
            let Some(person) = &mut self.seats[place].person else { continue };
            let peer = &mut self.world.ends[person.place].peer;
            let mut got = Vec::new();
            let mut lines = Vec::new();
            let link = self.world.cores[usize::from(person.joined.worker.0)].link_of(person.joined.session);
            for (slot, packet) in std::mem::take(&mut peer.received) {
                let Some(view) = slot.checked_sub(1).and_then(|index| person.views.get_mut(index)) else {
                    continue;
                };
                let header = &packet.header;
                let (number, time) = (*packet.seq_no, header.timestamp);
                let shown = view.decoder.receive(now, number, time, header.marker, &packet.payload);
                let shown = shown.map_err(|fault| format!("view {} of {place}: {fault}", slot - 1))?;
                got.push(Told::read(&packet.payload));
                for shown in shown {
                    self.tally.frames += 1;
                    let before = view.shown.replace((now, shown));
                    let of = |told: &Told| (told.publisher, told.encoding);
                    if let Some((_, before)) = before
                        && of(&before.told) != of(&shown.told)
                    {
                        self.tally.switches += 1;
                        if before.told.publisher == shown.told.publisher {
                            view.switches.push_back(now);
                            let (from, to) = (before.told.encoding, shown.told.encoding);
                            lines.push(format!(
                                "view {} of {place} goes from {from} to {to}: {link:?}",
                                slot - 1
                            ));
                        }
                    }
                }
            }
            for (index, view) in person.views.iter_mut().enumerate() {
                if view.decoder.asks(now) {
                    peer.ask(now, index + 1);
                }
            }
            for line in lines {
                self.note(&line);
            }
            for told in got {
                self.got(&told);
            }
        }
        Ok(())
    }

    /// Somebody got a packet.
    fn got(&mut self, told: &Told) {
        let at = self.world.began + Duration::from_millis(told.at.into());
        let seat = &mut self.seats[usize::from(told.publisher)];
        if let Some(person) = &mut seat.person {
            let got = &mut person.got[usize::from(told.encoding)];
            *got = (*got).max(Some(at));
        }
    }

    /// Looks whether everybody has a picture, and nothing is sent in vain.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        for seat in 0..self.seats.len() {
            let Some(place) = self.seats[seat].person.as_ref().map(|person| person.place) else { continue };
            if std::mem::take(&mut self.world.ends[place].has_lost) {
                // What got lost may have been a wish for a key frame.
                self.touch_viewers(seat);
            }
        }
        for seat in 0..self.seats.len() {
            self.judge_crowd(seat)?;
            self.judge_switches(seat)?;
            for index in 0..self.seats[seat].person.as_ref().map_or(0, |person| person.views.len()) {
                let is_clear = self.is_clear(seat, index);
                self.judge_picture(seat, index, is_clear)?;
            }
            self.judge_used(seat)?;
        }
        Ok(())
    }

    /// Where nothing changes, pictures do not either.
    fn judge_switches(&mut self, seat: usize) -> Result<(), String> {
        let (now, at) = (self.world.now, self.at());
        let Some(person) = self.seats[seat].person.as_mut().filter(|_| self.plan.is_calm && at > CALM_AFTER)
        else {
            return Ok(());
        };
        for (index, view) in person.views.iter_mut().enumerate() {
            let is_recent = |switch: &Instant| now - *switch < MINUTE && at - CALM_AFTER > now - *switch;
            let count = view.switches.iter().filter(|switch| is_recent(switch)).count();
            let is_calm = |switch: &&Instant| **switch - self.world.began > CALM_AFTER;
            let changes = view.switches.iter().filter(is_calm).count();
            self.tally.changes[seat * VIDEO_SLOTS + index] = changes;
            self.tally.most_switches = self.tally.most_switches.max(count);
            if count > MOST_SWITCHES {
                return Err(format!(
                    "view {index} of {seat} changed {count} times in a minute, and nothing else did"
                ));
            }
        }
        Ok(())
    }

    /// More is not sent for long than a link carries.
    fn judge_crowd(&mut self, seat: usize) -> Result<(), String> {
        let (now, at) = (self.world.now, self.at());
        let Some(person) = &mut self.seats[seat].person else { return Ok(()) };
        let core = &self.world.cores[usize::from(person.joined.worker.0)];
        let known = core.link_of(person.joined.session).and_then(|link| link.estimate);
        let (rate, wait) = (person.rate(at), self.world.ends[person.place].wait);
        let is_crowded = wait > CROWDED_FROM
            && known.is_some_and(|known| known.0 > rate.saturating_mul(CROWDED_PERCENT) / 100);
        if !is_crowded {
            person.crowded_since = None;
            return Ok(());
        }
        person.crowded_at = Some(now);
        let crowded = now - *person.crowded_since.get_or_insert(now);
        if crowded > CROWDED_FOR.1 {
            return Err(format!(
                "the link of {seat} carries {rate} bit/s, not {known:?}; packets wait {wait:?}"
            ));
        }
        self.tally.late += usize::from(crowded > CROWDED_FOR.0 && crowded <= CROWDED_FOR.0 + LOOK);
        Ok(())
    }

    /// Whether nothing stands in the way of a picture: publisher and viewer are there, the track is sent and not muted, and
    /// the link carries the lowest layers of all that the viewer shows, and its voices.
    fn is_clear(&mut self, seat: usize, index: usize) -> Result<String, &'static str> {
        let now = self.world.now;
        let needs = self.needs(seat).ok_or("nobody")?;
        let person = self.seats[seat].person.as_ref().ok_or("nobody")?;
        let view = &person.views[index];
        if !person.is_connected || !view.is_bound {
            return Err("not bound");
        }
        let shown = view.wants.and_then(|shown| self.seats[shown].person.as_ref()).ok_or("nobody there")?;
        let flows = shown.encoder.as_ref().is_some_and(|encoder| encoder.lowest(now).is_some());
        if !shown.is_connected || shown.is_muted || !flows {
            return Err("nothing to show");
        }
        let rate = person.rate(self.at());
        let is_new = now - person.connected_at < KNOWN_AFTER
            || person.crowded_at.is_some_and(|crowded| now - crowded < SLOWER_AFTER);
        let core = &self.world.cores[usize::from(person.joined.worker.0)];
        let link = core.link_of(person.joined.session).unwrap_or_default();
        if is_new || rate / 100 * KNOWN_PERCENT < needs || link.estimate.is_none_or(|known| known.0 < needs) {
            return Err("the link");
        }
        if self.world.ends[shown.place].wait > HEARS_WITHIN {
            return Err("its publisher's link");
        }
        let ladder = shown.joined.tracks.get(1).and_then(|track| core.ladder_of(*track));
        let slot =
            person.stats.as_ref().and_then(|stats| stats.slots.iter().find(|slot| slot.slot == index + 1));
        Ok(format!(
            "{rate} bit/s carry {needs}, of which {link:?} is known; the track has {ladder:?}; last told {slot:?}"
        ))
    }

    /// What the lowest layers of all that a viewer shows take of its link, with its voices, bit/s.
    fn needs(&self, seat: usize) -> Option<u64> {
        let person = self.seats[seat].person.as_ref()?;
        let core = &self.world.cores[usize::from(person.joined.worker.0)];
        let lowest = |wants: usize| {
            let shown = self.seats[wants].person.as_ref()?;
            let nominal = shown.encoder.as_ref()?.lowest(self.world.now).map_or(0, |(_, cost)| cost);
            let rung = core.ladder_of(*shown.joined.tracks.get(1)?)?.rungs.first();
            let known = rung.map_or(UNMEASURED, |rung| rung.bitrate.0);
            Some(nominal.max(if known == 0 { UNMEASURED } else { known }))
        };
        let bound = person.views.iter().filter(|view| view.is_bound).filter_map(|view| view.wants);
        let all: u64 = bound.filter_map(lowest).sum();
        let voices = if person.sound.is_some() { VOICE } else { 0 };
        Some(all * HEADROOM_PERCENT / PAYLOAD_PERCENT + voices)
    }

    fn judge_picture(
        &mut self,
        seat: usize,
        index: usize,
        is_clear: Result<String, &'static str>,
    ) -> Result<(), String> {
        let now = self.world.now;
        let Some(person) = &mut self.seats[seat].person else { return Ok(()) };
        let view = &mut person.views[index];
        let Ok(carries) = is_clear else {
            view.clear_since = None;
            return Ok(());
        };
        if view.not_before.is_some_and(|at| now < at) {
            view.clear_since = None;
        }
        let since = *view.clear_since.get_or_insert(now);
        let is_wanted = |told: &Told| Some(usize::from(told.publisher)) == view.wants;
        let shown = view.shown.filter(|(_, shown)| is_wanted(&shown.told)).map(|(at, _)| at);
        let without = now - shown.map_or(since, |at| at.max(since));
        self.tally.clear += Duration::from_millis(100);
        self.tally.late += usize::from(without > LONGEST.0 && without <= LONGEST.0 + LOOK);
        if without > LONGEST.1 {
            return Err(format!(
                "view {index} of {seat}, which shows {:?}, had no picture for {without:?}; {carries}",
                view.wants
            ));
        }
        Ok(())
    }

    /// What nobody gets is off.
    fn judge_used(&mut self, seat: usize) -> Result<(), String> {
        let now = self.world.now;
        let is_watched = self.viewers_of(seat).next().is_some();
        let Some(person) = &mut self.seats[seat].person else { return Ok(()) };
        let Some(encoder) = &person.encoder else { return Ok(()) };
        let lowest = encoder.lowest(now).map(|(lowest, _)| lowest);
        let is_late = |at: &Option<Instant>| at.is_none_or(|at| now - at > OFF_AFTER);
        for encoding in 0..encoder.streams.len() {
            let is_lowest = lowest == Some(encoding) && is_watched;
            let flows = encoder.flows(now, encoding) && person.is_connected && !person.is_muted && !is_lowest;
            let since = &mut person.flows_since[encoding];
            *since = if flows { Some(since.unwrap_or(now)) } else { None };
            let unused = encoder.streams[encoding].unused_since;
            if flows && unused.is_some_and(|unused| now - unused > UNUSED_AFTER) {
                return Err(format!("encoding {encoding} of {seat} is not used, and sent all the same"));
            }
            if flows && is_late(since) && is_late(&person.got[encoding]) {
                return Err(format!("encoding {encoding} of {seat} is sent for nobody"));
            }
        }
        Ok(())
    }
}
