//! How many streams may be open, in all and of one network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::network::Network;

/// The most streams of one network: an office where all are on TCP.
const MOST_PER_NETWORK: usize = 256;

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    networks: HashMap<Network, usize>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: Network,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// Takes a place for a client. `None` when there is none.
    ///
    /// Nobody gives way here, as at the handshakes: who has a place is in a call, or is gone in half a minute.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let network = Network::of(peer);
        let mut taken = self.taken();
        let of_network = taken.networks.get(&network).copied().unwrap_or(0);
        if taken.all >= self.most || of_network >= MOST_PER_NETWORK {
            return None;
        }
        taken.all += 1;
        taken.networks.insert(network, of_network + 1);
        drop(taken);
        Some(Place { places: self.clone(), network })
    }

    /// Whole whatever happened to a thread that held it.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        match taken.networks.get_mut(&self.network) {
            Some(of_network) if *of_network > 1 => *of_network -= 1,
            _ => drop(taken.networks.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let places = Places::new(3);
        let mut held: Vec<_> = (1..4).map(|number| places.take(client(number)).unwrap()).collect();
        assert!(places.take(client(9)).is_none());
        held.pop();
        assert!(places.take(client(9)).is_some());
        drop(held);
        assert!(places.taken().networks.is_empty() && places.taken().all == 0);
    }

    #[test]
    fn one_network_does_not_take_all_places() {
        let places = Places::new(10_000);
        let mut held = Vec::new();
        held.extend((0..1_000).filter_map(|_| places.take(client(1))));
        assert_eq!(held.len(), MOST_PER_NETWORK);
        assert!(places.take(client(2)).is_some());
    }
}
