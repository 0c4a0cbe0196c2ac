//! The flow that is judged: our estimator, our pacer, and a receiver that tells of packets now and then.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice::sfu::egress::bandwidth::{ClusterId, Estimator, Purpose};
use sluice::sfu::egress::pacer::{Admit, Frame, Pacer};
use sluice::units::Bitrate;
use sluice::wire::rtcp::{Packet as Rtcp, packets};

use crate::flow::{Camera, Flow, LARGEST, MOST, Packet};
use crate::link::Random;
use crate::receiver::Receiver;
use crate::scenario::Scenario;

pub(crate) struct Own {
    began: Instant,
    estimator: Estimator,
    pacer: Pacer<usize>,
    camera: Camera,
    number: u64,
    probe: VecDeque<(Instant, usize, ClusterId)>,
    receiver: Receiver,
    next_feedback: Instant,
    random: Random,
}

impl Own {
    pub(crate) fn new(now: Instant, scenario: &Scenario, random: &mut Random) -> Self {
        let start = scenario.start;
        let mut estimator = Estimator::new(now, Bitrate(start));
        estimator.want(Bitrate(MOST));
        Self {
            began: now,
            estimator,
            pacer: Pacer::new(now, Bitrate(start)),
            camera: Camera::new(now, scenario.has_encodings, random.number()),
            number: 65_000,
            probe: VecDeque::new(),
            receiver: Receiver::default(),
            next_feedback: now,
            random: Random(random.number()),
        }
    }

    fn probe(&mut self, now: Instant) {
        let Some(probe) = self.estimator.poll_probe(now) else { return };
        let packets = probe.packets.max(probe.bytes.div_ceil(LARGEST));
        let size = probe.bytes.div_ceil(packets);
        let apart = Duration::from_secs_f64(size as f64 * 8.0 / probe.rate.0 as f64);
        let at = |n: usize| now + apart * u32::try_from(n).expect("few packets");
        self.probe.extend((0..packets).map(|n| (at(n), size, probe.cluster)));
    }

    fn leave(&mut self, now: Instant, bytes: usize, purpose: Purpose, out: &mut Vec<Packet>) {
        self.estimator.sent(now, self.number as u16, bytes, purpose);
        out.push(Packet { number: self.number, bytes, datagram: Vec::new() });
        self.number += 1;
    }
}

impl Flow for Own {
    fn send(&mut self, now: Instant) -> Vec<Packet> {
        let mut out = Vec::new();
        for bytes in self.camera.frame(now, self.estimator.estimate().0) {
            let frame = Frame { stream: 1, timestamp: self.camera.frames, rank: 0 };
            match self.pacer.admit(now, bytes) {
                Admit::Now => self.leave(now, bytes, Purpose::Media, &mut out),
                Admit::Queue => {
                    self.pacer.push(now, frame, bytes, bytes);
                }
            }
        }
        while let Some(bytes) = self.pacer.pop(now) {
            self.leave(now, bytes, Purpose::Media, &mut out);
        }
        if self.estimator.deadline().is_some_and(|at| at <= now) {
            self.probe(now);
        }
        while let Some((_, bytes, cluster)) = self.probe.front().copied().filter(|(at, ..)| *at <= now) {
            self.probe.pop_front();
            self.pacer.spent(now, bytes);
            self.leave(now, bytes, Purpose::Probe(cluster), &mut out);
        }
        out
    }

    fn receive(&mut self, at: Instant, packet: Packet) {
        self.receiver.receive(at - self.began, packet.number);
    }

    fn answer(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if now < self.next_feedback {
            return Vec::new();
        }
        self.next_feedback = now + Duration::from_millis(50 + self.random.number() % 50);
        self.receiver.feedback().into_iter().collect()
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) {
        for packet in packets(datagram) {
            let Rtcp::TransportFeedback(feedback) = packet else { panic!("{packet:?}") };
            self.estimator.feedback(now, &feedback);
        }
        self.pacer.rate(now, self.estimator.estimate());
    }

    fn estimate(&self) -> u64 {
        self.estimator.estimate().0
    }
}
