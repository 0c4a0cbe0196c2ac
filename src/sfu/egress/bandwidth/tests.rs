//! The estimator as a whole, fed with packets as they stand on the wire.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::words::bitrate;
use super::{Estimator, Limit, Purpose};
use crate::units::Bitrate;
use crate::wire::rtcp::{Packet, packets};

/// A feedback: base, reference, and for each packet how many units of 250 us after the one before, if it arrived.
fn feedback(base: u16, reference: i32, deltas: &[Option<i16>]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 1, 0, 0, 0, 2];
    body.extend(base.to_be_bytes());
    body.extend(u16::try_from(deltas.len()).unwrap().to_be_bytes());
    body.extend(&reference.to_be_bytes()[1..]);
    body.push(0);
    for delta in deltas {
        let run: u16 = if delta.is_some() { 0x4001 } else { 0x0001 };
        body.extend(run.to_be_bytes());
    }
    deltas.iter().flatten().for_each(|delta| body.extend(delta.to_be_bytes()));
    let padding = body.len().next_multiple_of(4) - body.len();
    body.resize(body.len() + padding, 0);
    let mut packet = vec![0x8f, 205];
    if padding > 0 {
        packet[0] = 0xaf;
        *body.last_mut().unwrap() = u8::try_from(padding).unwrap();
    }
    packet.extend(u16::try_from(body.len() / 4).unwrap().to_be_bytes());
    packet.extend(body);
    packet
}

fn tell(estimator: &mut Estimator, now: Instant, datagram: &[u8]) {
    let Some(Packet::TransportFeedback(feedback)) = packets(datagram).next() else { panic!() };
    estimator.feedback(now, &feedback);
}

/// A sender of packets of 1,000 bytes whose link is described by when each arrives.
struct Flow {
    estimator: Estimator,
    began: Instant,
    now: Instant,
    number: u16,
    /// The link is busy until here.
    busy: Duration,
    /// How much longer the way has become.
    detour: Duration,
    /// How many feedbacks there were, and what happens to the one with a number.
    answers: u32,
    answered: fn(u32) -> Way,
    held: Vec<Vec<u8>>,
}

/// What happens to a feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Comes,
    Lost,
    Twice,
    AfterTheNext,
}

const REFERENCE: i32 = (1 << 23) - 20;

impl Flow {
    fn new(start: u64) -> Self {
        let began = Instant::now();
        let estimator = Estimator::new(began, Bitrate(start));
        Self {
            estimator,
            began,
            now: began,
            number: 65_400,
            busy: Duration::ZERO,
            detour: Duration::ZERO,
            answers: 0,
            answered: |_| Way::Comes,
            held: Vec::new(),
        }
    }

    /// For so many times 100 ms, sends `each` packets evenly over a link of this rate that loses every so manieth.
    fn run(&mut self, times: usize, each: u32, rate: u64, loses: u16) {
        for _ in 0..times {
            let base = self.number;
            let mut arrivals = Vec::new();
            for _ in 0..each {
                self.estimator.sent(self.now, self.number, 1_000, Purpose::Media);
                let start = self.busy.max(self.now - self.began);
                self.busy = start + Duration::from_secs_f64(8_000.0 / rate as f64);
                let is_lost = loses > 0 && self.number.is_multiple_of(loses);
                let arrives = (self.busy + self.detour).as_micros();
                arrivals.push((!is_lost).then(|| i64::try_from(arrives).unwrap() / 250));
                self.number = self.number.wrapping_add(1);
                self.now += Duration::from_millis(100) / each;
            }
            let Some(first) = arrivals.iter().flatten().next() else { continue };
            let units = first / 256;
            let mut clock = units * 256;
            let deltas: Vec<_> = arrivals
                .iter()
                .map(|arrival| {
                    let at = (*arrival)?;
                    let delta = i16::try_from(at - clock).unwrap();
                    clock = at;
                    Some(delta)
                })
                .collect();
            let reference = REFERENCE.wrapping_add(i32::try_from(units).unwrap());
            self.answer(feedback(base, reference, &deltas));
        }
    }

    fn answer(&mut self, datagram: Vec<u8>) {
        let way = (self.answered)(self.answers);
        self.answers += 1;
        let held = std::mem::take(&mut self.held);
        let times = match way {
            Way::Comes => 1,
            Way::Twice => 2,
            Way::Lost | Way::AfterTheNext => 0,
        };
        (0..times).for_each(|_| tell(&mut self.estimator, self.now, &datagram));
        if way == Way::AfterTheNext {
            self.held.push(datagram);
        }
        held.iter().for_each(|datagram| tell(&mut self.estimator, self.now, datagram));
    }

