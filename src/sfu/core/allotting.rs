//! When what links carry was dealt out last, and what publishers were told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::ids::{SessionId, TrackId};

/// How often it is dealt out.
pub(super) const EVERY: Duration = Duration::from_millis(200);

/// When it was done last, and what was told.
#[derive(Debug, Default)]
pub(super) struct Allotting {
    pub(super) at: Option<Instant>,
    /// Who does not wait for the next time: their link carries so much less than was dealt out, or a slot was bound anew.
    pub(super) short: Vec<SessionId>,
    /// The used encodings of tracks that anybody subscribes to, one bit each.
    pub(super) used: HashMap<TrackId, u8>,
}
