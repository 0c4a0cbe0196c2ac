//! How much a session may say through its data channels.

use std::time::Instant;

/// Messages that a session may send: 100 a second, and 200 at once. Chat is a few a minute; a shared pointer or a game
/// says something with every frame, at 60 a second.
const MESSAGES: Rate = Rate { per_second: 100.0, at_once: 200.0 };
/// Bytes of them: 512 KiB a second, and 1 MiB at once. Each byte is multiplied by the receivers: in a room of 100 this is
/// 50 MiB a second already.
const BYTES: Rate = Rate { per_second: 512.0 * 1024.0, at_once: 1024.0 * 1024.0 };

/// The allowance of one session: two token buckets, of messages and of bytes.
#[derive(Debug)]
pub(super) struct Allowance {
    messages: Bucket,
    bytes: Bucket,
    refilled: Instant,
}

impl Allowance {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { messages: Bucket::full(MESSAGES), bytes: Bucket::full(BYTES), refilled: now }
    }

    /// Whether a message of so many bytes is allowed. It counts if it is.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> bool {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        self.messages.refill(seconds);
        self.bytes.refill(seconds);
        let bytes = u32::try_from(bytes).map_or(f64::INFINITY, f64::from);
        let allowed = self.messages.tokens >= 1.0 && self.bytes.tokens >= bytes;
        if allowed {
            self.messages.tokens -= 1.0;
            self.bytes.tokens -= bytes;
        }
        allowed
    }
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    at_once: f64,
}

#[derive(Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
}

impl Bucket {
    fn full(rate: Rate) -> Self {
        Self { rate, tokens: rate.at_once }
    }

    fn refill(&mut self, seconds: f64) {
        self.tokens = (self.tokens + seconds * self.rate.per_second).min(self.rate.at_once);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many messages of `bytes` pass that are tried every `every` for `length`.
    fn passed(bytes: usize, every: Duration, length: Duration) -> u32 {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let times = (0..).map(|n| every * n).take_while(|at| *at < length);
        u32::try_from(times.filter(|at| allowance.take(start + *at, bytes)).count()).unwrap()
    }

    #[test]
    fn a_burst_passes_and_a_flood_is_cut_to_the_rate() {
        assert_eq!(passed(10, Duration::from_nanos(1), Duration::from_nanos(500)), 200);
        let flood = passed(10, Duration::from_millis(1), Duration::from_secs(10));
        assert!((1_190..=1_200).contains(&flood), "{flood}");
        let ordinary = passed(1_000, Duration::from_millis(17), Duration::from_secs(60));
        assert_eq!(ordinary, 3_530, "a message with each frame of a game passes for ever");
    }

    #[test]
    fn large_messages_are_cut_by_their_bytes() {
        let flood = passed(64 * 1024, Duration::from_millis(10), Duration::from_secs(10));
        assert!((95..=96).contains(&flood), "16 at once, then 8 a second: {flood}");
    }
}
