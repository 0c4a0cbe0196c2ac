//! All allocations of one worker, and how many each user and each address has.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

use super::allocation::{Allocation, FiveTuple};
use super::strangers::Host;

/// Counts by key; what is counted down to nothing is forgotten.
#[derive(Debug)]
struct Tally<K>(HashMap<K, usize>);

impl<K: Eq + Hash> Tally<K> {
    fn of<Q>(&self, key: &Q) -> usize
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key).copied().unwrap_or_default()
    }

    fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    fn subtract<Q>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(count) = self.0.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }
}

/// The allocations. Each has a number, which is used again when it is gone.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Allocation>>,
    vacant: Vec<usize>,
    clients: HashMap<FiveTuple, usize>,
    expiries: BTreeSet<(Instant, usize)>,
    users: Tally<Box<[u8]>>,
    hosts: Tally<Host>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            clients: HashMap::new(),
            expiries: BTreeSet::new(),
            users: Tally(HashMap::new()),
            hosts: Tally(HashMap::new()),
        }
    }

    pub(super) fn find(&self, client: &FiveTuple) -> Option<usize> {
        self.clients.get(client).copied()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Allocation> {
        self.slots.get(number)?.as_ref()
    }

    /// To change anything but when it expires, for which there is [`Self::change_expiry`].
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Allocation> {
        self.slots.get_mut(number)?.as_mut()
    }

    /// The number that the next allocation gets.
    pub(super) fn next(&self) -> usize {
        self.vacant.last().copied().unwrap_or(self.slots.len())
    }

    /// Takes in an allocation under the number that [`Self::next`] told. Its client must have none.
    pub(super) fn insert(&mut self, allocation: Allocation) {
        let number = self.next();
        self.clients.insert(allocation.client, number);
        self.expiries.extend(allocation.expires().map(|expires| (expires, number)));
        self.users.add(allocation.user.clone());
        self.hosts.add(Host::of(allocation.client.client.ip()));
        self.vacant.pop();
        match self.slots.get_mut(number) {
            Some(slot) => *slot = Some(allocation),
            None => self.slots.push(Some(allocation)),
        }
    }

    /// Changes when an allocation's addresses expire. The allocation is removed and returned when it has none left.
    pub(super) fn change_expiry(
        &mut self,
        number: usize,
        change: impl FnOnce(&mut Allocation),
    ) -> Option<Allocation> {
        let allocation = self.slots.get_mut(number)?.as_mut()?;
        let before = allocation.expires();
        change(allocation);
        let after = allocation.expires();
        if let Some(expires) = before {
            self.expiries.remove(&(expires, number));
        }
        match after {
            Some(expires) => {
                self.expiries.insert((expires, number));
                None
            }
            None => self.remove(number),
        }
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<Allocation> {
        let allocation = self.slots.get_mut(number)?.take()?;
        self.vacant.push(number);
        self.clients.remove(&allocation.client);
        if let Some(expires) = allocation.expires() {
            self.expiries.remove(&(expires, number));
        }
        self.users.subtract(&allocation.user);
        self.hosts.subtract(&Host::of(allocation.client.client.ip()));
        if self.clients.is_empty() {
            *self = Self::new();
        }
        Some(allocation)
    }

    /// When the next address expires, and whose it is.
    pub(super) fn next_expiry(&self) -> Option<(Instant, usize)> {
        self.expiries.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many allocations a user has.
    pub(super) fn of_user(&self, user: &[u8]) -> usize {
        self.users.of(user)
    }

    /// How many allocations a host has.
    pub(super) fn of_host(&self, host: Host) -> usize {
        self.hosts.of(&host)
    }

    /// What each table counts, which are as many allocations as there are.
    #[cfg(test)]
    pub(super) fn counted(&self) -> [usize; 4] {
        let live = self.slots.iter().flatten().count();
        let (users, hosts) = (self.users.0.values().sum(), self.hosts.0.values().sum());
        [live, users, hosts, self.expiries.len()]
    }

    /// The sizes of all tables, to see that they go back to nothing.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 5] {
        let Self { slots, vacant: _, clients, expiries, users, hosts } = self;
        [slots.len(), clients.len(), expiries.len(), users.0.len(), hosts.0.len()]
    }
}
