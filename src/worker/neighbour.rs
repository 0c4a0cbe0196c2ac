//! How workers reach each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::message::{Command, RelayCounters};
use super::ring::Ring;
use crate::ids::WorkerId;
use crate::net::datagram::Datagram;
use crate::sfu::Core;
use crate::sfu::relay::Relayed;

/// Packets that wait for a worker at most: what 1 Gbit/s of publishers send in 80 ms, about 10 MB.
const PACKETS: usize = 8_192;
/// Handed-over datagrams that wait for a worker at most.
const DATAGRAMS: usize = 4_096;

/// A datagram for a session of another worker than the one that received it.
#[derive(Debug)]
pub(super) struct Handed {
    /// Who received it.
    pub(super) arrival: WorkerId,
    source: SocketAddr,
    local: SocketAddr,
    payload: Box<[u8]>,
}

impl Handed {
    pub(super) fn datagram(&self) -> Datagram<'_> {
        Datagram { source: self.source, local: self.local, payload: &self.payload }
    }
}

/// What other workers send to one.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) packets: Ring<Relayed>,
    pub(super) datagrams: Ring<Handed>,
    /// What is for relayed addresses that this worker lends.
    pub(super) to_clients: Ring<Handed>,
    woken: Arc<Notify>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self::of(PACKETS, DATAGRAMS)
    }

    pub(super) fn of(packets: usize, datagrams: usize) -> Self {
        let woken = Arc::new(Notify::new());
        Self {
            packets: Ring::new(packets, woken.clone()),
            datagrams: Ring::new(datagrams, woken.clone()),
            to_clients: Ring::new(datagrams, woken.clone()),
            woken,
        }
    }

    /// Waits until something came.
    pub(super) async fn filled(&self) {
        self.woken.notified().await;
    }
}

/// A worker as the others see it.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) inbox: Arc<Inbox>,
}

/// All workers, and what one of them has to send to the others. A worker's place is its id.
#[derive(Debug)]
pub(super) struct Neighbours {
    own: WorkerId,
    all: Arc<[Neighbour]>,
    handed: BTreeMap<WorkerId, Vec<Handed>>,
    to_clients: BTreeMap<WorkerId, Vec<Handed>>,
    pub(super) counters: RelayCounters,
}

impl Neighbours {
    pub(super) fn new(own: WorkerId, all: Arc<[Neighbour]>) -> Self {
        Self {
            own,
            all,
            handed: BTreeMap::new(),
            to_clients: BTreeMap::new(),
            counters: RelayCounters::default(),
        }
    }

    /// Who this worker is.
    #[cfg(test)]
    pub(super) fn own(&self) -> WorkerId {
        self.own
    }

