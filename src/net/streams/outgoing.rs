//! What waits for the reader of a stream: bounded in bytes and in time, and lossy.
//!
//! TCP delivers everything, however late. For media that is wrong: what waited for a third of a second will not be shown any
//! more, and all that stands behind it is late too. So frames wait here, where they can still be dropped, and the system's
//! own queue is kept short. The oldest go first: they are worth least, the reader learns of the gap soonest, and what
//! it gets then is the present. It asks for what it misses as on any network that loses packets.
//!
//! Answers to requests are not dropped for their age: over TCP nobody repeats a request (RFC 8489 section 6.2.2).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::kind::Carries;

/// How long a frame may wait. A picture is late by then, and a congested UDP link would have dropped it as well.
pub const LONGEST_WAIT: Duration = Duration::from_millis(300);

/// What may wait at one time, in bytes: 300 ms of 7 Mbit/s.
pub const MOST_WAITING: usize = 256 << 10;

/// What is written at once, in bytes: one record of TLS. More is written when frames are longer.
const BATCH: usize = 16 << 10;

/// The worker's end: frames go in, and none ever waits for anybody. Dropping it closes the stream.
#[derive(Debug)]
pub struct StreamOut {
    carries: Carries,
    shared: Arc<Shared>,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Waiting {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Notify,
    /// Somebody here knows what the stream is for.
    is_admitted: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    overflow: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Frame {
    since: Instant,
    is_answer: bool,
    bytes: Box<[u8]>,
}

/// What was taken out to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Frames to write.
    pub(super) frames: u64,
    /// Frames dropped, as they waited too long.
    pub(super) late: u64,
    /// Frames dropped since the last time, as there was no room.
    pub(super) overflow: u64,
    /// Nothing will come any more.
    pub(super) is_closed: bool,
}

/// Both ends for a stream.
pub(crate) fn channel(carries: Carries) -> (StreamOut, Waiting) {
    let shared = Arc::new(Shared {
        queue: Mutex::default(),
        filled: Notify::new(),
        is_admitted: AtomicBool::new(false),
    });
    (StreamOut { carries, shared: shared.clone() }, Waiting { shared })
}

impl StreamOut {
    /// Sends a message, given in parts and framed as this stream wants it, whole or not at all. It may push older ones out.
    ///
    /// What goes to a client of TURN is to be padded already ([`Envelope`](crate::wire::channel::Envelope)).
    pub fn send(&self, now: Instant, message: &[&[u8]]) {
        let length: usize = message.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(2 + length);
        match (self.carries, u16::try_from(length)) {
            (Carries::Turn, _) => {}
            (Carries::Ice, Ok(length)) => bytes.extend_from_slice(&length.to_be_bytes()),
            (Carries::Ice, Err(_)) => return self.shared.queue().overflow += 1,
        }
        let first = message.iter().find_map(|part| part.first());
        let is_answer = first.is_some_and(|first| *first <= 3 && first & 1 == 1);
        message.iter().for_each(|part| bytes.extend_from_slice(part));
        let bytes = bytes.into_boxed_slice();
        self.shared.queue().put(Frame { since: now, is_answer, bytes });
        self.shared.filled.notify_one();
    }

    /// Says whether the stream is of use: it has an allocation, or belongs to a session. One that is not for long is closed.
    pub fn admit(&self, is_admitted: bool) {
        self.shared.is_admitted.store(is_admitted, Ordering::Relaxed);
    }
}

impl Drop for StreamOut {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.filled.notify_one();
    }
}

impl Waiting {
    /// Waits until something happened.
    pub(super) async fn filled(&self) {
        self.shared.filled.notified().await;
    }

    /// All that can be written.
    #[cfg(test)]
    pub(crate) fn taken(&self, now: Instant) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.take(now, &mut bytes);
        bytes
    }

    /// Whether somebody here knows what the stream is for.
    pub(super) fn is_admitted(&self) -> bool {
        self.shared.is_admitted.load(Ordering::Relaxed)
    }

    /// Drops all. Returns how many frames.
    pub(super) fn clear(&self) -> u64 {
        let mut queue = self.shared.queue();
        queue.bytes = 0;
        let frames = queue.frames.drain(..).len() as u64;
        frames + std::mem::take(&mut queue.overflow)
    }

    /// Drops what is too old, and appends to `into` what can be written at once.
    pub(super) fn take(&self, now: Instant, into: &mut Vec<u8>) -> Taken {
        let mut queue = self.shared.queue();
        let mut taken = Taken { overflow: std::mem::take(&mut queue.overflow), ..Taken::default() };
        while into.len() < BATCH
            && let Some(frame) = queue.frames.pop_front()
        {
            queue.bytes -= frame.bytes.len();
            if !frame.is_answer && now.saturating_duration_since(frame.since) > LONGEST_WAIT {
                taken.late += 1;
                continue;
            }
            into.extend_from_slice(&frame.bytes);
            taken.frames += 1;
        }
        taken.is_closed = queue.is_closed && queue.frames.is_empty();
        taken
    }
}

