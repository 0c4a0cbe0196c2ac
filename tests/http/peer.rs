//! A WebRTC client: a str0m peer on a real socket, in real time. One that publishes sends VP8 key frames for as long
//! as it is connected, each marked with the peer's own number.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, SeqNo};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::message::{Reply, Request};
use crate::running::Running;

const FRAME: Duration = Duration::from_millis(20);

/// A peer whose offer is not answered yet.
pub(crate) struct Offering {
    pub(crate) offer: String,
    rtc: Box<Rtc>,
    socket: UdpSocket,
    pending: SdpPendingOffer,
    video: Mid,
}

/// A peer that runs. It is gone when this is dropped, without a word to the server.
pub(crate) struct Peer {
    /// The session's path.
    pub(crate) path: String,
    pub(crate) etag: String,
    seen: watch::Receiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

/// What a peer has seen so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connected: bool,
    /// The server said goodbye (DTLS `close_notify`).
    pub(crate) closed: bool,
    /// Received frames by the number of their publisher.
    pub(crate) frames: BTreeMap<u8, usize>,
    pub(crate) sources: BTreeSet<u32>,
}

impl Seen {
    pub(crate) fn frames_of(&self, publisher: u8) -> usize {
        self.frames.get(&publisher).copied().unwrap_or_default()
    }
}

impl Offering {
    /// Offers Opus and one video codec.
    pub(crate) async fn new(direction: Direction, codec: Codec) -> Self {
        let config = RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_opus(true, false);
        let config = match codec {
            Codec::Vp8 => config.enable_vp8(true),
            Codec::Vp9 => config.enable_vp9(true),
            other => panic!("no {other:?} here"),
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let mut rtc = Box::new(config.build(Instant::now()));
        let address = socket.local_addr().expect("it is bound");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut change = rtc.sdp_api();
        change.add_media(MediaKind::Audio, direction, None, None, None);
        let video = change.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = change.apply().expect("something to offer");
        Self { offer: offer.to_sdp_string(), rtc, socket, pending, video }
    }

    /// Goes on with the answer of a 201.
    pub(crate) fn accept(mut self, reply: &Reply, number: u8) -> Peer {
        assert_eq!(reply.status, 201, "{reply:?}");
        let answer = SdpAnswer::from_sdp_string(&reply.body).expect("a valid answer");
        self.rtc.sdp_api().accept_answer(self.pending, answer).expect("an acceptable answer");
        Peer::run(self.rtc, self.socket, self.video, number, reply)
    }
}

impl Peer {
    /// Publishes VP8, and returns when the stream can be watched.
    pub(crate) async fn publish(server: &Running, stream: &str, number: u8) -> Self {
        let offering = Offering::new(Direction::SendOnly, Codec::Vp8).await;
        let reply = server.ask(&Request::sdp(format!("/whip/{stream}"), offering.offer.clone())).await;
        let mut peer = offering.accept(&reply, number);
        peer.until("the publisher is connected", |seen| seen.connected).await;
        // The server has its own moment of being connected. Nobody can decode this offer, and 409 comes first.
        let probe = Request::sdp(format!("/whep/{stream}"), "v=0\r\n");
        server.ask_until("the stream is live", &probe, |reply| reply.status != 409).await;
        peer
    }

    /// Watches a VP8 stream that is live.
    pub(crate) async fn watch(server: &Running, stream: &str) -> Self {
        let offering = Offering::new(Direction::RecvOnly, Codec::Vp8).await;
        let reply = server.ask(&Request::sdp(format!("/whep/{stream}"), offering.offer.clone())).await;
        offering.accept(&reply, 0)
    }

    /// Watches by answering an offer of the server's, in VP8.
    pub(crate) async fn answer(server: &Running, offered: &Reply) -> (Self, Reply) {
        let config =
            RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_opus(true, false).enable_vp8(true);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let mut rtc = Box::new(config.build(Instant::now()));
        let address = socket.local_addr().expect("it is bound");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let offer = SdpOffer::from_sdp_string(&offered.body).expect("a valid offer");
        let answer = rtc.sdp_api().accept_offer(offer).expect("an acceptable offer").to_sdp_string();
        let patch =
            Request::new("PATCH", offered.location()).with("Content-Type", "application/sdp").body(answer);
        let reply = server.ask(&patch).await;
        (Self::run(rtc, socket, "1".into(), 0, offered), reply)
    }

