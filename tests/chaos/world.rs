//! The server's cores, clients, and links between them, in virtual time: it goes on to whatever is due next.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice::ids::{SessionId, TrackId, WorkerId};
use sluice::net::addresses::AddressMap;
use sluice::net::datagram::{Datagram, SendBatch};
use sluice::net::demux::{IceCredentials, Route, Ufrag};
use sluice::sfu::relay::{Relayed, TrackHome};
use sluice::sfu::session::dtls::Identity;
use sluice::sfu::session::negotiate::{Endpoint, NewSession, answer};
use sluice::sfu::session::offer::Role;
use sluice::sfu::session::stats::Link as Known;
use sluice::sfu::{Core, CoreEvent};
use sluice::wire::ntp::{Epoch, NtpTime};

use crate::link::{Fate, Link, Profile, Random};
use crate::peer::{Peer, address_of, server_address};

/// Less time than this does not pass: what is due within it is done together.
const LEAST: Duration = Duration::from_millis(5);

/// How often a core deals out what links carry.
const EVERY: Duration = Duration::from_millis(200);

/// A session, and what of it can be bound.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) session: SessionId,
    pub(crate) worker: WorkerId,
    /// Sound, then video.
    pub(crate) tracks: Vec<TrackId>,
}

/// A client, and its way to the server and back.
pub(crate) struct Ends {
    pub(crate) peer: Peer,
    up: Link<Vec<u8>>,
    /// With when each datagram left.
    pub(crate) down: Link<(Instant, Vec<u8>)>,
    /// How long the last datagram to the client waits in the link's queue.
    pub(crate) wait: Duration,
    /// RTCP to the client got lost since this was looked at last: perhaps a wish for a key frame.
    pub(crate) has_lost: bool,
    pub(crate) is_gone: bool,
}

pub(crate) struct World {
    pub(crate) cores: Vec<Core>,
    pub(crate) began: Instant,
    pub(crate) now: Instant,
    pub(crate) ends: Vec<Ends>,
    pub(crate) events: Vec<CoreEvent>,
    /// What left the server since this was looked at last: the client's place, and the datagram.
    pub(crate) left: Vec<(usize, Vec<u8>)>,
    /// What is known of links since this was looked at last, each as it was dealt out.
    pub(crate) dealt: Vec<(SessionId, Known)>,
    /// When each core did so last.
    dealt_at: Vec<Option<Instant>>,
    endpoint: Endpoint,
    batch: SendBatch,
    sessions: u64,
    places: HashMap<SocketAddr, usize>,
}

impl World {
    pub(crate) fn new(workers: u8) -> Self {
        let candidates = vec![server_address()].into();
        let map = || AddressMap::new(vec![server_address()], &[server_address().ip()]);
        let identity = Identity::generate().expect("a certificate");
        let now = Instant::now();
        let epoch = Epoch { instant: now, ntp: NtpTime::since_1970(Duration::from_secs(1_700_000_000)) };
        Self {
            cores: (0..workers).map(|worker| Core::on(WorkerId(worker), map())).collect(),
            began: now,
            now,
            ends: Vec::new(),
            events: Vec::new(),
            left: Vec::new(),
            dealt: Vec::new(),
            dealt_at: vec![None; workers.into()],
            endpoint: Endpoint { identity, candidates, epoch },
            batch: SendBatch::new(),
            sessions: 0,
            places: HashMap::new(),
        }
    }

    pub(crate) fn core(&mut self, worker: WorkerId) -> &mut Core {
        &mut self.cores[usize::from(worker.0)]
    }

    /// A client joins. Its place is that of its ends.
    pub(crate) fn join(
        &mut self,
        role: Role,
        worker: WorkerId,
        encodings: usize,
        link: Profile,
        random: &mut Random,
    ) -> Joined {
        let place = self.ends.len();
        let (mut peer, offer) = Peer::new(self.now, place, role, encodings);
        self.sessions += 1;
        let mut ufrag = [0; 10];
        ufrag[..8].copy_from_slice(&self.sessions.to_be_bytes());
        let new = NewSession {
            id: SessionId(self.sessions),
            ice: IceCredentials {
                ufrag: Ufrag::mint(worker, ufrag),
                password: format!("{:0>24}", self.sessions),
            },
            first_track: TrackId(self.sessions * 64),
            seed: random.number(),
        };
        let answered = answer(&offer, role, &new, &self.endpoint, self.now).expect("a good offer");
        peer.accept(&answered.answer);
        let up = Profile { delay: Duration::from_millis(10), ..Profile::default() };
        self.ends.push(Ends {
            peer,
            up: Link::new(self.began, up, random.number()),
            down: Link::new(self.began, link, random.number()),
            wait: Duration::ZERO,
            has_lost: false,
            is_gone: false,
        });
        self.places.insert(address_of(place), place);
        let tracks = answered.tracks.iter().map(|track| track.id).collect();
        let joined = Joined { session: answered.session.id, worker, tracks };
        let now = self.now;
        self.core(worker).join(now, answered.session);
        joined
    }

