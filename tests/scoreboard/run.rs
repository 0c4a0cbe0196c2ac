//! One run of a scenario, in steps of a millisecond.

use std::time::{Duration, Instant};

use crate::flow::{Flow, encoding};
use crate::link::{Fate, Link, Random};
use crate::reference::Reference;
use crate::scenario::Scenario;
use crate::sender::Own;
use crate::tcp::Tcp;

const STEP: Duration = Duration::from_millis(1);
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
    /// How many frames did not come in time: in the times without anything that viewers see as a freeze, for each sender.
    pub(crate) frozen: f64,
    /// How often a sender would change between simulcast encodings.
    pub(crate) switches: f64,
    /// What arrives against how long it takes, 1 at best: the part of the capacity that was used and not lost, squared as the
    /// picture matters more than the delay, and multiplied with the part of the round trip that is not spent in the queue
    /// (Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications", ICC 1979).
    pub(crate) power: f64,
}

/// A frame that comes so late is a freeze (webrtc-stats, freezeCount: 150 ms more than usual).
const FREEZE: Duration = Duration::from_millis(183);

/// Whose estimator sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Own,
    Reference,
}

struct Peer {
    flow: Box<dyn Flow>,
    back: Link<Vec<u8>>,
    heard: Duration,
    /// Which of the encodings the estimate allows.
    encoding: usize,
}

#[derive(Default)]
struct Tally {
    waits: Vec<f64>,
    carried: usize,
    sent: usize,
    overflowed: usize,
    gap: Duration,
    frozen: f64,
    switches: usize,
    /// The change of the link that nobody answered yet.
    open: Option<(Duration, bool)>,
    up: f64,
    down: f64,
}

/// All flows of a scenario, and when they begin.
fn peers(scenario: &Scenario, who: Who, random: &mut Random) -> (Vec<Peer>, Instant) {
    let mut began = Instant::now();
    let flows: Vec<Box<dyn Flow>> = (0..scenario.senders)
        .map(|_| match who {
            Who::Own => Box::new(Own::new(began, scenario, random)) as Box<dyn Flow>,
            Who::Reference => {
                let reference = Reference::new(began, scenario, random);
                began = began.max(reference.began());
                Box::new(reference)
            }
        })
        .collect();
    let link = |flow| Peer {
        flow,
        back: Link::new(began, scenario.back.clone(), random.number()),
        heard: Duration::from_secs(1),
        encoding: 0,
    };
    (flows.into_iter().map(link).collect(), began)
}

pub(crate) fn run(scenario: &Scenario, seed: u64, who: Who) -> Score {
    let mut random = Random(seed);
    let seed = random.number();
    let (mut peers, began) = peers(scenario, who, &mut random);
    let mut link = Link::new(began, scenario.link.clone(), seed);
    let mut tcp = scenario.has_tcp.then(|| Tcp::new(scenario.back.delay));
    let mut tally = Tally { open: Some((Duration::ZERO, true)), ..Tally::default() };
    let mut at = Duration::ZERO;
    while at < scenario.lasts {
        at += STEP;
        let now = began + at;
        if let Some(tcp) = &mut tcp {
            tcp.send(at, |_, bytes| link.send(now, bytes, None) != Fate::Overflowed);
        }
        for (place, peer) in peers.iter_mut().enumerate() {
            while let Some((_, datagram)) = peer.back.receive(now) {
                peer.flow.hear(now, &datagram);
            }
            for packet in peer.flow.send(now) {
                let bytes = packet.bytes;
                tally.sent(at, scenario, link.send(now, bytes, Some((place, packet))), bytes);
            }
        }
        while let Some((when, packet)) = link.receive(now) {
            let passed = when - began;
            let Some((place, packet)) = packet else {
                tcp.as_mut().expect("it sent").arrived(passed);
                continue;
            };
            let peer = peers.get_mut(place).expect("who sent");
            tally.arrived(passed.saturating_sub(peer.heard));
            peer.heard = peer.heard.max(passed);
            peer.flow.receive(when, packet);
        }
        for peer in &mut peers {
            for datagram in peer.flow.answer(now) {
                peer.back.send(now, datagram.len(), datagram);
            }
        }
        tally.switches += peers.iter_mut().map(Peer::switch).filter(|is_other| *is_other).count();
        let estimate: u64 = peers.iter().map(|peer| peer.flow.estimate()).sum();
        tally.follow(at, scenario, estimate, link.rate_at(at).expect("limited"));
    }
    tally.score(scenario)
}

impl Peer {
    /// Whether another encoding is chosen.
    fn switch(&mut self) -> bool {
        let encoding = encoding(self.encoding, self.flow.estimate());
        std::mem::replace(&mut self.encoding, encoding) != encoding
    }
}

impl Tally {
    fn arrived(&mut self, gap: Duration) {
        self.gap = self.gap.max(gap);
        if gap > FREEZE {
            self.frozen += gap.as_secs_f64() * 30.0 - 1.0;
        }
    }

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
        let (used, overflowed) =
            (self.carried as f64 * 8.0 / bits, self.overflowed as f64 / self.sent as f64);
        let round_trip = (scenario.link.delay + scenario.back.delay).as_secs_f64() * 1e3;
        let senders = scenario.senders as f64;
        Score {
            used,
            up: self.up,
            down: self.down,
            queue,
            overflowed,
            gap: self.gap.as_secs_f64(),
            frozen: self.frozen / senders,
            switches: self.switches as f64 / senders,
            power: (used.min(1.0) * (1.0 - overflowed)).powi(2) * round_trip / (round_trip + queue),
        }
    }
}
