//! Figures of a room: joining, paging, and the steady window between them.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::report::{LatencyMs, Report};

#[derive(Debug, Serialize)]
pub struct RoomReport {
    pub participants: u32,
    pub publishing: u32,
    pub slots: u32,
    pub join: JoinReport,
    pub page: PageReport,
    /// Packets that publishers sent in the window.
    pub sent_packets: u64,
    #[serde(flatten)]
    pub media: Report,
    /// What the server complained about.
    pub complaints: Vec<String>,
}

/// All from the moment at which the WebSocket was open, but for `open` and `applied`.
#[derive(Debug, Serialize)]
pub struct JoinReport {
    /// TCP connection and upgrade.
    pub open: Option<LatencyMs>,
    pub welcome: Option<LatencyMs>,
    /// The generator's own time to take in the answer; it is part of what follows.
    pub applied: Option<LatencyMs>,
    pub connected: Option<LatencyMs>,
    /// Of those who only receive.
    pub first_media: Option<LatencyMs>,
    pub first_video: Option<LatencyMs>,
    /// The server's CPU time while everybody joined. What it forwarded meanwhile is in it.
    pub cpu_ms_per_join: Option<f64>,
    pub offer_bytes: usize,
    pub answer_bytes: usize,
}

#[derive(Debug, Serialize)]
pub struct PageReport {
    pub pages: u32,
    /// From sending a view to its `ok`.
    pub ok: Option<LatencyMs>,
    /// From sending a view to the first packet of the new track, for each slot.
    pub rebound: Option<LatencyMs>,
    /// Slots that brought nothing new.
    pub missing: u64,
    /// What publishers were asked for since the window, and sent.
    pub keyframe_requests: u64,
    pub keyframes: u64,
}

impl Display for RoomReport {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(
            f,
            "{} participants, {} publishing, {} slots",
            self.participants, self.publishing, self.slots
        )?;
        let j = &self.join;
        let rows = [
            ("socket open", &j.open),
            ("welcome", &j.welcome),
            ("answer taken", &j.applied),
            ("connected", &j.connected),
            ("first media", &j.first_media),
            ("first video", &j.first_video),
            ("view to ok", &self.page.ok),
            ("re-bound", &self.page.rebound),
        ];
        for (name, row) in rows {
            if let Some(row) = row {
                writeln!(f, "  {name:<14} {row}")?;
            }
        }
        let page = &self.page;
        writeln!(
            f,
            "  paging         {} times, {} keyframes requested, {} sent",
            page.pages, page.keyframe_requests, page.keyframes
        )?;
        if self.page.missing > 0 {
            writeln!(f, "  WARNING        {} slots brought nothing new after a view", self.page.missing)?;
        }
        if let Some(cpu) = j.cpu_ms_per_join {
            writeln!(
                f,
                "  joining        {cpu:.2} ms of server CPU each, offer {} bytes, answer {} bytes",
                j.offer_bytes, j.answer_bytes
            )?;
        }
        writeln!(f, "  sent           {} packets in the window", self.sent_packets)?;
        for complaint in &self.complaints {
            writeln!(f, "  WARNING        {complaint}")?;
        }
        write!(f, "{}", self.media)
    }
}
