//! Starting media threads, and the handles by which the control plane speaks to them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::Worker;
use super::message::{Command, Event, Snapshot};
use crate::ids::WorkerId;
use crate::net::addresses::{self, AddressMap};
use crate::net::udp::{UdpConfig, UdpPort};
use crate::sfu::Core;

/// What a worker needs to start.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The sockets.
    pub udp: UdpConfig,
    /// Addresses to announce instead of the machine's own (1:1 NAT).
    pub announce: Vec<IpAddr>,
    /// Whether to announce loopback addresses too.
    pub loopback: bool,
}

/// The media threads of this process.
pub struct Pool {
    workers: Vec<Handle>,
}

/// One running media thread.
pub struct Handle {
    /// Its index.
    pub id: WorkerId,
    /// The addresses of its sockets that clients are told.
    pub announced: Vec<SocketAddr>,
    commands: mpsc::UnboundedSender<Command>,
    snapshots: watch::Receiver<Snapshot>,
}

impl Pool {
    /// Starts the worker. `events` gets what it has to tell.
    ///
    /// # Errors
    /// When its thread or sockets cannot be had, or no address can be announced.
    pub async fn start(config: WorkerConfig, events: mpsc::UnboundedSender<Event>) -> io::Result<Self> {
        let worker = spawn(WorkerId(0), config, events).await?;
        Ok(Self { workers: vec![worker] })
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
        self.workers.iter().map(|handle| handle.snapshots.borrow().clone()).collect()
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

async fn spawn(
    id: WorkerId,
    config: WorkerConfig,
    events: mpsc::UnboundedSender<Event>,
) -> io::Result<Handle> {
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (snapshot_slot, snapshots) = watch::channel(Snapshot::default());
    let (ready, started) = oneshot::channel();
    thread::Builder::new().name(format!("media-{}", id.0)).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            match open(&config) {
                Ok((port, map)) => {
                    let announced = map.announced().to_vec();
                    let worker = Worker::new(Core::new(map), port, command_queue, events, snapshot_slot);
                    if ready.send(Ok(announced)).is_ok() {
                        worker.run().await;
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    })?;
    let announced =
        started.await.map_err(|_| io::Error::other("the media thread ended while starting"))??;
    Ok(Handle { id, announced, commands, snapshots })
}

fn open(config: &WorkerConfig) -> io::Result<(UdpPort, AddressMap)> {
    let port = UdpPort::bind(&config.udp)?;
    let interfaces = addresses::interfaces()?;
    let announced = addresses::announced(&port.local_addrs(), &config.announce, config.loopback, &interfaces);
    if announced.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "no address of this machine can be announced to clients; set media.announce",
        ));
    }
    Ok((port, AddressMap::new(announced, &interfaces)))
}