    fn rate(&self) -> u64 {
        self.estimator.estimate().0
    }
}

#[test]
fn a_link_that_carries_everything_is_believed_to_carry_more() {
    let mut flow = Flow::new(800_000);
    flow.run(100, 10, 10_000_000, 0);
    assert!((1_000_000..1_300_000).contains(&flow.rate()), "{}", flow.rate());
}

#[test]
fn a_full_link_is_noticed_within_a_second() {
    let mut flow = Flow::new(800_000);
    flow.run(30, 10, 10_000_000, 0);
    flow.run(10, 10, 400_000, 0);
    assert!(flow.rate() < 400_000, "{}", flow.rate());
    assert_eq!(flow.estimator.state().limit, Limit::Delay);
    assert!(flow.estimator.state().queueing > Duration::from_millis(100));
}

#[test]
fn who_sends_little_learns_nothing() {
    let mut flow = Flow::new(1_000_000);
    flow.run(300, 2, 10_000_000, 0);
    assert_eq!((flow.rate(), flow.estimator.state().limit), (1_000_000, Limit::Application));
}

#[test]
fn a_link_that_loses_packets_whatever_is_sent_is_used() {
    let mut flow = Flow::new(800_000);
    flow.run(200, 10, 10_000_000, 8);
    assert!(flow.rate() > 700_000, "{}", flow.rate());
    assert!((flow.estimator.state().loss - 0.125).abs() < 0.05);
}

#[test]
fn a_receivers_limit_holds_until_it_expires() {
    let mut flow = Flow::new(800_000);
    flow.run(10, 10, 10_000_000, 0);
    flow.estimator.remb(flow.now, Bitrate(300_000));
    assert_eq!((flow.rate(), flow.estimator.state().limit), (300_000, Limit::Receiver));
    flow.run(60, 10, 10_000_000, 0);
    assert!(flow.rate() > 700_000, "{}", flow.rate());
}

/// A sender of packets without numbers, to a receiver that tells once in a second what part of them it lost.
struct Reported {
    estimator: Estimator,
    now: Instant,
    /// What is sent is the largest of these that fits, bit/s.
    layers: Vec<u64>,
    sent: u64,
}

impl Reported {
    fn new(layers: &[u64]) -> Self {
        let now = Instant::now();
        let mut estimator = Estimator::new(now, Bitrate(1_000_000));
        estimator.want(Bitrate(layers.iter().copied().max().unwrap_or(0) * 12 / 10));
        Self { estimator, now, layers: layers.to_vec(), sent: 0 }
    }

    /// For so many seconds, over a link that carries so much and loses a part of what it carries. Returns what got lost of all
    /// that was sent, and what was sent in the last second.
    fn run(&mut self, seconds: u32, rate: u64, loss: f64) -> (f64, u64) {
        let (mut lost, mut all) = (0.0, 0.0);
        for _ in 0..seconds {
            let (mut came, mut sent) = (0.0, 0.0);
            for _ in 0..20 {
                let estimate = self.estimator.estimate().0;
                let fits = self.layers.iter().filter(|layer| **layer <= estimate);
                self.sent = fits.max().or(self.layers.iter().min()).copied().unwrap_or(0);
                let packets = self.sent / 160_000;
                (0..packets.max(1)).for_each(|_| self.estimator.sent_unnumbered(self.now, 1_000));
                sent += packets as f64;
                came += packets.min(rate / 160_000) as f64 * (1.0 - loss);
                self.now += Duration::from_millis(50);
            }
            let part = ((1.0 - came / sent) * 256.0).round() / 256.0;
            self.estimator.reported(self.now, part, u32::try_from(bitrate(sent).0).unwrap());
            lost += sent - came;
            all += sent;
        }
        (lost / all, self.sent)
    }
}

#[test]
fn reports_alone_find_what_a_link_carries() {
    let mut flow = Reported::new(&[160_000, 480_000, 1_600_000, 3_200_000]);
    assert_eq!(flow.run(15, 100_000_000, 0.0).1, 3_200_000, "nothing gets lost");
    flow.run(5, 640_000, 0.0);
    let (lost, sent) = flow.run(60, 640_000, 0.0);
    assert!(lost < 0.12 && sent == 480_000, "{lost} of {sent}");
    let (lost, sent) = flow.run(90, 100_000_000, 0.0);
    assert!(lost == 0.0 && sent == 3_200_000, "{sent}");
}

