//! The media thread: one socket, many clients, one loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use str0m::net::{Protocol, Receive};
use str0m::{Input, Output};

use crate::client::{Client, Meter, Window};
use crate::subscriber::SubscriberStats;
use crate::udp::{BatchSocket, dropped_at, realtime_ns};

/// Longest sleep. Nothing wakes the thread before: that lets datagrams gather in
/// the socket, so that many are taken by one call, and spares the server's core
/// the work of waking us for each one. Latency does not suffer, because the
/// kernel stamps datagrams as they arrive.
const TICK: Duration = Duration::from_millis(1);

pub enum Command {
    Add(u32, Box<Client>),
    Close(u32),
    OpenWindow(Window),
    /// From now on, note when each video source changes its contributing source.
    WatchChanges,
    /// Asks for what was noted.
    Changes(Sender<Changes>),
    Report(Sender<EngineReport>),
    Status(Sender<EngineStatus>),
    Stop,
}

/// By client: when each video source changed, in CLOCK_REALTIME nanoseconds.
pub type Changes = Vec<(u32, Vec<Option<u64>>)>;

#[derive(Debug, Default)]
pub struct EngineStatus {
    pub publishers_connected: usize,
    pub subscribers_connected: usize,
    pub subscribers_with_media: usize,
    pub subscribers_with_video: usize,
    pub dead: usize,
}

/// What one subscriber received.
pub struct Received {
    /// What it was to receive.
    pub streams: Vec<u32>,
    pub verify: bool,
    pub stats: SubscriberStats,
}

/// What happened in the window.
pub struct EngineReport {
    pub subscribers: Vec<Received>,
    /// Packets sent in the window by stream and track.
    pub sent: Vec<(u32, [u64; 4])>,
    pub keyframe_requests: u64,
    pub keyframes: u64,
    pub latency_us: Histogram<u64>,
    pub connected_us: Histogram<u64>,
    pub first_media_us: Histogram<u64>,
    pub first_video_us: Histogram<u64>,
    pub without_media: usize,
    /// CPU time of this thread during the window.
    pub cpu: Duration,
    pub wall: Duration,
    pub syscalls: u64,
    pub dropped: u64,
    pub send_errors: u64,
}

/// A handle to the media thread.
pub struct Engine {
    commands: Sender<Command>,
    pub port: u16,
    twin: BatchSocket,
    base: u32,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Engine {
    /// Clients get addresses from `net` on, one each.
    pub fn start(net: Ipv4Addr, pin: Option<usize>) -> Result<Engine> {
        let socket = BatchSocket::bind().context("binding the media socket")?;
        let port = socket.port();
        let twin = socket.twin()?;
        let base = u32::from(net);
        let (commands, rx) = channel();
        let thread = std::thread::Builder::new().name("media".into()).spawn(move || {
            if let Some(cpu) = pin {
                pin_to(cpu);
            }
            wake_on_time();
            Loop::new(socket, base, rx).run();
        })?;
        Ok(Engine { commands, port, twin, base, thread: Some(thread) })
    }

    /// A handle to the clients' socket.
    pub fn twin(&self) -> std::io::Result<BatchSocket> {
        self.twin.twin()
    }

    pub fn ip_of(&self, id: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base + id)
    }

    pub fn send(&self, c: Command) {
        // The thread ends only when told to, so the channel is open.
        let _ = self.commands.send(c);
    }

    pub fn status(&self) -> EngineStatus {
        let (tx, rx) = channel();
        self.send(Command::Status(tx));
        rx.recv().unwrap_or_default()
    }

    pub fn changes(&self) -> Changes {
        let (tx, rx) = channel();
        self.send(Command::Changes(tx));
        rx.recv().unwrap_or_default()
    }

