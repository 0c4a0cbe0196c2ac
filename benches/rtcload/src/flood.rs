//! A flood of hostile datagrams beside the call, from a thread of its own.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::args::Args;
use crate::engine::{Engine, thread_cpu, wake_on_time};
use crate::hostile::{Challenge, Kind, Random, Target, make};
use crate::udp::BatchSocket;

/// How many different datagrams of each kind go round.
const DIFFERENT: usize = 64;

/// Datagrams leave so often, each time as many as are due.
const STEP: Duration = Duration::from_micros(500);

/// Addresses of strangers begin so far above those of clients.
const STRANGERS_FROM: u32 = 4_096;

/// What a flood was.
#[derive(Debug, Serialize)]
pub struct FloodReport {
    pub kinds: Vec<String>,
    /// From how many addresses.
    pub addresses: u32,
    pub seconds: f64,
    pub sent: u64,
    pub sent_per_s: f64,
    pub sent_bytes: u64,
    pub replies: u64,
    pub reply_bytes: u64,
    /// Bytes of replies by bytes sent, without headers of UDP and IP.
    pub amplification: f64,
    pub send_errors: u64,
    /// Share of a core that the flooding thread took.
    pub cpu_percent: f64,
    /// What the kernel dropped at the server's sockets meanwhile; needs `--server-pid`.
    pub dropped_at_server: Option<u64>,
}

impl Display for FloodReport {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(
            f,
            "  flood          {:.0}/s for {:.1} s from {} addresses: {}; {:.1} % of a core",
            self.sent_per_s,
            self.seconds,
            self.addresses,
            self.kinds.join(", "),
            self.cpu_percent
        )?;
        let dropped = self.dropped_at_server.map_or("unknown".into(), |dropped| dropped.to_string());
        writeln!(
            f,
            "                 {} replies, {:.4} bytes for each sent; {dropped} dropped at the server's socket, {} unsent",
            self.replies, self.amplification, self.send_errors
        )
    }
}

/// A flood that goes on until it is told to stop.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<FloodReport>,
}

impl Flood {
    /// Begins to send `args.flood` datagrams a second to the server of these sessions.
    pub fn start(args: &Args, engine: &Engine, targets: Vec<Target>) -> Result<Self> {
        let mut own = BatchSocket::bind().context("binding the flood's socket")?;
        let first = targets.first().context("the server's answers name no IPv4 address for UDP")?.clone();
        let base = u32::from(args.client_net) + STRANGERS_FROM;
        let challenge = if args.flood_kind.contains(&Kind::WrongPassword) {
            challenge(&mut own, Ipv4Addr::from(base), &first)
        } else {
            Challenge::default()
        };
        let mut random = Random::new(args.flood_seed);
        let mut ammunition = Vec::new();
        for number in 0..DIFFERENT {
            let target = &targets[number % targets.len()];
            for kind in &args.flood_kind {
                let forged = kind.is_forged().then_some(target.client);
                ammunition.push((forged, make(*kind, &mut random, target, &challenge)));
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let flooder = Flooder {
            own,
            forged: engine.twin().context("sharing the media socket")?,
            base,
            addresses: args.flood_addresses.max(1),
            rate: args.flood as f64,
            to: first.server.into(),
            ammunition,
            kinds: args.flood_kind.iter().map(|kind| format!("{kind:?}")).collect(),
        };
        let told = stop.clone();
        let thread = std::thread::Builder::new().name("flood".into()).spawn(move || flooder.run(&told))?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub fn stop(self) -> Result<FloodReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the flooding thread broke")
    }
}

struct Flooder {
    own: BatchSocket,
    forged: BatchSocket,
    base: u32,
    addresses: u32,
    rate: f64,
    to: SocketAddr,
    ammunition: Vec<(Option<Ipv4Addr>, Vec<u8>)>,
    kinds: Vec<String>,
}

impl Flooder {
    fn run(mut self, stop: &AtomicBool) -> FloodReport {
        wake_on_time();
        let (began, cpu) = (Instant::now(), thread_cpu());
        let (mut sent, mut sent_bytes, mut replies, mut reply_bytes) = (0u64, 0u64, 0u64, 0u64);
        while !stop.load(Ordering::Relaxed) {
            // What a step could not send in time is not made up for in one go.
            let due = (began.elapsed().as_secs_f64() * self.rate) as u64;
            for _ in 0..due.saturating_sub(sent).min(4_096) {
                let (forged, data) = &self.ammunition[sent as usize % self.ammunition.len()];
                // A whole round of the ammunition before each address comes again.
                let stranger = Ipv4Addr::from(self.base + (sent % u64::from(self.addresses)) as u32);
                match forged {
                    Some(client) => self.forged.send(*client, self.to, data.clone()),
                    None => self.own.send(stranger, self.to, data.clone()),
                }
                sent += 1;
                sent_bytes += data.len() as u64;
            }
            self.own.flush();
            self.forged.flush();
            let mut count = |datagram: crate::udp::Datagram| {
                replies += 1;
                reply_bytes += datagram.data.len() as u64;
            };
            while self.own.recv(&mut count).unwrap_or(false) {}
            std::thread::sleep(STEP);
        }
        let seconds = began.elapsed().as_secs_f64();
        FloodReport {
            kinds: self.kinds,
            addresses: self.addresses,
            seconds,
            sent,
            sent_per_s: sent as f64 / seconds,
            sent_bytes,
            replies,
            reply_bytes,
            amplification: reply_bytes as f64 / sent_bytes.max(1) as f64,
            send_errors: self.own.send_errors + self.forged.send_errors,
            cpu_percent: 100.0 * (thread_cpu() - cpu).as_secs_f64() / seconds,
            dropped_at_server: None,
        }
    }
}

/// Asks for a realm and a nonce; without a TURN server there are none, and the requests are as good as any.
fn challenge(socket: &mut BatchSocket, from: Ipv4Addr, target: &Target) -> Challenge {
    let ask = make(Kind::Allocate, &mut Random::new(7), target, &Challenge::default());
    socket.send(from, target.server.into(), ask);
    socket.flush();
    let end = Instant::now() + Duration::from_secs(1);
    let mut found = None;
    while found.is_none() && Instant::now() < end {
        let _ = socket.recv(|datagram| found = Challenge::read(datagram.data));
        std::thread::sleep(Duration::from_millis(1));
    }
    found.unwrap_or_default()
}
