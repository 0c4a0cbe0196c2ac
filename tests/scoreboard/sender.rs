//! A sender of adaptive video: frames at 30/s of the size that the estimate allows, through the pacer, with probes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice::sfu::egress::bandwidth::{ClusterId, Estimator, Purpose};
use sluice::sfu::egress::pacer::{Admit, Frame, Pacer};
use sluice::units::Bitrate;
use sluice::wire::rtcp::{Packet, packets};

use crate::link::Random;

const FRAME: Duration = Duration::from_micros(33_333);
const LARGEST: usize = 1_200;

/// A packet to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    pub(crate) bytes: usize,
}

pub(crate) struct Sender {
    pub(crate) estimator: Estimator,
    pacer: Pacer<usize>,
    most: u64,
    next_frame: Instant,
    frames: u32,
    number: u64,
    random: Random,
    probe: VecDeque<(Instant, usize, ClusterId)>,
    pub(crate) dropped: usize,
}

impl Sender {
    pub(crate) fn new(now: Instant, start: Bitrate, most: u64, seed: u64) -> Self {
        let mut estimator = Estimator::new(now, start);
        estimator.want(Bitrate(most));
        let mut random = Random(seed);
        Self {
            estimator,
            pacer: Pacer::new(now, start),
            most,
            next_frame: now + FRAME.mul_f64(random.part()),
            frames: 0,
            number: 65_000,
            random,
            probe: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(crate) fn feedback(&mut self, now: Instant, datagram: &[u8]) {
        for packet in packets(datagram) {
            let Packet::TransportFeedback(feedback) = packet else { panic!("{packet:?}") };
            self.estimator.feedback(now, &feedback);
        }
        self.pacer.rate(now, self.estimator.estimate());
    }

    /// What leaves at this time.
    pub(crate) fn send(&mut self, now: Instant) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if now >= self.next_frame {
            self.next_frame += FRAME;
            self.frame(now, &mut out);
        }
        while let Some(bytes) = self.pacer.pop(now) {
            self.leave(now, bytes, Purpose::Media, &mut out);
        }
        if self.estimator.deadline().is_some_and(|at| at <= now)
            && let Some(probe) = self.estimator.poll_probe(now)
        {
            let packets = probe.packets.max(probe.bytes.div_ceil(LARGEST));
            let size = probe.bytes.div_ceil(packets);
            let apart = Duration::from_secs_f64(size as f64 * 8.0 / probe.rate.0 as f64);
            let at = |n: usize| now + apart * u32::try_from(n).expect("few packets");
            self.probe.extend((0..packets).map(|n| (at(n), size, probe.cluster)));
        }
        while let Some((_, bytes, cluster)) = self.probe.front().copied().filter(|(at, ..)| *at <= now) {
            self.probe.pop_front();
            self.pacer.spent(now, bytes);
            self.leave(now, bytes, Purpose::Probe(cluster), &mut out);
        }
        out
    }

    fn frame(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        self.frames += 1;
        let rate = self.estimator.estimate().0.min(self.most);
        // Sizes of frames vary; now and then there is a key frame.
        let factor = if self.frames % 300 == 1 { 4.0 } else { 0.8 + 0.4 * self.random.part() - 0.01 };
        #[expect(clippy::cast_sign_loss, reason = "all of it is above nothing")]
        let mut left = (rate as f64 * FRAME.as_secs_f64() / 8.0 * factor) as usize;
        let frame = Frame { stream: 1, timestamp: self.frames, rank: 0 };
        while left > 0 {
            let bytes = left.min(LARGEST);
            left -= bytes;
            match self.pacer.admit(now, bytes) {
                Admit::Now => self.leave(now, bytes, Purpose::Media, out),
                Admit::Queue => {
                    self.dropped += self.pacer.push(now, frame, bytes, bytes).len();
                }
            }
        }
    }

    fn leave(&mut self, now: Instant, bytes: usize, purpose: Purpose, out: &mut Vec<Outgoing>) {
        self.estimator.sent(now, self.number as u16, bytes, purpose);
        out.push(Outgoing { number: self.number, bytes });
        self.number += 1;
    }
}
