//! A participant with a WebRTC stack: str0m on a real socket, in real time. It sends VP8 key frames for as long as it
//! is connected, each marked with the participant's own number, and takes what comes through two video slots.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, SeqNo};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::{timeout, timeout_at};

use crate::PATIENCE;
use crate::client::{Client, with};
use crate::running::Running;

const FRAME: Duration = Duration::from_millis(20);

/// A participant whose media runs. It falls silent when this is dropped, without a word to the server.
pub(crate) struct Participant {
    pub(crate) client: Client,
    pub(crate) media: Media,
}

/// The media side of a participant.
pub(crate) struct Media {
    /// The section of its camera.
    pub(crate) camera: String,
    /// The sections of its video slots.
    pub(crate) slots: [String; 2],
    seen: watch::Receiver<Seen>,
    says: mpsc::UnboundedSender<(&'static str, Vec<u8>)>,
    task: tokio::task::JoinHandle<()>,
}

/// What has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connected: bool,
    /// The server said goodbye (DTLS `close_notify`).
    pub(crate) closed: bool,
    /// Open data channels.
    pub(crate) channels: Vec<String>,
    /// Frames by section and by the number of their publisher.
    pub(crate) frames: BTreeMap<(String, u8), usize>,
    /// The contributing source of the newest frame of a section.
    pub(crate) sources: BTreeMap<String, u32>,
    /// Messages by channel.
    pub(crate) messages: Vec<(String, Vec<u8>)>,
}

/// An offer that is not answered yet.
pub(crate) struct Offering {
    pub(crate) sdp: String,
    camera: Mid,
    slots: [Mid; 2],
    rtc: Box<Rtc>,
    socket: UdpSocket,
    pending: SdpPendingOffer,
}

