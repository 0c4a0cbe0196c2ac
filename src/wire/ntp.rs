//! Time as RTCP tells it: NTP timestamps (RFC 3550 section 4).

use std::time::{Duration, Instant};

/// A moment: seconds since 1900 in the upper 32 bits, the fraction of a second in the lower 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NtpTime(pub u64);

/// Seconds from 1900 to 1970 (RFC 868).
const UNIX_EPOCH: u64 = 2_208_988_800;

impl NtpTime {
    /// The moment that is so long after 1970.
    #[must_use]
    pub fn since_1970(passed: Duration) -> Self {
        Self(UNIX_EPOCH << 32).after(passed)
    }

    /// The moment that is so much later. Wraps in 2036, as NTP does.
    #[must_use]
    pub fn after(self, passed: Duration) -> Self {
        let fraction = (u64::from(passed.subsec_nanos()) << 32) / 1_000_000_000;
        Self(self.0.wrapping_add(passed.as_secs() << 32).wrapping_add(fraction))
    }

    /// The moment that is so much earlier.
    #[must_use]
    pub fn before(self, passed: Duration) -> Self {
        let Self(distance) = Self(0).after(passed);
        Self(self.0.wrapping_sub(distance))
    }

    /// The middle 32 bits, by which a receiver refers to a sender report (LSR, RFC 3550 section 6.4.1): 65,536 a second.
    #[must_use]
    pub fn middle(self) -> u32 {
        u32::try_from((self.0 >> 16) & u64::from(u32::MAX)).unwrap_or_default()
    }

    /// The 24 bits of `abs-send-time`: seconds modulo 64, with 18 bits of fraction.
    #[must_use]
    pub fn absolute_send_time(self) -> [u8; 3] {
        let [_, a, b, c] = u32::try_from((self.0 >> 14) & 0x00ff_ffff).unwrap_or_default().to_be_bytes();
        [a, b, c]
    }
}

/// One moment on both clocks: what turns the monotonic clock into wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// By the monotonic clock.
    pub instant: Instant,
    /// By the wall clock.
    pub ntp: NtpTime,
}

impl Epoch {
    /// The wall-clock time of a moment.
    #[must_use]
    pub fn ntp(&self, at: Instant) -> NtpTime {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.ntp.after(later),
            None => self.ntp.before(self.instant.saturating_duration_since(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_distance() {
        let start = Instant::now() + Duration::from_secs(10);
        let epoch = Epoch { instant: start, ntp: NtpTime::since_1970(Duration::from_millis(1_500)) };
        assert_eq!(epoch.ntp(start).0, ((UNIX_EPOCH + 1) << 32) + (1 << 31));
        let later = epoch.ntp(start + Duration::from_millis(250));
        assert_eq!(later.middle().wrapping_sub(epoch.ntp(start).middle()), 65_536 / 4);
        assert_eq!(epoch.ntp(start - Duration::from_millis(1_500)).0, UNIX_EPOCH << 32);
        assert_eq!(NtpTime(((64 + 3) << 32) + (1 << 31)).absolute_send_time(), [0x0e, 0, 0]);
    }
}
