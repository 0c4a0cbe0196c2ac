//! A publisher whose media really flows: VP8 key frames, from a thread of its own.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, SeqNo};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::http::Error;
use crate::sdp;
use crate::subject::{Session, Subject};

const CONNECTS_WITHIN: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(20);
const FRAME: Duration = Duration::from_millis(40);

/// A session with a connection that is up.
pub(crate) struct Publisher<'s> {
    session: Session<'s>,
    orders: Sender<Order>,
    told: Receiver<Told>,
}

enum Order {
    /// Make an offer that restarts ICE.
    Restart,
    /// Go on with this answer.
    Accept(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Connected,
    Offer(String),
    /// A check after a restart was answered.
    Checked,
    Ended,
}

impl<'s> Publisher<'s> {
    pub(crate) fn start(subject: &'s Subject) -> Result<Self, Error> {
        let mut peer = Peer::new()?;
        let mut video = None;
        let (offer, pending) = peer.offer(|change| {
            change.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
            video = Some(change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
        })?;
        peer.video = video;
        let session = subject.session_by(&offer)?;
        peer.accept(pending, &session.reply.body)?;
        let (orders, ordered) = channel();
        let (tell, told) = channel();
        std::thread::spawn(move || peer.run(&ordered, &tell));
        let publisher = Self { session, orders, told };
        if publisher.hears(&Told::Connected, CONNECTS_WITHIN) {
            Ok(publisher)
        } else {
            Err(Error::Broken("the connection did not come up within 10 s".to_owned()))
        }
    }

    /// Restarts ICE. Returns whether a check was answered after that; `None` where the server does not restart.
    pub(crate) fn restart(&mut self) -> Result<Option<bool>, Error> {
        let gone = || Error::Broken("the connection has ended".to_owned());
        self.orders.send(Order::Restart).map_err(|_| gone())?;
        let offer = loop {
            match self.told.recv_timeout(CONNECTS_WITHIN).map_err(|_| gone())? {
                Told::Offer(offer) => break offer,
                Told::Ended => return Err(gone()),
                Told::Connected | Told::Checked => {}
            }
        };
        let of = |name| sdp::value(&offer, name).unwrap_or_default();
        let fragment = sdp::restart(of("ice-ufrag"), of("ice-pwd"), &offer, sdp::CANDIDATE);
        let reply = self.session.patch(Some("*"), &fragment)?;
        if reply.status != 200 {
            return Ok(None);
        }
        let before = &self.session.reply.body;
        let renewed = ["ice-ufrag", "ice-pwd"].iter().fold(before.clone(), |text, name| {
            let (old, new) = (sdp::value(before, name), sdp::value(&reply.body, name));
            text.replace(old.unwrap_or_default(), new.unwrap_or_default())
        });
        self.orders.send(Order::Accept(renewed)).map_err(|_| gone())?;
        Ok(Some(self.hears(&Told::Checked, CONNECTS_WITHIN)))
    }

    /// Deletes the session. Returns whether the connection ends.
    pub(crate) fn delete(self) -> Result<bool, Error> {
        self.session.ask("DELETE")?;
        Ok(self.hears(&Told::Ended, ENDS_WITHIN))
    }

    fn hears(&self, wanted: &Told, within: Duration) -> bool {
        let until = Instant::now() + within;
        loop {
            match self.told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(told) if told == *wanted => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

/// The WebRTC client, sans I/O, and its socket.
struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    video: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    connected: bool,
    /// Whether a restart waits for its first answer to a check.
    restarting: bool,
    frames: u16,
}

impl Peer {
    fn new() -> Result<Self, Error> {
        // Nothing is sent: this only asks the system which of its addresses others would see.
        let probe = UdpSocket::bind("0.0.0.0:0")?;
        let own = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr());
        let ip = own.map_or([127, 0, 0, 1].into(), |address| address.ip());
        let socket = UdpSocket::bind((ip, 0))?;
        let address = socket.local_addr()?;
        let config =
            RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_opus(true, false).enable_vp8(true);
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp").map_err(broken)?);
        let (video, pending) = (None, None);
        Ok(Self { rtc, socket, address, video, pending, connected: false, restarting: false, frames: 0 })
    }

    fn offer(
        &mut self,
        change: impl FnOnce(&mut str0m::change::SdpApi<'_>),
    ) -> Result<(String, SdpPendingOffer), Error> {
        let mut api = self.rtc.sdp_api();
        change(&mut api);
        let (offer, pending) = api.apply().ok_or_else(|| broken("there is nothing to offer"))?;
        Ok((offer.to_sdp_string(), pending))
    }

    fn accept(&mut self, pending: SdpPendingOffer, answer: &str) -> Result<(), Error> {
        let answer = SdpAnswer::from_sdp_string(answer).map_err(broken)?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(broken)
    }

    /// Until the connection ends, or nobody listens any more.
    fn run(mut self, orders: &Receiver<Order>, tell: &Sender<Told>) {
        let mut buffer = vec![0; 2_000];
        let mut frame_due = Instant::now();
        let ended = loop {
            match self.follow(orders, tell) {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => break true,
            }
            let Ok(deadline) = self.poll(tell) else { break true };
            if !self.rtc.is_alive() {
                break true;
            }
            let wake = if self.connected { deadline.min(frame_due) } else { deadline };
            // Orders are looked for often enough.
            let wait = wake.saturating_duration_since(Instant::now()).clamp(MOMENT, FRAME);
            if self.socket.set_read_timeout(Some(wait)).is_err() || self.receive(&mut buffer).is_err() {
                break true;
            }
            let now = Instant::now();
            if self.connected && now >= frame_due {
                frame_due = now + FRAME;
                self.send_frame(now);
            }
        };
        if ended {
            let _ = tell.send(Told::Ended);
        }
    }

    /// Does what it is told. Returns whether anybody is there to tell.
    fn follow(&mut self, orders: &Receiver<Order>, tell: &Sender<Told>) -> Result<bool, Error> {
        match orders.try_recv() {
            Ok(Order::Restart) => {
                let (offer, pending) = self.offer(|change| drop(change.ice_restart(true)))?;
                self.pending = Some(pending);
                Ok(tell.send(Told::Offer(offer)).is_ok())
            }
            Ok(Order::Accept(answer)) => {
                let pending = self.pending.take().ok_or_else(|| broken("there is no offer"))?;
                self.restarting = true;
                self.accept(pending, &answer).map(|()| true)
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => Ok(true),
            Err(std::sync::mpsc::TryRecvError::Disconnected) => Ok(false),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let input = match self.socket.recv_from(buffer) {
            Ok((length, source)) => {
                let payload = buffer.get(..length).unwrap_or_default();
                let Ok(receive) = Receive::new(Protocol::Udp, source, self.address, payload) else {
                    return Ok(());
                };
                Input::Receive(Instant::now(), receive)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Input::Timeout(Instant::now())
            }
            // A port that is closed is reported here; others may be open.
            Err(_) => Input::Timeout(Instant::now()),
        };
        self.rtc.handle_input(input).map_err(broken)
    }

    fn poll(&mut self, tell: &Sender<Told>) -> Result<Instant, Error> {
        loop {
            match self.rtc.poll_output().map_err(broken)? {
                Output::Timeout(deadline) => return Ok(deadline),
                Output::Transmit(transmit) => {
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::Connected) => {
                    self.connected = true;
                    let _ = tell.send(Told::Connected);
                }
                Output::Event(Event::IceConnectionStateChange(state)) => {
                    if self.restarting && state.is_connected() {
                        self.restarting = false;
                        let _ = tell.send(Told::Checked);
                    }
                    if state == str0m::IceConnectionState::Disconnected {
                        return Err(broken("no check is answered"));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    /// A VP8 key frame in one packet, with a 15 bit picture id (RFC 7741 section 4.2).
    fn send_frame(&mut self, now: Instant) {
        let Some(video) = self.video else { return };
        let Some(pt) = self.rtc.media(video).and_then(|media| media.remote_pts().first().copied()) else {
            return;
        };
        self.frames = self.frames.wrapping_add(1) & 0x7fff;
        let [high, low] = self.frames.to_be_bytes();
        let mut payload = vec![0x90, 0x80, 0x80 | high, low, 0];
        payload.resize(200, 1);
        let mut direct = self.rtc.direct_api();
        if let Some(stream) = direct.stream_tx_by_mid(video, None) {
            let time = u32::from(self.frames) * 3_600;
            let packet = RtpWrite::new(pt, SeqNo::from(u64::from(self.frames)), time, now, payload);
            stream.write_rtp(packet.marker(true));
        }
    }
}

/// The shortest wait that sockets can do.
const MOMENT: Duration = Duration::from_millis(1);

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Broken(error.to_string())
}
