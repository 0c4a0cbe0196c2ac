//! The UDP sockets of a worker: receive many datagrams with one system call, send many with few.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::task::Poll;
use std::time::Instant;

use socket2::SockRef;

use crate::net::datagram::{Datagram, SendBatch};
use crate::net::report::SendReport;
use crate::net::socket::{Message, SOCKET_ROOM, Socket};
pub use crate::net::socket::{Sharing, UdpConfig};
#[cfg(target_os = "linux")]
use crate::net::udp_linux;
use crate::net::udp_portable;

/// How datagrams leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendPath {
    /// One system call for each; works everywhere.
    Portable,
    /// Many with one `sendmmsg` (Linux).
    Batched,
    /// The same, and a run of datagrams of one size to one destination passes the network stack as one piece
    /// (UDP_SEGMENT, "GSO", Linux 4.18). This is the default on Linux.
    Segmented,
}

/// All UDP sockets of one worker.
pub struct UdpPort {
    pub(super) sockets: Vec<Socket>,
    path: SendPath,
    #[cfg(target_os = "linux")]
    sender: udp_linux::Sender,
}

/// What was received with one [`UdpPort::receive`], and the memory for it, which is kept.
#[derive(Debug, Default)]
pub struct ReceiveBatch {
    arena: Vec<u8>,
    /// What of them was taken is cut off at the front.
    messages: VecDeque<Message>,
}

impl UdpPort {
    /// Opens all sockets. Needs to be called within a tokio runtime, which then watches them.
    ///
    /// `[::]` is left out with a log line when this system has no IPv6 and there is an IPv4 socket.
    ///
    /// # Errors
    /// When an address cannot be listened on; the text names it and says what to do.
    pub fn bind(config: &UdpConfig) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(config.listen.len());
        let mut skipped = None;
        for address in &config.listen {
            match Socket::open(*address, config) {
                Ok(socket) => sockets.push(socket),
                Err(error) if is_missing_ipv6(*address, &error) => skipped = Some(explain(*address, &error)),
                Err(error) => return Err(explain(*address, &error)),
            }
        }
        match skipped {
            Some(error) if sockets.is_empty() => return Err(error),
            Some(_) => tracing::info!("this system has no IPv6; media uses IPv4 only"),
            None if sockets.is_empty() => {
                let text = "no UDP address to listen on: give at least one in media.listen";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            None => {}
        }
        Ok(Self {
            sockets,
            path: if cfg!(target_os = "linux") { SendPath::Segmented } else { SendPath::Portable },
            #[cfg(target_os = "linux")]
            sender: udp_linux::Sender::new(),
        })
    }

    /// Warns once per kind of buffer when the kernel gave less than asked for, and says what to change. Then bursts are
    /// lost in the kernel, where no counter of ours sees them.
    pub fn warn_of_small_buffers(&self, config: &UdpConfig) {
        warn_of_small_buffers(&self.sockets, config);
    }

    /// The addresses listened on, with their real ports, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.address).collect()
    }

    /// Chooses how datagrams leave, to compare or to work around a fault. Where the system has only
    /// [`SendPath::Portable`], that is used whatever is chosen.
    pub fn set_send_path(&mut self, path: SendPath) {
        self.path = path;
    }

    /// Waits until there may be something to receive. Only one task may wait.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        let ready = poll_fn(|context| {
            let usable = self.sockets.iter().filter(|socket| socket.paused.is_none());
            let mut ready = usable.map(|socket| socket.io.poll_recv_ready(context));
            ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        match self.sockets.iter().filter_map(|socket| socket.paused).min() {
            None => ready.await,
            Some(until) => tokio::select! {
                result = ready => result,
                () = tokio::time::sleep_until(until.into()) => Ok(()),
            },
        }
    }

    /// Receives what is there, with at most one system call per socket, and never waits. Returns the number
    /// of datagrams in `batch`, whose old content is forgotten. Call again until it returns 0, or wait with
    /// [`UdpPort::readable`], which does not wait while something may be left.
    ///
    /// A socket that reports an error is logged and left alone for 100 ms; the others go on meanwhile.
    pub fn receive(&mut self, now: Instant, batch: &mut ReceiveBatch) -> usize {
        batch.messages.clear();
        let room = self.sockets.len() * SOCKET_ROOM;
        if batch.arena.len() != room {
            batch.arena = vec![0; room];
        }
        let mut start = 0;
        for (socket, arena) in self.sockets.iter_mut().zip(batch.arena.chunks_exact_mut(SOCKET_ROOM)) {
            socket.receive(now, arena, start, &mut batch.messages);
            start += SOCKET_ROOM;
        }
        batch.len()
    }

    /// Sends all datagrams in their order and clears the batch. Never waits: what the kernel does not take at
    /// once is dropped and counted, for late media is worth less than no media.
    pub fn send(&mut self, batch: &mut SendBatch) -> SendReport {
        let mut report = SendReport::default();
        self.sockets.iter_mut().for_each(|socket| socket.blocked = false);
        let mut first = 0;
        while let Some(head) = batch.get(first) {
            let index = self.socket_for(head.local);
            let same = |local| local == head.local || self.socket_for(local) == index;
            let count = batch.range(first..batch.len()).take_while(|outgoing| same(outgoing.local)).count();
            match index.and_then(|index| self.sockets.get_mut(index)) {
                None => report.dropped(count, &io::ErrorKind::AddrNotAvailable.into()),
                Some(socket) if socket.blocked => report.dropped(count, &io::ErrorKind::WouldBlock.into()),
                Some(socket) => {
                    let range = first..first + count;
                    socket.blocked = match self.path {
                        #[cfg(target_os = "linux")]
                        SendPath::Batched => self.sender.send(socket, false, batch, range, &mut report),
                        #[cfg(target_os = "linux")]
                        SendPath::Segmented => self.sender.send(socket, true, batch, range, &mut report),
                        _ => udp_portable::send(socket, batch, range, &mut report),
                    };
                }
            }
            first += count;
        }
        batch.clear();
        report
    }

    /// The index of the socket that can send from `local`: the one on this very address, else one of its
    /// family and port where either side is a wildcard.
    fn socket_for(&self, local: SocketAddr) -> Option<usize> {
        let exact = self.sockets.iter().position(|socket| socket.address == local);
        exact.or_else(|| {
            self.sockets.iter().position(|Socket { address, .. }| {
                address.port() == local.port()
                    && address.is_ipv4() == local.is_ipv4()
                    && (address.ip().is_unspecified() || local.ip().is_unspecified())
            })
        })
    }
}