impl Shared {
    /// The queue is whole whatever happened to a thread that held it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn put(&mut self, frame: Frame) {
        while self.bytes + frame.bytes.len() > MOST_WAITING {
            let Some(oldest) = self.frames.iter().position(|frame| !frame.is_answer) else {
                // Who asks without end and reads no answer gets no more of them.
                self.overflow += 1;
                return;
            };
            if let Some(dropped) = self.frames.remove(oldest) {
                self.bytes -= dropped.bytes.len();
                self.overflow += 1;
            }
        }
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(waiting: &Waiting, now: Instant) -> (Vec<u8>, Taken) {
        let (mut all, mut sum) = (Vec::new(), Taken::default());
        loop {
            let mut some = Vec::new();
            let taken = waiting.take(now, &mut some);
            all.append(&mut some);
            sum = Taken {
                frames: sum.frames + taken.frames,
                late: sum.late + taken.late,
                overflow: sum.overflow + taken.overflow,
                is_closed: taken.is_closed,
            };
            if taken.frames + taken.late == 0 {
                return (all, sum);
            }
        }
    }

    /// A media packet whose last byte tells it from others.
    fn packet(number: u8) -> Vec<u8> {
        [&[0x80; 1199][..], &[number]].concat()
    }

    #[test]
    fn frames_leave_in_order_and_framed() {
        let now = Instant::now();
        let (ice, waiting) = channel(Carries::Ice);
        ice.send(now, &[&[0x80, 1, 2]]);
        ice.send(now, &[&[0x81]]);
        assert_eq!(drain(&waiting, now).0, [0, 3, 0x80, 1, 2, 0, 1, 0x81]);
        ice.send(now, &[&vec![0x80; 70_000]]);
        assert_eq!(drain(&waiting, now).1.overflow, 1, "longer than its length can say");
        let (turn, waiting) = channel(Carries::Turn);
        turn.send(now, &[&[0x40, 0, 0, 0]]);
        assert_eq!(drain(&waiting, now).0, [0x40, 0, 0, 0]);
    }

    #[test]
    fn what_waited_too_long_is_not_sent_and_what_is_fresh_is() {
        let start = Instant::now();
        let (out, waiting) = channel(Carries::Turn);
        (0..10).for_each(|number| out.send(start, &[&packet(number)]));
        let later = start + LONGEST_WAIT + Duration::from_millis(1);
        (10..13).for_each(|number| out.send(later, &[&packet(number)]));
        let (bytes, taken) = drain(&waiting, later);
        assert_eq!((taken.late, taken.frames, bytes.len()), (10, 3, 3 * 1200));
        assert_eq!(bytes.chunks(1200).map(|frame| frame[1199]).collect::<Vec<_>>(), [10, 11, 12]);
    }

    #[test]
    fn a_reader_that_stops_costs_bounded_memory_and_the_oldest_frames() {
        let now = Instant::now();
        let (out, waiting) = channel(Carries::Turn);
        for number in 0..10_000_u32 {
            out.send(now, &[&[&[0x80; 1196][..], &number.to_be_bytes()].concat()]);
            assert!(out.shared.queue().bytes <= MOST_WAITING);
        }
        let (bytes, taken) = drain(&waiting, now);
        assert_eq!(taken.frames, (MOST_WAITING / 1200) as u64);
        assert_eq!(taken.overflow, 10_000 - taken.frames);
        assert_eq!(bytes[bytes.len() - 4..], 9_999_u32.to_be_bytes(), "the newest is there");
    }

    #[test]
    fn answers_are_kept_and_bounded_too() {
        let start = Instant::now();
        let (out, waiting) = channel(Carries::Turn);
        out.send(start, &[&[&[0x01, 0x03][..], &[0; 18]].concat()]);
        (0..255).for_each(|number| out.send(start, &[&packet(number)]));
        let later = start + 10 * LONGEST_WAIT;
        let (bytes, taken) = drain(&waiting, later);
        assert_eq!((taken.frames, bytes.len()), (1, 20));
        (0..20_000).for_each(|_| out.send(later, &[&[&[0x01, 0x03][..], &[0; 18]].concat()]));
        assert!(drain(&waiting, later).0.len() <= MOST_WAITING);
    }

    #[tokio::test]
    async fn the_end_is_told_after_what_was_sent_before_it() {
        let now = Instant::now();
        let (out, waiting) = channel(Carries::Turn);
        out.send(now, &[&[0x40, 0, 0, 0]]);
        drop(out);
        waiting.filled().await;
        let mut bytes = Vec::new();
        let taken = waiting.take(now, &mut bytes);
        assert!(taken.is_closed && bytes.len() == 4);
    }
}
