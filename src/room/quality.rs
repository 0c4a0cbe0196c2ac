//! How well a participant's connection does, in three steps that do not flicker.

use crate::protocol::server::QualityLevel;
use crate::sfu::session::stats::{LinkStats, SessionStats};
use crate::units::Bitrate;

/// From which share of lost packets on a connection is fair, and poor. Opus and video repair some percent unnoticed.
const FAIR_FROM: f32 = 0.02;
const POOR_FROM: f32 = 0.08;
/// Below this a link that is used up is fair: pictures have to be small for it.
const SLOW: Bitrate = Bitrate(500_000);
/// From such a part of its estimate on a link is used up.
const USED_UP: f64 = 0.7;
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
        let paused = stats.slots.iter().any(|slot| slot.paused);
        let now = if lost >= POOR_FROM || paused {
            QualityLevel::Poor
        } else if lost >= FAIR_FROM || stats.link.as_ref().is_some_and(is_slow) {
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

/// Whether it is the link that decides what is sent, and decides for little.
fn is_slow(link: &LinkStats) -> bool {
    let (Some(estimate), Some(allotted)) = (link.estimate, link.allotted) else { return false };
    estimate < SLOW && allotted.0 as f64 >= USED_UP * estimate.0 as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SessionId, TrackId};
    use crate::sfu::session::stats::{SlotStats, TrackStats};

    fn losing(lost: f32) -> SessionStats {
        let (track, bitrate) = (TrackId(1), Bitrate(0));
        let track = TrackStats { track, bitrate, packets: 100, lost, encodings: 1, format: None };
        SessionStats {
            session: SessionId(1),
            rtt: None,
            estimate: None,
            link: None,
            tracks: vec![track],
            slots: Vec::new(),
            ladders: Vec::new(),
        }
    }

    fn with_link(estimate: u64, allotted: u64) -> SessionStats {
        let (estimate, allotted) = (Some(Bitrate(estimate)), Some(Bitrate(allotted)));
        SessionStats { link: Some(LinkStats { estimate, allotted, ..LinkStats::default() }), ..losing(0.0) }
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
    #[test]
    fn a_link_that_carries_too_little_is_not_good() {
        let level = |stats: &SessionStats| Quality::default().report(stats);
        assert_eq!(level(&with_link(300_000, 280_000)), Some(QualityLevel::Fair));
        assert_eq!(level(&with_link(300_000, 100_000)), None, "little is wanted, and all of it fits");
        assert_eq!(level(&with_link(3_000_000, 2_900_000)), None, "there is enough for a good picture");
        let slot = SlotStats {
            slot: 0,
            track: Some(TrackId(1)),
            bitrate: Bitrate(0),
            lost: 0.0,
            nacks: 0,
            selection: None,
            height: 0,
            paused: true,
        };
        let paused = SessionStats { slots: vec![slot], ..losing(0.0) };
        assert_eq!(level(&paused), Some(QualityLevel::Poor));
    }
}
