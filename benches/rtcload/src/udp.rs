//! One UDP socket that stands for many clients.
//!
//! Servers that use a single port tell clients apart by address, and so must
//! we: each client gets a loopback address of its own, all on one port of one
//! socket bound to 0.0.0.0. IP_PKTINFO says which client a datagram is for and
//! which one it is from. Datagrams move in batches (recvmmsg, sendmmsg), with
//! UDP_GRO on receive and the kernel's receive timestamp, so that time spent
//! in our own queue does not count as the server's latency.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const RECV_BATCH: usize = 64;
/// A GRO buffer can hold up to 64 KiB of coalesced datagrams.
const RECV_BUF: usize = 65_536;
const SEND_BATCH: usize = 64;
const CMSG_LEN: usize = 128;

/// `struct in_pktinfo`, timestamps and GRO size fit in this, suitably aligned.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct CmsgBuf([u8; CMSG_LEN]);

pub struct BatchSocket {
    fd: OwnedFd,
    port: u16,
    recv_bufs: Vec<u8>,
    queue: Vec<Outgoing>,
    pub syscalls: u64,
    pub send_errors: u64,
}

struct Outgoing {
    from: Ipv4Addr,
    to: SocketAddrV4,
    data: Vec<u8>,
}

/// A received datagram.
pub struct Datagram<'a> {
    pub from: SocketAddr,
    pub to: Ipv4Addr,
    /// CLOCK_REALTIME at which the kernel took it in, in nanoseconds.
    pub received_ns: u64,
    pub data: &'a [u8],
}