impl ReceiveBatch {
    /// An empty batch; its memory comes with the first receive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next datagram out: those of each socket in their order. Empty ones are left out.
    pub fn take(&mut self) -> Option<Datagram<'_>> {
        let message = loop {
            match self.messages.front() {
                Some(message) if message.range.is_empty() => drop(self.messages.pop_front()),
                _ => break self.messages.front_mut()?,
            }
        };
        let Range { start, end } = message.range;
        let middle = start.saturating_add(message.stride.max(1)).min(end);
        message.range.start = middle;
        let payload = self.arena.get(start..middle).unwrap_or(&[]);
        Some(Datagram { source: message.source, local: message.local, payload })
    }

    /// Whether all datagrams are taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.iter().all(|message| message.range.is_empty())
    }

    /// The number of datagrams that are not taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.iter().map(|message| message.range.len().div_ceil(message.stride.max(1))).sum()
    }
}

/// Whether listening failed because the system has no IPv6, and nobody asked for a specific address.
fn is_missing_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let no_family = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    let no_address = error.kind() == io::ErrorKind::AddrNotAvailable;
    address.is_ipv6() && address.ip().is_unspecified() && (no_family || no_address)
}

/// The error with its address and a way out.
fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port; end it, or choose another in media.listen"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; correct media.listen",
        io::ErrorKind::PermissionDenied => {
            "this port needs more rights; choose one above 1023 in media.listen"
        }
        _ => "check media.listen",
    };
    io::Error::new(error.kind(), format!("cannot listen on UDP {address}: {error}: {advice}"))
}

/// See [`UdpPort::warn_of_small_buffers`].
fn warn_of_small_buffers(sockets: &[Socket], config: &UdpConfig) {
    let smallest = |size: fn(&SockRef<'_>) -> io::Result<usize>| {
        sockets.iter().filter_map(|socket| size(&SockRef::from(&socket.io)).ok()).map(granted).min()
    };
    let receive = smallest(|socket| socket.recv_buffer_size());
    if let Some(bytes) = receive.filter(|bytes| *bytes < config.receive_buffer) {
        let wanted = config.receive_buffer;
        tracing::warn!(
            wanted,
            got = bytes,
            "the kernel caps the UDP receive buffer: run `sysctl -w net.core.rmem_max={wanted}`"
        );
    }
    let send = smallest(|socket| socket.send_buffer_size());
    if let Some(bytes) = send.filter(|bytes| *bytes < config.send_buffer) {
        let wanted = config.send_buffer;
        tracing::warn!(
            wanted,
            got = bytes,
            "the kernel caps the UDP send buffer: run `sysctl -w net.core.wmem_max={wanted}`"
        );
    }
}

/// What a buffer size read from the kernel means: Linux answers twice of what it was asked for, as half is
/// for its own bookkeeping (socket(7)).
fn granted(read: usize) -> usize {
    if cfg!(target_os = "linux") { read / 2 } else { read }
}

#[cfg(test)]
mod tests;
