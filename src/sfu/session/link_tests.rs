//! A link that becomes slower, told of as a browser does: every 50 ms, of what arrived until then.

use std::collections::VecDeque;

use super::*;
use crate::wire::rtcp::{Packet, packets};

/// A link of a rate, with a queue before it, over which packets of 1,000 bytes go.
struct Way {
    link: Link,
    began: Instant,
    now: Instant,
    number: u16,
    busy: Duration,
    flying: VecDeque<(u16, Duration)>,
}

impl Way {
    fn new() -> Self {
        let now = Instant::now();
        let (number, busy, flying) = (0, Duration::ZERO, VecDeque::new());
        Self { link: Link::new(now), began: now, now, number, busy, flying }
    }

    /// For so many times 50 ms, sends this much, in bits per second, over a link that carries `rate`.
    fn run(&mut self, times: u32, sent: u64, rate: u64) {
        for _ in 0..times {
            let count = u32::try_from(sent / 160_000).expect("few");
            for _ in 0..count {
                let departed = Departed { bytes: 1_000, number: Some(self.number) };
                self.link.departed(self.now, departed, Purpose::Media);
                let begins = self.busy.max(self.now - self.began);
                self.busy = begins + Duration::from_secs_f64(8_000.0 / rate as f64);
                self.flying.push_back((self.number, self.busy));
                self.number = self.number.wrapping_add(1);
                self.now += Duration::from_millis(50) / count;
            }
            self.tell();
        }
    }

    fn tell(&mut self) {
        let passed = self.now - self.began;
        let arrived = self.flying.iter().take_while(|(_, at)| *at <= passed).count();
        let arrivals: Vec<_> = self.flying.drain(..arrived).collect();
        let Some((base, first)) = arrivals.first() else { return };
        let units = |at: &Duration| i64::try_from(at.as_micros()).expect("small") / 250;
        let reference = units(first) / 256;
        let mut body = vec![0, 0, 0, 1, 0, 0, 0, 2];
        body.extend(base.to_be_bytes());
        body.extend(u16::try_from(arrivals.len()).expect("few").to_be_bytes());
        body.extend(&i32::try_from(reference).expect("small").to_be_bytes()[1..]);
        body.push(0);
        arrivals.iter().for_each(|_| body.extend(0x4001_u16.to_be_bytes()));
        let mut clock = reference * 256;
        for (_, at) in &arrivals {
            body.extend(i16::try_from(units(at) - clock).expect("small").to_be_bytes());
            clock = units(at);
        }
        let length = body.len().next_multiple_of(4);
        let padding = u8::try_from(length - body.len()).expect("small");
        body.resize(length, 0);
        if let Some(last) = body.last_mut().filter(|_| padding > 0) {
            *last = padding;
        }
        let mut datagram = vec![if padding > 0 { 0xaf } else { 0x8f }, 205];
        datagram.extend(u16::try_from(length / 4).expect("small").to_be_bytes());
        datagram.extend(body);
        let Some(Packet::TransportFeedback(feedback)) = packets(&datagram).next() else { panic!() };
        self.link.feedback(self.now, &feedback);
    }
}

#[test]
fn a_link_that_breaks_down_is_noticed_by_its_queue() {
    let mut way = Way::new();
    way.run(100, 1_600_000, 3_000_000);
    way.link.dealt_out(way.now, Some(Bitrate(1_500_000)));
    assert!(!way.link.is_short && way.link.carries(way.now) == way.link.estimator.estimate());
    // A queue of 80 ms takes 15 ms to build, and as much again to tell of.
    way.run(7, 1_600_000, 250_000);
    assert!(way.link.is_short, "within 350 ms");
    let carries = way.link.carries(way.now).0;
    assert!((150_000..300_000).contains(&carries), "{carries} of 250,000 bit/s");
    way.link.dealt_out(way.now, Some(Bitrate(200_000)));
    assert!(!way.link.is_short, "it is dealt out once");
}

#[test]
fn a_link_that_went_silent_is_dealt_out_anew_without_a_word_from_it() {
    let mut way = Way::new();
    way.run(100, 1_600_000, 3_000_000);
    way.link.dealt_out(way.now, Some(Bitrate(1_500_000)));
    for _ in 0..20 {
        way.link.departed(way.now, Departed { bytes: 1_000, number: Some(way.number) }, Purpose::Media);
        way.number += 1;
        way.now += Duration::from_millis(100);
        way.link.poll_probe(way.now);
    }
    assert!(way.link.is_short, "2 s in which nothing was told of what left");
}

#[test]
fn while_a_new_queue_goes_away_what_arrives_may_be_used() {
    let mut way = Way::new();
    way.run(100, 1_600_000, 3_000_000);
    way.run(7, 1_600_000, 250_000);
    for _ in 0..8 {
        way.run(1, 160_000, 250_000);
        let carries = way.link.carries(way.now).0;
        assert!(carries >= 150_000, "{carries} though the estimate is {:?}", way.link.estimator.estimate());
    }
    way.run(100, 160_000, 250_000);
    assert_eq!(way.link.carries(way.now), way.link.estimator.estimate(), "then the estimate holds");
}

#[test]
fn who_was_sent_nothing_yet_is_not_taken_for_one_who_tells_nothing() {
    let now = Instant::now();
    let link = Link::new(now);
    // The first in a room waits for the second.
    assert!(link.budget(now + Duration::from_secs(60), 0) <= START);
}

#[test]
fn room_is_kept_for_the_voices_that_are_heard_and_one_more() {
    let start = Instant::now();
    let now = start + Duration::from_secs(60);
    let at = |ago: u64| Some(now - Duration::from_secs(ago));
    let of = |slots: &[Option<Instant>]| voices(now, slots.iter().copied());
    assert_eq!(of(&[]), 0, "nobody can be heard");
    assert_eq!(of(&[None; 10]), 1, "ten silent ones do not take 500 kbit/s from the picture");
    assert_eq!(of(&[at(0), at(1), at(50), None]), 3);
    assert_eq!(of(&[at(0), at(4)]), 2);
}

/// For so many seconds, 100 packets of 1,000 bytes leave in each, and the client reports that it lost this part of them.
fn report(link: &mut Link, now: &mut Instant, seconds: u32, lost: f64, number: Option<u16>) {
    for _ in 0..seconds {
        for _ in 0..100 {
            link.departed(*now, Departed { bytes: 1_000, number }, Purpose::Media);
            *now += Duration::from_millis(10);
        }
        link.reported(*now, lost, 100);
    }
}

#[test]
fn a_client_that_negotiated_no_feedback_is_known_by_its_reports() {
    let mut now = Instant::now();
    let mut link = Link::new(now);
    report(&mut link, &mut now, 1, 0.4, None);
    let budget = link.budget(now, 0).0;
    assert!((400_000..600_000).contains(&budget), "{budget}, of 800,000 bit/s of which 480,000 arrive");
    assert_eq!(link.estimate(), Some(link.carries(now)));
}

#[test]
fn reports_of_a_client_that_negotiated_feedback_wait_for_it() {
    let mut now = Instant::now();
    let mut link = Link::new(now);
    report(&mut link, &mut now, 2, 0.4, Some(1));
    assert_eq!(link.estimate(), None);
    report(&mut link, &mut now, 1, 0.4, Some(1));
    assert!(link.budget(now, 0).0 < 600_000, "it came to nothing");
}
