//! Sending one datagram per system call, for systems without `sendmmsg` (and to compare with it).

use std::io;
use std::ops::Range;

use quinn_udp::Transmit;

use crate::net::datagram::SendBatch;
use crate::net::report::SendReport;
use crate::net::socket::Socket;

/// Sends the datagrams of `range`. Returns whether the send buffer was full, in which case the rest is
/// dropped.
pub(super) fn send(socket: &Socket, batch: &SendBatch, range: Range<usize>, report: &mut SendReport) -> bool {
    for index in range.clone() {
        let Some(outgoing) = batch.get(index) else { break };
        let transmit = Transmit {
            destination: outgoing.destination,
            ecn: None,
            contents: outgoing.payload,
            segment_size: None,
            src_ip: socket.source_for(outgoing.local),
        };
        report.syscalls += 1;
        match socket.state.try_send((&socket.io).into(), &transmit) {
            Ok(()) => report.sent(1, outgoing.payload.len()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                report.dropped(range.end - index, &error);
                return true;
            }
            Err(error) => report.dropped(1, &error),
        }
    }
    false
}
