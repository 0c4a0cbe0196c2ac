//! Which rungs of a ladder are of use for a wish, what they cost, and what they are worth.

use super::wish::Wish;
use crate::sfu::forward::ladder::{Ladder, Rung, Selection};

/// What is taken for the cost of a lowest layer that was not measured yet, in bits per second.
const UNMEASURED: u64 = 100_000;
/// What stands for a height that is not known.
const USUAL_HEIGHT: u16 = 720;
/// Larger ones count as this.
const LARGEST: u16 = 4_320;
/// What stands for frames per second that are not known.
const USUAL_FPS: u8 = 30;

/// A rung that is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) selection: Selection,
    /// In bits per second.
    pub(super) cost: u64,
    /// Grows from way to way; below 2^34.
    pub(super) worth: u64,
}

/// Appends the ways that are of use, the worst first. One, where there is any rung.
pub(super) fn ways(ladder: &Ladder, wish: Wish, out: &mut Vec<Way>) {
    let rungs = ladder.rungs.as_slice();
    // The smallest picture that is nearly as high as the tile is enough: nobody sees the difference.
    let does = |rung: &&Rung| wish.height > 0 && u32::from(rung.height) * 5 >= u32::from(wish.height) * 4;
    let enough = rungs.iter().filter(does).min_by_key(|rung| rung.height);
    let mut is_beyond = false;
    let mut last: Option<Way> = None;
    for (place, rung) in rungs.iter().enumerate() {
        if let Some(enough) = enough {
            let same = (rung.selection.encoding, rung.selection.spatial)
                == (enough.selection.encoding, enough.selection.spatial);
            // Of a height that is not known, only the order tells.
            if rung.height > enough.height || (rung.height == 0 && is_beyond && !same) {
                continue;
            }
            is_beyond |= same;
        }
        let before = rungs.get(..place).unwrap_or_default();
        if last.is_some() && has_more_frames(rung, before, wish.fps) {
            continue;
        }
        let cost = match (rung.bitrate.0, &last) {
            (0, None) => UNMEASURED,
            (0, Some(last)) => last.cost.saturating_mul(2),
            (known, _) => known,
        };
        let floor = last.map_or(0, |last| last.worth + 1);
        let way =
            Way { selection: rung.selection, cost, worth: worth(rung, lines(place, rungs), wish).max(floor) };
        out.push(way);
        last = Some(way);
    }
}

/// Whether a rung has more frames than are of use, and the same picture can be had with fewer.
fn has_more_frames(rung: &Rung, before: &[Rung], fps: u8) -> bool {
    let picture = |rung: &Rung| (rung.selection.encoding, rung.selection.spatial);
    let does =
        |other: &Rung| picture(other) == picture(rung) && u32::from(other.fps) * 5 >= u32::from(fps) * 4;
    fps > 0 && rung.fps > fps && before.iter().any(does)
}

/// The height of a rung; where that is not known, what its place says.
fn lines(place: usize, rungs: &[Rung]) -> u16 {
    let known = rungs.get(place).map_or(0, |rung| rung.height);
    let (place, all) = (u64::try_from(place).unwrap_or_default(), u64::try_from(rungs.len()).unwrap_or(1));
    let guessed = u64::from(USUAL_HEIGHT) * (place + 1) / all.max(1);
    if known > 0 { known } else { u16::try_from(guessed).unwrap_or(USUAL_HEIGHT) }
}

/// Visible lines, times the share of smoothness that comes with its frames, times the size of the tile.
fn worth(rung: &Rung, lines: u16, wish: Wish) -> u64 {
    let tile = if wish.height == 0 { LARGEST } else { wish.height.min(LARGEST) };
    let size = if wish.height == 0 { USUAL_HEIGHT } else { tile };
    let lines = lines.min(tile);
    let frames = if rung.fps == 0 { USUAL_FPS } else { rung.fps };
    let frames = u64::from(if wish.fps == 0 { frames } else { frames.min(wish.fps) });
    // Half of the frames cost a face a sixth of its worth. Text on a screen is read from few.
    let half_at = if wish.screen { 2 } else { 8 };
    u64::from(lines) * u64::from(size) * (frames * 256 / (frames + half_at))
}
