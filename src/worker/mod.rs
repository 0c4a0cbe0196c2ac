//! The media threads. Each has its own sockets and its own [`Core`]; they share nothing, and tell each other in values what
//! the sessions of one need of the others.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod message;
pub mod placement;
pub mod pool;
pub mod random;
pub mod turn;
mod neighbour;
mod ring;
mod streams;

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use self::message::{Command, Event, Snapshot, UdpCounters};
use self::neighbour::{Handed, Neighbours};
use self::placement::Load;
use self::random::random;
use self::streams::Streams;
use self::turn::Turn;
use crate::net::datagram::{Datagram, SendBatch};
use crate::net::demux::{Class, DropReason, IceCredentials, Route, classify};
use crate::net::streams::mark::StreamId;
use crate::net::streams::outgoing::StreamOut;
use crate::net::streams::{Carries, Ends, StreamIn, What};
use crate::net::udp::{ReceiveBatch, UdpPort};
use crate::sfu::Core;
use crate::sfu::relay::Relayed;
use crate::turn::allocation::{FiveTuple, Transport};
use crate::turn::binding::{Binding, Refused};

/// How often the counters are copied out.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);
/// Datagrams taken in one turn; what is left waits for the next, in our memory or in the kernel's. After a stall
/// the receive buffer holds thousands, and each is multiplied by its viewers: without a bound, one turn would
/// hold them all at once, and timers and commands would wait for it. In ordinary times a turn never gets there:
/// 512 are what 50 publishers of 4 Mb/s send in 25 ms.
const DATAGRAMS_PER_TURN: usize = 512;
/// How long an idle worker sleeps at most, so that snapshots stay fresh.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Where nothing but consent checks and reports came for so long, the worker lets some of them gather before it looks again,
const CALM_AFTER: Duration = Duration::from_secs(1);
/// for so long: to be woken up by each takes most of what many silent sessions cost. What comes first after that may wait for it.
const NAP: Duration = Duration::from_millis(4);

/// One media thread's state.
pub(crate) struct Worker {
    core: Core,
    port: UdpPort,
    neighbours: Neighbours,
    streams: Streams,
    /// Where there is a TURN server.
    turn: Option<Turn>,
    commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::UnboundedSender<Event>,
    snapshots: watch::Sender<Snapshot>,
    snapshot: Snapshot,
    snapshot_at: Instant,
    /// When something came last that is more than upkeep.
    stirred: Instant,
    /// Time spent in turns since the last snapshot.
    busy: Duration,
    relayed: Vec<Relayed>,
    handed: Vec<Handed>,
    received: ReceiveBatch,
    /// Whether the last turn ended before everything was read.
    unread: bool,
    batch: SendBatch,
    binding: Binding,
    stun_reply: Vec<u8>,
}

/// The ways by which something reaches a worker, beside its sockets.
struct Ways {
    neighbours: Neighbours,
    streams: Streams,
    /// Where there is a TURN server.
    turn: Option<Turn>,
}

/// Why the loop woke up.
enum Wake {
    Command(Command),
    Network,
    Stream(StreamIn),
    Time,
    /// The control plane is gone.
    Orphaned,
}

impl Worker {
    fn new(
        core: Core,
        port: UdpPort,
        ways: Ways,
        commands: mpsc::UnboundedReceiver<Command>,
        events: mpsc::UnboundedSender<Event>,
        snapshots: watch::Sender<Snapshot>,
    ) -> Self {
        let Ways { neighbours, streams, turn } = ways;
        Self {
            core,
            port,
            neighbours,
            streams,
            turn,
            commands,
            events,
            snapshots,
            snapshot: Snapshot::default(),
            snapshot_at: Instant::now(),
            stirred: Instant::now(),
            busy: Duration::ZERO,
            relayed: Vec::new(),
            handed: Vec::new(),
            received: ReceiveBatch::new(),
            unread: false,
            batch: SendBatch::new(),
            binding: Binding::new(Instant::now()),
            stun_reply: Vec::new(),
        }
    }

