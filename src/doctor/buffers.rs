//! Whether the kernel gives the media sockets the buffers that are configured.

use std::io;

use socket2::{Domain, Protocol, Socket, Type};

use super::report::Finding;
use crate::config::MediaConfig;

const CHECK: &str = "UDP buffers";

/// Tries it on a socket of its own, as the limits cannot be read inside of every container.
pub(super) fn check(media: &MediaConfig) -> Vec<Finding> {
    let wanted = (media.receive_buffer.as_usize(), media.send_buffer.as_usize());
    match given(wanted) {
        Ok(given) => judge(wanted, given),
        Err(error) => vec![Finding::warning(
            CHECK,
            format!("they cannot be tried out: {error}"),
            "see whether this machine has any network",
        )],
    }
}

fn given((receive, send): (usize, usize)) -> io::Result<(usize, usize)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
        .or_else(|_| Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)))?;
    socket.set_recv_buffer_size(receive)?;
    socket.set_send_buffer_size(send)?;
    // Linux answers twice of what it was asked for: half is for its own bookkeeping (socket(7)).
    let share = if cfg!(target_os = "linux") { 2 } else { 1 };
    Ok((socket.recv_buffer_size()? / share, socket.send_buffer_size()? / share))
}

fn judge(wanted: (usize, usize), given: (usize, usize)) -> Vec<Finding> {
    let capped = |what: &str, key: &str, wanted: usize, given: usize| {
        let fix = format!(
            "run `sysctl -w net.core.{key}={wanted}` on the machine itself, and put the same into /etc/sysctl.d"
        );
        let found =
            format!("the kernel gives {} of {} {what}, so bursts are lost", size(given), size(wanted));
        (given < wanted).then(|| Finding::warning(CHECK, found, fix))
    };
    let capped: Vec<_> = [
        capped("to receive", "rmem_max", wanted.0, given.0),
        capped("to send", "wmem_max", wanted.1, given.1),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !capped.is_empty() {
        return capped;
    }
    vec![Finding::ok(
        CHECK,
        format!("{} to receive and {} to send, as configured", size(wanted.0), size(wanted.1)),
    )]
}

/// Bytes for people.
fn size(bytes: usize) -> String {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / KIB) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    #[test]
    fn buffers_as_configured_are_well() {
        let findings = judge((8 << 20, 4 << 20), (8 << 20, 4 << 20));
        assert_eq!(findings, [Finding::ok(CHECK, "8 MiB to receive and 4 MiB to send, as configured")]);
    }

    #[test]
    fn each_cap_names_what_lifts_it() {
        let findings = judge((8 << 20, 4 << 20), (212_992, 212_992));
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.status == Status::Warning));
        assert_eq!(findings[0].found, "the kernel gives 208 KiB of 8 MiB to receive, so bursts are lost");
        assert!(findings[0].fix.as_ref().unwrap().starts_with("run `sysctl -w net.core.rmem_max=8388608`"));
        assert!(findings[1].fix.as_ref().unwrap().starts_with("run `sysctl -w net.core.wmem_max=4194304`"));
    }

    #[test]
    fn the_kernel_is_asked() {
        let (receive, send) = given((65_536, 65_536)).unwrap();
        assert!(receive >= 65_536 && send >= 65_536, "{receive} {send}");
    }
}
