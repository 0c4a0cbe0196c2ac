//! A play: people come, go, look at each other, and fall silent, as dice decide.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sluice::ids::{SessionId, WorkerId};
use sluice::sfu::CoreEvent;
use sluice::sfu::egress::allocate::Wish;
use sluice::sfu::relay::TrackHome;
use sluice::sfu::session::offer::Role;

use crate::encoder::{Encoder, RIDS};
use crate::link::Random;
use crate::peer::VIDEO_SLOTS;
use crate::people::{Person, Seat};
use crate::world::World;

/// How often it is looked whether all is well.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
/// A packet of sound.
const SOUND: Duration = Duration::from_millis(200);
/// What the control plane waits before it tells that an encoding is not needed: `src/room/encodings.rs` has the same.
const UNUSED_AFTER: Duration = Duration::from_millis(1_000);
/// An encoder that stops sending says nothing. It takes the server 1.5 s to tell that from a pause, which leaves little of the
/// two seconds for a key frame of another encoding, and nothing for one that gets lost: so much more is given.
const STOPPED_AFTER: Duration = Duration::from_millis(1_000);
/// How many of the last events a report names.
const REMEMBERED: usize = 60;

/// What kind of play.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) lasts: Duration,
    /// Nothing happens once all are there, and links are steady.
    pub(crate) is_calm: bool,
}

pub(crate) struct Play {
    pub(crate) plan: Plan,
    pub(crate) world: World,
    pub(crate) random: Random,
    pub(crate) seats: Vec<Seat>,
    pub(crate) sessions: HashMap<SessionId, usize>,
    source: u32,
    next_act: Instant,
    next_look: Instant,
    log: VecDeque<String>,
    /// The last number of each stream of sound that left, by client and source.
    pub(crate) sound: HashMap<(usize, [u8; 4]), u16>,
    pub(crate) tally: Tally,
}

/// What came of it, to see that enough happened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    pub(crate) sounds: u64,
    pub(crate) switches: u64,
    pub(crate) key_frames: u64,
    pub(crate) pauses: u64,
    pub(crate) told_off: u64,
    pub(crate) clear: Duration,
    pub(crate) padding: u64,
    /// What took longer than it should, and not so long that the play ends.
    pub(crate) late: usize,
    /// How often a picture changed within a minute of a calm play.
    pub(crate) most_switches: usize,
    /// How often each picture did in its whole calm time.
    pub(crate) changes: [usize; 5 * VIDEO_SLOTS],
}