impl BatchSocket {
    pub fn bind() -> io::Result<Self> {
        // SAFETY: plain socket calls on a descriptor we own.
        let fd = unsafe {
            let fd =
                libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        set(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        set(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        // Kernels without UDP_GRO do without it.
        let _ = set(&fd, libc::SOL_UDP, libc::UDP_GRO, 1);
        // FORCE needs CAP_NET_ADMIN; without it take what the limit allows.
        for (force, plain) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            if set(&fd, libc::SOL_SOCKET, force, 128 << 20).is_err() {
                let _ = set(&fd, libc::SOL_SOCKET, plain, 128 << 20);
            }
        }

        // SAFETY: addr is a valid sockaddr_in for both calls.
        let port = unsafe {
            let mut addr = sockaddr(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
            let mut len = mem::size_of_val(&addr) as libc::socklen_t;
            if libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len) < 0
                || libc::getsockname(fd.as_raw_fd(), (&raw mut addr).cast(), &mut len) < 0
            {
                return Err(io::Error::last_os_error());
            }
            u16::from_be(addr.sin_port)
        };

        Ok(BatchSocket {
            fd,
            port,
            recv_bufs: vec![0; RECV_BATCH * RECV_BUF],
            queue: Vec::with_capacity(SEND_BATCH),
            syscalls: 0,
            send_errors: 0,
        })
    }

    /// Another handle to the same socket, to send from its port on another thread.
    pub fn twin(&self) -> io::Result<Self> {
        Ok(BatchSocket {
            fd: self.fd.try_clone()?,
            port: self.port,
            recv_bufs: vec![],
            queue: Vec::with_capacity(SEND_BATCH),
            syscalls: 0,
            send_errors: 0,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Receives one batch of what is there, without waiting, and hands each datagram to `each`.
    /// Returns whether the batch was full, so that there may be more.
    pub fn recv(&mut self, mut each: impl FnMut(Datagram)) -> io::Result<bool> {
        let mut names: [libc::sockaddr_in; RECV_BATCH] = unsafe { mem::zeroed() };
        let mut ctrl = [CmsgBuf([0; CMSG_LEN]); RECV_BATCH];
        let mut iovs: [libc::iovec; RECV_BATCH] = unsafe { mem::zeroed() };
        let mut msgs: [libc::mmsghdr; RECV_BATCH] = unsafe { mem::zeroed() };
        for (i, buf) in self.recv_bufs.chunks_exact_mut(RECV_BUF).enumerate() {
            iovs[i] = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: RECV_BUF };
            let h = &mut msgs[i].msg_hdr;
            h.msg_name = (&raw mut names[i]).cast();
            h.msg_namelen = mem::size_of::<libc::sockaddr_in>() as _;
            h.msg_iov = &mut iovs[i];
            h.msg_iovlen = 1;
            h.msg_control = ctrl[i].0.as_mut_ptr().cast();
            h.msg_controllen = CMSG_LEN as _;
        }

        self.syscalls += 1;
        // SAFETY: every msghdr points to buffers that outlive the call.
        let n = unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                msgs.as_mut_ptr(),
                RECV_BATCH as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if n < 0 {
            let e = io::Error::last_os_error();
            return match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
                // ICMP unreachable from a peer that is gone.
                io::ErrorKind::ConnectionRefused => Ok(false),
                _ => Err(e),
            };
        }

        for i in 0..n as usize {
            let from = SocketAddrV4::new(
                Ipv4Addr::from(u32::from_be(names[i].sin_addr.s_addr)),
                u16::from_be(names[i].sin_port),
            );
            let info = read_cmsgs(&msgs[i].msg_hdr);
            let start = i * RECV_BUF;
            let data = &self.recv_bufs[start..start + msgs[i].msg_len as usize];
            let segment = if info.segment == 0 { data.len().max(1) } else { info.segment };
            for data in data.chunks(segment) {
                each(Datagram { from: from.into(), to: info.to, received_ns: info.received_ns, data });
            }
        }
        Ok(n as usize == RECV_BATCH)
    }

    /// Puts a datagram in the send queue; a full queue is sent.
    pub fn send(&mut self, from: Ipv4Addr, to: SocketAddr, data: Vec<u8>) {
        if let SocketAddr::V4(to) = to {
            self.queue.push(Outgoing { from, to, data });
        }
        if self.queue.len() == SEND_BATCH {
            self.flush();
        }
    }

    /// Sends the queue.
    pub fn flush(&mut self) {
        let count = self.queue.len();
        if count == 0 {
            return;
        }
        let mut names: [libc::sockaddr_in; SEND_BATCH] = unsafe { mem::zeroed() };
        let mut ctrl = [CmsgBuf([0; CMSG_LEN]); SEND_BATCH];
        let mut iovs: [libc::iovec; SEND_BATCH] = unsafe { mem::zeroed() };
        let mut msgs: [libc::mmsghdr; SEND_BATCH] = unsafe { mem::zeroed() };
        for (i, out) in self.queue.iter().enumerate() {
            names[i] = sockaddr(out.to);
            iovs[i] = libc::iovec { iov_base: out.data.as_ptr() as *mut _, iov_len: out.data.len() };
            let h = &mut msgs[i].msg_hdr;
            h.msg_name = (&raw mut names[i]).cast();
            h.msg_namelen = mem::size_of::<libc::sockaddr_in>() as _;
            h.msg_iov = &mut iovs[i];
            h.msg_iovlen = 1;
            h.msg_control = ctrl[i].0.as_mut_ptr().cast();
            // SAFETY: CMSG_SPACE is arithmetic; the header and in_pktinfo fit in CmsgBuf.
            unsafe {
                let info_len = mem::size_of::<libc::in_pktinfo>() as u32;
                h.msg_controllen = libc::CMSG_SPACE(info_len) as _;
                let c = libc::CMSG_FIRSTHDR(h);
                (*c).cmsg_level = libc::IPPROTO_IP;
                (*c).cmsg_type = libc::IP_PKTINFO;
                (*c).cmsg_len = libc::CMSG_LEN(info_len) as _;
                let info: *mut libc::in_pktinfo = libc::CMSG_DATA(c).cast();
                (*info).ipi_spec_dst.s_addr = u32::from(out.from).to_be();
            }
        }
        let mut done = 0;
        let mut tries = 0;
        while done < count {
            self.syscalls += 1;
            // SAFETY: every msghdr points to buffers that outlive the call.
            let n = unsafe {
                libc::sendmmsg(self.fd.as_raw_fd(), msgs[done..].as_mut_ptr(), (count - done) as _, 0)
            };
            if n > 0 {
                done += n as usize;
                continue;
            }
            // A full buffer may drain; any other error concerns the first
            // message only (say, the peer's port is gone): skip that one.
            let full = io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
            tries += 1;
            if !full || tries > 100 {
                self.send_errors += 1;
                done += 1;
            }
        }
        self.queue.clear();
    }
}

struct RecvInfo {
    to: Ipv4Addr,
    received_ns: u64,
    segment: usize,
}

fn read_cmsgs(h: &libc::msghdr) -> RecvInfo {
    let mut info = RecvInfo { to: Ipv4Addr::UNSPECIFIED, received_ns: 0, segment: 0 };
    // SAFETY: the kernel filled the control buffer of h; data is read unaligned.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(h);
        while !c.is_null() {
            let data = libc::CMSG_DATA(c);
            match ((*c).cmsg_level, (*c).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let p: libc::in_pktinfo = data.cast::<libc::in_pktinfo>().read_unaligned();
                    info.to = Ipv4Addr::from(u32::from_be(p.ipi_addr.s_addr));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let t = data.cast::<libc::timespec>().read_unaligned();
                    info.received_ns = t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    info.segment = data.cast::<libc::c_int>().read_unaligned() as usize;
                }
                _ => {}
            }
            c = libc::CMSG_NXTHDR(h, c);
        }
    }
    info
}

fn set(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: value is a valid int option.
    let r = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of_val(&value) as _,
        )
    };
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn sockaddr(a: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: all zeroes is a valid sockaddr_in.
    let mut s: libc::sockaddr_in = unsafe { mem::zeroed() };
    s.sin_family = libc::AF_INET as _;
    s.sin_port = a.port().to_be();
    s.sin_addr.s_addr = u32::from(*a.ip()).to_be();
    s
}

