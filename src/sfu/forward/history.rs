//! stub
use crate::ids::TrackId; use super::packet::{Packet, SourceId};
#[allow(missing_docs)] #[derive(Default)]
pub struct Histories;
#[allow(missing_docs)] impl Histories { pub fn get(&self, _: SourceId, _: u64) -> Option<(TrackId, &Packet)> { None } }
