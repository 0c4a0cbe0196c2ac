//! What the control plane is told of the ways to receive a session's pictures.

use super::Core;
use crate::ids::{SessionId, TrackId};
use crate::sfu::forward::ladder::Rung;
use crate::sfu::session::stats::{NamedRung, SessionStats};
use crate::units::MediaKind;

impl Core {
    /// Adds the ladders of a session's video tracks to its statistics.
    pub(super) fn add_ladders(&self, stats: &mut SessionStats) {
        let tracks = stats.tracks.iter().map(|track| track.track);
        let pictures =
            tracks.filter(|id| self.tracks.get(id).is_some_and(|track| track.kind == MediaKind::Video));
        stats.ladders = pictures.map(|id| (id, self.named_ladder(stats.session, id))).collect();
    }

    fn named_ladder(&self, publisher: SessionId, id: TrackId) -> Vec<NamedRung> {
        let names = self.sessions.get(&publisher).map(|session| session.rids_of(id)).unwrap_or_default();
        let rungs = self.ladder_of(id).map(|ladder| ladder.rungs.as_slice()).unwrap_or_default();
        let named = |rung: &Rung| {
            let known = names.iter().find(|(encoding, _)| *encoding == rung.selection.encoding);
            NamedRung { rid: known.map(|(_, rid)| rid.clone()), rung: *rung }
        };
        rungs.iter().map(named).collect()
    }
}