/// CLOCK_REALTIME in nanoseconds: the clock of kernel receive timestamps.
pub fn realtime_ns() -> u64 {
    // SAFETY: t is a valid timespec.
    let t = unsafe {
        let mut t = mem::zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut t);
        t
    };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Datagrams that the kernel dropped at the socket bound to `port`, from /proc/net/udp.
pub fn dropped_at(port: u16) -> u64 {
    dropped_in("/proc/net/udp", port)
}

/// The same, from such a table of any network.
pub fn dropped_in(table: &str, port: u16) -> u64 {
    let Ok(text) = std::fs::read_to_string(table) else {
        return 0;
    };
    let suffix = format!(":{port:04X}");
    text.lines()
        .filter(|l| l.split_whitespace().nth(1).is_some_and(|a| a.ends_with(&suffix)))
        .filter_map(|l| l.split_whitespace().last()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_carry_both_addresses_and_a_time() {
        let mut a = BatchSocket::bind().unwrap();
        let mut b = BatchSocket::bind().unwrap();
        let (ip_a, ip_b) = (Ipv4Addr::new(127, 9, 0, 1), Ipv4Addr::new(127, 9, 0, 2));
        let before = realtime_ns();
        for i in 0..100u8 {
            a.send(ip_a, SocketAddrV4::new(ip_b, b.port()).into(), vec![i; 50]);
        }
        a.flush();
        let mut got = vec![];
        for _ in 0..1000 {
            b.recv(|d| {
                assert_eq!((d.from, d.to), (SocketAddrV4::new(ip_a, a.port()).into(), ip_b));
                assert!((before..=realtime_ns()).contains(&d.received_ns));
                got.push(d.data[0]);
            })
            .unwrap();
            if got.len() == 100 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(got, (0..100).collect::<Vec<u8>>());
    }
}
