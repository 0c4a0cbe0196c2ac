//! A client: a str0m peer that sends what an encoder makes, or receives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use sluice::sfu::session::offer::Role;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{
    Direction, ExtensionValues, KeyframeRequestKind, MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer,
};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionMap, RtpPacket, RtpWrite, SeqNo, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::encoder::{RIDS, Sent};

/// How many sections for video a participant offers to receive.
pub(crate) const VIDEO_SLOTS: usize = 3;

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 3478))
}

pub(crate) fn address_of(place: usize) -> SocketAddr {
    let [high, low] = u16::try_from(place).expect("few clients").to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 50_000))
}

pub(crate) struct Peer {
    rtc: Rtc,
    address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    pub(crate) is_connected: bool,
    pub(crate) is_closed: bool,
    pub(crate) deadline: Instant,
    /// What it sends with: sound and picture, of those who publish.
    sends: Option<[Mid; 2]>,
    /// What it receives in: one section for sound, the others for video. As the slots of its session.
    pub(crate) slots: Vec<Mid>,
    sections: HashMap<Ssrc, usize>,
    sources: HashMap<usize, Ssrc>,
    /// What came: the slot, and the packet.
    pub(crate) received: Vec<(usize, RtpPacket)>,
    /// The encodings for which a key frame was asked, and when the server asked.
    pub(crate) asked: Vec<(Instant, usize)>,
    pub(crate) outgoing: Vec<Vec<u8>>,
    sequences: HashMap<Option<usize>, u64>,
}

impl Peer {
    pub(crate) fn new(now: Instant, place: usize, role: Role, encodings: usize) -> (Self, String) {
        let mut rtc = RtcConfig::new()
            .set_rtp_mode(true)
            .set_extension_map(ExtensionMap::standard())
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .build(now);
        let address = address_of(place);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut change = rtc.sdp_api();
        let (mut sends, mut slots) = (None, Vec::new());
        let mut add = |kind, direction, simulcast| change.add_media(kind, direction, None, None, simulcast);
        if role != Role::Watch {
            let audio = add(MediaKind::Audio, Direction::SendOnly, None);
            let mut simulcast = Simulcast::new();
            RIDS.iter().take(encodings).for_each(|rid| simulcast.add_send_layer(SimulcastLayer::new(rid)));
            let video = add(MediaKind::Video, Direction::SendOnly, Some(simulcast));
            sends = Some([audio, video]);
        }
        if role != Role::Publish {
            slots.push(add(MediaKind::Audio, Direction::RecvOnly, None));
            let count = if role == Role::Watch { 1 } else { VIDEO_SLOTS };
            slots.extend((0..count).map(|_| add(MediaKind::Video, Direction::RecvOnly, None)));
        }
        let (offer, pending) = change.apply().expect("something to offer");
        let peer = Self {
            rtc,
            address,
            pending: Some(pending),
            is_connected: false,
            is_closed: false,
            deadline: now,
            sends,
            slots,
            sections: HashMap::new(),
            sources: HashMap::new(),
            received: Vec::new(),
            asked: Vec::new(),
            outgoing: Vec::new(),
            sequences: HashMap::new(),
        };
        (peer, offer.to_sdp_string())
    }

    pub(crate) fn accept(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("a valid answer");
        let pending = self.pending.take().expect("an offer is open");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
    }

    /// Takes a datagram that left the server at `left`.
    pub(crate) fn receive(&mut self, now: Instant, left: Instant, payload: &[u8]) {
        let received = Receive::new(Protocol::Udp, server_address(), self.address, payload);
        let received = received.expect("the server sends no garbage");
        self.rtc.handle_input(Input::Receive(now, received)).expect("no error");
        self.poll(left);
    }

    pub(crate) fn drive(&mut self, now: Instant) {
        self.rtc.handle_input(Input::Timeout(now)).expect("no error");
        self.poll(now);
    }

    fn poll(&mut self, left: Instant) {
        loop {
            match self.rtc.poll_output().expect("no error") {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Transmit(transmit) => self.outgoing.push(transmit.contents.to_vec()),
                Output::Event(Event::Connected) => self.is_connected = true,
                Output::Event(Event::Closed) => self.is_closed = true,
                Output::Event(Event::RtpPacket(packet)) => self.keep(packet),
                Output::Event(Event::KeyframeRequest(request)) => {
                    let encoding = RIDS.iter().position(|rid| request.rid == Some(Rid::from(*rid)));
                    self.asked.push((left, encoding.unwrap_or(0)));
                }
                Output::Event(_) => {}
            }
        }
    }

    fn keep(&mut self, packet: RtpPacket) {
        let ssrc = packet.header.ssrc;
        let slot = self.sections.get(&ssrc).copied().or_else(|| {
            let mid = self.rtc.direct_api().stream_rx(&ssrc)?.mid();
            self.slots.iter().position(|slot| *slot == mid)
        });
        let slot = slot.expect("it belongs to a slot");
        self.sections.insert(ssrc, slot);
        self.sources.insert(slot, ssrc);
        self.received.push((slot, packet));
    }

    /// Writes a packet of video; it leaves with the next [`Self::drive`].
    pub(crate) fn send(&mut self, now: Instant, sent: &Sent) {
        let Some([_, video]) = self.sends else { return };
        let values = ExtensionValues::default();
        let rid = Some(Rid::from(RIDS[sent.encoding]));
        let place = Some(sent.encoding);
        self.write(now, (video, rid, place), (sent.timestamp, sent.marker), &sent.payload, values);
    }

    /// Writes a packet of sound that can be heard.
    pub(crate) fn send_audio(&mut self, now: Instant, timestamp: u32, payload: &[u8]) {
        let Some([audio, _]) = self.sends else { return };
        let values = ExtensionValues {
            audio_level: Some(-20),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        self.write(now, (audio, None, None), (timestamp, false), payload, values);
    }

    fn write(
        &mut self,
        now: Instant,
        (mid, rid, place): (Mid, Option<Rid>, Option<usize>),
        (timestamp, marker): (u32, bool),
        payload: &[u8],
        values: ExtensionValues,
    ) {
        let media = self.rtc.media(mid).expect("it was agreed on");
        let pt: Pt = media.remote_pts().first().copied().expect("negotiated");
        let sequence = self.sequences.entry(place).or_insert(1_000);
        *sequence += 1;
        let sequence = SeqNo::from(*sequence);
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, rid).expect("it sends");
        let rtp = RtpWrite::new(pt, sequence, timestamp, now, payload).marker(marker).ext_vals(values);
        stream.write_rtp(rtp.nackable(true));
        self.deadline = now;
    }

    /// Asks for a key frame, as a decoder does that lost its reference.
    pub(crate) fn ask(&mut self, now: Instant, slot: usize) {
        if let Some(ssrc) = self.sources.get(&slot)
            && let Some(stream) = self.rtc.direct_api().stream_rx(ssrc)
        {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.deadline = now;
        }
    }
}
