//! Media threads on real sockets: whichever of them the system brings a client's datagrams to, media flows.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sluice::ids::{SessionId, TrackId, WorkerId};
use sluice::net::addresses::Wanted;
use sluice::net::demux::{IceCredentials, Ufrag};
use sluice::net::udp::{Sharing, UdpConfig};
use sluice::sfu::relay::TrackHome;
use sluice::sfu::session::dtls::Identity;
use sluice::sfu::session::negotiate::{Endpoint, NewSession, answer};
use sluice::sfu::session::offer::Role;
use sluice::wire::ntp::{Epoch, NtpTime};
use sluice::wire::stun::{self, Method, TransactionId, Writer};
use sluice::worker::message::{Command, Event, Snapshot};
use sluice::worker::pool::{Pool, WorkerConfig};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, SeqNo};
use str0m::{Candidate, Input, Output, Rtc, RtcConfig};
use tokio::sync::mpsc;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn pool(count: u8) -> (Pool, mpsc::UnboundedReceiver<Event>) {
    let (events, queue) = mpsc::unbounded_channel();
    let udp = UdpConfig {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        receive_buffer: 1 << 20,
        send_buffer: 1 << 20,
        sharing: Sharing::Alone,
    };
    let announce = Wanted { loopback: true, ..Wanted::default() };
    let config = WorkerConfig { count, udp, announce, tcp: None, turn: None };
    (Pool::start(config, events).await.expect("a port"), queue)
}

/// Lets `step` run until it returns something.
async fn wait_for<T>(what: &str, mut step: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = step() {
            return done;
        }
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn bindings(snapshots: &[Snapshot]) -> Vec<u64> {
    snapshots.iter().map(|snapshot| snapshot.core.stun_bindings).collect()
}

/// New sockets, and the worker at which the datagrams of each arrive. Socket `n` sends `2^n` Binding requests, so that what
/// the workers count tells whose they were. Those of each round have addresses of their own.
async fn sockets(pool: &Pool, server: SocketAddr, round: u8) -> Vec<(UdpSocket, u8)> {
    let before = bindings(&pool.snapshots());
    // Who asks too often without proof is not answered.
    let sockets =
        (2..8).map(|place| UdpSocket::bind((Ipv4Addr::new(127, 0, round, place), 0)).expect("a port"));
    let sockets: Vec<_> = sockets.collect();
    let mut request = Vec::new();
    Writer::new(&mut request, stun::Class::Request, Method::BINDING, TransactionId([1; 12])).fingerprint();
    for (place, socket) in sockets.iter().enumerate() {
        socket.set_read_timeout(Some(PATIENCE)).expect("possible");
        for _ in 0..1 << place {
            socket.send_to(&request, server).expect("sent");
            socket.recv(&mut [0; 1500]).expect("answered");
        }
        socket.set_nonblocking(true).expect("possible");
    }
    let counted = wait_for("counted", || {
        let now = bindings(&pool.snapshots());
        let new: Vec<_> = now.iter().zip(&before).map(|(now, before)| now - before).collect();
        (new.iter().sum::<u64>() == 63).then_some(new)
    });
    let counted = counted.await;
    let arrival = |place: usize| counted.iter().position(|count| count >> place & 1 == 1).expect("counted");
    let places = 0..sockets.len();
    places.zip(sockets).map(|(place, socket)| (socket, u8::try_from(arrival(place)).expect("two"))).collect()
}

struct Client {
    rtc: Rtc,
    socket: UdpSocket,
    mid: Mid,
    session: SessionId,
    connected: bool,
    received: Vec<Vec<u8>>,
}

impl Client {
    fn drive(&mut self) {
        let mut room = [0; 2_000];
        let address = self.socket.local_addr().expect("bound");
        while let Ok((length, source)) = self.socket.recv_from(&mut room) {
            let Ok(receive) = Receive::new(Protocol::Udp, source, address, &room[..length]) else { continue };
            self.rtc.handle_input(Input::Receive(Instant::now(), receive)).expect("no error");
            self.poll();
        }
        self.rtc.handle_input(Input::Timeout(Instant::now())).expect("no error");
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            match self.rtc.poll_output().expect("no error") {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => {
                    self.socket.send_to(&transmit.contents, transmit.destination).expect("sent");
                }
                Output::Event(str0m::Event::Connected) => self.connected = true,
                Output::Event(str0m::Event::RtpPacket(packet)) => self.received.push(packet.payload.to_vec()),
                Output::Event(_) => {}
            }
        }
    }

    fn send(&mut self, number: u8) {
        let pt = self.rtc.media(self.mid).and_then(|media| media.remote_pts().first().copied());
        let pt = pt.expect("negotiated");
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.mid, None).expect("it sends");
        let sequence = SeqNo::from(1_000 + u64::from(number));
        stream.write_rtp(RtpWrite::new(
            pt,
            sequence,
            u32::from(number) * 960,
            Instant::now(),
            &[0xfc, number][..],
        ));
    }
}

/// The server's side of negotiations.
struct Desk {
    endpoint: Endpoint,
    sessions: u64,
}

