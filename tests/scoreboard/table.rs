//! The table of scores as it is committed.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::run::Score;

/// What stands between our rows and those of the reference.
const REFERENCE: &str = "str0m 0.25 on the same links\n";
const COLUMNS: &str = "used %  up s   down s  queue p95 ms  overflowed %  gap s  frozen  switches  power";

/// One estimator's scores by scenario.
pub(crate) type Rows = Vec<(&'static str, Score)>;

fn write(text: &mut String, rows: &Rows) {
    writeln!(text, "{:<19}{COLUMNS}", "scenario").expect("text grows");
    for (name, score) in rows {
        let Score { used, up, down, queue, overflowed, gap, frozen, switches, power } = score;
        writeln!(
            text,
            "{name:<18} {:>6.1} {up:>5.2} {down:>8.2} {queue:>13.1} {:>13.2} {gap:>6.2} {frozen:>7.1} {switches:>9.1} {power:>6.2}",
            used * 100.0,
            overflowed * 100.0,
        )
        .expect("text grows");
    }
}

/// Both tables.
pub(crate) fn of(own: &Rows, reference: &str) -> String {
    let mut text = String::new();
    write(&mut text, own);
    format!("{text}\n{REFERENCE}{reference}")
}

/// The rows alone.
pub(crate) fn rows(rows: &Rows) -> String {
    let mut text = String::new();
    write(&mut text, rows);
    text
}

/// The part of a committed table that tells of the reference.
pub(crate) fn reference(text: &str) -> &str {
    text.split_once(REFERENCE).map_or("", |(_, reference)| reference)
}

/// The numbers of one table, by scenario.
pub(crate) fn scores(text: &str) -> HashMap<&str, Score> {
    let row = |line| -> Option<(&str, Score)> {
        let mut words = str::split_whitespace(line);
        let name = words.next()?;
        let numbers: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        let [used, up, down, queue, overflowed, gap, frozen, switches, power] = numbers.try_into().ok()?;
        let (used, overflowed) = (used / 100.0, overflowed / 100.0);
        Some((name, Score { used, up, down, queue, overflowed, gap, frozen, switches, power }))
    };
    text.lines().take_while(|line| !line.is_empty()).filter_map(row).collect()
}
