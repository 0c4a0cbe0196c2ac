//! Starting media threads, and the handles by which the control plane speaks to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::message::{Command, Event, Snapshot};
use super::neighbour::{Inbox, Neighbour, Neighbours};
use super::placement::Load;
use super::streams::Streams;
use super::turn::{Turn, TurnConfig};
use super::{Ways, Worker, streams};
use crate::ids::WorkerId;
use crate::net::addresses::{self, AddressMap, Announced, Wanted};
use crate::net::demux::receiver;
use crate::net::streams::counters::StreamCounters;
use crate::net::streams::{Carries, Choose, StreamIn};
use crate::net::udp::{Sharing, UdpConfig, UdpPort};
use crate::sfu::Core;
use crate::wire::stun::Message;

/// What a worker needs to start.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// How many workers, 1 to 64. Where the system cannot spread clients over sockets of one port, there is one.
    pub count: u8,
    /// The sockets.
    pub udp: UdpConfig,
    /// What to announce when it begins.
    pub announce: Wanted,
    /// What the TCP port listens on, where media is taken over TCP.
    pub tcp: Option<SocketAddr>,
    /// What the TURN server is made with, where there is one.
    pub turn: Option<TurnConfig>,
}

/// The media threads of this process.
pub struct Pool {
    workers: Vec<Handle>,
    streams: Arc<StreamCounters>,
}

/// One running media thread.
pub struct Handle {
    /// Its index.
    pub id: WorkerId,
    /// The addresses of its sockets that clients are told.
    pub announced: Announced,
    /// What its sockets listen on.
    pub listening: Vec<SocketAddr>,
    streams: mpsc::Sender<StreamIn>,
    commands: mpsc::UnboundedSender<Command>,
    snapshots: watch::Receiver<Snapshot>,
}

impl Pool {
    /// Starts the workers. `events` gets what they have to tell.
    ///
    /// # Errors
    /// When a thread or sockets cannot be had, or no address can be announced.
    pub async fn start(config: WorkerConfig, events: mpsc::UnboundedSender<Event>) -> io::Result<Self> {
        let mut config = config;
        let count = if cfg!(target_os = "linux") { config.count.max(1) } else { 1 };
        config.udp.sharing = if count > 1 { Sharing::First } else { Sharing::Alone };
        let mut queues = Vec::new();
        let neighbour = |_| {
            let (commands, queue) = mpsc::unbounded_channel();
            queues.push(queue);
            Neighbour { commands, inbox: Arc::new(Inbox::new()) }
        };
        let all: Arc<[Neighbour]> = (0..count).map(neighbour).collect();
        let mut pool = Self { workers: Vec::new(), streams: Arc::default() };
        for (id, queue) in (0..count).map(WorkerId).zip(queues) {
            let streams = pool.streams.clone();
            let worker = spawn(id, config.clone(), all.clone(), queue, events.clone(), streams).await?;
            // A free port that the first one got is the port of all, and so is what it could not listen on.
            config.udp.listen.clone_from(&worker.listening);
            pool.workers.push(worker);
            config.udp.sharing = Sharing::Joins;
        }
        Ok(pool)
    }

