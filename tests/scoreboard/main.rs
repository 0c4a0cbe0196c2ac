//! How good the estimates of bandwidth are: senders of adaptive video on difficult links, in virtual time.
//!
//! The table of what came of it stands in `tests/scoreboard.txt`, and below it what str0m's estimator makes of the same links.
//! Ours must not get worse, and must not be worse than the reference. `SCOREBOARD=renew` writes both anew;
//! `SCOREBOARD=reference` prints the reference. Even seeds are for tuning (`SCOREBOARD=tune` prints what they give), odd ones
//! for judging alone.

mod flow;
#[path = "../common/link.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of the link")]
mod link;
mod receiver;
mod reference;
mod run;
mod scenario;
mod sender;
mod table;
mod tcp;

use std::path::Path;

use run::{Score, Who, run};
use scenario::Scenario;

/// Half of them are never looked at while tuning.
const TUNING: [u64; 8] = [2, 4, 6, 8, 102, 104, 106, 108];
const JUDGING: [u64; 8] = [1, 3, 5, 7, 101, 103, 105, 107];

fn mean(scenario: &Scenario, seeds: [u64; 8], who: Who) -> Score {
    let scores = seeds.map(|seed| run(scenario, seed, who));
    let of = |value: fn(&Score) -> f64| scores.iter().map(value).sum::<f64>() / scores.len() as f64;
    Score {
        used: of(|score| score.used),
        up: of(|score| score.up),
        down: of(|score| score.down),
        queue: of(|score| score.queue),
        overflowed: of(|score| score.overflowed),
        gap: of(|score| score.gap),
        frozen: of(|score| score.frozen),
        switches: of(|score| score.switches),
        power: of(|score| score.power),
    }
}

/// What is wrong with a score, by itself, against what it was and against the reference.
fn faults(
    scenario: &Scenario,
    score: &Score,
    before: Option<&Score>,
    reference: Option<&Score>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("{}: {what}: {score:?}", scenario.name));
        }
    };
    expect(!scenario.is_steady || score.used >= 0.85, "less than 85 % used");
    expect(!(scenario.is_steady || scenario.has_steps) || score.up <= 5.0, "more than 5 s to 80 %");
    expect(!scenario.has_steps || score.down <= 1.0, "more than 1 s to recover");
    expect(!scenario.has_steps || score.gap <= 0.5, "nothing arrived for more than 500 ms");
    // TCP fills any queue.
    expect(scenario.has_tcp || score.queue < 100.0, "queues for more than 100 ms");
    let Some((before, reference)) = before.zip(reference) else {
        expect(false, "not in the table; SCOREBOARD=renew writes it");
        return faults;
    };
    expect(score.power >= reference.power * 0.95, "worse than the reference");
    // What is small may vary by more than 5 % without anybody noticing.
    let worse = |value: f64, before: f64, slack: f64| value > before * 1.05 + slack;
    expect(score.used >= before.used * 0.95, "uses less than it did");
    expect(!worse(score.up, before.up, 0.3), "slower up than it was");
    expect(!worse(score.down, before.down, 0.1), "slower down than it was");
    expect(!worse(score.queue, before.queue, 3.0), "queues longer than it did");
    expect(!worse(score.overflowed, before.overflowed, 0.001), "loses more than it did");
    expect(!worse(score.gap, before.gap, 0.05), "longer without anything than it was");
    expect(!worse(score.frozen, before.frozen, 3.0), "freezes longer than it did");
    expect(!worse(score.switches, before.switches, 2.0), "switches more often than it did");
    faults
}

#[test]
fn the_scoreboard_meets_its_targets_and_is_no_worse_than_before() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scoreboard.txt");
    let mode = std::env::var("SCOREBOARD").unwrap_or_default();
    let scenarios = scenario::all();
    let rows = |who, seeds| -> table::Rows {
        scenarios.iter().map(|scenario| (scenario.name, mean(scenario, seeds, who))).collect()
    };
    match mode.as_str() {
        "tune" => return println!("{}", table::rows(&rows(Who::Own, TUNING))),
        "reference" => return println!("{}", table::rows(&rows(Who::Reference, TUNING))),
        _ => {}
    }
    let own = rows(Who::Own, JUDGING);
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let reference = match mode.as_str() {
        "renew" => table::rows(&rows(Who::Reference, JUDGING)),
        _ => table::reference(&committed).to_owned(),
    };
    let text = table::of(&own, &reference);
    println!("{text}");
    if mode == "renew" {
        std::fs::write(&path, &text).expect("the table can be written");
    }
    let committed = if mode == "renew" { text.clone() } else { committed };
    let (before, reference) = (table::scores(&committed), table::scores(&reference));
    let mut faults: Vec<String> = scenarios
        .iter()
        .zip(&own)
        .flat_map(|(scenario, (name, score))| faults(scenario, score, before.get(name), reference.get(name)))
        .collect();
    let better: f64 = own
        .iter()
        .filter_map(|(name, score)| Some((score.power / reference.get(name)?.power).ln()))
        .sum::<f64>()
        / own.len() as f64;
    println!("{:.2} times the power of the reference in the geometric mean", better.exp());
    if better <= 0.0 {
        faults.push("worse than the reference in the geometric mean".into());
    }
    assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
}
