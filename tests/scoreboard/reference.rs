//! The flow that ours is compared with: str0m's estimator and pacer, which cannot be had without all of str0m. So two of its
//! sessions talk, and what they say goes over the link as it is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::SdpOffer;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::flow::{Camera, Flow, MOST, Packet};
use crate::link::Random;
use crate::scenario::Scenario;

/// What str0m adds to a payload: header, extensions, tag. Measured.
const OVERHEAD: usize = 44;
/// How often it tells what it thinks.
const OFTEN: Duration = Duration::from_millis(20);
/// More turns than a session needs within a step.
const TURNS: usize = 2_000;

struct Peer {
    rtc: Rtc,
    address: SocketAddr,
    other: SocketAddr,
    /// The last time that it was told.
    last: Instant,
    /// When it wants to be called.
    next: Instant,
    out: Vec<Vec<u8>>,
    estimate: Option<u64>,
}

impl Peer {
    fn new(now: Instant, config: RtcConfig, addresses: [&str; 2]) -> Self {
        let mut rtc = config.set_rtp_mode(true).build(now);
        let [address, other] = addresses.map(|address| address.parse::<SocketAddr>().expect("an address"));
        for (host, is_local) in [(address, true), (other, false)] {
            let candidate = Candidate::host(host, "udp").expect("a candidate");
            if is_local {
                rtc.add_local_candidate(candidate);
            } else {
                rtc.add_remote_candidate(candidate);
            }
        }
        Self { rtc, address, other, last: now, next: now, out: Vec::new(), estimate: None }
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("a session that goes on") {
                Output::Timeout(next) => {
                    self.next = next;
                    return;
                }
                Output::Transmit(transmit) => self.out.push(transmit.contents.to_vec()),
                // The event of the estimate tells a mean of 3 s, and those who follow it fare worse.
                Output::Event(Event::PeerStats(stats)) => {
                    self.estimate = stats.bwe_tx.map(|estimate| estimate.as_u64()).or(self.estimate);
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Lets all happen that is due by now, each at its time, and nothing else: its estimate grows with each call.
    fn advance(&mut self, now: Instant) {
        for _ in 0..TURNS {
            if self.next > now {
                return;
            }
            // A time that has passed means at once; the clock moves all the same, or the session would ask for ever.
            self.last = self.next.max(self.last + Duration::from_micros(1));
            self.rtc.handle_input(Input::Timeout(self.last)).expect("time passes");
            self.drain();
        }
    }

    fn receive(&mut self, at: Instant, datagram: &[u8]) {
        self.last = self.last.max(at);
        let (source, destination) = (self.other, self.address);
        let received = Receive::new(Protocol::Udp, source, destination, datagram).expect("a datagram");
        self.rtc.handle_input(Input::Receive(self.last, received)).expect("a packet");
        self.drain();
    }
}

pub(crate) struct Reference {
    local: Peer,
    remote: Peer,
    mid: Mid,
    pt: Pt,
    camera: Camera,
    written: u64,
    estimate: u64,
}

impl Reference {
    /// Both ends, connected before the clock starts.
    pub(crate) fn new(now: Instant, scenario: &Scenario, random: &mut Random) -> Self {
        let start = scenario.start;
        let addresses = ["192.0.2.1:1000", "192.0.2.2:1000"];
        let config = || RtcConfig::new().clear_codecs().enable_vp8(true);
        let mut local = Peer::new(
            now,
            config().set_stats_interval(Some(OFTEN)).enable_bwe(Some(Bitrate::from(start))),
            addresses,
        );
        let mut remote = Peer::new(now, config(), [addresses[1], addresses[0]]);
        let mut change = local.rtc.sdp_api();
        let mid = change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let (offer, pending) = change.apply().expect("an offer");
        let offer = SdpOffer::from_sdp_string(&offer.to_sdp_string()).expect("an offer");
        let answer = remote.rtc.sdp_api().accept_offer(offer).expect("an answer");
        local.rtc.sdp_api().accept_answer(pending, answer).expect("accepted");
        let pt = local.rtc.codec_config().find(|codec| codec.spec().codec == Codec::Vp8).expect("VP8").pt();
        let mut reference = Self {
            local,
            remote,
            mid,
            pt,
            camera: Camera::new(now, scenario.has_encodings, random.number()),
            written: 0,
            estimate: start,
        };
        reference.connect();
        // The time that this took is not part of the run.
        let passed = reference.local.last;
        reference.camera = Camera::new(passed, scenario.has_encodings, random.number());
        reference.local.rtc.bwe().reset(Bitrate::from(start));
        reference.local.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::from(MOST));
        reference
    }

    /// When the clock starts.
    pub(crate) fn began(&self) -> Instant {
        self.local.last
    }

    fn connect(&mut self) {
        let mut at = self.local.last;
        for _ in 0..1_000 {
            if self.local.rtc.is_connected() && self.remote.rtc.is_connected() {
                self.local.last = at;
                return;
            }
            at += Duration::from_millis(1);
            self.local.advance(at);
            std::mem::take(&mut self.local.out).iter().for_each(|datagram| self.remote.receive(at, datagram));
            self.remote.advance(at);
            std::mem::take(&mut self.remote.out).iter().for_each(|datagram| self.local.receive(at, datagram));
        }
        panic!("no connection");
    }
}

impl Flow for Reference {
    fn send(&mut self, now: Instant) -> Vec<Packet> {
        for bytes in self.camera.frame(now, self.estimate) {
            let payload = vec![0; bytes.saturating_sub(OVERHEAD).max(10)];
            self.written += 1;
            let time = self.camera.frames * 3_000;
            let packet =
                RtpWrite::new(self.pt, (30_000 + self.written).into(), time, now, payload).nackable(false);
            let mut api = self.local.rtc.direct_api();
            api.stream_tx_by_mid(self.mid, None).expect("a stream").write_rtp(packet);
            // What is written leaves at the next call.
            self.local.last = self.local.last.max(now);
            self.local.rtc.handle_input(Input::Timeout(self.local.last)).expect("time passes");
            self.local.drain();
        }
        self.local.advance(now);
        self.estimate = self.local.estimate.unwrap_or(self.estimate);
        std::mem::take(&mut self.local.out)
            .into_iter()
            .map(|datagram| Packet { number: 0, bytes: datagram.len(), datagram })
            .collect()
    }

    fn receive(&mut self, at: Instant, packet: Packet) {
        self.remote.receive(at, &packet.datagram);
    }

    fn answer(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.remote.advance(now);
        std::mem::take(&mut self.remote.out)
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) {
        self.local.receive(now, datagram);
    }

    fn estimate(&self) -> u64 {
        self.estimate
    }
}
