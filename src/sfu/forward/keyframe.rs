//! Key-frame requests on their way to a publisher: merged over all subscribers and throttled.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The shortest time between two requests. A key frame is ten times as large as another frame; viewers who join
/// in the same instant must not make the publisher send one each.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two requests, once the last was answered, for those who see nothing at all: when a page of a
/// room is turned everybody asks within some ten milliseconds, and whoever comes just behind the key frame must not wait
/// half a second.
const NEWCOMER_INTERVAL: Duration = Duration::from_millis(200);
/// A publisher that was asked so often within so long is asked less often for a while: a viewer who has a picture and
/// asks on and on must not spoil that of all others.
const BURST: usize = 5;
const BURST_WITHIN: Duration = Duration::from_secs(10);
const INTERVAL_AFTER_BURST: Duration = Duration::from_secs(2);
/// A key frame that comes within this time of a request, and earlier than it would have, is an answer; this many in a row, and
/// the encoder is known to give them.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const ANSWERS: u8 = 3;
/// Encoders that ignore requests (OBS, FFmpeg) are asked ever less often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(8);

/// The requests for one track.
#[derive(Debug, Default)]
pub struct KeyframeRequests {
    wanted: bool,
    /// Whether somebody waits who has no picture at all.
    newcomer: bool,
    /// When requests were sent, the last of them at the end.
    sent: VecDeque<Instant>,
    unanswered: u32,
    /// Since when one is asked for in vain.
    asked: Option<Instant>,
    /// When the last key frame came, and the longest that two were apart.
    came: Option<(Instant, Duration)>,
    /// How many in a row came because they were asked for.
    answered: u8,
}

impl KeyframeRequests {
    /// A subscriber needs a key frame.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// A subscriber needs a key frame to see anything of the track.
    pub fn want_to_begin(&mut self) {
        self.wanted = true;
        self.newcomer = true;
    }

    /// Takes out what is wanted, to have it asked for elsewhere: whether somebody waits who has no picture at all. `None`
    /// when nothing is.
    pub fn take(&mut self) -> Option<bool> {
        let newcomer = std::mem::take(&mut self.newcomer);
        std::mem::take(&mut self.wanted).then_some(newcomer)
    }

