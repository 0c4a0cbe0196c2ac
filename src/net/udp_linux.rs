//! Sending many datagrams per system call (`sendmmsg`), and a run of them as one piece (UDP_SEGMENT).
//!
//! The only file with `unsafe`: two system calls, and the C structures they read.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use crate::net::datagram::{Outgoing, SendBatch};
use crate::net::report::SendReport;
use crate::net::socket::Socket;

/// Messages per system call. Measured, the call itself is cheap against the way through the network stack, so
/// more would gain nothing.
const MESSAGES: usize = 64;

/// Datagrams per message: the limit of Linux 4.18 to 6.8 (UDP_MAX_SEGMENTS; newer ones take 128).
const MAX_SEGMENTS: usize = 64;

/// Bytes per message: with its headers it must fit the 16-bit length of IP.
const MAX_RUN_BYTES: usize = 65_000;

/// The room for control messages: UDP_SEGMENT (a `u16`) and the larger of the two packet informations.
// SAFETY: CMSG_SPACE only computes a size.
const CONTROL_ROOM: usize = unsafe { libc::CMSG_SPACE(2) + libc::CMSG_SPACE(20) } as usize;

const _: () = assert!(size_of::<libc::in6_pktinfo>() == 20 && size_of::<libc::in_pktinfo>() < 20);

/// The structures that `sendmmsg` reads, kept from turn to turn.
pub(super) struct Sender {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    /// [`send_messages`], but for tests.
    call: Call,
}

/// Gives the messages to the kernel. Returns how many it took, at least 1, or the first one's error.
type Call = fn(RawFd, &mut [libc::mmsghdr]) -> io::Result<usize>;

// SAFETY: the pointers in `slots` and `headers` are written anew before each system call and read by nothing
// but that call, so it does not matter on which thread the next call is made.
unsafe impl Send for Sender {}

/// One message: its destination, its payload, its control messages, and what it stands for.
struct Slot {
    name: Name,
    name_length: libc::socklen_t,
    payload: libc::iovec,
    control: Control,
    /// The index of its first datagram in the batch.
    first: usize,
    /// The number of its datagrams.
    count: usize,
    bytes: usize,
}

/// A destination as C knows it.
#[repr(C)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// A buffer of control messages, aligned for their headers.
#[repr(C, align(8))]
struct Control {
    bytes: [u8; CONTROL_ROOM],
    length: usize,
}

const _: () = assert!(align_of::<libc::cmsghdr>() <= align_of::<Control>());

impl Sender {
    pub(super) fn new() -> Self {
        // SAFETY: `mmsghdr` holds integers and raw pointers, for which all zeros is a valid value.
        let header = || unsafe { mem::zeroed::<libc::mmsghdr>() };
        Self {
            slots: (0..MESSAGES).map(|_| Slot::new()).collect(),
            headers: (0..MESSAGES).map(|_| header()).collect(),
            call: send_messages,
        }
    }

    /// Sends the datagrams of `range`, joining runs if `segmented` and if the socket can. Returns whether the
    /// send buffer was full, in which case the rest is dropped.
    pub(super) fn send(
        &mut self,
        socket: &mut Socket,
        segmented: bool,
        batch: &SendBatch,
        range: Range<usize>,
        report: &mut SendReport,
    ) -> bool {
        let mut next = range.start;
        loop {
            let joined = segmented && socket.segmentation;
            let stop = match self.send_until(socket, joined, batch, next..range.end, report) {
                Stop::Refused(run, error) => {
                    next = run.end;
                    let before = report.packets;
                    let stop = self.send_until(socket, false, batch, run.clone(), report);
                    // If all get through one by one, joining was at fault. If not, the datagrams were: longer
                    // than the network can carry, or from an address that is gone.
                    if report.packets - before == run.len() as u64 {
                        socket.segmentation = false;
                        tracing::info!(%error, "this network cannot segment UDP: runs are sent one by one");
                    }
                    stop
                }
                Stop::End => return false,
                full => full,
            };
            if let Stop::Full(first) = stop {
                report.dropped(range.end - first, &io::ErrorKind::WouldBlock.into());
                return true;
            }
        }
    }