    /// The loop. Returns after [`Command::Stop`].
    async fn run(mut self) {
        loop {
            let wake = self.wait().await;
            let now = Instant::now();
            let (command, message) = match wake {
                Wake::Command(command) => (Some(command), None),
                Wake::Orphaned => (Some(Command::Stop), None),
                Wake::Stream(message) => (None, Some(message)),
                Wake::Network | Wake::Time => (None, None),
            };
            if command.is_some() || message.is_some() {
                self.stirred = now;
            }
            if let Some(turn) = &mut self.turn {
                turn.begin(now);
            }
            let goes_on = self.obey(now, command);
            self.hear(now);
            self.hear_streams(now, message);
            self.receive(now);
            self.core.drive(now, &mut self.batch);
            // The others can begin with it while this worker serves its own.
            self.neighbours.pass_on(&mut self.core);
            while self.core.forward(now, &mut self.batch) {
                self.flush();
            }
            self.flush();
            self.neighbours.pass_on(&mut self.core);
            self.batch.shrink();
            self.report(now);
            if !goes_on {
                return;
            }
            if now.saturating_duration_since(self.stirred) > CALM_AFTER {
                // The thread has nothing else to do, and a timer of the runtime would not keep the sockets from waking it.
                std::thread::park_timeout(NAP);
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        if self.unread || !self.relayed.is_empty() {
            // Lets the runtime look at the sockets: one that never empties would keep the other from being seen.
            tokio::task::yield_now().await;
            return Wake::Network;
        }
        let latest = Instant::now() + LONGEST_WAIT;
        let deadline = self.core.deadline().map_or(latest, |deadline| deadline.min(latest));
        tokio::select! {
            command = self.commands.recv() => command.map_or(Wake::Orphaned, Wake::Command),
            // An error means that the runtime ends, and this loop with it.
            _ = self.port.readable() => Wake::Network,
            () = self.neighbours.filled() => Wake::Network,
            message = self.streams.next() => Wake::Stream(message),
            () = tokio::time::sleep_until(deadline.into()) => Wake::Time,
        }
    }

    /// Carries out the commands that have come. Returns whether the worker goes on.
    fn obey(&mut self, now: Instant, first: Option<Command>) -> bool {
        let mut next = first.or_else(|| self.commands.try_recv().ok());
        while let Some(command) = next {
            match command {
                Command::Join(session) => self.core.join(now, *session),
                Command::Leave(session) => self.core.leave(now, session, &mut self.batch),
                Command::Bind { session, slot, track } => self.core.bind_any(session, slot, track),
                Command::Wish { session, slot, wish } => self.core.wish(session, slot, wish),
                Command::Offer { session, request, offer } => {
                    let ice = IceCredentials::mint(self.core.demux().worker(), random(), random());
                    self.core.offer(now, session, request, &offer, &ice, &mut self.batch);
                }
                Command::Restart { session, ice, client } => {
                    self.core.restart(now, session, &ice, client, &mut self.batch);
                }
                Command::Mute { track, muted } => self.core.mute(track, muted),
                Command::Send { to, channel, message } => {
                    for to in to {
                        self.core.send(now, to, channel, &message, &mut self.batch);
                        if self.batch.is_full() {
                            self.flush();
                        }
                    }
                }
                Command::Media(addresses) => {
                    if let Some(turn) = &mut self.turn {
                        turn.set_media(&addresses);
                    }
                }
                Command::Note(from, note) => self.core.note(now, from, note),
                Command::Stop => {
                    self.core.leave_all(now, &mut self.batch);
                    return false;
                }
            }
            next = self.commands.try_recv().ok();
        }
        true
    }

    /// Takes what came from other workers.
    fn hear(&mut self, now: Instant) {
        let Some(inbox) = self.neighbours.inbox() else { return };
        if self.relayed.is_empty() {
            inbox.packets.take(&mut self.relayed);
        }
        if let Some(turn) = &mut self.turn {
            inbox.to_clients.take(&mut self.handed);
            for handed in self.handed.drain(..) {
                let Datagram { source: peer, local: relayed, payload } = handed.datagram();
                turn.wrap(relayed, peer, payload);
            }
        }
        inbox.datagrams.take(&mut self.handed);
        if !self.relayed.is_empty() || !self.handed.is_empty() {
            self.stirred = now;
        }
        let count = self.relayed.len().min(DATAGRAMS_PER_TURN);
        self.core.relayed(self.relayed.drain(..count));
        for handed in self.handed.drain(..) {
            let (arrival, datagram) = (handed.arrival, handed.datagram());
            if let Some(turn) = self.turn.as_mut().filter(|turn| turn.is_relayed(datagram.source)) {
                turn.heard_relayed();
            }
            match self.core.demux().route(&datagram) {
                Route::Session(id) => self.core.receive_from(now, arrival, id, &datagram, &mut self.batch),
                Route::Drop(reason) => self.core.counters_mut().drop(reason),
                // Only sessions have datagrams handed over, and nothing is handed on.
                _ => self.core.counters_mut().drop(DropReason::UnknownSource),
            }
        }
        if self.batch.is_full() {
            self.flush();
        }
    }

    fn receive(&mut self, now: Instant) {
        // Out of the worker meanwhile, as what is in it is lent to what handles it.
        let mut received = std::mem::take(&mut self.received);
        self.unread = self.read(now, &mut received);
        self.received = received;
    }

    /// Takes what came from the network. Returns whether there is more.
    fn read(&mut self, now: Instant, received: &mut ReceiveBatch) -> bool {
        for _ in 0..DATAGRAMS_PER_TURN {
            if received.is_empty() && self.port.receive(now, received) == 0 {
                return false;
            }
            let Some(datagram) = received.take() else { return false };
            self.snapshot.udp.packets_in += 1;
            self.snapshot.udp.bytes_in += datagram.payload.len() as u64;
            // Nobody on the network has a relayed address: who bears one would speak in the name of its client.
            if self.turn.as_ref().is_some_and(|turn| turn.is_relayed(datagram.source)) {
                self.core.counters_mut().drop(DropReason::Forged);
            } else {
                self.take(now, &datagram);
            }
            if self.batch.is_full() {
                self.flush();
            }
        }
        true
    }

    /// Takes a datagram of the network, or one from a relayed address.
    fn take(&mut self, now: Instant, datagram: &Datagram<'_>) {
        if !matches!(classify(datagram.payload), Class::Stun | Class::Rtcp | Class::Unknown) {
            self.stirred = now;
        }
        match self.core.demux().route(datagram) {
            Route::Session(id) => self.core.receive(now, id, datagram, &mut self.batch),
            Route::Binding => {
                self.stun_reply.clear();
                match self.binding.answer(now, datagram.payload, datagram.source, &mut self.stun_reply) {
                    Ok(()) => {
                        self.core.counters_mut().stun_bindings += 1;
                        self.batch.push(datagram.local, datagram.source, &self.stun_reply);
                    }
                    Err(Refused::Stranger) => self.core.counters_mut().drop(DropReason::Stranger),
                    Err(_) => self.core.counters_mut().drop(DropReason::Garbage),
                }
            }
            Route::Elsewhere(worker) => {
                if !self.neighbours.hand_over(worker, datagram) {
                    self.core.counters_mut().drop(DropReason::UnknownUfrag);
                }
            }
            Route::Turn => {
                let (client, server) = (datagram.source, datagram.local);
                let client = FiveTuple { transport: Transport::Udp, client, server };
                self.client_says(now, &client, datagram.payload);
            }
            Route::Drop(reason) => self.core.counters_mut().drop(reason),
        }
    }

    /// Takes a message of a TURN client: a datagram, or what was taken out of its stream.
    fn client_says(&mut self, now: Instant, client: &FiveTuple, message: &[u8]) {
        // A client behind a relayed address would be one behind itself.
        let turn = self.turn.as_mut().filter(|turn| !turn.is_relayed(client.client));
        let Some(turn) = turn else { return self.core.counters_mut().drop(DropReason::Turn) };
        if let Some(datagram) = turn.client_says(client, message, &mut self.neighbours) {
            self.take(now, &datagram);
        }
    }

    /// Takes what streams have to say, beginning with what woke the worker up.
    fn hear_streams(&mut self, now: Instant, first: Option<StreamIn>) {
        let mut next = first;
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(StreamIn { id, what }) = next.take().or_else(|| self.streams.try_next()) else {
                return;
            };
            match what {
                What::Opened { carries: Carries::Ice, ends, out } => {
                    self.streams.open(id, ends, out, self.core.addresses());
                }
                What::Opened { carries: Carries::Turn, ends, out } => self.turn_opened(id, ends, out),
                What::Frame(frame) => self.frame(now, id, &frame),
                What::Closed => self.stream_closed(id),
            }
            if self.batch.is_full() {
                self.flush();
            }
        }
        // If there is more, the queue wakes the loop again.
    }

    fn turn_opened(&mut self, id: StreamId, ends: Ends, out: StreamOut) {
        // Where there is no server, its end is dropped, which closes it.
        if let Some(turn) = &mut self.turn {
            let client = streams::client(ends);
            turn.opened(client, id, out);
            self.streams.turn.insert(id, client);
        }
    }

    fn stream_closed(&mut self, id: StreamId) {
        if let (Some(client), Some(turn)) = (self.streams.close(id), &mut self.turn) {
            turn.closed(&client, id);
        }
    }

    /// A message of a stream is to sessions what a datagram is, and to the TURN server as well.
    fn frame(&mut self, now: Instant, id: StreamId, frame: &[u8]) {
        if let Some(client) = self.streams.turn.get(&id).copied() {
            self.client_says(now, &client, frame);
            if let Some(turn) = &self.turn {
                turn.judge(&client);
            }
            return;
        }
        let Some(stream) = self.streams.ice(id) else { return };
        let datagram = stream.datagram(frame);
        match self.core.demux().route(&datagram) {
            Route::Session(session) => self.core.receive(now, session, &datagram, &mut self.batch),
            Route::Drop(reason) => self.core.counters_mut().drop(reason),
            // A stream is of one session, on this worker.
            Route::Elsewhere(_) => self.core.counters_mut().drop(DropReason::UnknownUfrag),
            Route::Binding | Route::Turn => self.core.counters_mut().drop(DropReason::Garbage),
        }
        stream.out.admit(self.core.demux().knows(datagram.source, datagram.local));
    }

    fn flush(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.divert(&mut self.batch, &mut self.neighbours);
            send(&mut self.port, turn.wrapped(), &mut self.snapshot.udp);
        }
        self.streams.take_from(&mut self.batch);
        send(&mut self.port, &mut self.batch, &mut self.snapshot.udp);
    }