    pub(crate) fn leave(&mut self, place: usize, joined: &Joined) {
        let (now, mut batch) = (self.now, std::mem::take(&mut self.batch));
        self.core(joined.worker).leave(now, joined.session, &mut batch);
        self.batch = batch;
        self.deliver();
        self.exchange();
        self.ends[place].is_gone = true;
    }

    pub(crate) fn bind(&mut self, viewer: &Joined, slot: usize, track: Option<TrackHome>) {
        self.core(viewer.worker).bind_any(viewer.session, slot, track);
        self.tell_notes();
    }

    /// When something is due.
    fn next(&self) -> Option<Instant> {
        let cores = self.cores.iter().filter_map(Core::deadline);
        let ends = self.ends.iter().filter(|ends| !ends.is_gone);
        let ends = ends.flat_map(|ends| [Some(ends.peer.deadline), ends.up.next(), ends.down.next()]);
        cores.chain(ends.flatten()).min()
    }

    /// Goes on to what is due next, at `until` at the latest, and does it.
    pub(crate) fn step(&mut self, until: Instant) {
        let next = self.next().map_or(until, |next| next.min(until));
        self.now = next.max(self.now + LEAST);
        let now = self.now;
        for place in 0..self.ends.len() {
            self.drive_peer(place);
        }
        for place in 0..self.ends.len() {
            while let Some((_, payload)) = self.ends[place].up.receive(now) {
                self.feed(address_of(place), &payload);
            }
        }
        for (core, dealt_at) in self.cores.iter_mut().zip(&mut self.dealt_at) {
            if core.deadline().is_some_and(|at| at <= now) {
                core.drive(now, &mut self.batch);
                // As the core does it.
                if dealt_at.is_none_or(|at| now - at >= EVERY) {
                    *dealt_at = Some(now);
                    let sessions = (1..=self.sessions).map(SessionId);
                    self.dealt.extend(sessions.filter_map(|id| Some((id, core.link_of(id)?))));
                }
            }
        }
        self.forward();
        self.exchange();
        for core in &mut self.cores {
            self.events.extend(core.take_events());
        }
        self.deliver();
    }

    fn drive_peer(&mut self, place: usize) {
        let now = self.now;
        let ends = &mut self.ends[place];
        if ends.is_gone {
            return;
        }
        while let Some((at, (left, payload))) = ends.down.receive(now) {
            ends.peer.receive(at, left, &payload);
        }
        if ends.peer.deadline <= now {
            ends.peer.drive(now);
        }
        for datagram in ends.peer.outgoing.drain(..) {
            ends.up.send(now, datagram.len(), datagram);
        }
    }

    fn forward(&mut self) {
        for worker in 0..self.cores.len() {
            while self.cores[worker].forward(self.now, &mut self.batch) {
                self.deliver();
            }
        }
    }

    /// Takes to each core what the others have for it, until nobody has anything left to say.
    fn exchange(&mut self) {
        if self.cores.len() < 2 {
            return;
        }
        loop {
            let mut packets: Vec<(WorkerId, Vec<Relayed>)> = Vec::new();
            for core in &mut self.cores {
                packets.extend(core.relays().map(|(to, packets)| (to, std::mem::take(packets))));
            }
            if !self.tell_notes() && packets.is_empty() {
                return;
            }
            for (to, packets) in packets {
                self.core(to).relayed(packets);
            }
            self.forward();
        }
    }

    fn tell_notes(&mut self) -> bool {
        let (now, mut notes) = (self.now, Vec::new());
        for (from, core) in (0..).map(WorkerId).zip(&mut self.cores) {
            notes.extend(core.take_notes().map(|(to, note)| (from, to, note)));
        }
        for (from, to, note) in &notes {
            self.core(*to).note(now, *from, note.clone());
        }
        !notes.is_empty()
    }

    fn feed(&mut self, source: SocketAddr, payload: &[u8]) {
        let datagram = Datagram { source, local: server_address(), payload };
        let place = self.places[&source];
        let arrival = WorkerId(u8::try_from(place % self.cores.len()).expect("few workers"));
        let (now, mut batch) = (self.now, std::mem::take(&mut self.batch));
        match self.core(arrival).demux().route(&datagram) {
            Route::Session(id) => self.core(arrival).receive(now, id, &datagram, &mut batch),
            Route::Elsewhere(worker) => {
                if let Route::Session(id) = self.core(worker).demux().route(&datagram) {
                    self.core(worker).receive_from(now, arrival, id, &datagram, &mut batch);
                }
            }
            _ => {}
        }
        self.batch = batch;
        self.tell_notes();
    }

    /// Puts what the cores want sent on its way.
    fn deliver(&mut self) {
        let now = self.now;
        for outgoing in self.batch.iter() {
            let Some(place) = self.places.get(&outgoing.destination).copied() else { continue };
            let ends = &mut self.ends[place];
            let payload = outgoing.payload.to_vec();
            self.left.push((place, payload.clone()));
            let is_rtcp = matches!(payload[..], [128..=191, 192..=223, ..]);
            match ends.down.send(now, payload.len(), (now, payload)) {
                Fate::Waits(wait) => ends.wait = wait,
                Fate::Lost | Fate::Overflowed => ends.has_lost |= is_rtcp,
            }
        }
        self.batch.clear();
    }
}