    pub fn report(&self) -> Result<EngineReport> {
        let (tx, rx) = channel();
        self.send(Command::Report(tx));
        rx.recv().context("the media thread is gone")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}

/// Sleeps of this thread end within a microsecond of their time, not the usual 50.
pub fn wake_on_time() {
    // SAFETY: the option takes one integer, in nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong) };
}

fn pin_to(cpu: usize) {
    // SAFETY: a zeroed cpu_set_t is an empty set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}

pub fn thread_cpu() -> Duration {
    // SAFETY: t is a valid timespec.
    let t = unsafe {
        let mut t: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t);
        t
    };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Counters at the moment a window opened.
struct Opening {
    cpu: Duration,
    at: Instant,
    syscalls: u64,
    dropped: u64,
    send_errors: u64,
}

struct Loop {
    socket: BatchSocket,
    base: u32,
    commands: Receiver<Command>,
    /// By id; a client's address is the base plus its id.
    clients: Vec<Option<Box<Client>>>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    meter: Meter,
    opening: Opening,
    /// Counters of the window, taken when it ended.
    closing: Option<(Duration, Duration, u64)>,
}

impl Loop {
    fn new(socket: BatchSocket, base: u32, commands: Receiver<Command>) -> Loop {
        let opening =
            Opening { cpu: thread_cpu(), at: Instant::now(), syscalls: 0, dropped: 0, send_errors: 0 };
        Loop {
            socket,
            base,
            commands,
            clients: vec![],
            due: BinaryHeap::new(),
            meter: Meter::default(),
            opening,
            closing: None,
        }
    }

    fn run(mut self) {
        loop {
            while let Ok(c) = self.commands.try_recv() {
                if let Command::Stop = c {
                    self.socket.flush();
                    return;
                }
                self.command(c);
            }
            let more = self.receive();
            self.run_due();
            self.socket.flush();
            self.close_window_when_over();
            if !more {
                let now = Instant::now();
                let next = self.due.peek().map_or(TICK, |Reverse((t, _))| t.saturating_duration_since(now));
                std::thread::sleep(next.min(TICK));
            }
        }
    }

    fn command(&mut self, c: Command) {
        let now = Instant::now();
        match c {
            Command::Add(id, client) => {
                let at = id as usize;
                if self.clients.len() <= at {
                    self.clients.resize_with(at + 1, || None);
                }
                self.clients[at] = Some(client);
                self.with_client(id, |c, socket, meter| {
                    let _ = c.rtc.handle_input(Input::Timeout(now));
                    drain(c, socket, meter, now);
                });
            }
            Command::Close(id) => {
                self.with_client(id, |c, socket, meter| {
                    let _ = c.rtc.close();
                    drain(c, socket, meter, now);
                });
                if let Some(slot) = self.clients.get_mut(id as usize) {
                    *slot = None;
                }
            }
            Command::OpenWindow(window) => {
                self.meter.window = window;
                self.meter.latency.reset();
                self.closing = None;
                for c in self.clients.iter_mut().flatten() {
                    if let Some(p) = &mut c.publisher {
                        p.window_sent = [0; 4];
                        p.keyframes = 0;
                        p.keyframe_requests = 0;
                    }
                    if let Some(s) = &mut c.subscriber {
                        s.open_window();
                    }
                }
                self.opening = Opening {
                    cpu: thread_cpu(),
                    at: now,
                    syscalls: self.socket.syscalls,
                    dropped: dropped_at(self.socket.port()),
                    send_errors: self.socket.send_errors,
                };
            }
            Command::WatchChanges => {
                let subscribers = self.clients.iter_mut().flatten().filter_map(|c| c.subscriber.as_mut());
                subscribers.for_each(|s| s.watch_for_changes());
            }
            Command::Changes(tx) => {
                let of = |(id, c): (usize, &Option<Box<Client>>)| {
                    Some((id as u32, c.as_ref()?.subscriber.as_ref()?.changes()))
                };
                let _ = tx.send(self.clients.iter().enumerate().filter_map(of).collect());
            }
            Command::Report(tx) => {
                let _ = tx.send(self.report());
            }
            Command::Status(tx) => {
                let _ = tx.send(self.status());
            }
            Command::Stop => {}
        }
    }

    /// CPU time is taken as the window ends, not when somebody asks for it.
    fn close_window_when_over(&mut self) {
        let end_ns = self.meter.window.end_ns;
        if self.closing.is_none() && end_ns != 0 && realtime_ns() >= end_ns {
            self.closing = Some((
                thread_cpu() - self.opening.cpu,
                self.opening.at.elapsed(),
                self.socket.syscalls - self.opening.syscalls,
            ));
        }
    }

    /// Takes one batch from the socket. Returns whether there may be more.
    fn receive(&mut self) -> bool {
        let now = Instant::now();
        let now_ns = realtime_ns();
        let Loop { socket, clients, due, meter, base, .. } = self;
        let port = socket.port();
        let mut out = Vec::new();
        let more = socket.recv(|d| {
            let id = u32::from(d.to).wrapping_sub(*base);
            let Some(Some(c)) = clients.get_mut(id as usize) else {
                return;
            };
            if let Some(s) = &mut c.subscriber {
                let feed = s.arrived(d.data, d.received_ns, &meter.window);
                if let Some((ssrc, mid)) = feed.unannounced {
                    // Servers may leave out both a=ssrc and the MID extension.
                    let mut api = c.rtc.direct_api();
                    if api.stream_rx(&ssrc.into()).is_none() && api.stream_rx_by_mid(mid, None).is_none() {
                        api.expect_stream_rx(ssrc.into(), None, mid, None);
                    }
                }
                if !feed.to_rtc {
                    return;
                }
            }
            let destination = SocketAddr::new(IpAddr::V4(d.to), port);
            let Ok(r) = Receive::new(Protocol::Udp, d.from, destination, d.data) else {
                return;
            };
            // When it came in, not when we looked: congestion control feedback depends on it.
            let age = Duration::from_nanos(now_ns.saturating_sub(d.received_ns));
            let _ = c.rtc.handle_input(Input::Receive(now - age, r));
            drain_into(c, &mut out, meter, now);
            schedule(due, c, id);
        });
        for (from, to, data) in out {
            self.socket.send(from, to, data);
        }
        more.unwrap_or(false)
    }

    fn run_due(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            let Some(Some(c)) = self.clients.get_mut(id as usize) else {
                continue;
            };
            if c.scheduled != Some(at) {
                continue; // An earlier entry has taken its place.
            }
            c.scheduled = None;
            self.with_client(id, |c, socket, meter| {
                if c.deadline > now {
                    return;
                }
                let _ = c.rtc.handle_input(Input::Timeout(now));
                drain(c, socket, meter, now);
                while let Some(p) = &mut c.publisher {
                    if !p.write_due(&mut c.rtc, now, &meter.window) {
                        break;
                    }
                    drain(c, socket, meter, now);
                }
                drain(c, socket, meter, now);
            });
        }
    }

    fn with_client(&mut self, id: u32, f: impl FnOnce(&mut Client, &mut BatchSocket, &mut Meter)) {
        if let Some(Some(c)) = self.clients.get_mut(id as usize) {
            f(c, &mut self.socket, &mut self.meter);
            schedule(&mut self.due, c, id);
        }
    }

    fn status(&self) -> EngineStatus {
        let mut s = EngineStatus::default();
        for c in self.clients.iter().flatten() {
            s.dead += usize::from(!c.rtc.is_alive());
            let connected = usize::from(c.connected.is_some());
            if c.publisher.is_some() {
                s.publishers_connected += connected;
            }
            if let Some(sub) = &c.subscriber {
                s.subscribers_connected += connected;
                s.subscribers_with_media += usize::from(sub.first_media.is_some());
                s.subscribers_with_video += usize::from(sub.first_video.is_some());
            }
        }
        s
    }

    fn report(&self) -> EngineReport {
        let (cpu, wall, syscalls) = self.closing.unwrap_or_default();
        let mut r = EngineReport {
            subscribers: vec![],
            sent: vec![],
            keyframe_requests: 0,
            keyframes: 0,
            latency_us: self.meter.latency.clone(),
            connected_us: durations(),
            first_media_us: durations(),
            first_video_us: durations(),
            without_media: 0,
            cpu,
            wall,
            syscalls,
            dropped: dropped_at(self.socket.port()) - self.opening.dropped,
            send_errors: self.socket.send_errors - self.opening.send_errors,
        };
        for c in self.clients.iter().flatten() {
            if let Some(p) = &c.publisher {
                r.sent.push((p.stream(), p.window_sent));
                r.keyframe_requests += p.keyframe_requests;
                r.keyframes += p.keyframes;
            }
            if let Some(s) = &c.subscriber {
                let streams = s.streams.clone();
                r.subscribers.push(Received { streams, verify: s.verify, stats: s.window_stats() });
                let record = |h: &mut Histogram<u64>, t: Option<Duration>| {
                    t.map(|t| h.saturating_record(t.as_micros() as u64))
                };
                record(&mut r.connected_us, c.connected.map(|at| s.since_asked(at)));
                r.without_media += usize::from(s.first_media.is_none());
                // Who publishes too was there before there was anything to receive.
                if c.publisher.is_none() {
                    record(&mut r.first_video_us, s.first_video);
                    record(&mut r.first_media_us, s.first_media);
                }
            }
        }
        r
    }
}

/// For durations of up to ten minutes, in microseconds.
pub fn durations() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid")
}

