//! What happened to connections that carry no HTTP.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that many connections count up.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn take_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of all streams. Bytes are those of frames with their framing, without TLS.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Streams that are open.
    pub open: Count,
    /// Streams of TURN that were opened.
    pub turn: Count,
    /// Streams of ICE-TCP that were opened.
    pub ice: Count,
    /// Frames received.
    pub frames_in: Count,
    /// Bytes received.
    pub bytes_in: Count,
    /// Frames written.
    pub frames_out: Count,
    /// Bytes written.
    pub bytes_out: Count,
    /// Frames that waited too long for a slow reader.
    pub late: Count,
    /// Frames dropped as too much waited for a slow reader.
    pub overflow: Count,
    /// Frames for streams that are gone.
    pub gone: Count,
    /// Connections that had not said in time what they are for, or not whole.
    pub slow: Count,
    /// Connections closed as all places were taken.
    pub full: Count,
    /// Connections whose first message is for nobody here.
    pub unknown: Count,
    /// Streams closed, as what came could not be read.
    pub malformed: Count,
    /// Streams closed, as nobody used them.
    pub idle: Count,
    /// Streams closed, as their reader took nothing any more.
    pub stalled: Count,
}

impl StreamCounters {
    /// Frames that were not written, by reason.
    #[must_use]
    pub fn unsent(&self) -> [(&'static str, u64); 3] {
        [("late", self.late.get()), ("overflow", self.overflow.get()), ("gone", self.gone.get())]
    }

    /// Connections that were closed by this server, by reason.
    #[must_use]
    pub fn closed(&self) -> [(&'static str, u64); 6] {
        [
            ("slow", self.slow.get()),
            ("full", self.full.get()),
            ("unknown", self.unknown.get()),
            ("malformed", self.malformed.get()),
            ("idle", self.idle.get()),
            ("stalled", self.stalled.get()),
        ]
    }
}
