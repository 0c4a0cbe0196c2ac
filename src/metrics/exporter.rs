use crate::worker::message::Snapshot;
use super::http::HttpMetrics;
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";
pub struct Exporter;
pub struct Rooms { pub rooms: u64, pub streams: u64 }
impl Exporter {
    pub fn new(_v: &'static str) -> Result<Self, String> { Ok(Self) }
    pub fn http(&self) -> HttpMetrics { HttpMetrics }
    pub fn scrape(&self, s: &[Snapshot], _r: Rooms) -> Result<String, String> { Ok(format!("{s:#?}")) }
}
