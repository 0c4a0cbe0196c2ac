//! Whether this machine's clock can be right. Certificates and credentials with an end rest on it.
//!
//! Without asking anybody outside it can only be caught lying: it stands before this program was made, or it jumps.

use std::time::{Duration, Instant, SystemTime};

use super::report::Finding;

const CHECK: &str = "clock";

/// More than a step of this much while the doctor works is no drift.
const JUMP: Duration = Duration::from_millis(500);

/// `began`: the time on both clocks when the doctor began.
pub(super) fn check(began: (Instant, SystemTime)) -> Finding {
    let made = std::env::current_exe().and_then(|program| program.metadata()?.modified()).ok();
    let passed = began.0.elapsed();
    let now = SystemTime::now();
    judge(made, now, jumped(passed, began.1, now))
}

/// How far the wall clock went off the other while the doctor worked.
fn jumped(passed: Duration, began: SystemTime, now: SystemTime) -> Duration {
    match now.duration_since(began) {
        Ok(by_wall) => by_wall.abs_diff(passed),
        Err(back) => passed + back.duration(),
    }
}

fn judge(made: Option<SystemTime>, now: SystemTime, jumped: Duration) -> Finding {
    let fix = "let a time service set it, for instance `timedatectl set-ntp true`";
    if made.is_some_and(|made| now < made) {
        return Finding::error(CHECK, "it stands before the time at which this program was installed", fix);
    }
    if jumped > JUMP {
        let found = format!("it jumped by {:.1} s while the doctor looked", jumped.as_secs_f64());
        return Finding::warning(CHECK, found, fix);
    }
    Finding::ok(CHECK, "it is later than this program and does not jump; nobody outside was asked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    #[test]
    fn a_clock_is_caught_when_it_must_be_wrong() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let hour = Duration::from_secs(3_600);
        assert_eq!(judge(Some(now - hour), now, Duration::ZERO).status, Status::Ok);
        assert_eq!(judge(None, now, Duration::ZERO).status, Status::Ok);
        let early = judge(Some(now + hour), now, Duration::ZERO);
        assert_eq!(early.status, Status::Error);
        assert_eq!(early.found, "it stands before the time at which this program was installed");
        let jumps = judge(None, now, Duration::from_millis(2_300));
        assert_eq!(
            (jumps.status, jumps.found.as_str()),
            (Status::Warning, "it jumped by 2.3 s while the doctor looked")
        );
    }

    #[test]
    fn a_jump_is_measured_in_both_directions() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let second = Duration::from_secs(1);
        assert_eq!(jumped(second, now, now + second), Duration::ZERO);
        assert_eq!(jumped(second, now, now + 4 * second), 3 * second);
        assert_eq!(jumped(second, now, now - 4 * second), 5 * second);
    }
}