    /// A key frame begins: everybody who waited has what they need.
    pub fn arrived(&mut self, now: Instant) {
        let (last, longest) = self.came.unwrap_or((now, Duration::ZERO));
        let apart = now.saturating_duration_since(last);
        // One that would have come anyway is no answer.
        let is_early = apart < longest / 10 * 9;
        let is_soon = self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ANSWERS_WITHIN);
        if is_early && is_soon {
            self.answered = (self.answered + 1).min(ANSWERS);
        }
        self.came = Some((now, longest.max(apart)));
        self.wanted = false;
        self.newcomer = false;
        self.unanswered = 0;
        self.asked = None;
    }

    /// Whether the encoder is known to make key frames when it is asked: as long as it does so every time.
    #[must_use]
    pub fn are_answered(&self) -> bool {
        self.answered >= ANSWERS
    }

    /// Since when one is asked for that has not come.
    #[must_use]
    pub fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// Whether a request is to be sent now. It counts as sent.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline.is_none_or(|deadline| deadline <= now));
        if due {
            if self.sent.len() >= BURST {
                self.sent.pop_front();
            }
            self.sent.push_back(now);
            if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) >= ANSWERS_WITHIN) {
                self.answered = 0;
            }
            self.unanswered = self.unanswered.saturating_add(1);
            self.asked.get_or_insert(now);
        }
        due
    }

    /// When [`Self::poll`] has something to do: `None` never, `Some(None)` at once.
    #[must_use]
    pub fn deadline(&self) -> Option<Option<Instant>> {
        self.wanted.then(|| self.sent.back().map(|last| *last + self.interval()))
    }

    fn interval(&self) -> Duration {
        let doublings = self.unanswered.saturating_sub(1).min(8);
        let patience = (FIRST_INTERVAL * 2_u32.pow(doublings)).min(LONGEST_INTERVAL);
        let burst = self.sent.len() >= BURST
            && self
                .sent
                .front()
                .zip(self.sent.back())
                .is_some_and(|(first, last)| *last - *first < BURST_WITHIN);
        match (self.newcomer, burst) {
            (true, false) if self.unanswered == 0 => NEWCOMER_INTERVAL,
            (false, true) => patience.max(INTERVAL_AFTER_BURST),
            _ => patience,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks every 10 ms over `length` and returns when requests went out, in ms.
    fn run(
        requests: &mut KeyframeRequests,
        length: u64,
        mut each: impl FnMut(u64, Instant, &mut KeyframeRequests),
    ) -> Vec<u64> {
        let start = Instant::now();
        let times = (0..length).step_by(10);
        times
            .filter(|ms| {
                let now = start + Duration::from_millis(*ms);
                each(*ms, now, requests);
                requests.poll(now)
            })
            .collect()
    }

    #[test]
    fn the_first_request_goes_at_once_and_a_crowd_makes_one() {
        let mut requests = KeyframeRequests::default();
        let sent = run(&mut requests, 400, |_, _, requests| requests.want());
        assert_eq!(sent, [0]);
    }

    #[test]
    fn nothing_is_sent_once_the_key_frame_came() {
        let mut requests = KeyframeRequests::default();
        requests.want();
        let sent = run(&mut requests, 5_000, |ms, now, requests| {
            if ms == 100 {
                requests.arrived(now);
            }
        });
        assert_eq!(sent, [0]);
    }

    #[test]
    fn a_deaf_encoder_is_asked_ever_less_often() {
        let mut requests = KeyframeRequests::default();
        requests.want();
        let sent = run(&mut requests, 16_000, |_, _, _| ());
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500]);
    }

    #[test]
    fn a_viewer_who_asks_on_and_on_is_heeded_ever_less() {
        let mut requests = KeyframeRequests::default();
        let sent = run(&mut requests, 20_000, |ms, now, requests| {
            if ms % 100 == 0 {
                requests.arrived(now);
            }
            requests.want();
        });
        assert_eq!(sent[..6], [0, 500, 1_000, 1_500, 2_000, 4_000]);
        let later = sent.iter().filter(|ms| **ms >= 4_000).count();
        assert!(later <= 9, "{sent:?}");
    }

    #[test]
    fn who_sees_nothing_does_not_wait_for_those_who_asked_too_often() {
        let mut requests = KeyframeRequests::default();
        let sent = run(&mut requests, 10_000, |ms, now, requests| {
            if ms % 100 == 0 {
                requests.arrived(now);
            }
            requests.want_to_begin();
        });
        assert_eq!(sent[..6], [0, 200, 400, 600, 800, 1_300]);
        assert_eq!(sent.len(), 23, "one every 500 ms after the first five");
    }

    #[test]
    fn a_later_want_waits_for_the_interval() {
        let mut requests = KeyframeRequests::default();
        requests.want();
        let sent = run(&mut requests, 2_000, |ms, now, requests| match ms {
            50 => requests.arrived(now),
            100 => requests.want(),
            600 => requests.arrived(now),
            1_900 => requests.want(),
            _ => (),
        });
        assert_eq!(sent, [0, 500, 1_900]);
    }

    /// Whether an encoder counts as one that answers, that makes a key frame every so many ms and so many ms after it was
    /// asked, and is asked now and then for a minute.
    fn answers(every: Option<u64>, after: Option<u64>) -> bool {
        let (mut last, mut asked) = (0, None);
        let mut requests = KeyframeRequests::default();
        let start = Instant::now();
        requests.arrived(start);
        for ms in (0..60_000).step_by(10) {
            let now = start + Duration::from_millis(ms);
            let is_due = every.is_some_and(|every| ms - last >= every);
            if is_due || after.zip(asked).is_some_and(|(after, at)| ms - at >= after) {
                requests.arrived(now);
                (last, asked) = (ms, None);
            }
            if ms % 7_130 == 0 || ms % 4_570 == 0 {
                requests.want_to_begin();
            }
            if requests.poll(now) {
                asked = asked.or(Some(ms));
            }
        }
        requests.are_answered()
    }

    #[test]
    fn encoders_that_answer_are_told_from_those_that_make_key_frames_anyway() {
        assert!(answers(None, Some(60)), "a browser");
        assert!(answers(Some(10_000), Some(60)), "one that does both");
        assert!([250, 500, 1_000, 2_000, 4_000, 10_000].iter().all(|every| !answers(Some(*every), None)));
    }

    #[test]
    fn who_answers_no_more_is_known_as_one_who_does_not() {
        let mut requests = KeyframeRequests::default();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for (ms, answered) in [(0, 50), (3_000, 3_050), (5_000, 5_050), (7_000, 7_050), (9_000, 9_050)] {
            requests.want();
            assert!(requests.poll(at(ms)));
            requests.arrived(at(answered));
        }
        assert!(requests.are_answered());
        requests.want();
        assert!(requests.poll(at(20_000)) && requests.poll(at(21_500)));
        assert!(!requests.are_answered());
    }
}