#[test]
fn reports_of_loss_that_no_lower_rate_ends_do_not_end_the_picture() {
    let mut flow = Reported::new(&[160_000, 480_000, 1_600_000]);
    flow.run(20, 100_000_000, 0.15);
    assert_eq!(flow.run(20, 100_000_000, 0.15).1, 1_600_000);
}

#[test]
fn reports_count_where_no_feedback_comes() {
    let mut flow = Flow::new(1_000_000);
    flow.run(10, 10, 10_000_000, 0);
    let before = flow.rate();
    flow.estimator.reported(flow.now, 0.5, 1_000);
    assert!(flow.rate() >= before, "transport-wide feedback knows better");
}

#[test]
fn a_receivers_estimate_alone_may_grow_beyond_what_one_begins_with() {
    let mut flow = Reported::new(&[480_000, 960_000, 1_600_000, 3_200_000]);
    for _ in 0..5 {
        flow.estimator.remb(flow.now, Bitrate(8_000_000));
        flow.run(1, 100_000_000, 0.0);
    }
    assert_eq!(flow.sent, 3_200_000);
    // The receiver does not know yet that its packets get lost.
    for _ in 0..6 {
        flow.estimator.remb(flow.now, Bitrate(8_000_000));
        flow.run(1, 640_000, 0.0);
    }
    assert_eq!(flow.sent, 480_000);
}

#[test]
fn when_nothing_is_heard_any_more_less_is_sent() {
    let mut flow = Flow::new(1_000_000);
    flow.run(10, 12, 10_000_000, 0);
    for _ in 0..300 {
        flow.now += Duration::from_millis(10);
        flow.number = flow.number.wrapping_add(1);
        flow.estimator.sent(flow.now, flow.number, 1_000, Purpose::Media);
        if flow.estimator.deadline().is_some_and(|at| at <= flow.now) {
            flow.estimator.poll_probe(flow.now);
        }
    }
    assert!(flow.rate() < 500_000, "{}", flow.rate());
}

/// What a link of 1 Mbit/s is taken to carry after half a minute of sending just that, when this happens to feedback.
fn with_feedback(answered: fn(u32) -> Way) -> (u64, u64) {
    let mut flow = Flow::new(1_000_000);
    flow.answered = answered;
    flow.run(100, 12, 5_000_000, 0);
    let (mut least, mut rate) = (u64::MAX, 0);
    for _ in 0..200 {
        // Packets of 1,000 bytes, as many as fit the estimate.
        let each = u32::try_from(flow.rate() / 80_000).unwrap().clamp(1, 40);
        flow.run(1, each, 1_000_000, 0);
        rate = flow.rate();
        least = least.min(rate);
    }
    (least, rate)
}

#[test]
fn feedback_that_gets_lost_says_nothing_of_the_link() {
    let (clean, _) = with_feedback(|_| Way::Comes);
    let lossy = |n: u32| if n.wrapping_mul(2_654_435_761) >> 16 & 7 < 3 { Way::Lost } else { Way::Comes };
    let (least, last) = with_feedback(lossy);
    assert!(clean > 600_000, "{clean}");
    assert!(least > 500_000 && last < 1_300_000, "{least} {last}");
}

#[test]
fn feedback_that_comes_twice_or_late_says_no_more_than_once() {
    let (least, last) = with_feedback(|n| if n % 3 == 0 { Way::Twice } else { Way::Comes });
    assert!(least > 600_000 && last < 1_300_000, "{least} {last}");
    let (least, last) = with_feedback(|n| if n % 5 == 0 { Way::AfterTheNext } else { Way::Comes });
    assert!(least > 600_000 && last < 1_300_000, "{least} {last}");
}

#[test]
fn a_longer_way_is_no_queue_for_long() {
    let mut flow = Flow::new(1_000_000);
    flow.run(50, 12, 10_000_000, 0);
    let before = flow.rate();
    flow.detour = Duration::from_millis(80);
    flow.run(100, 12, 10_000_000, 0);
    assert!(flow.rate() > before * 3 / 4, "{before} {}", flow.rate());
    flow.run(100, 12, 10_000_000, 0);
    assert!(flow.rate() > before * 9 / 10, "{before} {}", flow.rate());
}

#[test]
fn losses_on_a_longer_way_are_not_the_work_of_others() {
    let mut flow = Flow::new(1_000_000);
    flow.run(50, 12, 10_000_000, 12);
    flow.detour = Duration::from_millis(80);
    for _ in 0..100 {
        flow.run(1, 12, 10_000_000, 12);
        assert!(flow.rate() > 400_000, "{}", flow.rate());
    }
}

