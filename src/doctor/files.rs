//! Whether enough files may be open: each connection is one.

use std::fs;

use super::report::Finding;
use crate::config::LimitsConfig;

const CHECK: &str = "open files";

/// What the server itself needs besides connections: sockets, pipes, libraries, certificates.
const OWN: u64 = 100;

/// A participant has a WebSocket; WHIP and WHEP clients have a connection for a moment. Another half for those who come
/// and go, and for page loads.
fn needed(sessions: u32) -> u64 {
    OWN + u64::from(sessions) * 3 / 2
}

/// `None` where the system does not say.
pub(super) fn check(limits: &LimitsConfig) -> Option<Finding> {
    let limit = soft_limit(&fs::read_to_string("/proc/self/limits").ok()?)?;
    Some(judge(limit, limits.sessions))
}

/// The soft limit in the format of `/proc/PID/limits` (proc(5)).
fn soft_limit(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn judge(limit: u64, sessions: u32) -> Finding {
    let needed = needed(sessions);
    if limit >= needed {
        return Finding::ok(CHECK, format!("enough for the {sessions} sessions of limits.sessions"));
    }
    Finding::warning(
        CHECK,
        format!("a process may have {limit} open files here, and {sessions} sessions need about {needed}"),
        format!(
            "start Sluice with `ulimit -n {needed}`, `LimitNOFILE={needed}` (systemd) or `--ulimit nofile={needed}` \
             (Docker), or lower limits.sessions"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    #[test]
    fn the_limit_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             63000                63000                processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited  files"),
            Some(u64::MAX)
        );
        assert_eq!(soft_limit("Max processes 5"), None);
    }

    #[test]
    fn sessions_are_held_against_the_limit() {
        assert_eq!(judge(524_288, 2000).status, Status::Ok);
        assert_eq!(judge(3_100, 2000).status, Status::Ok);
        let finding = judge(1024, 2000);
        assert_eq!(finding.status, Status::Warning);
        assert_eq!(
            finding.found,
            "a process may have 1024 open files here, and 2000 sessions need about 3100"
        );
        assert!(finding.fix.unwrap().contains("`LimitNOFILE=3100`"));
    }
}