    /// How busy each worker is, by their ids.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        self.workers.iter().map(|handle| handle.snapshots.borrow().load).collect()
    }

    /// What the media ports listen on, with the ports that port 0 became.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        self.workers.first().map_or(&[], |handle| &handle.listening)
    }

    /// The addresses of the media port that clients are told when it begins. All workers share them.
    #[must_use]
    pub fn announced(&self) -> &[SocketAddr] {
        self.workers.first().map_or(&[], |handle| &handle.announced.udp)
    }

    /// The addresses at which clients are told to bring media over TCP.
    #[must_use]
    pub fn announced_tcp(&self) -> &[SocketAddr] {
        self.workers.first().map_or(&[], |handle| &handle.announced.tcp)
    }

    /// Chooses the worker of a stream: of ICE the one that holds the session that its first check is for, of TURN the least
    /// busy one.
    #[must_use]
    pub fn choose(&self) -> Choose {
        let worker = |handle: &Handle| (handle.id, handle.streams.clone(), handle.snapshots.clone());
        let workers: Vec<_> = self.workers.iter().map(worker).collect();
        Arc::new(move |carries, first| {
            let chosen = match carries {
                Carries::Ice => {
                    let ufrag = receiver(Message::parse(first).ok()?.username()?)?;
                    workers.iter().find(|(id, ..)| *id == ufrag.worker())
                }
                Carries::Turn => {
                    let busy = |snapshots: &watch::Receiver<Snapshot>| snapshots.borrow().load.busy;
                    workers.iter().min_by(|(.., one), (.., other)| busy(one).total_cmp(&busy(other)))
                }
            };
            chosen.map(|(_, streams, _)| streams.clone())
        })
    }

    /// What happened to streams.
    #[must_use]
    pub fn stream_counters(&self) -> Arc<StreamCounters> {
        self.streams.clone()
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &[Handle] {
        &self.workers
    }

    /// Sends a command. Returns whether the worker is there to take it: one that stopped has no sessions any more.
    #[must_use]
    pub fn send(&self, worker: WorkerId, command: Command) -> bool {
        let handle = self.workers.iter().find(|handle| handle.id == worker);
        handle.is_some_and(|handle| handle.commands.send(command).is_ok())
    }

    /// Tells all workers at which addresses media may come from now on, for the relay, which reaches nothing else.
    pub fn receives_at(&self, media: &[SocketAddr]) {
        for handle in &self.workers {
            // One that ended has nothing to reach.
            let _ = handle.commands.send(Command::Media(media.to_vec()));
        }
    }

    /// Waits until a media thread has ended, which without [`Self::stop`] is a bug that took it down.
    pub async fn broken(&self) {
        let mut ends = tokio::task::JoinSet::new();
        for handle in &self.workers {
            let commands = handle.commands.clone();
            ends.spawn(async move { commands.closed().await });
        }
        ends.join_next().await;
    }

    /// The newest counters of all workers.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let mut all: Vec<_> = self.workers.iter().map(|handle| handle.snapshots.borrow().clone()).collect();
        if let Some(first) = all.first_mut() {
            first.streams = self.streams.clone();
        }
        all
    }

    /// Whether all threads run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.workers.iter().all(|handle| !handle.commands.is_closed())
    }

    /// Ends all sessions and threads; waits for them at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        for handle in &self.workers {
            let _ = handle.commands.send(Command::Stop);
        }
        let all = async {
            for handle in &self.workers {
                // The thread drops its end of the queue when it is done.
                handle.commands.closed().await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("a media thread did not stop in time");
        }
    }
}

impl Drop for Pool {
    /// The workers hold each other's queues, so that none would notice that nobody is left to command them.
    fn drop(&mut self) {
        for handle in &self.workers {
            let _ = handle.commands.send(Command::Stop);
        }
    }
}

/// Starts a worker.
async fn spawn(
    id: WorkerId,
    config: WorkerConfig,
    all: Arc<[Neighbour]>,
    command_queue: mpsc::UnboundedReceiver<Command>,
    events: mpsc::UnboundedSender<Event>,
    counters: Arc<StreamCounters>,
) -> io::Result<Handle> {
    let commands = all.get(usize::from(id.0)).map(|own| own.commands.clone());
    let commands = commands.ok_or_else(|| io::Error::other("a media thread has no queue"))?;
    let (snapshot_slot, snapshots) = watch::channel(Snapshot::default());
    let (ready, started) = oneshot::channel();
    let (streams, stream_queue) = streams::queue();
    thread::Builder::new().name(format!("media-{}", id.0)).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            match open(&config) {
                Ok((port, map, media)) => {
                    if id == WorkerId(0) {
                        port.warn_of_small_buffers(&config.udp);
                    }
                    let announced =
                        Announced { udp: map.announced().to_vec(), tcp: map.announced_tcp().to_vec() };
                    let addresses = (announced, port.local_addrs());
                    let neighbours = Neighbours::new(id, all);
                    let turn = config.turn.as_ref();
                    let turn =
                        turn.map(|turn| Turn::new(turn, id, neighbours.count(), map.announced(), media));
                    let core = Core::on(id, map);
                    let streams = Streams::new(stream_queue, counters);
                    let ways = Ways { neighbours, streams, turn };
                    let worker = Worker::new(core, port, ways, command_queue, events, snapshot_slot);
                    if ready.send(Ok(addresses)).is_ok() {
                        worker.run().await;
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    })?;
    let (announced, listening) =
        started.await.map_err(|_| io::Error::other("the media thread ended while starting"))??;
    Ok(Handle { id, announced, listening, streams, commands, snapshots })
}

/// The sockets, what is announced, and all addresses at which media may come.
fn open(config: &WorkerConfig) -> io::Result<(UdpPort, AddressMap, Vec<SocketAddr>)> {
    let port = UdpPort::bind(&config.udp)?;
    let interfaces = addresses::interfaces()?;
    let announced = addresses::announced(&port.local_addrs(), &config.announce, &interfaces);
    if announced.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "no address of this machine can be announced to clients; set media.announce",
        ));
    }
    let tcp = config.tcp.map(|listen| addresses::announced_over_tcp(listen, &config.announce, &interfaces));
    let tcp = tcp.unwrap_or_default();
    let own = addresses::own(&port.local_addrs(), &interfaces);
    let media = announced.iter().chain(&own).copied().collect();
    Ok((port, AddressMap::new(announced, &interfaces).with_tcp(tcp), media))
}