/// Sends a probe at its rate over a link of another, and tells what arrived.
fn probe(flow: &mut Flow, link: u64) -> u64 {
    let probe = flow.estimator.poll_probe(flow.now).expect("a probe");
    let (base, mut arrivals) = (flow.number, Vec::new());
    let size = probe.bytes.div_ceil(probe.packets);
    let apart = |rate: u64| Duration::from_secs_f64(size as f64 * 8.0 / rate as f64);
    let (sends, arrives) = (apart(probe.rate.0), apart(probe.rate.0.min(link)));
    for n in 0..probe.packets {
        flow.estimator.sent(flow.now, flow.number, size, Purpose::Probe(probe.cluster));
        flow.number = flow.number.wrapping_add(1);
        flow.now += sends;
        let step = |n: usize| i64::try_from((arrives * u32::try_from(n).unwrap()).as_micros()).unwrap() / 250;
        arrivals.push(Some(i16::try_from(step(n) - step(n.saturating_sub(1))).unwrap()));
    }
    flow.now += Duration::from_millis(100);
    let reference = i32::try_from((flow.now - flow.began).as_millis() / 64).unwrap();
    tell(&mut flow.estimator, flow.now, &feedback(base, REFERENCE.wrapping_add(reference), &arrivals));
    probe.rate.0
}

#[test]
fn probes_find_the_links_rate_and_go_no_further_than_wanted() {
    let mut flow = Flow::new(300_000);
    assert!(flow.estimator.poll_probe(flow.now).is_none(), "nobody wants more");
    flow.estimator.want(Bitrate(4_000_000));
    assert_eq!(probe(&mut flow, 10_000_000), 900_000);
    assert!((800_000..=910_000).contains(&flow.rate()), "{}", flow.rate());
    assert_eq!(probe(&mut flow, 1_200_000), 1_800_000);
    assert!((1_000_000..=1_200_000).contains(&flow.rate()), "{}", flow.rate());
    assert!(flow.estimator.poll_probe(flow.now).is_none(), "not so soon");
    flow.now += Duration::from_secs(4);
    flow.estimator.want(Bitrate(1_400_000));
    let rate = probe(&mut flow, 10_000_000);
    assert!(rate <= 1_750_000, "{rate}");
}

#[test]
fn a_busy_link_takes_little_memory_and_a_calm_one_less() {
    let mut flow = Flow::new(2_000_000);
    flow.run(50, 25, 10_000_000, 0);
    let steady = flow.estimator.footprint();
    assert!(steady < 8 * 1_024, "{steady}");
    for _ in 0..50 {
        flow.run(10, 25, 10_000_000, 0);
        assert_eq!(flow.estimator.footprint(), steady, "a steady flow allocates nothing");
    }
    flow.run(20, 250, 100_000_000, 0);
    flow.run(200, 5, 10_000_000, 0);
    assert!(flow.estimator.footprint() < 4 * 1_024, "{}", flow.estimator.footprint());
}

#[test]
fn who_never_tells_of_anything_costs_no_more() {
    let mut flow = Flow::new(2_000_000);
    for n in 0..5_000_u16 {
        flow.estimator.sent(flow.now, n, 1_000, Purpose::Media);
        flow.now += Duration::from_millis(4);
    }
    assert!(flow.estimator.footprint() < 12 * 1_024, "{}", flow.estimator.footprint());
}

proptest! {
    /// Whatever a receiver says, no more is believed than half as much again as was sent.
    #[test]
    fn lies_do_not_inflate_the_estimate(
        lies in prop::collection::vec(
            (any::<u16>(), any::<bool>(), -(1 << 23)..(1_i32 << 23),
             prop::collection::vec(prop::option::of(prop_oneof![any::<i16>(), 0..4_i16]), 1..60)),
            1..200),
    ) {
        let began = Instant::now();
        let mut estimator = Estimator::new(began, Bitrate(300_000));
        estimator.want(Bitrate(20_000_000));
        let (mut now, mut number) = (began, 0_u16);
        for (base, near, reference, deltas) in lies {
            for _ in 0..5 {
                estimator.sent(now, number, 1_000, Purpose::Media);
                number = number.wrapping_add(1);
                now += Duration::from_millis(20);
            }
            let base = if near { number.wrapping_sub(base % 64) } else { base };
            let elapsed = i32::try_from((now - began).as_millis() / 64).unwrap();
            let reference = if near { elapsed } else { reference };
            tell(&mut estimator, now, &feedback(base, reference, &deltas));
            estimator.poll_probe(now);
            prop_assert!(estimator.estimate().0 <= 750_000, "{:?}", estimator.state());
            prop_assert!(estimator.estimate().0 >= 30_000);
        }
    }
}
