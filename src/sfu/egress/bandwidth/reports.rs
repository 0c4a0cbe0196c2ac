//! What is known of a link without transport-wide feedback: receiver reports (RFC 3550 section 6.4) and REMB
//! (draft-alvestrand-rmcat-remb-03).
//!
//! Receiver reports tell nothing but what gets lost, about once in a second. So the rate begins with large steps, as that of
//! TCP does; what was lost then shows what the link carries; and what is above that is tried again ever less often.

use super::words::bitrate;

/// What was said by other means counts again when no transport-wide feedback came for so long, us.
pub(super) const SILENCE: i64 = 2_000_000;
/// REMB is repeated at least every few seconds; what was not repeated for so long holds no more, us.
const REMB_HOLDS: i64 = 5_000_000;
/// The next report after too much got lost still tells of what was sent before, us.
const SETTLES: i64 = 900_000;
/// How much the rate grows with a report before too much was ever lost, and in a second after that.
const GROWTH: (f64, f64) = (1.5, 1.08);
/// The most that the rate may be over what is sent. What is wanted may be tried whatever is sent.
const AHEAD: f64 = 1.5;
/// How much more than what arrived while too much was sent may be tried at once.
const CEILING: f64 = 1.1;
/// For how long nothing more is tried, at first and at most, us.
const HOLDS: (i64, i64) = (10_000_000, 60_000_000);

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The receiver's limit, bit/s, and until when it holds.
    remb: Option<(f64, i64)>,
    /// When a report last counted.
    taken: Option<i64>,
    /// What is less than a packet of what reports said was lost.
    rest: f64,
    /// Reports do not count before.
    settles: i64,
    ceiling: Option<Ceiling>,
}

/// What arrived while too much was sent.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    rate: f64,
    until: i64,
    /// For how long it held when it was set.
    held: i64,
}

impl Reports {
    /// A report comes: this part of so many packets is lost. Returns how many are lost and how many arrived, if it counts.
    pub(super) fn take(&mut self, now: i64, part: f64, of: u32) -> Option<(u32, u32)> {
        if of == 0 || now < self.settles {
            return None;
        }
        self.taken = Some(now);
        let lost = self.rest + part * f64::from(of);
        self.rest = lost.fract();
        let lost = u32::try_from(bitrate(lost).0).map_or(of, |lost| lost.min(of));
        Some((lost, of - lost))
    }

    /// Whether reports come.
    pub(super) fn are_recent(&self, now: i64) -> bool {
        self.taken.is_some_and(|at| now - at <= SILENCE)
    }

    /// Too much gets lost, while so much arrives.
    pub(super) fn exceeded(&mut self, now: i64, delivered: f64) {
        let held = self.ceiling.map_or(HOLDS.0, |before| (2 * before.held).min(HOLDS.1));
        self.ceiling = Some(Ceiling { rate: delivered * CEILING, until: now + held, held });
        self.settles = now + SETTLES;
    }

    /// What got lost was not lost for what was sent.
    pub(super) fn acquit(&mut self) {
        self.ceiling = None;
    }

    /// The rate when little gets lost: `passed` us after it changed last, while `sent` flows and `want` would be of use.
    pub(super) fn grown(&mut self, now: i64, rate: f64, passed: i64, sent: f64, want: f64) -> f64 {
        // What failed before gets through.
        self.ceiling = self.ceiling.filter(|ceiling| sent < ceiling.rate * 1.2);
        let most = (AHEAD * sent).max(want);
        let grown = match self.ceiling {
            None => rate * GROWTH.0,
            Some(ceiling) => {
                let slowly = rate * GROWTH.1.powf((passed as f64 / 1e6).min(2.0));
                if now < ceiling.until { slowly.min(ceiling.rate) } else { slowly }
            }
        };
        grown.min(most).max(rate)
    }

    /// The receiver sets a limit.
    pub(super) fn remb(&mut self, now: i64, limit: f64) {
        self.remb = Some((limit, now + REMB_HOLDS));
    }

    /// The limit that holds now.
    pub(super) fn cap(&self, now: i64) -> Option<f64> {
        self.remb.filter(|(_, until)| now < *until).map(|(limit, _)| limit)
    }
}
