//! How well a participant's connection does, in three steps that do not flicker.

use crate::protocol::server::QualityLevel;
use crate::sfu::session::stats::SessionStats;

/// From which share of lost packets on a connection is fair, and poor. Opus and video repair some percent unnoticed.
const FAIR_FROM: f32 = 0.02;
const POOR_FROM: f32 = 0.08;
/// For so many reports (one every 2 s) it must be better before it is called better.
const BETTER_AFTER: u32 = 3;

/// The quality of one connection.
#[derive(Debug)]
pub(super) struct Quality {
    level: QualityLevel,
    better: u32,
}

impl Default for Quality {
    fn default() -> Self {
        Self { level: QualityLevel::Good, better: 0 }
    }
}

impl Quality {
    pub(super) fn level(&self) -> QualityLevel {
        self.level
    }

    /// Takes a report. Returns the level when it changed.
    pub(super) fn report(&mut self, stats: &SessionStats) -> Option<QualityLevel> {
        let up = stats.tracks.iter().map(|track| track.lost);
        let down = stats.slots.iter().map(|slot| slot.lost);
        let lost = up.chain(down).fold(0.0, f32::max);
        let now = if lost >= POOR_FROM {
            QualityLevel::Poor
        } else if lost >= FAIR_FROM {
            QualityLevel::Fair
        } else {
            QualityLevel::Good
        };
        self.better = if now > self.level { self.better + 1 } else { 0 };
        if now >= self.level && self.better < BETTER_AFTER {
            return None;
        }
        *self = Self { level: now, better: 0 };
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SessionId, TrackId};
    use crate::sfu::session::stats::TrackStats;
    use crate::units::Bitrate;

    fn losing(lost: f32) -> SessionStats {
        let (track, bitrate) = (TrackId(1), Bitrate(0));
        let track = TrackStats { track, bitrate, packets: 100, lost, encodings: 1, format: None };
        SessionStats {
            session: SessionId(1),
            rtt: None,
            estimate: None,
            tracks: vec![track],
            slots: Vec::new(),
        }
    }

    #[test]
    fn it_gets_worse_at_once_and_better_after_a_while() {
        let mut quality = Quality::default();
        assert_eq!(quality.report(&losing(0.0)), None);
        assert_eq!(quality.report(&losing(0.1)), Some(QualityLevel::Poor));
        assert_eq!(quality.report(&losing(0.0)), None);
        assert_eq!(quality.report(&losing(0.09)), None);
        assert_eq!((quality.report(&losing(0.0)), quality.report(&losing(0.0))), (None, None));
        assert_eq!(quality.report(&losing(0.03)), Some(QualityLevel::Fair), "better three times in a row");
    }
}
