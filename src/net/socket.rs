//! One UDP socket: opening it with what the media path needs, and receiving into a shared arena.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::net::throttle::Throttle;

/// The room for one message: the longest datagram, or a row of datagrams that the kernel joined (GRO), is
/// less than 64 KiB.
const MESSAGE_ROOM: usize = 1 << 16;

/// The room for what one system call receives from one socket. Only pages that were received into cost
/// memory.
pub(super) const SOCKET_ROOM: usize = BATCH_SIZE * MESSAGE_ROOM;

/// How long a socket is left alone after an error. The system still says that it is readable, and trying again
/// at once would only burn a core if the error lasts. The receive buffer bridges the time if it does not.
const PAUSE: Duration = Duration::from_millis(100);

/// Receives messages. Returns how many.
type Call = fn(&UdpSocketState, UdpSockRef<'_>, &mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>;

/// What [`UdpPort::bind`](super::udp::UdpPort::bind) needs to know.
#[derive(Debug, Clone)]
pub struct UdpConfig {
    /// One socket is opened for each. IPv6 sockets take IPv6 only, so IPv4 needs an address of its own.
    pub listen: Vec<SocketAddr>,
    /// The receive buffer to ask the kernel for, in bytes per socket.
    pub receive_buffer: usize,
    /// The send buffer to ask the kernel for, in bytes per socket.
    pub send_buffer: usize,
    /// Whether other workers listen on the same addresses.
    pub sharing: Sharing,
}

/// Whether sockets share their addresses with others of this process (SO_REUSEPORT, Linux only). The kernel then spreads
/// clients over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// With none.
    #[default]
    Alone,
    /// With others that come later. The addresses must be free: another server that shares them, too, would go unnoticed
    /// otherwise, and so would one that chose the same free port.
    First,
    /// With those that are there.
    Joins,
}

/// One socket, listening on one address.
pub(super) struct Socket {
    pub(super) io: UdpSocket,
    pub(super) state: UdpSocketState,
    /// The bound address with its real port.
    pub(super) address: SocketAddr,
    /// Whether runs may be sent as one piece; off for good when the system refuses.
    #[cfg(target_os = "linux")]
    pub(super) segmentation: bool,
    /// Whether the send buffer was found full in this turn.
    pub(super) blocked: bool,
    /// After an error of receiving: not to be read before.
    pub(super) paused: Option<Instant>,
    errors: Throttle,
    /// [`UdpSocketState::recv`], but for tests.
    pub(super) call: Call,
}

/// One or several datagrams from one source, one behind the other in the arena.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) source: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) range: Range<usize>,
    /// The length of each datagram but the last, which may be shorter.
    pub(super) stride: usize,
}

impl Socket {
    pub(super) fn open(address: SocketAddr, config: &UdpConfig) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // What the kernel made of these is read back later: it caps them in silence.
        socket.set_recv_buffer_size(config.receive_buffer)?;
        socket.set_send_buffer_size(config.send_buffer)?;
        socket.set_nonblocking(true)?;
        #[cfg(target_os = "linux")]
        socket.set_reuse_port(config.sharing == Sharing::Joins)?;
        socket.bind(&address.into())?;
        #[cfg(target_os = "linux")]
        socket.set_reuse_port(config.sharing != Sharing::Alone)?;
        let state = UdpSocketState::new((&socket).into())?;
        let io = UdpSocket::from_std(socket.into())?;
        Ok(Self {
            address: io.local_addr()?,
            io,
            #[cfg(target_os = "linux")]
            segmentation: state.max_gso_segments() > 1,
            state,
            blocked: false,
            paused: None,
            errors: Throttle::default(),
            call: UdpSocketState::recv,
        })
    }

    /// The source IP address to name when sending from `local`; `None` where the socket or the system decides.
    pub(super) fn source_for(&self, local: SocketAddr) -> Option<IpAddr> {
        let named = self.address.ip().is_unspecified() && !local.ip().is_unspecified();
        named.then_some(local.ip())
    }

    /// Receives into `arena`, which starts at `start` in the batch. An error is logged, and the socket is left
    /// alone for a while.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        arena: &mut [u8],
        start: usize,
        messages: &mut VecDeque<Message>,
    ) {
        if self.paused.is_some_and(|until| now < until) {
            return;
        }
        self.paused = None;
        let mut rooms = arena.chunks_exact_mut(MESSAGE_ROOM);
        let mut buffers: [_; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut count = 0;
        let result = self.io.try_io(Interest::READABLE, || {
            count = (self.call)(&self.state, (&self.io).into(), &mut buffers, &mut metas)?;
            // Fewer than asked for means that the queue is empty. Saying so now saves the system call that
            // would only find it out; a datagram that comes later wakes us by itself.
            if count < BATCH_SIZE { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        let starts = (start..).step_by(MESSAGE_ROOM);
        messages.extend(metas.iter().take(count).zip(starts).map(|(meta, start)| Message {
            source: meta.addr,
            local: SocketAddr::new(meta.dst_ip.unwrap_or(self.address.ip()), self.address.port()),
            range: start..start + meta.len,
            stride: meta.stride,
        }));
        match result {
            // Some systems report here that an earlier datagram found nobody; that concerns only its session.
            Err(error) if is_about_an_earlier_datagram(&error) => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.pause(now, &error),
            _ => {}
        }
    }

    fn pause(&mut self, now: Instant, error: &io::Error) {
        self.paused = Some(now + PAUSE);
        if let Some(times) = self.errors.count(now) {
            let socket = self.address;
            tracing::warn!(%socket, %error, times, "cannot receive from a UDP socket; trying again");
        }
    }
}

fn is_about_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}