    fn report(&mut self, began: Instant) {
        for event in self.core.take_events() {
            // Nobody listens only while the server stops.
            let _ = self.events.send(event);
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        self.snapshot.turn_time.observe(took);
        self.busy += took;
        let since = now.saturating_duration_since(self.snapshot_at);
        if since >= SNAPSHOT_EVERY || self.snapshot.load.number == 0 {
            self.snapshot_at = now;
            self.binding.sweep(now);
            self.snapshot.core = self.core.counters();
            self.snapshot.relay = self.neighbours.counters;
            self.snapshot.turn = self.turn.as_ref().map(Turn::counters).unwrap_or_default();
            self.measure(since);
            self.snapshots.send_replace(self.snapshot.clone());
        }
    }

    /// How busy the thread was since the last snapshot and, half as much, before.
    fn measure(&mut self, since: Duration) {
        let share = std::mem::take(&mut self.busy).as_secs_f32() / since.as_secs_f32().max(f32::MIN_POSITIVE);
        let before = &self.snapshot.load;
        let busy = if before.number == 0 { 0.0 } else { (before.busy + 2.0 * share.min(1.0)) / 3.0 };
        self.snapshot.load = Load { busy, sessions: self.snapshot.core.sessions, number: before.number + 1 };
    }
}

/// Sends what is in a batch, and counts it.
fn send(port: &mut UdpPort, batch: &mut SendBatch, udp: &mut UdpCounters) {
    if batch.is_empty() {
        return;
    }
    let sent = port.send(batch);
    udp.packets_out += sent.packets;
    udp.bytes_out += sent.bytes;
    udp.unsent += sent.causes;
    udp.send_calls += sent.syscalls;
}

#[cfg(test)]
mod tests;
