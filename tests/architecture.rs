//! Keeps the shape of the project that docs/architecture.md describes: floors, file lengths, and words that
//! belong to one place only. A broken rule is a red test that names the place and the reason of the rule.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use rules::{Exception, Fault};
use source::Source;

/// Neighbours on one floor that may know each other, and why.
const EXCEPTIONS: &[Exception] = &[(
    "signal",
    "metrics",
    "the metrics page is a page like any other, and requests are counted where they are answered",
)];

/// All Rust files below a folder of the project.
fn read(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("the folder can be listed") {
            let path = entry.expect("its entries can be read").path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && name != "target" && name != "node_modules" {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is UTF-8");
                let name = path.strip_prefix(&root).expect("it lies below the folder");
                sources.push(Source::new(&name.to_string_lossy().replace('\\', "/"), &text));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

#[track_caller]
fn expect_none(folder: &str, faults: &[Fault]) {
    let list: Vec<String> = faults.iter().map(|fault| format!("{folder}/{fault}")).collect();
    assert!(list.is_empty(), "{} place(s) break this rule:\n{}\n", list.len(), list.join("\n"));
}

#[test]
fn imports_go_down_only() {
    expect_none("src", &rules::floors(&read("src"), EXCEPTIONS));
}

#[test]
fn forwarding_knows_neither_egress_nor_session() {
    expect_none("src", &rules::sfu_order(&read("src")));
}

#[test]
fn no_circles() {
    expect_none("src", &rules::circles(&read("src")));
}

#[test]
fn words_stay_in_their_place() {
    expect_none("src", &rules::reserved_words(&read("src")));
}

#[test]
fn nothing_sleeps() {
    // benches/ is left out: a load generator paces by the clock, that is its work.
    expect_none("src", &rules::sleeps(&read("src")));
    expect_none("tests", &rules::sleeps(&read("tests")));
}

#[test]
fn nothing_is_left_unfinished() {
    for folder in ["src", "tests", "benches"] {
        expect_none(folder, &rules::unfinished(&read(folder)));
    }
}

#[test]
fn files_and_functions_fit_in_mind() {
    expect_none("src", &rules::length(&read("src")));
}

#[test]
fn media_floors_deny_panics() {
    expect_none("src", &rules::lint_heads(&read("src")));
}

/// Each rule on a small sample that breaks it, and beside it one that does not.
mod the_guard_itself {
    use super::*;

    /// The faults, as `path:line what`.
    fn told(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(|fault| format!("{}:{} {}", fault.path, fault.line, fault.what)).collect()
    }

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(path, text)| Source::new(path, text)).collect()
    }

    #[test]
    fn sees_an_import_that_goes_up() {
        for text in [
            "use crate::sfu::Core;",
            "use crate::{wire, sfu::Core};",
            "use crate::wire::{\n    rtp,\n};\nuse super::sfu;",
            "fn f() { crate::sfu::start() }",
            "mod tests { use super::super::sfu::Core; }",
            "#[cfg(test)]\nmod tests {\n    use crate::sfu::Core;\n}",
        ] {
            let found = told(&rules::floors(&sources(&[("net/mod.rs", text)]), &[]));
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].ends_with("`net` (floor 2) imports `sfu` (floor 3)"), "{found:?}");
        }
        let inner = sources(&[("net/udp/batch.rs", "\nuse super::super::super::sfu::Core;")]);
        assert_eq!(
            told(&rules::floors(&inner, &[])),
            ["net/udp/batch.rs:2 `net` (floor 2) imports `sfu` (floor 3)"]
        );
    }

    #[test]
    fn allows_imports_that_go_down_or_stay_inside() {
        let config = sources(&[("config/mod.rs", "use crate::units::Bitrate;")]);
        assert_eq!(told(&rules::floors(&config, &[])), [""; 0]);
        let text = "//! See [`crate::server`].\nuse crate::ids::RoomName;\nuse crate::net::demux;\n\
                    pub(in crate::sfu) struct A;\n/* crate::sfu::Core */\n\
                    const S: &str = \"crate::sfu::Core\";\nconst R: &str = r#\"a \" crate::sfu::Core\"#;\n\
                    const Q: char = '\"'; // crate::sfu\nfn f<'a>(x: &'a str) -> &'a str { x }";
        assert_eq!(told(&rules::floors(&sources(&[("net/mod.rs", text)]), &[])), [""; 0]);
    }

    #[test]
    fn sees_an_import_of_a_neighbour_unless_it_is_excepted() {
        let neighbours = sources(&[("signal/whip.rs", "use crate::metrics::names;")]);
        assert_eq!(
            told(&rules::floors(&neighbours, &[])),
            ["signal/whip.rs:1 `signal` (floor 6) imports `metrics` (floor 6)"]
        );
        assert_eq!(told(&rules::floors(&neighbours, &[("signal", "metrics", "counts requests")])), [""; 0]);
    }

    #[test]
    fn sees_a_module_without_a_floor() {
        let found = told(&rules::floors(&sources(&[("helper.rs", "")]), &[]));
        assert_eq!(found, ["helper.rs:1 module `helper` stands on no floor"]);
    }

    #[test]
    fn every_exception_is_used() {
        let strict = rules::floors(&read("src"), &[]);
        for (from, to, why) in EXCEPTIONS {
            let text = format!("`{from}`");
            let used = strict
                .iter()
                .any(|f| f.what.starts_with(&text) && f.what.contains(&format!("imports `{to}`")));
            assert!(used, "{from} -> {to} ({why}) is no longer needed: take it out of EXCEPTIONS");
        }
    }

    #[test]
    fn sees_sfu_turned_upside_down() {
        let turned = sources(&[
            ("sfu/forward/track.rs", "use crate::sfu::session::Session;"),
            ("sfu/egress/mod.rs", "use super::forward::Track;\nuse super::session::Keys;"),
            ("sfu/session/mod.rs", "use crate::sfu::{egress::Seal, forward::Track};"),
        ]);
        assert_eq!(
            told(&rules::sfu_order(&turned)),
            [
                "sfu/forward/track.rs:1 `sfu::forward` imports `sfu::session`",
                "sfu/egress/mod.rs:2 `sfu::egress` imports `sfu::session`"
            ]
        );
    }

    #[test]
    fn sees_circles() {
        let pair = sources(&[("wire/a.rs", "use super::b::B;"), ("wire/b.rs", "\nuse crate::wire::a::A;")]);
        assert_eq!(
            told(&rules::circles(&pair)),
            ["wire/a.rs:1 circle of imports: wire::a -> wire::b -> wire::a"]
        );
        let parent = sources(&[
            ("wire/mod.rs", "mod a;\npub struct Own;\nfn f() { a::go() }"),
            ("wire/a.rs", "use super::Own;\npub fn go() {}"),
        ]);
        assert_eq!(
            told(&rules::circles(&parent)),
            ["wire/mod.rs:3 circle of imports: wire -> wire::a -> wire"]
        );
    }

    #[test]
    fn a_name_that_is_passed_on_makes_no_circle() {
        let parent = sources(&[
            ("wire/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use self::b::{B, C as D};\npub struct Own;"),
            (
                "wire/a.rs",
                "use super::{B, Own};\n#[cfg(test)]\nmod tests { use super::*; use super::super::b; }",
            ),
            ("wire/b.rs", "#[cfg(test)]\nmod tests {\n    use crate::wire::A;\n}"),
        ]);
        assert_eq!(told(&rules::circles(&parent)), [""; 0]);
        let hidden = sources(&[
            ("wire/mod.rs", "mod a;\nmod b;\npub use a::A;\npub(crate) use b::B;"),
            ("wire/a.rs", "use super::B;"),
            ("wire/b.rs", "use crate::wire::A;"),
        ]);
        assert_eq!(told(&rules::circles(&hidden)).len(), 1, "a circle through two passed-on names");
    }

    #[test]
    fn sees_words_out_of_place() {
        for (path, text) in [
            ("wire/stun.rs", "use std::net::UdpSocket;"),
            ("sfu/core.rs", "async fn f() { tokio::task::yield_now().await }"),
            ("turn/mod.rs", "let now = Instant::now();"),
            ("turn.rs", "let now = std::time::SystemTime::now();"),
            ("room/room.rs", "use dashmap::DashMap;"),
            ("worker/mod.rs", "prometheus::Counter::new()"),
            ("net/udp.rs", "let x = unsafe { f() };"),
        ] {
            assert_eq!(rules::reserved_words(&sources(&[(path, text)])).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn words_are_allowed_in_their_place_in_comments_and_in_longer_words() {
        for (path, text) in [
            ("net/udp_linux.rs", "unsafe { f() }"),
            ("net/mod.rs", "#![deny(unsafe_code)]\nlet now = Instant::now();"),
            ("room/directory.rs", "use dashmap::DashMap;"),
            ("metrics/exporter.rs", "use prometheus::Registry;"),
            ("sfu/core.rs", "/// Never calls `Instant::now()` or tokio.\nfn deserialize() {}"),
            ("sfu/core.rs", "#[cfg(test)]\nmod tests {\n    fn start() -> Instant { Instant::now() }\n}"),
            ("sfu/core_tests.rs", "fn start() -> Instant { Instant::now() }"),
            ("sfu/core/tests.rs", "fn start() -> Instant { Instant::now() }"),
            ("wired.rs", "use std::net::UdpSocket;"),
        ] {
            assert_eq!(told(&rules::reserved_words(&sources(&[(path, text)]))), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn sees_sleeps() {
        for text in ["std::thread::sleep(d);", "use std::thread;\nfn f() { thread::sleep(d) }"] {
            assert_eq!(rules::sleeps(&sources(&[("a.rs", text)])).len(), 1, "{text}");
        }
        assert_eq!(rules::sleeps(&sources(&[("a.rs", "tokio::time::sleep(d).await;")])).len(), 0);
    }

    #[test]
    fn sees_unfinished_work() {
        for text in [
            "fn f() {}\n// TODO: later",
            "/* FIXME */",
            "fn f() { todo!() }",
            "dbg!(x);",
            "unimplemented!(\"later\")",
        ] {
            assert_eq!(rules::unfinished(&sources(&[("a.rs", text)])).len(), 1, "{text}");
        }
        for text in ["const TODO: &str = \"FIXME\";", "// a list of todo items"] {
            assert_eq!(told(&rules::unfinished(&sources(&[("a.rs", text)]))), [""; 0], "{text}");
        }
    }

    #[test]
    fn sees_long_files_and_functions() {
        let body = "    x();\n".repeat(rules::FUNCTION_LINES - 2);
        let fits = format!("fn f(a: [u8; 4]) {{\n{body}}}\n");
        let long = format!("fn f(a: [u8; 4]) {{\n    x();\n{body}}}\n");
        assert_eq!(told(&rules::length(&sources(&[("a.rs", &fits)]))), [""; 0]);
        assert_eq!(
            told(&rules::length(&sources(&[("a.rs", &long)]))),
            ["a.rs:1 `f` has 61 lines, more than 60"]
        );

        let tail = "#[cfg(test)]\nmod tests {\n    const A: u8 = 1;\n}\n";
        let full = "const A: u8 = 1;\n".repeat(rules::FILE_LINES);
        assert_eq!(told(&rules::length(&sources(&[("a.rs", &format!("{full}{tail}"))]))), [""; 0]);
        let over = format!("{full}const A: u8 = 1;\n{tail}");
        assert_eq!(
            told(&rules::length(&sources(&[("a.rs", &over)]))),
            ["a.rs:1 601 lines without tests, more than 600"]
        );
    }

    #[test]
    fn a_brace_in_a_literal_ends_no_function() {
        let body = "    x('{', \"}\", b'}', r\"}\");\n".repeat(30);
        let source =
            Source::new("a.rs", &format!("fn f<'a>() -> &'a str {{\n{body}}}\nfn g();\ntype F = fn(u8);"));
        let functions = source.functions();
        assert_eq!(functions.len(), 1);
        assert_eq!((functions[0].name.as_str(), functions[0].lines), ("f", 32));
    }

    #[test]
    fn sees_a_media_floor_without_its_lints() {
        assert_eq!(rules::lint_heads(&sources(&[("wire/mod.rs", "//! Packets.\npub mod rtp;")])).len(), 5);
        assert_eq!(
            rules::lint_heads(&sources(&[("sfu/mod.rs", "#![warn(clippy::panic)]\npub mod core;")])).len(),
            3
        );
        let head = "//! W.\n#![cfg_attr(\n    not(test),\n    deny(clippy::unwrap_used, clippy::expect_used,\n    \
                    clippy::panic)\n)]\npub mod pool;";
        assert_eq!(told(&rules::lint_heads(&sources(&[("worker/mod.rs", head)]))), [""; 0]);
        let partly = "#![deny(clippy::unwrap_used)]\n#![deny(clippy::panic_in_result_fn)]";
        assert_eq!(
            told(&rules::lint_heads(&sources(&[("worker/mod.rs", partly)]))),
            [
                "worker/mod.rs:1 does not deny `clippy::expect_used` at its head",
                "worker/mod.rs:1 does not deny `clippy::panic` at its head"
            ]
        );
    }
}
