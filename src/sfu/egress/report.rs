//! stub
use std::time::{Duration, Instant};
use crate::ids::Ssrc;
use crate::wire::ntp::Epoch;
use crate::wire::rtcp::{ReportBlock, SenderInfo};
#[derive(Debug)] #[allow(missing_docs)]
pub struct Reports { due: Option<Instant>, last: Option<(Instant, u32, u32)>, packets: u32, octets: u32 }
#[allow(missing_docs)]
impl Reports {
    pub fn new(_: Ssrc) -> Self { Self { due: None, last: None, packets: 0, octets: 0 } }
    pub fn sent(&mut self, captured: Instant, timestamp: u32, rate: u32, bytes: usize) { self.packets += 1; self.octets += bytes as u32; self.last = Some((captured, timestamp, rate)); if self.due.is_none() { self.due = Some(captured); } }
    pub fn due(&self, now: Instant) -> bool { self.due.is_some_and(|d| d <= now) }
    pub fn deadline(&self) -> Option<Instant> { self.due }
    pub fn take(&mut self, now: Instant, epoch: &Epoch) -> Option<SenderInfo> {
        if !self.due(now) { return None; }
        self.due = Some(now + Duration::from_secs(1));
        let (at, rtp, _) = self.last?;
        Some(SenderInfo { ntp: epoch.ntp(at), rtp, packets: self.packets, octets: self.octets })
    }
    pub fn received(&mut self, _: Instant, _: &Epoch, _: &ReportBlock) {}
    pub fn lost(&self) -> f32 { 0.0 }
    pub fn rtt(&self) -> Option<Duration> { None }
}