    fn run(rtc: Box<Rtc>, socket: UdpSocket, video: Mid, number: u8, reply: &Reply) -> Self {
        let (seen, seen_outside) = watch::channel(Seen::default());
        let address = socket.local_addr().expect("it is bound");
        let sends = rtc.media(video).is_some_and(|media| media.direction().is_sending());
        let running = Run { rtc, socket, address, video, number, frames: 0, seen };
        Self {
            path: reply.location().to_owned(),
            etag: reply.etag().to_owned(),
            seen: seen_outside,
            task: tokio::spawn(running.run(sends)),
        }
    }

    /// Waits until the peer has seen something.
    pub(crate) async fn until(&mut self, what: &str, good: impl Fn(&Seen) -> bool) {
        let waited = timeout(PATIENCE, self.seen.wait_for(good)).await.is_ok_and(|seen| seen.is_ok());
        assert!(waited, "still not: {what}; {:?}", self.seen());
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Run {
    rtc: Box<Rtc>,
    socket: UdpSocket,
    address: SocketAddr,
    video: Mid,
    number: u8,
    frames: u64,
    seen: watch::Sender<Seen>,
}

impl Run {
    async fn run(mut self, sends: bool) {
        let mut buffer = vec![0; 2_000];
        let mut frame_due = Instant::now();
        while self.rtc.is_alive() {
            let deadline = self.poll().await;
            let sends = sends && self.seen.borrow().connected;
            let wake = if sends { deadline.min(frame_due) } else { deadline };
            let received = tokio::time::timeout_at(wake.into(), self.socket.recv_from(&mut buffer)).await;
            let now = Instant::now();
            let input = match received {
                Ok(Ok((length, source))) => {
                    let receive = Receive::new(Protocol::Udp, source, self.address, &buffer[..length]);
                    Input::Receive(now, receive.expect("the server sends no garbage"))
                }
                Ok(Err(error)) => panic!("the socket breaks: {error}"),
                Err(_) => Input::Timeout(now),
            };
            self.rtc.handle_input(input).expect("no error");
            if sends && now >= frame_due {
                frame_due = now + FRAME;
                self.send_frame(now);
            }
        }
        self.seen.send_modify(|seen| seen.closed = true);
    }

    /// Does what str0m wants done. Returns until when it wants nothing more.
    async fn poll(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().expect("no error") {
                Output::Timeout(deadline) => return deadline,
                Output::Transmit(transmit) => {
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                }
                Output::Event(Event::Connected) => self.seen.send_modify(|seen| seen.connected = true),
                Output::Event(Event::Closed) => self.seen.send_modify(|seen| seen.closed = true),
                Output::Event(Event::RtpPacket(packet)) => self.seen.send_modify(|seen| {
                    let publisher = packet.payload.last().copied().expect("not empty");
                    *seen.frames.entry(publisher).or_default() += 1;
                    seen.sources.insert(*packet.header.ssrc);
                }),
                Output::Event(_) => {}
            }
        }
    }

    /// A VP8 key frame in one packet, with a 15 bit picture id (RFC 7741 section 4.2).
    fn send_frame(&mut self, now: Instant) {
        self.frames += 1;
        let frame = u16::try_from(self.frames).expect("tests are short");
        let [high, low] = frame.to_be_bytes();
        let mut payload = vec![0x90, 0x80, 0x80 | high, low, 0];
        payload.resize(200, self.number);
        let media = self.rtc.media(self.video).expect("negotiated");
        let pt = media.remote_pts().first().copied().expect("negotiated");
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.video, None).expect("it sends");
        let time = u32::from(frame) * 1_800;
        stream.write_rtp(RtpWrite::new(pt, SeqNo::from(self.frames), time, now, payload).marker(true));
    }
}
