//! The streams of a worker: what they bring, and what goes into them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::net::addresses::AddressMap;
use crate::net::datagram::{Datagram, SendBatch};
use crate::net::streams::counters::StreamCounters;
use crate::net::streams::mark::StreamId;
use crate::net::streams::outgoing::StreamOut;
use crate::net::streams::{Ends, StreamIn};
use crate::turn::allocation::{FiveTuple, Transport};

/// Messages of streams that wait for a worker at most. Behind them TCP lets the clients wait.
const WAITING: usize = 256;

/// The queue of streams to a worker.
pub(super) fn queue() -> (mpsc::Sender<StreamIn>, mpsc::Receiver<StreamIn>) {
    mpsc::channel(WAITING)
}

/// The client of TURN at these ends.
pub(super) fn client(ends: Ends) -> FiveTuple {
    FiveTuple { transport: Transport::Tcp, client: ends.peer, server: ends.local }
}

/// The streams that speak to this worker.
pub(super) struct Streams {
    queue: mpsc::Receiver<StreamIn>,
    ice: HashMap<StreamId, Stream>,
    /// Those of TURN. Their other ends are with its server.
    pub(super) turn: HashMap<StreamId, FiveTuple>,
    counters: Arc<StreamCounters>,
}

/// A stream that carries ICE.
pub(super) struct Stream {
    peer: SocketAddr,
    /// What the path's local address is: the name of the stream.
    name: SocketAddr,
    /// What goes to the client.
    pub(super) out: StreamOut,
}

impl Stream {
    /// A message of it, which is to sessions what a datagram is.
    pub(super) fn datagram<'a>(&self, payload: &'a [u8]) -> Datagram<'a> {
        Datagram { source: self.peer, local: self.name, payload }
    }
}

impl Streams {
    pub(super) fn new(queue: mpsc::Receiver<StreamIn>, counters: Arc<StreamCounters>) -> Self {
        Self { queue, ice: HashMap::new(), turn: HashMap::new(), counters }
    }

    /// Waits for what a stream has to say; for ever where nobody can send any.
    pub(super) async fn next(&mut self) -> StreamIn {
        match self.queue.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }

    /// What a stream has said already.
    pub(super) fn try_next(&mut self) -> Option<StreamIn> {
        self.queue.try_recv().ok()
    }

    /// Takes a stream that carries ICE. It is closed, as its end is dropped, where no session can know its address.
    pub(super) fn open(&mut self, id: StreamId, ends: Ends, out: StreamOut, addresses: &AddressMap) {
        if let Some(name) = addresses.stream(id, ends.local) {
            self.ice.insert(id, Stream { peer: ends.peer, name, out });
        }
    }

    /// The stream of this number, if it carries ICE.
    pub(super) fn ice(&self, id: StreamId) -> Option<&Stream> {
        self.ice.get(&id)
    }

    /// Forgets a stream. Returns the client of TURN that it was.
    pub(super) fn close(&mut self, id: StreamId) -> Option<FiveTuple> {
        self.ice.remove(&id);
        self.turn.remove(&id)
    }

    /// Puts what is for streams into them, whole or not at all, and leaves the rest in the batch.
    pub(super) fn take_from(&self, batch: &mut SendBatch) {
        // A path may outlive its stream for a while.
        if self.ice.is_empty() && self.counters.ice.get() == 0 {
            return;
        }
        let now = Instant::now();
        batch.divert(|outgoing| {
            let Some(id) = StreamId::named(outgoing.local) else { return false };
            match self.ice.get(&id) {
                Some(stream) => stream.out.send(now, &[outgoing.payload]),
                None => self.counters.gone.add(1),
            }
            true
        });
    }
}
