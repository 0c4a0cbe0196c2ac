//! `docs/metrics.md` says what is true.

use std::fmt::Write;
use std::{env, fs};

use sluice::metrics::names::METRICS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->\n";

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

fn table() -> String {
    let mut table = "| Name | Kind | Labels | Meaning |\n|---|---|---|---|\n".to_owned();
    for metric in METRICS {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help).unwrap();
    }
    table
}

#[test]
fn the_table_is_the_list_of_metrics() {
    let page = page();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let table = table();
    if env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(PAGE, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    }
    let hint = "write it anew with: UPDATE_DOCS=1 cargo test --test metrics table";
    assert!(found == table, "the table in docs/metrics.md is not the list in src/metrics/names.rs; {hint}");
}

#[test]
fn each_reason_is_explained() {
    let page = page();
    for metric in METRICS {
        let section =
            page.split("\n### ").find(|section| section.starts_with(&format!("`{}`\n", metric.name)));
        for value in metric.label_values() {
            let explained = section.is_some_and(|section| section.contains(&format!("\n| `{value}` | ")));
            assert!(explained, "docs/metrics.md does not explain `{value}` of {}", metric.name);
        }
    }
}

#[test]
fn no_example_names_a_metric_that_does_not_exist() {
    let page = page();
    let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named = words.filter(|word| word.starts_with("sluice_") || word.starts_with("process_"));
    let exists = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word);
        // `sluice_udp_` stands for all that begin so.
        let begins = |name: &str| word.ends_with('_') && name.starts_with(word);
        METRICS.iter().any(|metric| metric.name == word || metric.name == base || begins(metric.name))
    };
    let unknown: Vec<_> = named.filter(|word| !exists(word)).collect();
    assert!(
        unknown.is_empty(),
        "docs/metrics.md names {unknown:?}, which src/metrics/names.rs does not have"
    );
}