/// Puts the client in the queue, if it is not there with an earlier time.
fn schedule(due: &mut BinaryHeap<Reverse<(Instant, u32)>>, c: &mut Client, id: u32) {
    if c.scheduled.is_none_or(|s| c.deadline < s) {
        c.scheduled = Some(c.deadline);
        due.push(Reverse((c.deadline, id)));
    }
}

fn drain(c: &mut Client, socket: &mut BatchSocket, meter: &mut Meter, now: Instant) {
    let mut out = Vec::new();
    drain_into(c, &mut out, meter, now);
    for (from, to, data) in out {
        socket.send(from, to, data);
    }
}

/// Polls the connection until it has nothing more to say.
fn drain_into(
    c: &mut Client,
    out: &mut Vec<(Ipv4Addr, SocketAddr, Vec<u8>)>,
    meter: &mut Meter,
    now: Instant,
) {
    let timeout = loop {
        match c.rtc.poll_output() {
            Ok(Output::Timeout(t)) => break t,
            Ok(Output::Transmit(t)) => out.push((c.ip, t.destination, t.contents.into())),
            Ok(Output::Event(e)) => c.handle_event(e, now, meter),
            Err(_) => {
                c.rtc.disconnect();
                break now + Duration::from_secs(3600);
            }
        }
    };
    let next = c.publisher.as_ref().and_then(|p| p.next_due());
    c.deadline = next.map_or(timeout, |d| d.min(timeout));
}