    /// How many workers there are.
    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.all.len()).unwrap_or(u8::MAX).max(1)
    }

    /// What came for this worker. `None` when it was not told of itself, as it is alone.
    pub(super) fn inbox(&self) -> Option<&Inbox> {
        self.all.get(usize::from(self.own.0)).map(|own| &*own.inbox)
    }

    /// Waits until something came; for ever where this worker is alone.
    pub(super) async fn filled(&self) {
        match self.inbox() {
            Some(inbox) => inbox.filled().await,
            None => std::future::pending().await,
        }
    }

    /// Hands a datagram over. It leaves with [`Self::pass_on`]. Returns whether there is such a worker.
    pub(super) fn hand_over(&mut self, to: WorkerId, datagram: &Datagram<'_>) -> bool {
        let is_there = self.has(to);
        if is_there {
            let handed = self.handed(datagram);
            self.handed.entry(to).or_default().push(handed);
        }
        is_there
    }

    /// Hands a datagram to the worker that lends the relayed address which is its `local`. It leaves with
    /// [`Self::pass_on`].
    pub(super) fn hand_to_lender(&mut self, to: WorkerId, datagram: &Datagram<'_>) {
        if self.has(to) {
            let handed = self.handed(datagram);
            self.to_clients.entry(to).or_default().push(handed);
        } else {
            self.counters.to_clients += 1;
            self.counters.to_clients_dropped += 1;
        }
    }

    fn has(&self, other: WorkerId) -> bool {
        other != self.own && usize::from(other.0) < self.all.len()
    }

    fn handed(&self, datagram: &Datagram<'_>) -> Handed {
        let Datagram { source, local, payload } = *datagram;
        Handed { arrival: self.own, source, local, payload: payload.into() }
    }

    /// Sends everything that is for others. A worker that is gone takes nothing, and has nobody who would miss it.
    pub(super) fn pass_on(&mut self, core: &mut Core) {
        for (to, note) in core.take_notes() {
            if let Some(neighbour) = self.all.get(usize::from(to.0)) {
                let _ = neighbour.commands.send(Command::Note(self.own, note));
            }
        }
        for (to, packets) in core.relays() {
            let Some(neighbour) = self.all.get(usize::from(to.0)) else {
                packets.clear();
                continue;
            };
            self.counters.packets += packets.len() as u64;
            self.counters.packets_dropped += neighbour.inbox.packets.put(packets);
        }
        for (to, datagrams) in self.handed.iter_mut().filter(|(_, datagrams)| !datagrams.is_empty()) {
            let Some(neighbour) = self.all.get(usize::from(to.0)) else { continue };
            self.counters.datagrams += datagrams.len() as u64;
            self.counters.datagrams_dropped += neighbour.inbox.datagrams.put(datagrams);
        }
        for (to, datagrams) in self.to_clients.iter_mut().filter(|(_, datagrams)| !datagrams.is_empty()) {
            let Some(neighbour) = self.all.get(usize::from(to.0)) else { continue };
            self.counters.to_clients += datagrams.len() as u64;
            self.counters.to_clients_dropped += neighbour.inbox.to_clients.put(datagrams);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::addresses::AddressMap;
    use crate::sfu::relay::Note;

    /// The neighbours as the first of two workers sees them, and the commands of both.
    fn two(inbox: fn() -> Inbox) -> (Neighbours, [mpsc::UnboundedReceiver<Command>; 2]) {
        let ends = [(); 2].map(|()| mpsc::unbounded_channel());
        let all = ends
            .each_ref()
            .map(|(commands, _)| Neighbour { commands: commands.clone(), inbox: Arc::new(inbox()) });
        (Neighbours::new(WorkerId(0), all.into()), ends.map(|(_, queue)| queue))
    }

    fn datagram(payload: &[u8]) -> Datagram<'_> {
        let address = SocketAddr::from(([192, 0, 2, 1], 3478));
        Datagram { source: address, local: address, payload }
    }

    /// A queue that nobody empties costs what does not fit it, and notes and others' queues are as before.
    #[tokio::test]
    async fn what_finds_a_queue_full_is_dropped_and_counted() {
        let (mut neighbours, mut commands) = two(|| Inbox::of(1, 2));
        let mut core = Core::on(WorkerId(0), AddressMap::new(Vec::new(), &[]));
        for number in 0..5 {
            assert!(neighbours.hand_over(WorkerId(1), &datagram(&[number])));
        }
        assert!(!neighbours.hand_over(WorkerId(2), &datagram(&[9])), "there is no such worker");
        assert!(!neighbours.hand_over(WorkerId(0), &datagram(&[9])), "nobody hands to itself");
        // A subscription to what is not there is answered.
        core.note(std::time::Instant::now(), WorkerId(1), Note::Subscribe(crate::ids::TrackId(7)));
        neighbours.pass_on(&mut core);
        let counters = neighbours.counters;
        assert_eq!((counters.datagrams, counters.datagrams_dropped), (5, 3));
        let other = neighbours.all[1].inbox.clone();
        other.filled().await;
        let mut handed = Vec::new();
        other.datagrams.take(&mut handed);
        let first: Vec<_> = handed.iter().map(|handed| handed.datagram().payload[0]).collect();
        assert_eq!(first, [0, 1]);
        let note = commands[1].try_recv().ok();
        assert!(matches!(note, Some(Command::Note(WorkerId(0), Note::Ended(_)))));
        neighbours.hand_over(WorkerId(1), &datagram(&[6]));
        neighbours.pass_on(&mut core);
        assert_eq!(neighbours.counters.datagrams_dropped, 3, "it goes on");
    }
}
