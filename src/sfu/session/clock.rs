//! When a packet was captured: the publisher's clock, put on ours.
//!
//! A sender report says which moment of the publisher's clock an RTP timestamp stands for (RFC 3550 section 6.4.1).
//! Sound and picture of one publisher share that clock, so that what subscribers are told of it keeps them in step,
//! whatever happened to single packets on the way.

use std::time::{Duration, Instant, SystemTime};

/// Reports that put a packet further away than this are wrong, or of a clock that was set anew.
const PLAUSIBLE: Duration = Duration::from_secs(5);

/// What one sender report says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// The publisher's clock.
    pub(super) ntp: SystemTime,
    /// The RTP timestamp of the same moment.
    pub(super) rtp: u32,
}

/// The clock of one publisher.
#[derive(Debug, Default)]
pub(super) struct CaptureClock {
    /// A moment of the publisher's clock, and the earliest that it can have been on ours.
    anchor: Option<(SystemTime, Instant)>,
}

impl CaptureClock {
    /// The capture time of a packet: not later than `arrived`, and `arrived` itself as long as nothing is known.
    pub(super) fn captured(
        &mut self,
        report: Option<Report>,
        timestamp: u32,
        clock_rate: u32,
        arrived: Instant,
    ) -> Instant {
        let captured = report.and_then(|report| self.place(report, timestamp, clock_rate, arrived));
        captured.unwrap_or(arrived)
    }

    fn place(
        &mut self,
        report: Report,
        timestamp: u32,
        clock_rate: u32,
        arrived: Instant,
    ) -> Option<Instant> {
        // The difference of timestamps as a signed number: they wrap.
        let ticks = timestamp.wrapping_sub(report.rtp).cast_signed();
        let apart = Duration::from_secs_f64(f64::from(ticks.unsigned_abs()) / f64::from(clock_rate));
        let moment =
            if ticks < 0 { report.ntp.checked_sub(apart)? } else { report.ntp.checked_add(apart)? };
        let (then, at) = *self.anchor.get_or_insert((moment, arrived));
        let placed = match moment.duration_since(then) {
            Ok(later) => at.checked_add(later)?,
            Err(earlier) => at.checked_sub(earlier.duration())?,
        };
        if placed > arrived {
            // This packet was faster than all before it: the clocks are at least so much closer.
            let early = placed.duration_since(arrived);
            self.anchor = (early < PLAUSIBLE).then(|| at.checked_sub(early).map(|at| (then, at))).flatten();
            return Some(arrived);
        }
        if arrived.duration_since(placed) > PLAUSIBLE {
            self.anchor = None;
            return None;
        }
        Some(placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn sound_and_picture_keep_their_distance_whatever_the_network_does() {
        let (start, epoch) = (Instant::now() + ms(60_000), SystemTime::UNIX_EPOCH + ms(1_000_000));
        let mut clock = CaptureClock::default();
        let video = Some(Report { ntp: epoch, rtp: u32::MAX - 10 });
        let audio = Some(Report { ntp: epoch + ms(500), rtp: 7 });
        // Both were captured 1 s after the video report; the picture took 300 ms to get here, the sound 40 ms.
        let picture = clock.captured(video, (u32::MAX - 10).wrapping_add(90_000), 90_000, start + ms(300));
        let sound = clock.captured(audio, 7 + 24_000, 48_000, start + ms(40));
        assert!(sound <= start + ms(40));
        let again = clock.captured(video, (u32::MAX - 10).wrapping_add(90_000), 90_000, start + ms(300));
        assert_eq!(again, sound, "captured together");
        assert!(picture >= again, "the first guess was the arrival");
    }

    #[test]
    fn nonsense_is_not_believed() {
        let start = Instant::now() + ms(60_000);
        let mut clock = CaptureClock::default();
        let report = Some(Report { ntp: SystemTime::UNIX_EPOCH + ms(5_000), rtp: 0 });
        assert_eq!(clock.captured(None, 0, 90_000, start), start);
        assert_eq!(clock.captured(report, 0, 90_000, start), start);
        for wrong in [0x7fff_ffff, 0x8000_0000, 900_000] {
            let captured = clock.captured(report, wrong, 90_000, start + ms(20));
            assert!(captured <= start + ms(20) && captured + PLAUSIBLE >= start, "{wrong:#x}");
        }
    }
}