impl Desk {
    /// A client with a session on the worker `home`. Sound only: it needs no key frames.
    fn join(&mut self, pool: &Pool, role: Role, home: u8, socket: UdpSocket) -> (Client, Vec<TrackId>) {
        self.sessions += 1;
        let mut rtc =
            RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_opus(true, false).build(Instant::now());
        let address = socket.local_addr().expect("bound");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut change = rtc.sdp_api();
        let direction = if role == Role::Watch { Direction::RecvOnly } else { Direction::SendOnly };
        let mid = change.add_media(MediaKind::Audio, direction, None, None, None);
        let (offer, pending) = change.apply().expect("something to offer");
        let session = SessionId(self.sessions);
        let new = NewSession {
            id: session,
            ice: IceCredentials {
                ufrag: Ufrag::mint(WorkerId(home), [u8::try_from(self.sessions).expect("few"); 10]),
                password: format!("{:0>24}", self.sessions),
            },
            first_track: TrackId(self.sessions * 64),
            seed: self.sessions,
        };
        let answered = answer(&offer.to_sdp_string(), role, &new, &self.endpoint, Instant::now());
        let answered = answered.expect("a good offer");
        let sdp = SdpAnswer::from_sdp_string(&answered.answer).expect("a valid answer");
        rtc.sdp_api().accept_answer(pending, sdp).expect("an acceptable answer");
        let tracks = answered.tracks.iter().map(|track| track.id).collect();
        assert!(pool.send(WorkerId(home), Command::Join(Box::new(answered.session))));
        (Client { rtc, socket, mid, session, connected: false, received: Vec::new() }, tracks)
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn media_flows_whichever_worker_the_datagrams_reach() {
    let (pool, _events) = pool(2).await;
    let server = *pool.announced().first().expect("an address");
    assert_eq!(pool.workers().len(), 2);
    // A publisher and viewers: for each home, datagrams that arrive there and that do not.
    let mut wanted = vec![(Role::Publish, 0, 1)];
    wanted.extend([(0, 0), (0, 1), (1, 0), (1, 1)].map(|(home, arrival)| (Role::Watch, home, arrival)));
    let mut free: HashMap<u8, Vec<UdpSocket>> = HashMap::new();
    for round in 0..=u8::MAX {
        for (socket, arrival) in sockets(&pool, server, round).await {
            free.entry(arrival).or_default().push(socket);
        }
        if [0, 1].iter().all(|arrival| free.get(arrival).is_some_and(|sockets| sockets.len() >= 3)) {
            break;
        }
    }
    let epoch = Epoch { instant: Instant::now(), ntp: NtpTime::default() };
    let endpoint = Endpoint {
        epoch,
        identity: Identity::generate().expect("a certificate"),
        candidates: pool.announced().to_vec().into(),
    };
    let mut desk = Desk { endpoint, sessions: 0 };
    let (mut clients, mut track) = (Vec::new(), None);
    for (role, home, arrival) in wanted {
        let socket = free.get_mut(&arrival).and_then(Vec::pop).expect("enough");
        let (client, tracks) = desk.join(&pool, role, home, socket);
        let home_of_track = TrackHome { track: *track.get_or_insert_with(|| tracks[0]), worker: WorkerId(0) };
        if role == Role::Watch {
            let bind = Command::Bind { session: client.session, slot: 0, track: Some(home_of_track) };
            assert!(pool.send(WorkerId(home), bind));
        }
        clients.push(client);
    }
    let all_connected = wait_for("connected", || {
        clients.iter_mut().for_each(Client::drive);
        clients.iter().all(|client| client.connected).then_some(())
    });
    all_connected.await;
    let mut number = 0;
    let flows = wait_for("everybody hears the publisher", || {
        clients[0].send(number);
        number = number.wrapping_add(1);
        clients.iter_mut().for_each(Client::drive);
        clients.iter().skip(1).all(|client| client.received.len() >= 50).then_some(())
    });
    flows.await;
    for client in &clients[1..] {
        let numbers: Vec<_> = client.received.iter().map(|payload| payload[1]).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    }
    let counted = wait_for("counted", || {
        let relay: Vec<_> = pool.snapshots().iter().map(|snapshot| snapshot.relay).collect();
        (relay[0].packets >= 50 && relay[0].datagrams > 0 && relay[1].datagrams > 0).then_some(relay)
    });
    for relay in counted.await {
        assert_eq!((relay.packets_dropped, relay.datagrams_dropped), (0, 0));
    }
    pool.stop(PATIENCE).await;
    assert!(!pool.is_running());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_port_of_another_server_is_not_shared() {
    let (pool, _events) = pool(2).await;
    let (events, _queue) = mpsc::unbounded_channel();
    let udp = UdpConfig {
        listen: pool.announced().to_vec(),
        receive_buffer: 1 << 16,
        send_buffer: 1 << 16,
        sharing: Sharing::Alone,
    };
    let announce = Wanted { loopback: true, ..Wanted::default() };
    let config = WorkerConfig { count: 2, udp, announce, tcp: None, turn: None };
    let error = Pool::start(config, events).await.err().expect("it is taken");
    assert!(error.to_string().contains("another program has this port"), "{error}");
}
