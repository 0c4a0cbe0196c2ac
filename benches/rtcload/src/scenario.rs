//! Ramps up, holds a steady window, reports, and takes everything down.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::args::{Args, TargetKind, Verify};
use crate::client::{Client, Publisher, Window};
use crate::engine::{Command, Engine, EngineReport, EngineStatus};
use crate::flood::Flood;
use crate::hostile;
use crate::media::{VideoCodec, VideoShape};
use crate::peer::{Direct, Peer, PeerOptions};
use crate::report::{Context, Report};
use crate::room;
use crate::server::{Memory, ServerMonitor};
use crate::signaling::{Close, Janus, Target, Whip};
use crate::subscriber::Subscriber;
use crate::udp::realtime_ns;

/// Packets may arrive this long after the window in which they were sent.
const GRACE: Duration = Duration::from_millis(400);

pub fn run(args: &Args) -> Result<()> {
    check(args)?;
    let monitor = args.server_pid.map(ServerMonitor::new);
    let mut run = Run {
        args,
        engine: Engine::start(args.client_net, args.pin)?,
        target: if args.room.is_none() { Some(target(args)?) } else { None },
        options: peer_options(args),
        layers: layers(args),
        monitor,
        idle: Memory::default(),
        next_id: AtomicU32::new(1),
        sessions: Mutex::default(),
        hostile: Mutex::default(),
    };
    let result = if args.room.is_some() { room::measure(&mut run) } else { run.measure() };
    let failed_closes = run.close_all();
    if failed_closes > 0 {
        eprintln!("{failed_closes} sessions could not be ended cleanly");
    }
    result
}

fn check(args: &Args) -> Result<()> {
    if args.no_audio && args.no_video {
        bail!("--no-audio and --no-video leave nothing to publish");
    }
    if args.streams == 0 || args.fps == 0 || args.room_size == 0 || args.sample_every == 0 {
        bail!("--streams, --fps, --room-size and --sample-every must not be 0");
    }
    if args.nack_every > 0 && args.verify != Verify::All {
        bail!("--nack-every needs --verify all: only who decrypts everything asks for what is missing");
    }
    if args.room.is_some() && (args.participants == 0 || args.publishing > args.participants) {
        bail!("--participants must not be 0, nor less than --publishing");
    }
    Ok(())
}

fn target(args: &Args) -> Result<Box<dyn Target>> {
    let missing = "--whip and --whep are needed for WHIP, --url for Janus";
    Ok(match args.target {
        TargetKind::Whip => Box::new(Whip::new(
            args.whip.clone().context(missing)?,
            args.whep.clone().context(missing)?,
            args.token.clone(),
            args.room_size,
        )),
        TargetKind::Janus => {
            let video = match args.codec {
                VideoCodec::Vp8 => "vp8",
                VideoCodec::H264 => "h264",
            };
            Box::new(Janus::connect(args.url.as_deref().context(missing)?, args.room_size, "opus", video)?)
        }
    })
}

fn peer_options(args: &Args) -> PeerOptions {
    let crypto = std::sync::Arc::new(str0m::crypto::from_feature_flags());
    let cert = crypto.dtls_provider.generate_certificate().expect("this provider makes certificates");
    PeerOptions {
        crypto,
        cert,
        video: (!args.no_video).then_some(args.codec),
        audio: !args.no_audio,
        simulcast: args.simulcast,
        every_codec: args.room.is_some(),
        twcc: !args.no_twcc && args.verify == Verify::All,
        show_sdp: args.show_sdp,
    }
}

fn layers(args: &Args) -> Vec<VideoShape> {
    let gop = (args.keyframe_interval * f64::from(args.fps)).round().max(1.0) as u32;
    let shape = |bitrate: u64, width, height| VideoShape {
        codec: args.codec,
        bitrate,
        fps: args.fps,
        gop,
        width,
        height,
    };
    let top = args.kbps * 1000;
    if args.no_video {
        vec![]
    } else if args.simulcast {
        vec![shape(top / 10, 320, 180), shape(top / 3, 640, 360), shape(top, 1280, 720)]
    } else {
        vec![shape(top, 640, 360)]
    }
}

pub struct Run<'a> {
    pub args: &'a Args,
    pub engine: Engine,
    /// None for a room.
    target: Option<Box<dyn Target>>,
    options: PeerOptions,
    pub layers: Vec<VideoShape>,
    pub monitor: Option<ServerMonitor>,
    /// Memory before the first subscriber.
    pub idle: Memory,
    next_id: AtomicU32,
    sessions: Mutex<Vec<(u32, Close)>>,
    /// Where a flood can be sent to.
    hostile: Mutex<Vec<hostile::Target>>,
}

