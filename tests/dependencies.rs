//! Keeps the dependency tree to one crypto stack and one registry, on every machine that runs the tests.
//! `deny.toml` says the same, and more, for cargo-deny.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that would bring a second crypto stack.
const BANNED: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "boring", "mbedtls"];

/// Names of the crates in the resolved tree of a Linux build. Cargo.lock alone would not do: it also lists
/// what optional features nobody turned on would need.
fn resolved() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--all-features", "--edges", "normal,build,dev", "--prefix", "none"])
        .args(["--format", "{p}", "--target", "x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo tree prints UTF-8");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn one_crypto_stack() {
    let tree = resolved();
    for needed in ["sluice", "str0m", "aws-lc-rs"] {
        assert!(tree.contains(needed), "{needed} is missing, so this test reads the tree wrongly: {tree:?}");
    }
    let found: Vec<&&str> = BANNED.iter().filter(|name| tree.contains(**name)).collect();
    assert!(
        found.is_empty(),
        "{found:?} came into the tree; `cargo tree -i NAME` tells by whom. Turn that dependency's default \
         features off and choose its aws-lc-rs feature: one crypto stack is enough to keep safe."
    );
}

#[test]
fn one_registry() {
    let lock = include_str!("../Cargo.lock");
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(sources.len(), 1, "packages come from more than one place: {sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "not a registry: {sources:?}");
}
