//! What a publisher sends: which track and encoding a packet is of.

use str0m::media::Pt;
use str0m::rtp::RtpPacket;

use super::clock::Report;
use super::ending::EndReason;
use super::extensions;
use super::turn::{SessionEvent, Turn};
use super::{PublishedTrack, Session, Source};
use crate::ids::{Ssrc, TrackId};
use crate::net::demux::{Class, classify};
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{EncodingIndex, Packet, SourceId, is_entry, vp8_descriptor};
use crate::sfu::forward::target::MOST_ENCODINGS;
use crate::wire::rtp::Header;

/// How many SSRCs a publisher may use up. A new one for each restart of an encoder is a few; hundreds are an attack on
/// memory.
const MOST_SOURCES: usize = 256;
/// How many SSRCs that nobody announced are listened to.
const MOST_UNANNOUNCED: u32 = 16;

impl Session {
    /// Forgets the SSRCs of tracks that are published no more: whoever comes in their place begins anew.
    pub(super) fn forget_sources(&mut self) {
        let published = &self.published;
        self.sources.retain(|_, source| published.contains(&source.track));
    }

    /// The encodings that a track was received in so far, with the names that the publisher gave them (RFC 8851).
    #[must_use]
    pub fn rids_of(&self, track: TrackId) -> Vec<(EncodingIndex, String)> {
        let of_track = self.sources.values().filter(|source| source.track.id == track);
        let mut named: Vec<_> =
            of_track.filter_map(|source| Some((source.encoding, source.rid?.to_string()))).collect();
        named.sort();
        named.dedup();
        named
    }

    /// Some clients announce neither their SSRCs nor a MID extension. A packet without any header extension, of an SSRC
    /// that nobody knows, belongs to the one section that has its payload type, if there is only one.
    pub(super) fn expect_unannounced(&mut self, payload: &[u8]) {
        if classify(payload) != Class::Rtp {
            return;
        }
        let Ok(header) = Header::parse(payload) else { return };
        let (Ssrc(ssrc), number) = (header.ssrc, header.payload_type);
        if self.sources.contains_key(&ssrc) || header.extensions().next().is_some() {
            return;
        }
        // Retransmissions have payload types and SSRCs of their own, which str0m knows how to place.
        if !self.payload_types.iter().any(|known| known.number == number) {
            return;
        }
        let with_type = |track: &&PublishedTrack| {
            self.rtc.media(track.mid).is_some_and(|media| media.remote_pts().contains(&Pt::from(number)))
        };
        let mut sections = self.published.iter().filter(with_type).map(|track| track.mid);
        let (Some(mid), None) = (sections.next(), sections.next()) else { return };
        // The header is not authenticated yet: who forges packets must not fill the memory.
        if self.unannounced < MOST_UNANNOUNCED && self.rtc.direct_api().stream_rx(&ssrc.into()).is_none() {
            self.unannounced += 1;
            self.rtc.direct_api().expect_stream_rx(ssrc.into(), None, mid, None);
        }
    }

    pub(super) fn media(&mut self, packet: RtpPacket, turn: &mut Turn<'_>) {
        let number = *packet.header.payload_type;
        let payload_type = self.payload_types.iter().find(|pt| pt.number == number);
        let Some((payload_type, source)) = payload_type.copied().zip(self.source(&packet, turn)) else {
            return turn.counters.unknown_media += 1;
        };
        self.stats.received(source.track.id, packet.payload.len(), payload_type.format);
        let report = packet.last_sender_info.map(|info| Report {
            ntp: info.ntp_time,
            rtp: u32::try_from(info.rtp_time.numer() & u64::from(u32::MAX)).unwrap_or_default(),
        });
        let codec = payload_type.format.codec;
        let timestamp = packet.header.timestamp;
        let passed = extensions::passed(&packet.header.ext_vals, codec);
        let media = Packet {
            source: source.id,
            encoding: source.encoding,
            sequence: *packet.seq_no,
            timestamp,
            marker: packet.header.marker,
            format: payload_type.format,
            entry: is_entry(codec, &packet.payload),
            arrived: packet.timestamp,
            captured: self.clock.captured(report, timestamp, codec.clock_rate(), packet.timestamp),
            dependency: passed.dependency(),
            vp8: vp8_descriptor(codec, &packet.payload),
            extensions: passed,
            layer: LayerFacts::default(),
            payload: packet.payload,
        };
        turn.events.push(SessionEvent::Media(source.track.id, media));
    }

    fn source(&mut self, packet: &RtpPacket, turn: &mut Turn<'_>) -> Option<Source> {
        let ssrc = packet.header.ssrc;
        if let Some(source) = self.sources.get(&ssrc) {
            return Some(*source);
        }
        // Each costs a history, for everybody who might ask for its packets again; so also one that comes back.
        self.sources_begun += 1;
        if self.sources_begun > MOST_SOURCES {
            tracing::warn!(session = %self.id, "the publisher changes its SSRCs without end; closing it");
            turn.events.push(SessionEvent::Ended(EndReason::Broken));
            return None;
        }
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_rx(&ssrc)?;
        let (mid, rid) = (stream.mid(), stream.rid());
        let track = *self.published.iter().find(|track| track.mid == mid)?;
        let of_track = || self.sources.values().filter(|known| known.track.id == track.id);
        let known = of_track().find(|known| known.rid == rid).map(|known| known.encoding);
        let known = self.grouped.get(&ssrc).copied().or(known);
        let encoding = match known {
            Some(encoding) => encoding,
            None if of_track().count() < MOST_ENCODINGS => {
                EncodingIndex(u8::try_from(of_track().count()).ok()?)
            }
            None => return None,
        };
        // The SSRC that carried the encoding until now has had its day.
        self.sources.retain(|_, known| known.track.id != track.id || known.encoding != encoding);
        *turn.next_source += 1;
        let source = Source { track, rid, encoding, id: SourceId(*turn.next_source) };
        self.sources.insert(*ssrc, source);
        Some(source)
    }
}
