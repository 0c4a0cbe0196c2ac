//! What the kernel says of this process, read from `/proc` (proc(5)); on other systems than Linux, nothing.
//!
//! The `process` feature of the `prometheus` crate would do the same with five more crates, and tells CPU time in
//! whole seconds.

use std::fs;

/// The unit of times in `/proc`: a fixed part of the kernel's interface on every architecture this server runs on,
/// whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Six numbers about this process. `None`: the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    /// When it started, in seconds since 1970. It comes from the time since boot and the wall clock, so it moves
    /// when the clock is set: read it once.
    pub(super) start_time: Option<f64>,
    /// CPU time of all threads, in user and kernel mode, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Memory held in RAM, in bytes.
    pub(super) resident_bytes: Option<f64>,
    /// Threads.
    pub(super) threads: Option<f64>,
    /// Open file descriptors.
    pub(super) open_fds: Option<f64>,
    /// Most file descriptors that may be open (the soft limit). `None` also when there is no limit.
    pub(super) max_fds: Option<f64>,
}

impl Process {
    /// Reads the numbers of this process.
    #[must_use]
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let listing = fs::read_dir("/proc/self/fd").ok();
        Self {
            // Listing the descriptors opens one more.
            open_fds: listing.map(|entries| entries.count().saturating_sub(1) as f64),
            ..Self::parse(
                &text("/proc/self/stat"),
                &text("/proc/self/status"),
                &text("/proc/self/limits"),
                &text("/proc/stat"),
            )
        }
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The second field is the name of the program in parentheses, and may itself hold blanks and parentheses.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        // proc(5) counts from 1, and two fields are gone.
        let seconds = |field: usize| Some(number(fields.get(field - 3)?)? / TICKS_PER_SECOND);
        let (user, kernel, after_boot) = (seconds(14), seconds(15), seconds(22));
        let booted = value(system, "btime ");
        Self {
            start_time: booted.zip(after_boot).map(|(booted, after)| booted + after),
            cpu_seconds: user.zip(kernel).map(|(user, kernel)| user + kernel),
            resident_bytes: value(status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0),
            threads: value(status, "Threads:"),
            open_fds: None,
            max_fds: value(limits, "Max open files"),
        }
    }
}

/// The first word after `key` at the beginning of a line, if it is a number.
fn value(text: &str, key: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    number(rest.split_whitespace().next()?)
}

fn number(word: &str) -> Option<f64> {
    word.parse::<u64>().ok().map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "42 (a )(b) c) S 1 42 42 0 -1 4194304 118 0 0 0 1250 250 7 8 20 0 9 0 205246 3133440 380 1844 0";
    const STATUS: &str = "Name:\ta\nVmHWM:\t    3000 kB\nVmRSS:\t    2048 kB\nThreads:\t9\n";
    const LIMITS: &str =
        "Limit            Soft Limit  Hard Limit  Units\nMax open files   1024        4096        files\n";
    const SYSTEM: &str = "cpu  1 2 3\nbtime 1700000000\nprocesses 7\n";

    #[test]
    fn each_number_is_found() {
        let expected = Process {
            start_time: Some(1_700_002_052.46),
            cpu_seconds: Some(15.0),
            resident_bytes: Some(2_097_152.0),
            threads: Some(9.0),
            open_fds: None,
            max_fds: Some(1024.0),
        };
        assert_eq!(Process::parse(STAT, STATUS, LIMITS, SYSTEM), expected);
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(Process::parse("", "", "", ""), Process::default());
        assert_eq!(
            Process::parse("42 (a) S 1", "VmRSS:", "Max open files unlimited", "btime"),
            Process::default()
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_all_of_this_process() {
        let Process { start_time, cpu_seconds, resident_bytes, threads, open_fds, .. } = Process::read();
        let positive = [start_time, resident_bytes, threads, open_fds];
        assert!(positive.iter().all(|number| number.is_some_and(|number| number >= 1.0)), "{positive:?}");
        assert!(cpu_seconds.is_some());
    }
}
