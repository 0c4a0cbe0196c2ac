//! What is known of a link without transport-wide feedback: receiver reports (draft-ietf-rmcat-gcc-02 section 6) and REMB
//! (draft-alvestrand-rmcat-remb-03).

/// What was said by other means counts again when no transport-wide feedback came for so long, us.
pub(super) const SILENCE: i64 = 2_000_000;
/// REMB is repeated at least every few seconds; what was not repeated for so long holds no more, us.
const REMB_HOLDS: i64 = 5_000_000;
/// Reports that come sooner after another one tell of too few packets, us.
const EVERY: i64 = 300_000;
/// More loss than this is too much, and less than the second nothing (draft section 6).
const LOSS: (f64, f64) = (0.1, 0.02);

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The receiver's limit, bit/s, and until when it holds.
    remb: Option<(f64, i64)>,
    /// When a report last counted.
    taken: Option<i64>,
}

impl Reports {
    /// A report comes. Says whether it counts.
    pub(super) fn take(&mut self, now: i64) -> bool {
        let counts = self.taken.is_none_or(|at| now - at >= EVERY);
        if counts {
            self.taken = Some(now);
        }
        counts
    }

    /// Whether reports come.
    pub(super) fn are_recent(&self, now: i64) -> bool {
        self.taken.is_some_and(|at| now - at <= SILENCE)
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

pub(super) fn is_too_much(lost: f64) -> bool {
    lost > LOSS.0
}

/// The rate after such a loss, when so much is sent.
pub(super) fn rate(lost: f64, rate: f64, sent: f64) -> f64 {
    if is_too_much(lost) {
        rate * (1.0 - 0.5 * lost)
    } else if lost < LOSS.1 {
        (rate * 1.05).min((1.5 * sent).max(rate))
    } else {
        rate
    }
}
