//! A flow that behaves like TCP: a window that grows by a packet each round trip and is halved when one is lost.

use std::time::Duration;

const BYTES: usize = 1_200;

pub(crate) struct Tcp {
    window: f64,
    is_starting: bool,
    flying: f64,
    number: u64,
    back: Duration,
    /// When the sender hears of what arrived (true) or was lost.
    news: Vec<(Duration, bool)>,
    halved: Duration,
}

impl Tcp {
    pub(crate) fn new(back: Duration) -> Self {
        let news = Vec::new();
        Self { window: 10.0, is_starting: true, flying: 0.0, number: 0, back, news, halved: Duration::ZERO }
    }

    pub(crate) fn arrived(&mut self, at: Duration) {
        self.news.push((at + self.back, true));
    }

    pub(crate) fn send(&mut self, at: Duration, mut send: impl FnMut(u64, usize) -> bool) {
        for (_, arrived) in self.news.extract_if(.., |(when, _)| *when <= at) {
            self.flying -= 1.0;
            if arrived {
                self.window += if self.is_starting { 1.0 } else { 1.0 / self.window };
            } else if at > self.halved + 6 * self.back {
                self.window = (self.window / 2.0).max(2.0);
                (self.is_starting, self.halved) = (false, at);
            }
        }
        while self.flying + 1.0 <= self.window {
            self.flying += 1.0;
            self.number += 1;
            if !send(self.number, BYTES) {
                // Later packets tell of the gap about a round trip and a full queue after.
                self.news.push((at + 6 * self.back, false));
            }
        }
    }
}
