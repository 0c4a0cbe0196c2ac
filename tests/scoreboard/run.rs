//! One run of a scenario, in steps of a millisecond.

use std::time::{Duration, Instant};

use sluice::units::Bitrate;

use crate::link::{Fate, Link, Profile, Random};
use crate::receiver::Receiver;
use crate::scenario::Scenario;
use crate::sender::Sender;
use crate::tcp::Tcp;

const STEP: Duration = Duration::from_millis(1);
/// The most that a sender has to send.
const MOST: u64 = 5_000_000;
/// For so long after the link got slower, its queue does not count.
const STEP_DOWN: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Score {
    /// The part of the link's capacity that was used; beside TCP, of half of it.
    pub(crate) used: f64,
    /// The longest time after a step up, or the beginning, to 80 % of the capacity, s.
    pub(crate) up: f64,
    /// The longest time after a step down until no more is sent than fits, s.
    pub(crate) down: f64,
    /// The queueing delay of 95 % of the packets is below this, ms.
    pub(crate) queue: f64,
    /// The part of the packets that did not fit the queue.
    pub(crate) overflowed: f64,
    /// The longest time in which nothing arrived, s.
    pub(crate) gap: f64,
}

struct Peer {
    sender: Sender,
    receiver: Receiver,
    back: Link<Vec<u8>>,
    next_feedback: Duration,
    heard: Duration,
}

#[derive(Default)]
struct Tally {
    waits: Vec<f64>,
    carried: usize,
    sent: usize,
    overflowed: usize,
    gap: Duration,
    /// The change of the link that nobody answered yet.
    open: Option<(Duration, bool)>,
    up: f64,
    down: f64,
}

pub(crate) fn run(scenario: &Scenario, seed: u64) -> Score {
    let began = Instant::now();
    let mut random = Random(seed);
    let mut link = Link::new(began, scenario.link.clone(), random.number());
    let back = || Profile { delay: scenario.back, ..Profile::default() };
    let mut peers: Vec<Peer> = (0..scenario.senders)
        .map(|_| Peer {
            sender: Sender::new(began, Bitrate(scenario.start), MOST, random.number()),
            receiver: Receiver::default(),
            back: Link::new(began, back(), random.number()),
            next_feedback: Duration::ZERO,
            heard: Duration::from_secs(1),
        })
        .collect();
    let mut tcp = scenario.has_tcp.then(|| Tcp::new(scenario.back));
    let mut tally = Tally { open: Some((Duration::ZERO, true)), ..Tally::default() };
    let mut at = Duration::ZERO;
    while at < scenario.lasts {
        at += STEP;
        let now = began + at;
        if let Some(tcp) = &mut tcp {
            tcp.send(at, |number, bytes| link.send(now, bytes, (usize::MAX, number)) != Fate::Overflowed);
        }
        for (place, peer) in peers.iter_mut().enumerate() {
            peer.send(now, |number, bytes| {
                tally.sent(at, scenario, link.send(now, bytes, (place, number)), bytes);
            });
        }
        while let Some((when, (place, number))) = link.receive(now) {
            let when = when - began;
            match peers.get_mut(place) {
                Some(peer) => {
                    tally.gap = tally.gap.max(when.saturating_sub(peer.heard));
                    peer.heard = peer.heard.max(when);
                    peer.receiver.receive(when, number);
                }
                None => tcp.as_mut().expect("it sent").arrived(when),
            }
        }
        peers.iter_mut().for_each(|peer| peer.tell(at, now, &mut random));
        let estimate: u64 = peers.iter().map(|peer| peer.sender.estimator.estimate().0).sum();
        tally.follow(at, scenario, estimate, link.rate_at(at).expect("limited"));
    }
    tally.score(scenario)
}

impl Peer {
    fn send(&mut self, now: Instant, mut send: impl FnMut(u64, usize)) {
        while let Some((_, datagram)) = self.back.receive(now) {
            self.sender.feedback(now, &datagram);
        }
        self.sender.send(now).into_iter().for_each(|packet| send(packet.number, packet.bytes));
    }

    fn tell(&mut self, at: Duration, now: Instant, random: &mut Random) {
        if at >= self.next_feedback {
            self.next_feedback = at + Duration::from_millis(50 + random.number() % 50);
            if let Some(datagram) = self.receiver.feedback() {
                self.back.send(now, datagram.len(), datagram);
            }
        }
    }
}

impl Tally {
    fn sent(&mut self, at: Duration, scenario: &Scenario, fate: Fate, bytes: usize) {
        self.sent += 1;
        match fate {
            Fate::Overflowed => self.overflowed += 1,
            Fate::Waits(wait) => {
                self.carried += bytes;
                let steps = || scenario.changes().filter(|(_, is_better)| !is_better);
                if !steps().any(|(step, _)| (step..step + STEP_DOWN).contains(&at)) {
                    self.waits.push(wait.as_secs_f64() * 1e3);
                }
            }
            Fate::Lost => self.carried += bytes,
        }
    }

    fn follow(&mut self, at: Duration, scenario: &Scenario, estimate: u64, capacity: u64) {
        self.open = scenario.changes().find(|(step, _)| *step == at).or(self.open);
        let share = if scenario.has_tcp { capacity / 2 } else { capacity };
        let Some((since, is_up)) = self.open else { return };
        let took = (at - since).as_secs_f64();
        if is_up {
            self.up = self.up.max(took);
        } else {
            self.down = self.down.max(took);
        }
        if if is_up { estimate as f64 >= 0.8 * share as f64 } else { estimate <= capacity } {
            self.open = None;
        }
    }

    fn score(mut self, scenario: &Scenario) -> Score {
        let rates = &scenario.link.rate;
        let ends = rates.iter().skip(1).map(|(at, _)| *at).chain([scenario.lasts]);
        let bits: f64 =
            rates.iter().zip(ends).map(|((from, rate), to)| (to - *from).as_secs_f64() * *rate as f64).sum();
        let bits = if scenario.has_tcp { bits / 2.0 } else { bits };
        self.waits.sort_by(f64::total_cmp);
        let queue = self.waits.get(self.waits.len() * 95 / 100).copied().unwrap_or_default();
        Score {
            used: self.carried as f64 * 8.0 / bits,
            up: self.up,
            down: self.down,
            queue,
            overflowed: self.overflowed as f64 / self.sent as f64,
            gap: self.gap.as_secs_f64(),
        }
    }
}
