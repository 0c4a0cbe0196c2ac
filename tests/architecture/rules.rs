//! The rules. Each takes sources and returns what breaks it, so that it can be tried on a small sample.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::source::{Source, find_words};

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub path: String,
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// Why the rule exists, and what to do instead.
    pub why: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    {}", self.path, self.line, self.what, self.why)
    }
}

fn fault(source: &Source, at: usize, what: String, why: &'static str) -> Fault {
    Fault { path: source.path.clone(), line: source.line(at), what, why }
}

/// The top-level modules, lowest first, each row with the number of its floor. A row imports from the rows above it.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["ids", "units"]),
    (0, &["config"]),
    (1, &["wire"]),
    (2, &["net", "turn"]),
    (3, &["sfu"]),
    (4, &["worker"]),
    (5, &["protocol"]),
    (5, &["room"]),
    (6, &["health", "log"]),
    (6, &["doctor"]),
    (6, &["signal", "metrics"]),
    (7, &["server", "main", "lib"]),
];

/// The rooms of `sfu` that stand on top of each other, lowest first.
const SFU: &[&str] = &["forward", "egress", "session"];

/// A module that may import a neighbour of its own floor, the neighbour, and the reason.
pub(crate) type Exception = (&'static str, &'static str, &'static str);

/// Imports go down only, and no module of one floor imports another of it.
pub(crate) fn floors(sources: &[Source], exceptions: &[Exception]) -> Vec<Fault> {
    let floor = |module: &str| FLOORS.iter().position(|(_, modules)| modules.contains(&module));
    let mut faults = Vec::new();
    for source in sources {
        let here = top(source);
        let Some(own) = floor(here) else {
            faults.push(fault(
                source,
                0,
                format!("module `{here}` stands on no floor"),
                "Give it a place in FLOORS in tests/architecture/rules.rs and in docs/architecture.md.",
            ));
            continue;
        };
        for named in source.names() {
            let Some(there) = named.target.first().map(String::as_str) else { continue };
            let Some(other) = floor(there) else { continue };
            let allowed = exceptions.iter().any(|(from, to, _)| (*from, *to) == (here, there));
            if there != here && other >= own && !allowed {
                faults.push(fault(
                    source,
                    named.at,
                    format!(
                        "`{here}` (floor {}) imports `{there}` (floor {})",
                        FLOORS[own].0, FLOORS[other].0
                    ),
                    "Imports go down only, so that each floor can be read and tested without those above. \
                     Pass a value or a trait in from above, or move the shared type down.",
                ));
            }
        }
    }
    faults
}

/// Inside `sfu`, `forward` lies below `egress`, and `egress` below `session`.
pub(crate) fn sfu_order(sources: &[Source]) -> Vec<Fault> {
    let rank = |path: &[String]| {
        let inside = path.first().is_some_and(|top| top == "sfu");
        path.get(1).filter(|_| inside).and_then(|name| SFU.iter().position(|room| room == name))
    };
    let mut faults = Vec::new();
    for source in sources {
        let Some(own) = rank(&source.module) else { continue };
        for named in source.names() {
            if let Some(other) = rank(&named.target).filter(|&other| other > own) {
                faults.push(fault(
                    source,
                    named.at,
                    format!("`sfu::{}` imports `sfu::{}`", SFU[own], SFU[other]),
                    "forward < egress < session: forwarding must be testable without a peer connection.",
                ));
            }
        }
    }
    faults
}

/// No circles among files. Test code does not count: a module's tests may use whatever stands beside it.
pub(crate) fn circles(sources: &[Source]) -> Vec<Fault> {
    let files: BTreeMap<&[String], &Source> = sources
        .iter()
        .map(|source| (source.module.as_slice(), source))
        .filter(|(m, _)| !m.is_empty())
        .collect();
    let passed_on: BTreeMap<Vec<String>, Vec<String>> = sources
        .iter()
        .flat_map(|source| {
            source.names().into_iter().filter(|n| n.passed_on).map(|n| (&source.module, n.target))
        })
        .filter_map(|(module, target)| {
            let mut alias = module.clone();
            alias.push(target.last()?.clone());
            (alias != target).then_some((alias, target))
        })
        .collect();
    let mut needs: BTreeMap<&[String], BTreeMap<&[String], usize>> = BTreeMap::new();
    for (module, source) in &files {
        for named in source.names().iter().filter(|named| !named.passed_on && !source.is_test(named.at)) {
            let target = origin(&named.target, &passed_on);
            let file = (1..=target.len()).rev().find_map(|length| files.get_key_value(&target[..length]));
            if let Some((file, _)) = file.filter(|(file, _)| *file != module) {
                needs.entry(module).or_default().entry(file).or_insert(named.at);
            }
        }
    }
    let mut faults = Vec::new();
    let mut told = BTreeSet::new();
    for start in needs.keys() {
        let Some(circle) = circle_from(start, &needs) else { continue };
        let mut members = circle.clone();
        members.sort_unstable();
        if told.insert(members) {
            let path: Vec<String> = circle.iter().chain([start]).map(|module| module.join("::")).collect();
            let at = circle.get(1).or(circle.first()).and_then(|next| needs[start].get(next)).copied();
            faults.push(fault(
                files[start],
                at.unwrap_or(0),
                format!("circle of imports: {}", path.join(" -> ")),
                "Files that need each other can only be understood together. Move what both need into a third.",
            ));
        }
    }
    faults
}

/// Where a name that was passed on by `pub use` really comes from.
fn origin(target: &[String], passed_on: &BTreeMap<Vec<String>, Vec<String>>) -> Vec<String> {
    let mut target = target.to_vec();
    // Bounded, because two `pub use` may name each other.
    for _ in 0..8 {
        let Some((length, to)) =
            (1..=target.len()).rev().find_map(|length| Some((length, passed_on.get(&target[..length])?)))
        else {
            break;
        };
        target = to.iter().chain(&target[length..]).cloned().collect();
    }
    target
}

/// The shortest way from `start` back to itself.
fn circle_from<'a>(
    start: &'a [String],
    needs: &BTreeMap<&'a [String], BTreeMap<&'a [String], usize>>,
) -> Option<Vec<&'a [String]>> {
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![start]]);
    while let Some(way) = ways.pop_front() {
        for next in needs.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if *next == start {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push_back(way.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}

/// Words that only some places may name.
struct Reserved {
    words: &'static [&'static str],
    /// Paths below which they may not stand; empty means everywhere.
    forbidden: &'static [&'static str],
    /// Paths below which they may.
    allowed: &'static [&'static str],
    /// Whether test code may name them anyway.
    in_tests: bool,
    why: &'static str,
}

