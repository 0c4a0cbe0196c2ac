//! The connections that have not said yet what they want, and who gives way when there are too many.

use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};

use crate::net::network::Network;

/// Who has not said hello within this time is not a browser.
const WITHIN: Duration = Duration::from_secs(10);

/// Handshakes at a time. Each costs a file descriptor and some 10 KiB, and a process may often open no more than
/// 1,024 files.
const MOST: usize = 512;

/// Handshakes of one network at a time: more than one household or office has at once, and little enough that
/// filling all places takes many networks.
const MOST_PER_NETWORK: usize = 32;

/// Connections of one network that have said nothing yet, where no handshake is needed: one that means it is through
/// at once, and crowds may come from one address.
const MOST_PLAIN_PER_NETWORK: usize = 128;

/// Handshakes under way, each a task.
///
/// When there are too many, the oldest gives way to the new one, be it of all or of one network. A client that
/// means it is done within a few round trips, so its handshake is hardly ever the oldest: to push it out, others
/// must begin as many as there are places in that time, again and again. Those that only wait are the first to go.
/// Were the new ones refused instead, a few silent clients per second would keep everybody out.
#[derive(Debug, Default)]
pub(in crate::net) struct Handshakes {
    tasks: JoinSet<()>,
    /// The oldest is first.
    waiting: VecDeque<Waiting>,
    is_plain: bool,
}

#[derive(Debug)]
struct Waiting {
    id: Id,
    network: Network,
    task: AbortHandle,
}

impl Handshakes {
    /// For connections without TLS, of which only the first bytes are waited for.
    pub(in crate::net) fn plain() -> Self {
        Self { is_plain: true, ..Self::default() }
    }

    /// Starts a handshake with `peer`; another one may have to give way. It is given up after 10 s. What is to be
    /// done with its outcome is part of it.
    pub(in crate::net) fn start(
        &mut self,
        peer: IpAddr,
        handshake: impl Future<Output = ()> + Send + 'static,
    ) {
        let network = Network::of(peer);
        let of_network = self.waiting.iter().filter(|waiting| waiting.network == network).count();
        if of_network >= self.most_of(peer) {
            let oldest = self.waiting.iter().position(|waiting| waiting.network == network);
            self.give_up(oldest);
        } else if self.waiting.len() >= MOST {
            self.give_up(Some(0));
        }
        let task = self.tasks.spawn(async move {
            if tokio::time::timeout(WITHIN, handshake).await.is_err() {
                tracing::debug!(%peer, "the TLS handshake took too long");
            }
        });
        self.waiting.push_back(Waiting { id: task.id(), network, task });
    }

    /// How many of the network of `peer` may be under way. Without TLS, a proxy on this machine may speak for everybody.
    fn most_of(&self, peer: IpAddr) -> usize {
        match (self.is_plain, peer.to_canonical().is_loopback()) {
            (false, _) => MOST_PER_NETWORK,
            (true, false) => MOST_PLAIN_PER_NETWORK,
            (true, true) => MOST,
        }
    }

    /// Gives up the older half, to have their file descriptors back. One alone may go on: it is not to blame.
    pub(in crate::net) fn halve(&mut self) {
        for _ in 0..self.waiting.len() / 2 {
            self.give_up(Some(0));
        }
    }

    fn give_up(&mut self, index: Option<usize>) {
        if let Some(waiting) = index.and_then(|index| self.waiting.remove(index)) {
            waiting.task.abort();
        }
    }

    /// Waits until a handshake ends, and forgets it. Never returns while there is none.
    pub(in crate::net) async fn ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.waiting.retain(|waiting| waiting.id != id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::sync::oneshot;

    use super::*;

    /// A client: its handshake lasts until it says so. It learns whether it was given up.
    fn silent(handshakes: &mut Handshakes, peer: IpAddr) -> oneshot::Sender<()> {
        let (hello, said) = oneshot::channel();
        handshakes.start(peer, async move { drop(said.await) });
        hello
    }

    /// A client of a network of its own.
    fn from(number: usize) -> IpAddr {
        Ipv4Addr::from(u32::try_from(number).unwrap()).into()
    }

    /// Lets the given up tasks end. Returns which clients were given up.
    async fn given_up(handshakes: &mut Handshakes, clients: &[oneshot::Sender<()>]) -> Vec<usize> {
        while handshakes.tasks.len() > handshakes.waiting.len() {
            handshakes.ended().await;
        }
        (0..clients.len()).filter(|index| clients[*index].is_closed()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_when_all_places_are_taken() {
        let mut handshakes = Handshakes::default();
        let mut clients: Vec<_> = (0..MOST).map(|number| silent(&mut handshakes, from(number))).collect();
        assert_eq!(given_up(&mut handshakes, &clients).await, [0; 0]);
        clients.extend((0..3).map(|number| silent(&mut handshakes, from(MOST + number))));
        assert_eq!(given_up(&mut handshakes, &clients).await, [0, 1, 2]);
        // Who is done makes room without anybody giving way.
        clients.remove(100).send(()).unwrap();
        handshakes.ended().await;
        clients.push(silent(&mut handshakes, from(MOST + 3)));
        assert_eq!(given_up(&mut handshakes, &clients).await, [0, 1, 2]);
        assert_eq!(handshakes.waiting.len(), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_cannot_take_all_places() {
        let mut handshakes = Handshakes::default();
        let mut clients = vec![silent(&mut handshakes, from(1))];
        clients.extend((0..MOST).map(|_| silent(&mut handshakes, from(2))));
        let expected: Vec<_> = (1..=MOST - MOST_PER_NETWORK).collect();
        assert_eq!(given_up(&mut handshakes, &clients).await, expected, "the other one stays");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up_after_10_s() {
        let mut handshakes = Handshakes::default();
        let began = tokio::time::Instant::now();
        let clients = [silent(&mut handshakes, from(1))];
        handshakes.ended().await;
        assert_eq!(began.elapsed(), WITHIN);
        assert!(clients[0].is_closed() && handshakes.waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_older_half_makes_room_for_other_files() {
        let mut handshakes = Handshakes::default();
        let clients: Vec<_> = (0..5).map(|number| silent(&mut handshakes, from(number))).collect();
        handshakes.halve();
        assert_eq!(given_up(&mut handshakes, &clients).await, [0, 1]);
        (0..5).for_each(|_| handshakes.halve());
        assert_eq!(given_up(&mut handshakes, &clients).await, [0, 1, 2, 3], "one alone is not to blame");
    }

    #[tokio::test(start_paused = true)]
    async fn all_end_with_the_listener() {
        let mut handshakes = Handshakes::default();
        let mut client = silent(&mut handshakes, from(1));
        drop(handshakes);
        client.closed().await;
    }
}