impl Offering {
    pub(crate) async fn new() -> Self {
        let config = RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_opus(true, false);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let mut rtc = Box::new(config.enable_vp8(true).build(Instant::now()));
        let address = socket.local_addr().expect("it is bound");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut change = rtc.sdp_api();
        change.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let camera = change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let slots =
            [(); 2].map(|()| change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
        change.add_channel("reliable".to_owned());
        change.add_channel_with_config(ChannelConfig {
            label: "lossy".to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        let (offer, pending) = change.apply().expect("something to offer");
        Self { sdp: offer.to_sdp_string(), camera, slots, rtc, socket, pending }
    }

    /// What a join says of it.
    pub(crate) fn join(&self, room: &str) -> Value {
        let camera = json!({"mid": self.camera.to_string(), "source": "camera"});
        json!({"t": "join", "id": 1, "v": 1, "room": room, "sdp": self.sdp, "tracks": [camera]})
    }

    /// Goes on with the answer.
    pub(crate) fn accept(mut self, answer: &str, number: u8) -> Media {
        let answer = SdpAnswer::from_sdp_string(answer).expect("a valid answer");
        self.rtc.sdp_api().accept_answer(self.pending, answer).expect("an acceptable answer");
        let (seen, seen_outside) = watch::channel(Seen::default());
        let (says, said) = mpsc::unbounded_channel();
        let address = self.socket.local_addr().expect("it is bound");
        let camera = self.camera;
        let run = Run {
            rtc: self.rtc,
            socket: self.socket,
            address,
            camera,
            number,
            sent: 0,
            channels: Vec::new(),
            said,
            seen,
        };
        Media {
            camera: camera.to_string(),
            slots: self.slots.map(|mid| mid.to_string()),
            seen: seen_outside,
            says,
            task: tokio::spawn(run.run()),
        }
    }
}

impl Participant {
    /// Joins a room, and returns when media can flow.
    pub(crate) async fn join(server: &Running, room: &str, number: u8) -> Self {
        let offering = Offering::new().await;
        let join = with(offering.join(room), &json!({"name": format!("Number {number}")}));
        let client = Client::join_with(server, &join).await;
        let mut media = offering.accept(client.welcome["sdp"].as_str().expect("an answer"), number);
        media.until("it is connected", |seen| seen.connected && seen.channels.len() == 2).await;
        Self { client, media }
    }

    /// The id of its camera's track.
    pub(crate) fn camera(&self) -> Value {
        let tracks = self.client.welcome["tracks"].as_array().expect("a list");
        let of_camera = tracks.iter().find(|track| track["mid"] == self.media.camera.as_str());
        of_camera.expect("the server knows its camera")["track"].clone()
    }

    /// Asks for a track in its first slot.
    pub(crate) async fn look_at(&mut self, track: &Value) {
        let slot = json!({"mid": self.media.slots[0], "track": track, "w": 640, "h": 360});
        self.client.ask_ok(&json!({"t": "view", "slots": [slot]})).await;
    }
}

impl Media {
    /// Waits until it has seen something.
    pub(crate) async fn until(&mut self, what: &str, good: impl Fn(&Seen) -> bool) {
        let waited = timeout(PATIENCE, self.seen.wait_for(good)).await.is_ok_and(|seen| seen.is_ok());
        assert!(waited, "still not: {what}; {:?}", self.seen());
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Frames of a publisher that came through the first slot.
    pub(crate) fn frames_of(&self, number: u8) -> usize {
        self.seen().frames.get(&(self.slots[0].clone(), number)).copied().unwrap_or_default()
    }

    /// Waits for ten more frames of a publisher in the first slot.
    pub(crate) async fn until_ten_more_of(&mut self, number: u8) {
        let (key, before) = ((self.slots[0].clone(), number), self.frames_of(number));
        let more = |seen: &Seen| seen.frames.get(&key).is_some_and(|frames| *frames >= before + 10);
        self.until("ten more frames", more).await;
    }

    /// Sends a text through a data channel.
    pub(crate) fn say(&self, channel: &'static str, text: &Value) {
        self.says.send((channel, text.to_string().into_bytes())).expect("it runs");
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Run {
    rtc: Box<Rtc>,
    socket: UdpSocket,
    address: SocketAddr,
    camera: Mid,
    number: u8,
    sent: u64,
    channels: Vec<(String, ChannelId)>,
    said: mpsc::UnboundedReceiver<(&'static str, Vec<u8>)>,
    seen: watch::Sender<Seen>,
}

impl Run {
    async fn run(mut self) {
        let mut buffer = vec![0; 2_000];
        let mut frame_due = Instant::now();
        while self.rtc.is_alive() {
            let deadline = self.poll().await;
            let connected = self.seen.borrow().connected;
            let wake = if connected { deadline.min(frame_due) } else { deadline };
            let received = timeout_at(wake.into(), self.socket.recv_from(&mut buffer)).await;
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
            while let Ok((label, bytes)) = self.said.try_recv() {
                let id = self.channels.iter().find(|(known, _)| known == label).expect("it is open").1;
                assert!(self.rtc.channel(id).expect("it is open").write(false, &bytes).expect("it may"));
            }
            if connected && now >= frame_due {
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
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.seen.send_modify(|seen| seen.connected = true),
            Event::Closed => self.seen.send_modify(|seen| seen.closed = true),
            Event::ChannelOpen(id, label) => {
                self.seen.send_modify(|seen| seen.channels.push(label.clone()));
                self.channels.push((label, id));
            }
            Event::ChannelData(data) => {
                let of = self.channels.iter().find(|(_, id)| *id == data.id).expect("it is open").0.clone();
                self.seen.send_modify(|seen| seen.messages.push((of, data.data)));
            }
            Event::RtpPacket(packet) => {
                let mut direct = self.rtc.direct_api();
                let mid = direct.stream_rx(&packet.header.ssrc).expect("it came by it").mid().to_string();
                let publisher = packet.payload.last().copied().expect("not empty");
                self.seen.send_modify(|seen| {
                    *seen.frames.entry((mid.clone(), publisher)).or_default() += 1;
                    seen.sources.insert(mid, packet.header.csrc[0]);
                });
            }
            _ => {}
        }
    }

    /// A VP8 key frame in one packet, with a 15 bit picture id (RFC 7741 section 4.2).
    fn send_frame(&mut self, now: Instant) {
        self.sent += 1;
        let frame = u16::try_from(self.sent).expect("tests are short");
        let [high, low] = frame.to_be_bytes();
        let mut payload = vec![0x90, 0x80, 0x80 | high, low, 0];
        payload.resize(200, self.number);
        let media = self.rtc.media(self.camera).expect("negotiated");
        let pt = media.remote_pts().first().copied().expect("negotiated");
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.camera, None).expect("it sends");
        let time = u32::from(frame) * 1_800;
        stream.write_rtp(RtpWrite::new(pt, SeqNo::from(self.sent), time, now, payload).marker(true));
    }
}