const DECIDES: &[&str] = &["wire", "sfu", "turn"];

const RESERVED: &[Reserved] = &[
    Reserved {
        words: &["UdpSocket", "TcpStream", "TcpListener", "tokio", "axum", "dashmap", "serde", "serde_json"],
        forbidden: DECIDES,
        allowed: &[],
        in_tests: false,
        why: "What decides does no I/O, so that it can be stepped in virtual time. Take values, return values.",
    },
    Reserved {
        words: &["Instant::now", "SystemTime::now"],
        forbidden: DECIDES,
        allowed: &[],
        in_tests: true,
        why: "Time is an argument here (`now` first), so that a test decides what time it is.",
    },
    Reserved {
        words: &["dashmap"],
        forbidden: &[],
        allowed: &["room/directory.rs"],
        in_tests: false,
        why: "The shared map lives in room/directory.rs only; elsewhere values cross threads as messages.",
    },
    Reserved {
        words: &["prometheus"],
        forbidden: &[],
        allowed: &["metrics"],
        in_tests: false,
        why: "Media threads keep plain counters; only metrics/ turns their snapshots into Prometheus families.",
    },
    Reserved {
        words: &["unsafe"],
        forbidden: &[],
        allowed: &["net/udp_linux.rs"],
        in_tests: false,
        why: "net/udp_linux.rs holds all unsafe code of the project, so that it can be checked in one sitting.",
    },
];

