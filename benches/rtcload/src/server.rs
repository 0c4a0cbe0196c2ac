//! Measures the server process, and its children, from outside.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use serde::Serialize;

/// One reading of everything that only grows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    pub user: Duration,
    pub system: Duration,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub cycles: Option<u64>,
    pub instructions: Option<u64>,
    pub user_instructions: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Memory {
    pub rss_kib: u64,
    pub pss_kib: u64,
    pub peak_rss_kib: u64,
}

pub struct ServerMonitor {
    root: u32,
    counters: Vec<Counters>,
    /// Why there are no hardware counters.
    pub counters_missing: Option<String>,
}

/// Hardware counters of one thread and the threads it will start.
struct Counters {
    cycles: OwnedFd,
    instructions: OwnedFd,
    user_instructions: OwnedFd,
}

impl ServerMonitor {
    pub fn new(root: u32) -> ServerMonitor {
        let mut m = ServerMonitor { root, counters: vec![], counters_missing: None };
        m.attach_counters();
        m
    }

    /// Opens hardware counters on all present threads; where there are none, does without.
    pub fn attach_counters(&mut self) {
        self.counters.clear();
        self.counters_missing = Some("the server has no threads".into());
        for tid in self.pids().into_iter().flat_map(threads_of) {
            match Counters::open(tid) {
                Ok(c) => self.counters.push(c),
                Err(e) => self.counters_missing = Some(why_missing(&e)),
            }
        }
        if !self.counters.is_empty() {
            self.counters_missing = None;
        }
    }

    /// The process and all its descendants.
    fn pids(&self) -> BTreeSet<u32> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat_field(&format!("/proc/{pid}/stat"), 1)?)))
            .map(|(pid, parent)| (pid, parent as u32))
            .collect();
        let mut set = BTreeSet::from([self.root]);
        loop {
            let before = set.len();
            set.extend(
                parents.iter().filter(|(_, p)| set.contains(p)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
            );
            if set.len() == before {
                return set;
            }
        }
    }

    /// Datagrams that the kernel dropped so far at the server's sockets on a port, in the server's own network.
    pub fn dropped_at(&self, port: u16) -> u64 {
        ["udp", "udp6"]
            .map(|table| crate::udp::dropped_in(&format!("/proc/{}/net/{table}", self.root), port))
            .iter()
            .sum()
    }

    pub fn alive(&self) -> bool {
        fs::metadata(format!("/proc/{}", self.root)).is_ok()
    }

    pub fn read(&self) -> Reading {
        let mut r = Reading::default();
        // SAFETY: sysconf has no preconditions.
        let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        for pid in self.pids() {
            let stat = format!("/proc/{pid}/stat");
            let ticks = |i| stat_field(&stat, i).unwrap_or(0) as f64;
            r.user += Duration::from_secs_f64(ticks(11) / hz);
            r.system += Duration::from_secs_f64(ticks(12) / hz);
            for tid in threads_of(pid) {
                let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
                r.voluntary_switches += labelled(&status, "voluntary_ctxt_switches:");
                r.involuntary_switches += labelled(&status, "nonvoluntary_ctxt_switches:");
            }
        }
        if !self.counters.is_empty() {
            let sum = |f: fn(&Counters) -> &OwnedFd| self.counters.iter().map(|c| read_counter(f(c))).sum();
            r.cycles = Some(sum(|c| &c.cycles));
            r.instructions = Some(sum(|c| &c.instructions));
            r.user_instructions = Some(sum(|c| &c.user_instructions));
        }
        r
    }

    pub fn memory(&self) -> Memory {
        let mut m = Memory::default();
        for pid in self.pids() {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            m.rss_kib += labelled(&status, "VmRSS:");
            m.peak_rss_kib += labelled(&status, "VmHWM:");
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            m.pss_kib += labelled(&rollup, "Pss:");
        }
        m
    }
}

/// What to tell about counters that cannot be opened.
fn why_missing(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => {
            "this machine has no hardware counters (as most virtual machines)".into()
        }
        Some(libc::EACCES | libc::EPERM) => {
            "not permitted: run as root, or with kernel.perf_event_paranoid at 1 or less".into()
        }
        _ => e.to_string(),
    }
}

impl Counters {
    fn open(tid: u32) -> io::Result<Counters> {
        // From linux/perf_event.h: hardware event 0 is cycles, 1 instructions.
        Ok(Counters {
            cycles: open_counter(tid, 0, false)?,
            instructions: open_counter(tid, 1, false)?,
            user_instructions: open_counter(tid, 1, true)?,
        })
    }
}

/// `struct perf_event_attr` up to PERF_ATTR_SIZE_VER0.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

fn open_counter(tid: u32, event: u64, user_only: bool) -> io::Result<OwnedFd> {
    const INHERIT: u64 = 1 << 1;
    const EXCLUDE_KERNEL: u64 = 1 << 5;
    const EXCLUDE_HV: u64 = 1 << 6;
    const TOTAL_TIMES: u64 = 1 | 2;
    let attr = PerfEventAttr {
        size: std::mem::size_of::<PerfEventAttr>() as u32,
        config: event,
        read_format: TOTAL_TIMES,
        flags: INHERIT | EXCLUDE_HV | if user_only { EXCLUDE_KERNEL } else { 0 },
        ..Default::default()
    };
    // SAFETY: attr is valid and says its own size.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &attr, tid as libc::pid_t, -1, -1, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The count, scaled up for the time the counter was not on the hardware.
fn read_counter(fd: &OwnedFd) -> u64 {
    let mut v = [0u64; 3];
    // SAFETY: v has room for count, time enabled and time running.
    let n = unsafe { libc::read(fd.as_raw_fd(), v.as_mut_ptr().cast(), 24) };
    match v {
        [count, enabled, running] if n == 24 && running > 0 => {
            (count as f64 * enabled as f64 / running as f64) as u64
        }
        _ => 0,
    }
}

fn threads_of(pid: u32) -> Vec<u32> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Field `i` after the process name in a stat file: 1 is the parent, 11 user and 12 system ticks.
fn stat_field(path: &str, i: usize) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = &text[text.rfind(')')? + 1..];
    rest.split_whitespace().nth(i)?.parse().ok()
}

/// The number on the line that starts with `label`.
fn labelled(text: &str, label: &str) -> u64 {
    text.lines().find_map(|l| l.strip_prefix(label)?.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_measured() {
        let m = ServerMonitor::new(std::process::id());
        let before = m.read();
        let end = std::time::Instant::now() + Duration::from_millis(60);
        let mut x = 0u64;
        while std::time::Instant::now() < end {
            x = std::hint::black_box(x + 1);
        }
        let after = m.read();
        assert!(after.user + after.system >= before.user + before.system + Duration::from_millis(30));
        assert!(m.memory().rss_kib > 500);
        assert!(m.alive());
    }
}