    /// Sends the datagrams of `range` until something stops it.
    fn send_until(
        &mut self,
        socket: &Socket,
        joined: bool,
        batch: &SendBatch,
        range: Range<usize>,
        report: &mut SendReport,
    ) -> Stop {
        let mut next = range.start;
        while next < range.end {
            let (filled, end) = self.fill(socket, joined, batch, next..range.end);
            match self.flush(socket.io.as_raw_fd(), filled, report) {
                Stop::End => next = end,
                stop => return stop,
            }
        }
        Stop::End
    }

    /// Loads the first datagrams of `range` into the slots. Returns how many slots that took, and the index
    /// of the first datagram that is not in them.
    fn fill(
        &mut self,
        socket: &Socket,
        joined: bool,
        batch: &SendBatch,
        range: Range<usize>,
    ) -> (usize, usize) {
        let mut next = range.start;
        let mut filled = 0;
        for slot in &mut self.slots {
            let Some(head) = batch.get(next).filter(|_| next < range.end) else { break };
            let count = if joined { run_length(batch, next..range.end) } else { 1 };
            slot.load(socket, head, batch.payloads(next, count), next, count);
            next += count;
            filled += 1;
        }
        (filled, next)
    }

    /// Gives the first `filled` slots to the kernel. A message that fails for itself is dropped.
    fn flush(&mut self, fd: RawFd, filled: usize, report: &mut SendReport) -> Stop {
        let mut rest = self.slots.get_mut(..filled).unwrap_or_default();
        while let Some(&Slot { first, count, .. }) = rest.first() {
            for (header, slot) in self.headers.iter_mut().zip(rest.iter_mut()) {
                header.msg_hdr = slot.header();
            }
            report.syscalls += 1;
            let tried = self.headers.get_mut(..rest.len()).unwrap_or_default();
            let done = match (self.call)(fd, tried) {
                Ok(sent) => {
                    rest.iter().take(sent).for_each(|slot| report.sent(slot.count, slot.bytes));
                    sent
                }
                // An error is about the first message; those behind it have not been tried yet.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Stop::Full(first),
                Err(error) if count > 1 && is_about_the_run(&error) => {
                    return Stop::Refused(first..first + count, error);
                }
                Err(error) => {
                    report.dropped(count, &error);
                    1
                }
            };
            rest = rest.get_mut(done..).unwrap_or_default();
        }
        Stop::End
    }
}

/// Why sending stopped.
enum Stop {
    /// Everything was sent or dropped.
    End,
    /// The send buffer is full; this is the first datagram that did not fit.
    Full(usize),
    /// The kernel does not take these datagrams as one message.
    Refused(Range<usize>, io::Error),
}

/// The number of datagrams from the start of `range` that can leave as one message: one destination, one
/// source, one size (the last may be shorter), one behind the other in memory, within the limits of the kernel.
fn run_length(batch: &SendBatch, range: Range<usize>) -> usize {
    let Some(head) = batch.get(range.start) else { return 0 };
    let size = head.payload.len();
    let most = MAX_RUN_BYTES.checked_div(size).map_or(1, |fit| fit.clamp(1, MAX_SEGMENTS));
    let (mut count, mut end) = (1, head.payload.as_ptr_range().end);
    for next in batch.range(range.start + 1..range.end).take(most - 1) {
        let length = next.payload.len();
        let joins = next.destination == head.destination && next.local == head.local;
        // Where something was taken out, there is a gap.
        let joins = joins && next.payload.as_ptr() == end;
        if !joins || length == 0 || length > size {
            break;
        }
        (count, end) = (count + 1, next.payload.as_ptr_range().end);
        if length < size {
            break;
        }
    }
    count
}

