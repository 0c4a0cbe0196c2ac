//! stub
use crate::ids::{SessionId, TrackId};
use crate::units::Format;
use std::time::Duration;
/// S.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStats {
    /// s
    pub session: SessionId,
    /// r
    pub rtt: Option<Duration>,
    /// t
    pub tracks: Vec<TrackStats>,
    /// s
    pub slots: Vec<SlotStats>,
}
/// T.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackStats {
    /// t
    pub track: TrackId,
    /// b
    pub bitrate: u64,
    /// p
    pub packets: u64,
    /// l
    pub lost: f32,
    /// f
    pub format: Option<Format>,
}
/// S.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotStats {
    /// s
    pub slot: usize,
    /// t
    pub track: Option<TrackId>,
    /// b
    pub bitrate: u64,
    /// l
    pub lost: f32,
}

impl SessionStats {
    /// e
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self { session, rtt: None, tracks: Vec::new(), slots: Vec::new() }
    }
}
impl TrackStats {
    /// e
    #[must_use]
    pub fn new(track: TrackId) -> Self {
        Self { track, bitrate: 0, packets: 0, lost: 0.0, format: None }
    }
}