impl Play {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut random = Random(plan.seed.wrapping_mul(0x9e37_79b9));
        let workers = 1 + (plan.seed % 2) as u8;
        let world = World::new(workers);
        let roles = [Role::Publish, Role::Join, Role::Join, Role::Join, Role::Watch];
        let worker = |place: usize| WorkerId((place % usize::from(workers)) as u8);
        let seats = roles.iter().enumerate();
        let seats =
            seats.map(|(place, role)| Seat::new(*role, worker(place), plan.lasts, &mut random, plan.is_calm));
        let seats: Vec<_> = seats.collect();
        let now = world.now;
        let mut play = Self {
            plan,
            world,
            random,
            seats,
            sessions: HashMap::new(),
            source: 0,
            next_act: now,
            next_look: now + LOOK,
            log: VecDeque::new(),
            sound: HashMap::new(),
            tally: Tally::default(),
        };
        for seat in 0..play.seats.len() {
            play.seats[seat].back_at = Some(now + Duration::from_millis(play.below(500)));
        }
        play
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random.number() % bound
    }

    pub(crate) fn at(&self) -> Duration {
        self.world.now - self.world.began
    }

    pub(crate) fn note(&mut self, what: &str) {
        if self.log.len() >= REMEMBERED {
            self.log.pop_front();
        }
        let line = format!("{:9.3} {what}", self.at().as_secs_f64());
        if std::env::var_os("CHAOS_TRACE").is_some() {
            println!("{line}");
        }
        self.log.push_back(line);
    }

    /// Plays to the end.
    ///
    /// # Errors
    /// What was wrong, and what happened before.
    pub(crate) fn run(mut self) -> Result<Tally, String> {
        while self.at() < self.plan.lasts {
            if let Err(fault) = self.turn() {
                let log: Vec<_> = self.log.iter().map(String::as_str).collect();
                return Err(format!(
                    "seed {} at {:.3} s: {fault}\nCHAOS_SEED={} plays it again. What happened before:\n{}",
                    self.plan.seed,
                    self.at().as_secs_f64(),
                    self.plan.seed,
                    log.join("\n")
                ));
            }
        }
        self.tally.padding = self.world.cores.iter().map(|core| core.counters().padding_bytes).sum();
        Ok(self.tally)
    }

    fn turn(&mut self) -> Result<(), String> {
        let mut until = self.next_act.min(self.next_look);
        for person in self.seats.iter().filter_map(|seat| seat.person.as_ref()).filter(|one| one.is_connected)
        {
            if let Some(encoder) = &person.encoder {
                until = until.min(encoder.next).min(person.next_sound);
            }
        }
        self.world.step(until);
        self.hear();
        self.judge_left()?;
        self.judge_dealt()?;
        self.watch()?;
        self.judge_asked()?;
        self.publish();
        let now = self.world.now;
        if now >= self.next_look {
            self.next_look = now + LOOK;
            self.settle();
            self.note_links();
            self.look()?;
        }
        if now >= self.next_act {
            self.next_act = now + Duration::from_millis(200 + self.below(1_500));
            self.return_people();
            if !self.plan.is_calm || self.at() < Duration::from_secs(5) {
                self.act();
            }
        }
        Ok(())
    }

    /// Takes note of what the cores told.
    fn hear(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            match event {
                CoreEvent::Connected(session) => {
                    if let Some(seat) = self.sessions.get(&session).copied()
                        && let Some(person) = &mut self.seats[seat].person
                    {
                        (person.is_connected, person.connected_at) = (true, self.world.now);
                        person.views.iter_mut().for_each(|view| view.touch());
                        self.touch_viewers(seat);
                        self.note(&format!("{seat} is connected"));
                    }
                }
                CoreEvent::Used { track, rids } => {
                    let now = self.world.now;
                    let of = |seat: &Seat| {
                        seat.person.as_ref().is_some_and(|person| person.joined.tracks.get(1) == Some(&track))
                    };
                    if let Some(seat) = self.seats.iter().position(of) {
                        self.note(&format!("of {seat} are used {rids:?}"));
                        if let Some(person) = &mut self.seats[seat].person {
                            person.used = (now, rids);
                        }
                    }
                }
                CoreEvent::Throttled { session, slot, paused, .. } => {
                    self.tally.pauses += u64::from(paused);
                    let seat = self.sessions.get(&session).copied().unwrap_or(usize::MAX);
                    self.note(&format!("slot {slot} of {seat} is paused: {paused}"));
                }
                CoreEvent::Stats(stats) => {
                    if let Some(seat) = self.sessions.get(&stats.session).copied()
                        && let Some(person) = &mut self.seats[seat].person
                    {
                        person.stats = Some(stats);
                    }
                }
                CoreEvent::Ended(session, reason) => {
                    let seat = self.sessions.get(&session).copied();
                    self.note(&format!("{seat:?} ended: {reason:?}"));
                }
                _ => {}
            }
        }
    }

    /// Publishers send what they are told to, as the control plane does it: what is needed at once, what is not after a
    /// while.
    fn settle(&mut self) {
        let now = self.world.now;
        for seat in 0..self.seats.len() {
            let is_watched = self.viewers_of(seat).next().is_some();
            let delay = Duration::from_millis(self.below(100));
            let Some(person) = &mut self.seats[seat].person else { continue };
            let (since, used) = &person.used;
            let is_heard = now - *since >= delay;
            let Some(encoder) = &mut person.encoder else { continue };
            for (rid, stream) in RIDS.iter().zip(&mut encoder.streams) {
                let is_used =
                    is_watched && used.as_ref().is_none_or(|used| used.iter().any(|one| one == rid));
                if is_used {
                    stream.unused_since = None;
                    stream.is_wanted |= is_heard;
                } else if now - *stream.unused_since.get_or_insert(now) >= UNUSED_AFTER {
                    self.tally.told_off += u64::from(stream.is_wanted);
                    stream.is_wanted = false;
                }
            }
        }
    }

    /// Lets everybody send what is due.
    fn publish(&mut self) {
        let (began, now) = (self.world.began, self.world.now);
        for seat in &mut self.seats {
            let Some(person) = seat.person.as_mut().filter(|person| person.is_connected) else { continue };
            let Some(encoder) = &mut person.encoder else { continue };
            let peer = &mut self.world.ends[person.place].peer;
            for sent in encoder.encode(began, now, &mut self.random) {
                peer.send(now, &sent);
            }
            if person.next_sound <= now {
                person.next_sound = now + SOUND;
                person.sounds += 1;
                peer.send_audio(now, person.sounds * 9_600, &[0xfc; 40]);
                self.tally.sounds += 1;
            }
        }
    }

    /// The views, by seat and index, that show a seat.
    pub(crate) fn viewers_of(&self, shown: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.seats.iter().enumerate().flat_map(move |(seat, of)| {
            let views = of.person.iter().flat_map(|person| person.views.iter().enumerate());
            let shows = views.filter(move |(_, view)| view.wants == Some(shown) && view.is_bound);
            shows.map(move |(index, _)| (seat, index))
        })
    }

    /// Something changed at a publisher: those who show it may need time.
    pub(crate) fn touch_viewers(&mut self, shown: usize) {
        let viewers: Vec<_> = self.viewers_of(shown).collect();
        for (seat, index) in viewers {
            if let Some(person) = &mut self.seats[seat].person {
                person.views[index].touch();
            }
        }
    }

    /// Takes note of links whose rate changed, and what is known of them now.
    fn note_links(&mut self) {
        let (at, look) = (self.at(), LOOK);
        for place in 0..self.seats.len() {
            let Some(person) = &self.seats[place].person else { continue };
            let changed = person.rates.iter().find(|(from, _)| *from <= at && at - *from < look);
            let Some((_, rate)) = changed.copied() else { continue };
            let core = &self.world.cores[usize::from(person.joined.worker.0)];
            let link = core.link_of(person.joined.session);
            self.note(&format!("the link of {place} carries {rate} bit/s from here on, was {link:?}"));
        }
    }

    fn return_people(&mut self) {
        for seat in 0..self.seats.len() {
            if self.seats[seat].back_at.is_some_and(|at| at <= self.world.now) {
                self.seats[seat].back_at = None;
                self.enter(seat);
            }
        }
    }

    fn enter(&mut self, place: usize) {
        let now = self.world.now;
        let seat = &self.seats[place];
        let (role, worker, profile) = (seat.role, seat.worker, seat.profile.clone());
        let publisher = u16::try_from(place).expect("few seats");
        let encoder =
            (role != Role::Watch).then(|| Encoder::new(now, publisher, &mut self.random, &mut self.source));
        let encodings = encoder.as_ref().map_or(0, |encoder| encoder.streams.len());
        let rates = profile.rate.clone();
        let joined = self.world.join(role, worker, encodings, profile, &mut self.random);
        self.sessions.insert(joined.session, place);
        let person = Person {
            place: self.world.ends.len() - 1,
            joined,
            encoder,
            next_sound: now,
            sounds: 0,
            is_connected: false,
            connected_at: now,
            is_muted: false,
            sound: None,
            views: self.seats[place].views(),
            stats: None,
            rates,
            crowded_since: None,
            crowded_at: None,
            used: (now, None),
            flows_since: [None; 3],
            got: [None; 3],
            asked: [None; 3],
        };
        self.seats[place].person = Some(person);
        self.note(&format!("{place} joins as {role:?} on {worker:?} with {encodings} encodings"));
        // Whoever wanted to see it does.
        for seat in 0..self.seats.len() {
            for index in 0..self.seats[seat].person.as_ref().map_or(0, |person| person.views.len()) {
                let wants = self.seats[seat].person.as_ref().and_then(|person| person.views[index].wants);
                if wants == Some(place) {
                    self.show(seat, index, wants);
                } else if seat == place {
                    let other = self.other(place);
                    self.show(seat, index, other);
                }
            }
        }
        if role != Role::Publish {
            let other = self.other(place);
            self.listen(place, other);
        }
    }

    /// Another seat that publishes, and that this one does not show yet.
    fn other(&mut self, seat: usize) -> Option<usize> {
        let is_free = |other: usize| {
            let views = self.seats[seat].person.iter().flat_map(|person| &person.views);
            let is_shown = views.map(|view| view.wants).any(|wants| wants == Some(other));
            other != seat && self.seats[other].role != Role::Watch && !is_shown
        };
        let free: Vec<_> = (0..self.seats.len()).filter(|other| is_free(*other)).collect();
        if free.is_empty() { None } else { Some(free[self.below(free.len() as u64) as usize]) }
    }

    fn home(&self, seat: Option<usize>, track: usize) -> Option<TrackHome> {
        let joined = &self.seats[seat?].person.as_ref()?.joined;
        Some(TrackHome { track: *joined.tracks.get(track)?, worker: joined.worker })
    }

    /// Lets a view show a seat, or nothing.
    fn show(&mut self, seat: usize, index: usize, shown: Option<usize>) {
        let track = self.home(shown, 1);
        let Some(person) = &mut self.seats[seat].person else { return };
        let view = &mut person.views[index];
        (view.wants, view.is_bound) = (shown, track.is_some());
        view.touch();
        self.world.bind(&person.joined, index + 1, track);
        self.note(&format!("view {index} of {seat} shows {shown:?}"));
    }

    fn listen(&mut self, seat: usize, to: Option<usize>) {
        let track = self.home(to, 0);
        if let Some(person) = &mut self.seats[seat].person {
            person.sound = to.filter(|_| track.is_some());
            self.world.bind(&person.joined, 0, track);
        }
    }

    fn leave(&mut self, seat: usize) {
        let Some(person) = self.seats[seat].person.take() else { return };
        self.note(&format!("{seat} leaves"));
        self.world.leave(person.place, &person.joined);
        self.seats[seat].back_at = Some(self.world.now + Duration::from_millis(500 + self.below(5_000)));
        // The core has unbound its tracks.
        for other in &mut self.seats {
            let Some(person) = &mut other.person else { continue };
            person.sound = person.sound.filter(|sound| *sound != seat);
            for view in person.views.iter_mut().filter(|view| view.wants == Some(seat)) {
                view.is_bound = false;
                view.touch();
            }
        }
    }

    /// Something happens.
    fn act(&mut self) {
        let seat = self.below(self.seats.len() as u64) as usize;
        if self.seats[seat].person.as_ref().is_none_or(|person| !person.is_connected) {
            return;
        }
        let views = self.seats[seat].person.as_ref().map_or(0, |person| person.views.len());
        let index = if views > 0 { self.below(views as u64) as usize } else { 0 };
        match self.below(20) {
            0..=4 if views > 0 => {
                let shown = if self.below(5) == 0 { None } else { self.other(seat) };
                self.show(seat, index, shown);
            }
            5..=9 if views > 0 => self.wish(seat, index),
            10 | 11 => self.mute(seat),
            12..=15 => self.trouble(seat),
            16 if !self.plan.is_calm => self.leave(seat),
            17 if views > 0 => {
                let other = self.other(seat);
                self.listen(seat, other);
            }
            18 if views > 0 => {
                let (now, place) = (self.world.now, self.seats[seat].person.as_ref().map(|one| one.place));
                if let Some(place) = place {
                    self.world.ends[place].peer.ask(now, index + 1);
                    self.note(&format!("{seat} asks for a key frame in view {index}"));
                }
            }
            _ => {}
        }
    }

    fn wish(&mut self, seat: usize, index: usize) {
        let wish = Wish {
            height: [0, 90, 180, 360, 720][self.below(5) as usize],
            fps: [0, 0, 0, 5][self.below(4) as usize],
            priority: [0, 1, 1, 1, 2, 5][self.below(6) as usize],
            screen: self.below(5) == 0,
        };
        if let Some(person) = &mut self.seats[seat].person {
            person.views[index].wish = wish;
            let (worker, session) = (person.joined.worker, person.joined.session);
            self.world.core(worker).wish(session, index + 1, wish);
        }
        self.note(&format!("view {index} of {seat} wishes {wish:?}"));
    }

    fn mute(&mut self, seat: usize) {
        let Some(person) = self.seats[seat].person.as_mut().filter(|person| person.encoder.is_some()) else {
            return;
        };
        if self.plan.is_calm {
            return;
        }
        person.is_muted = !person.is_muted;
        let (muted, worker, track) = (person.is_muted, person.joined.worker, person.joined.tracks[1]);
        self.world.core(worker).mute(track, muted);
        self.touch_viewers(seat);
        self.note(&format!("{seat} is muted: {muted}"));
    }

    /// Something happens to an encoder.
    fn trouble(&mut self, seat: usize) {
        let (now, what, time) = (self.world.now, self.below(4), self.below(4_000));
        let place = self.below(3) as usize;
        let effort = [0.5, 1.0, 1.6][place];
        let Some(encoder) = self.seats[seat].person.as_mut().and_then(|person| person.encoder.as_mut())
        else {
            return;
        };
        let place = place % encoder.streams.len();
        let stream = &mut encoder.streams[place];
        let text = match what {
            0 => {
                encoder.effort = effort;
                format!("{seat} moves {effort} times as much as usual")
            }
            1 if !self.plan.is_calm => {
                stream.starves_until = Some(now + Duration::from_millis(time));
                format!("encoding {place} of {seat} starves for {time} ms")
            }
            2 | 3 if !self.plan.is_calm => {
                stream.is_able = !stream.is_able;
                format!("encoding {place} of {seat} can be sent: {}", stream.is_able)
            }
            _ => return,
        };
        if what > 0 {
            self.touch_viewers(seat);
            let viewers: Vec<_> = self.viewers_of(seat).collect();
            for (seat, index) in viewers {
                if let Some(person) = &mut self.seats[seat].person {
                    person.views[index].not_before = Some(now + STOPPED_AFTER);
                }
            }
        }
        self.note(&text);
    }
}