/// Whether a run may have been refused for being one: EIO when the network device cannot checksum it, EINVAL
/// and EMSGSIZE when a segment is longer than the network can carry (udp(7)).
fn is_about_the_run(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE))
}

/// One `sendmmsg`. Returns the number of messages sent, at least 1.
fn send_messages(fd: RawFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = libc::c_uint::try_from(headers.len()).unwrap_or(libc::c_uint::MAX);
    // SAFETY: `headers` is `count` valid structures. Each was made by `Slot::header` from a slot that the
    // caller still holds and has not touched since, and the arena behind its payload is borrowed as well.
    // The kernel writes nothing but `msg_len`.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

impl Slot {
    fn new() -> Self {
        Self {
            // SAFETY: both members of the union hold integers only, for which all zeros is a valid value.
            name: unsafe { mem::zeroed() },
            name_length: 0,
            payload: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            control: Control { bytes: [0; CONTROL_ROOM], length: 0 },
            first: 0,
            count: 0,
            bytes: 0,
        }
    }

    /// Makes this the message of `count` datagrams of the batch from `first` on, all like `head`.
    fn load(&mut self, socket: &Socket, head: Outgoing<'_>, payload: &[u8], first: usize, count: usize) {
        (self.name, self.name_length) = name(head.destination);
        // The kernel only reads through this pointer; it is `*mut` as `recvmsg` shares the type.
        self.payload = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        (self.first, self.count, self.bytes) = (first, count, payload.len());
        self.control.length = 0;
        if count > 1
            && let Ok(segment) = u16::try_from(head.payload.len())
        {
            self.control.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        match socket.source_for(head.local) {
            Some(IpAddr::V4(ip)) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let ipi_addr = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr };
                self.control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => {
                let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                self.control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
    }

    /// The header that points at this slot's parts; good until the slot is touched again.
    fn header(&mut self) -> libc::msghdr {
        // SAFETY: `msghdr` holds integers and raw pointers, for which all zeros is a valid value.
        let mut header = unsafe { mem::zeroed::<libc::msghdr>() };
        header.msg_name = (&raw mut self.name).cast();
        header.msg_namelen = self.name_length;
        header.msg_iov = &raw mut self.payload;
        header.msg_iovlen = 1;
        if self.control.length > 0 {
            header.msg_control = (&raw mut self.control.bytes).cast();
            header.msg_controllen = self.control.length as _;
        }
        header
    }
}

impl Control {
    /// Adds a control message with this value. Everything that [`Slot::load`] adds has room.
    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let size = length_of::<T>();
        // SAFETY: these only compute sizes.
        let (length, space) = unsafe { (libc::CMSG_LEN(size), libc::CMSG_SPACE(size) as usize) };
        let end = self.length + space;
        let Some(room) = self.bytes.get_mut(self.length..end) else { return };
        room.fill(0);
        let header = room.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: `room` has CMSG_SPACE bytes, so both the header and the value fit. It is aligned for a
        // header, as the buffer is and CMSG_SPACE rounds up to that alignment. All zeros is a valid header.
        // The value is written unaligned, and is plain data as all callers pass C structures of integers.
        unsafe {
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.length = end;
    }
}

/// The size of a small C structure.
fn length_of<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

fn family(number: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or_default()
}

/// A destination as C knows it, with its length.
fn name(address: SocketAddr) -> (Name, libc::socklen_t) {
    match address {
        SocketAddr::V4(address) => {
            let v4 = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            (Name { v4 }, length_of::<libc::sockaddr_in>())
        }
        SocketAddr::V6(address) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            (Name { v6 }, length_of::<libc::sockaddr_in6>())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::os::fd::AsFd;

    use super::*;
    use crate::net::udp::{Sharing, UdpConfig, UdpPort};

    fn batch(sizes: &[(u16, usize)]) -> SendBatch {
        let mut batch = SendBatch::new();
        for (port, size) in sizes {
            let destination = SocketAddr::from(([127, 0, 0, 1], *port));
            batch.push(SocketAddr::from(([127, 0, 0, 1], 9)), destination, &vec![0; *size]);
        }
        batch
    }

    fn runs(batch: &SendBatch) -> Vec<usize> {
        let mut runs = Vec::new();
        let mut next = 0;
        while next < batch.len() {
            runs.push(run_length(batch, next..batch.len()));
            next += runs.last().unwrap();
        }
        runs
    }

    #[test]
    fn runs_end_where_they_must() {
        assert_eq!(runs(&batch(&[(1, 100); 5])), [5]);
        assert_eq!(
            runs(&batch(&[(1, 100), (1, 100), (1, 60), (1, 100)])),
            [3, 1],
            "a shorter one is the last"
        );
        assert_eq!(runs(&batch(&[(1, 100), (1, 101), (1, 101)])), [1, 2], "a longer one starts anew");
        assert_eq!(runs(&batch(&[(1, 100), (2, 100), (2, 100), (1, 100)])), [1, 2, 1], "one destination");
        assert_eq!(runs(&batch(&[(1, 0), (1, 0), (1, 5), (1, 0)])), [1, 1, 1, 1], "empty ones go alone");
        assert_eq!(runs(&batch(&[(1, 10); 130])), [64, 64, 2], "so many segments");
        assert_eq!(runs(&batch(&[(1, 1200); 60])), [54, 6], "so many bytes");
        assert_eq!(runs(&batch(&[(1, 65_001), (1, 65_001)])), [1, 1], "too long to join");
        let within = batch(&[(1, 100); 5]);
        assert_eq!(run_length(&within, 1..3), 2, "no further than asked for");
    }

    #[test]
    fn a_run_ends_where_something_was_taken_out() {
        let mut batch = batch(&[(1, 100), (2, 100), (1, 100), (1, 100)]);
        batch.divert(|outgoing| outgoing.destination.port() == 2);
        assert_eq!(runs(&batch), [1, 2]);
    }

    #[test]
    fn runs_share_their_source() {
        let mut batch = batch(&[(1, 100)]);
        batch.push(SocketAddr::from(([127, 0, 0, 2], 9)), SocketAddr::from(([127, 0, 0, 1], 1)), &[0; 100]);
        assert_eq!(runs(&batch), [1, 1]);
    }

    /// A socket without UDP checksums refuses segmentation with EIO, as some network devices do.
    #[tokio::test]
    async fn a_socket_that_cannot_segment_sends_one_by_one() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let config = UdpConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            receive_buffer: 1 << 16,
            send_buffer: 1 << 20,
            sharing: Sharing::Alone,
        };
        let mut port = UdpPort::bind(&config).unwrap();
        let local = port.local_addrs()[0];
        switch_checksums_off(&port.sockets[0].io);
        let mut batch = SendBatch::new();
        for turn in 0..2 {
            for number in 0..4_u8 {
                batch.push(local, to, &[number; 300]);
            }
            let report = port.send(&mut batch);
            assert_eq!((report.packets, report.bytes, report.dropped), (4, 1200, 0));
            // The refused run, then its datagrams; from then on one call for all.
            assert_eq!(report.syscalls, if turn == 0 { 2 } else { 1 });
            assert!(!port.sockets[0].segmentation);
        }
        let mut buffer = [0; 2000];
        for number in (0..4).chain(0..4) {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [number; 300]);
        }
    }

    /// EINVAL because of the source address says nothing about segmentation.
    #[tokio::test]
    async fn a_bad_source_does_not_switch_segmentation_off() {
        let config = UdpConfig {
            listen: vec!["[::]:0".parse().unwrap()],
            receive_buffer: 1 << 16,
            send_buffer: 1 << 20,
            sharing: Sharing::Alone,
        };
        let mut port = UdpPort::bind(&config).unwrap();
        let local = port.local_addrs()[0];
        let foreign = SocketAddr::new("2001:db8::99".parse().unwrap(), local.port());
        let mut batch = SendBatch::new();
        batch.push(foreign, "[::1]:9".parse().unwrap(), &[0; 300]);
        batch.push(foreign, "[::1]:9".parse().unwrap(), &[0; 300]);
        let report = port.send(&mut batch);
        assert_eq!((report.packets, report.dropped, report.causes.bad_address), (0, 2, 2), "{report:?}");
        assert!(port.sockets[0].segmentation);
    }

    type Script = (VecDeque<Result<usize, i32>>, Vec<usize>);

    thread_local! {
        /// What the kernel of [`scripted`] answers, and how many messages it was given at each call.
        static SCRIPT: RefCell<Script> = RefCell::default();
    }

    /// A kernel that answers as told, then takes everything.
    fn scripted(_: RawFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
        SCRIPT.with_borrow_mut(|(answers, given)| {
            given.push(headers.len());
            answers.pop_front().unwrap_or(Ok(headers.len())).map_err(io::Error::from_raw_os_error)
        })
    }

    /// Sends 70 datagrams of 101 to 170 bytes through a scripted kernel. Returns the report, whether the send
    /// buffer was full, and how many messages each call was given.
    fn send_scripted(answers: &[Result<usize, i32>]) -> (SendReport, bool, Vec<usize>) {
        SCRIPT.set((answers.iter().copied().collect(), Vec::new()));
        let config = UdpConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            receive_buffer: 1 << 16,
            send_buffer: 1 << 16,
            sharing: Sharing::Alone,
        };
        let mut port = UdpPort::bind(&config).unwrap();
        let mut sender = Sender { call: scripted, ..Sender::new() };
        let batch = batch(&(101..=170).map(|size| (1, size)).collect::<Vec<_>>());
        let mut report = SendReport::default();
        let full = sender.send(&mut port.sockets[0], true, &batch, 0..70, &mut report);
        (report, full, SCRIPT.take().1)
    }

    const ALL_BYTES: u64 = 271 * 35;

    #[tokio::test]
    async fn partial_and_interrupted_calls_are_resumed() {
        let (report, full, given) = send_scripted(&[Ok(10), Err(libc::EINTR), Ok(1), Ok(53), Ok(2)]);
        assert_eq!(given, [64, 54, 54, 53, 6, 4]);
        let expected = SendReport { packets: 70, bytes: ALL_BYTES, syscalls: 6, ..SendReport::default() };
        assert_eq!((report, full), (expected, false));
    }

    #[tokio::test]
    async fn an_error_costs_its_own_message_only() {
        let errors = [libc::EPERM, libc::ENETUNREACH, libc::EMSGSIZE, libc::ENOMEM];
        let mut answers = vec![Ok(3)];
        answers.extend(errors.map(Err));
        let (report, full, given) = send_scripted(&answers);
        assert_eq!(given, [64, 61, 60, 59, 58, 57, 6]);
        assert_eq!((report.packets, report.dropped, full), (66, 4, false));
        assert_eq!(report.bytes, ALL_BYTES - (104 + 105 + 106 + 107));
        let causes = report.causes;
        assert_eq!((causes.denied, causes.unreachable, causes.too_large, causes.other), (1, 1, 1, 1));
    }

    #[tokio::test]
    async fn a_full_send_buffer_drops_the_rest_at_once() {
        let (report, full, given) = send_scripted(&[Ok(5), Err(libc::EAGAIN)]);
        assert_eq!(given, [64, 59]);
        assert_eq!((report.packets, report.dropped, report.causes.would_block, full), (5, 65, 65, true));
        let (report, full, given) = send_scripted(&[Ok(64), Err(libc::EAGAIN)]);
        assert_eq!(given, [64, 6]);
        assert_eq!((report.packets, report.dropped, full), (64, 6, true));
    }

    fn switch_checksums_off(socket: &impl AsFd) {
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open, and the pointer and the length are those of `on`.
        let result = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NO_CHECK,
                (&raw const on).cast(),
                length_of::<libc::c_int>(),
            )
        };
        assert_eq!(result, 0);
    }
}