impl Run<'_> {
    fn measure(&mut self) -> Result<()> {
        let args = self.args;
        self.connect(args.streams, |run, stream| run.publish(stream))?;
        self.wait_for("publishers", |s| s.publishers_connected >= args.streams as usize)?;
        sleep(Duration::from_millis(500));
        self.idle = self.monitor.as_ref().map_or(Memory::default(), |m| m.memory());

        if args.saturate { self.saturate() } else { self.single() }
    }

    fn single(&mut self) -> Result<()> {
        self.add_subscribers(0, self.args.subs)?;
        let flood = self.flood()?;
        let (mut report, _) = self.window()?;
        if let Some((flood, port, before)) = flood {
            let mut flood = flood.stop()?;
            flood.dropped_at_server =
                self.monitor.as_ref().map(|m| m.dropped_at(port).saturating_sub(before));
            report.flood = Some(flood);
        }
        if self.args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        Ok(())
    }

    /// Begins the flood, if there is to be one: it, the server's port and what was dropped there before.
    fn flood(&self) -> Result<Option<(Flood, u16, u64)>> {
        if self.args.flood == 0 {
            return Ok(None);
        }
        let targets = self.hostile.lock().unwrap().clone();
        let port = targets.first().map_or(0, |target| target.server.port());
        let before = self.monitor.as_ref().map_or(0, |m| m.dropped_at(port));
        Ok(Some((Flood::start(self.args, &self.engine, targets)?, port, before)))
    }

    /// Adds subscribers until the server, or this program, no longer keeps up.
    fn saturate(&mut self) -> Result<()> {
        let args = self.args;
        let mut steps = vec![];
        let mut subs = 0;
        let mut next = args.subs;
        let mut best = 0;
        let mut reason = format!("--max-subs {} reached", args.max_subs);
        while next <= args.max_subs {
            if let Err(e) = self.add_subscribers(subs, next) {
                reason = format!("subscribers could not be added: {e:#}");
                break;
            }
            subs = next;
            let (report, _) = self.window()?;
            if !args.json {
                print!("{report}");
            }
            let loss = report.loss_percent();
            let p99 = report.latency.as_ref().map_or(0.0, |l| l.p99);
            let over = if loss > args.max_loss {
                Some(format!("loss {loss:.3} %"))
            } else if p99 > args.max_latency {
                Some(format!("p99 latency {p99:.1} ms"))
            } else {
                None
            };
            steps.push(report);
            if let Some(over) = over {
                reason = format!("{over} at {} subscribers", subs * args.streams);
                break;
            }
            best = subs;
            next = subs + args.step;
        }
        let best = best * args.streams;
        if args.json {
            println!(
                "{}",
                json!({"label": args.label, "max_subscribers": best, "stopped_by": reason, "steps": steps})
            );
        } else {
            println!("max subscribers {best}: {reason}");
        }
        Ok(())
    }

    /// Brings every stream from `from` to `to` subscribers.
    fn add_subscribers(&self, from: u32, to: u32) -> Result<()> {
        let args = self.args;
        let (per_stream, count) = (to - from, (to - from) * args.streams);
        // Round robin, so that rooms fill evenly.
        self.connect(count, |run, i| run.subscribe(i % args.streams, from * args.streams + i))?;
        debug_assert_eq!(per_stream * args.streams, count);
        let want = (to * args.streams) as usize;
        self.wait_for("subscribers", |s| s.subscribers_connected >= want)?;
        // Silence is what idle subscribers are to get.
        let with_media = if args.idle { 0 } else { want };
        self.wait_for("media", |s| s.subscribers_with_media >= with_media)
    }

    /// Runs `each` for 0..count on several threads, at the ramp's pace.
    pub fn connect(&self, count: u32, each: impl Fn(&Self, u32) -> Result<()> + Sync) -> Result<()> {
        let next = AtomicU32::new(0);
        let start = Instant::now();
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.args.parallel {
                scope.spawn(|| {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= count || failure.lock().unwrap().is_some() {
                            return;
                        }
                        let at = start + Duration::from_secs_f64(f64::from(i) / self.args.ramp);
                        sleep(at.saturating_duration_since(Instant::now()));
                        if let Err(e) = each(self, i) {
                            failure.lock().unwrap().get_or_insert(e);
                        }
                    }
                });
            }
        });
        failure.into_inner().unwrap().map_or(Ok(()), Err)
    }

    pub fn new_peer(&self, direct: Direct) -> Result<(u32, Peer)> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let peer = Peer::new(&self.options, direct, self.engine.ip_of(id), self.engine.port)?;
        Ok((id, peer))
    }

    pub fn start(&self, id: u32, client: Client, close: Close) {
        self.sessions.lock().unwrap().push((id, close));
        self.engine.send(Command::Add(id, Box::new(client)));
    }

    /// Whether the subscriber with this index decrypts and checks what it receives.
    pub fn verifies(&self, index: u32) -> bool {
        match self.args.verify {
            Verify::All => true,
            Verify::Sample => index.is_multiple_of(self.args.sample_every),
            Verify::None => false,
        }
    }

    fn target(&self) -> Result<&dyn Target> {
        self.target.as_deref().context("a room has no such target")
    }

    fn publish(&self, stream: u32) -> Result<()> {
        let (id, mut peer) = self.new_peer(Direct::Publish)?;
        let close =
            self.target()?.publish(stream, &mut peer).with_context(|| format!("publishing s{stream}"))?;
        self.hostile.lock().unwrap().extend(peer.target.take());
        let pts = peer.payload_types();
        let publisher = Publisher::new(stream, &peer, &pts, &self.layers).in_bursts(self.args.burst);
        let publisher = if self.args.idle { publisher.silent() } else { publisher };
        self.start(id, Client::new(peer, Some(publisher), None), close);
        Ok(())
    }

    fn subscribe(&self, stream: u32, index: u32) -> Result<()> {
        let (id, mut peer) = self.new_peer(Direct::Subscribe)?;
        let asked_at = Instant::now();
        let close =
            self.target()?.subscribe(stream, &mut peer).with_context(|| format!("playing s{stream}"))?;
        self.hostile.lock().unwrap().extend(peer.target.take());
        let pts = peer.payload_types();
        let verify = self.verifies(index);
        let subscriber =
            Subscriber::new(vec![stream], &peer, pts, verify, asked_at).asking_again(self.args.nack_every);
        self.start(id, Client::new(peer, None, Some(subscriber)), close);
        Ok(())
    }

    /// Waits up to 20 s. A missing subscriber is an error: figures without it would flatter.
    pub fn wait_for(&self, what: &str, done: impl Fn(&EngineStatus) -> bool) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.engine.status();
            if done(&status) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("gave up waiting for {what}: {status:?}");
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Settles, measures one window and reports on it.
    pub fn window(&self) -> Result<(Report, EngineReport)> {
        let args = self.args;
        sleep(Duration::from_secs_f64(args.settle));
        let length = Duration::from_secs_f64(args.window);
        let start_ns = realtime_ns();
        let end = Instant::now() + length;
        let window = Window { start_ns, end_ns: start_ns + length.as_nanos() as u64 };
        let before = self.monitor.as_ref().map(|m| m.read());
        self.engine.send(Command::OpenWindow(window));
        sleep(end.saturating_duration_since(Instant::now()));
        let after = self.monitor.as_ref().map(|m| m.read());
        let memory = self.monitor.as_ref().map_or(Memory::default(), |m| m.memory());
        sleep(GRACE);
        if self.monitor.as_ref().is_some_and(|m| !m.alive()) {
            bail!("the server process ended");
        }
        // Which layer a server picks is its own affair, and so is who is heard in a room.
        let counted = match (args.simulcast, &args.room) {
            (true, Some(_)) => 0..0,
            (true, None) => 0..1,
            (false, Some(_)) => 1..2,
            (false, None) => 0..2,
        };
        let context = Context {
            label: &args.label,
            burst: args.burst,
            nack_every: args.nack_every,
            instructions_missing: self.monitor.as_ref().and_then(|m| m.counters_missing.clone()),
            streams: if args.room.is_some() { args.publishing } else { args.streams },
            counted,
            window: length,
            server: before.zip(after),
            idle: self.idle,
            memory,
        };
        let report = self.engine.report()?;
        Ok((Report::new(context, &report), report))
    }

    /// Ends all sessions, subscribers first. Returns how many could not be.
    fn close_all(&self) -> usize {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap());
        let mut failed = 0;
        for (id, close) in sessions.into_iter().rev() {
            if let Err(e) = close() {
                if failed == 0 {
                    eprintln!("{e:#}");
                }
                failed += 1;
            }
            self.engine.send(Command::Close(id));
        }
        failed
    }
}