/// Words of `src` that stand where they may not.
pub(crate) fn reserved_words(sources: &[Source]) -> Vec<Fault> {
    let under = |path: &str, place: &&str| {
        path == *place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    };
    let mut faults = Vec::new();
    for source in sources {
        for rule in RESERVED {
            let bound = rule.forbidden.is_empty() || rule.forbidden.iter().any(|p| under(&source.path, p));
            if !bound || rule.allowed.iter().any(|p| under(&source.path, p)) {
                continue;
            }
            for word in rule.words {
                let places =
                    source.find(word).into_iter().filter(|&at| !(rule.in_tests && source.is_test(at)));
                faults.extend(places.map(|at| fault(source, at, format!("names `{word}`"), rule.why)));
            }
        }
    }
    faults
}

/// Code that waits by the clock.
pub(crate) fn sleeps(sources: &[Source]) -> Vec<Fault> {
    let why = "A sleep is a guess about a machine's speed. Wait for the event itself.";
    let places = sources
        .iter()
        .flat_map(|source| source.find("thread::sleep").into_iter().map(move |at| (source, at)));
    places.map(|(source, at)| fault(source, at, "sleeps".to_owned(), why)).collect()
}

/// What marks unfinished work, in code or in comments.
pub(crate) fn unfinished(sources: &[Source]) -> Vec<Fault> {
    let why = "Nothing unfinished is kept in the tree. Do it, or open an issue.";
    let mut faults = Vec::new();
    for source in sources {
        for word in ["todo!", "unimplemented!", "dbg!"] {
            let places = source.find(word).into_iter();
            faults.extend(places.map(|at| fault(source, at, format!("calls `{word}`"), why)));
        }
        for word in ["TODO", "FIXME", "XXX"] {
            let places = find_words(&source.comments, word).into_iter();
            faults.extend(places.map(|at| fault(source, at, format!("comment says {word}"), why)));
        }
    }
    faults
}

/// Longest file, tests not counted.
pub(crate) const FILE_LINES: usize = 600;
/// Longest function, from `fn` to its closing brace.
pub(crate) const FUNCTION_LINES: usize = 60;

/// Files and functions that one cannot hold in mind.
pub(crate) fn length(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let lines = source.lines_without_tests();
        if lines > FILE_LINES {
            let what = format!("{lines} lines without tests, more than {FILE_LINES}");
            faults.push(fault(
                source,
                0,
                what,
                "Split the file along the nouns in it; aim at 100 to 400 lines.",
            ));
        }
        for function in source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES) {
            let what =
                format!("`{}` has {} lines, more than {FUNCTION_LINES}", function.name, function.lines);
            faults.push(fault(source, function.at, what, "Name its steps: a function fits on one screen."));
        }
    }
    faults
}

/// What panics on purpose or by carelessness.
const PANICS: &[&str] = &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic"];
/// What panics or loses bits on a length that a stranger chose.
const SURPRISES: &[&str] = &["clippy::indexing_slicing", "clippy::cast_possible_truncation"];

/// Lints that must be denied at the head of a module, outside of its tests.
const HEADS: &[(&str, &[&[&str]])] = &[
    ("wire/mod.rs", &[PANICS, SURPRISES]),
    ("net/mod.rs", &[PANICS, SURPRISES]),
    ("turn/mod.rs", &[PANICS, SURPRISES]),
    ("sfu/mod.rs", &[PANICS]),
    ("worker/mod.rs", &[PANICS]),
];

/// The media floors deny what could panic on a packet.
pub(crate) fn lint_heads(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, groups) in HEADS {
        for source in sources.iter().filter(|source| source.path == *path) {
            let heads = source.code.match_indices("#![").map(|(at, _)| &source.code[at..]);
            let denied: Vec<&str> = heads
                .filter_map(|head| head.split_once(']').map(|(head, _)| head))
                .filter(|head| head.starts_with("#![deny(") || head.starts_with("#![cfg_attr("))
                .filter(|head| head.contains("deny("))
                .collect();
            let missing = |lint: &&&str| !denied.iter().any(|head| !find_words(head, lint).is_empty());
            faults.extend(groups.iter().copied().flatten().filter(missing).map(|lint| {
                let why =
                    "A packet from outside must never panic a media thread: these lints find what could.";
                fault(source, 0, format!("does not deny `{lint}` at its head"), why)
            }));
        }
    }
    faults
}

/// The top-level module a file belongs to.
fn top(source: &Source) -> &str {
    match source.module.first() {
        Some(first) => first,
        None => source.path.trim_end_matches(".rs"),
    }
}
