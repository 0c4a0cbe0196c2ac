//! What is written about the protocol for those who write clients, held against the types: the JSON Schema, the
//! TypeScript declarations and the page. `UPDATE_DOCS=1 cargo test --lib protocol` writes anew what is generated.

mod examples;
mod page;
mod schema;
mod typescript;

use std::path::Path;
use std::{env, fs};

const SCHEMA: &str = "docs/protocol.schema.json";
const TYPESCRIPT: &str = "web-demo/protocol.d.ts";
const PAGE: &str = "docs/protocol.md";

fn committed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_default()
}

/// Fails unless the file of that name is what was generated; or writes it, where that is asked for.
fn assert_committed(name: &str, generated: &str) {
    if env::var_os("UPDATE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        return fs::write(path, generated).unwrap();
    }
    // A difference of hundreds of lines explains nothing: the first is enough.
    let committed = committed(name);
    let ends = std::iter::repeat("(the end)");
    let pairs = committed.lines().chain(ends.clone()).zip(generated.lines().chain(ends));
    let lines = committed.lines().count().max(generated.lines().count());
    let different = pairs.take(lines).enumerate().find(|(_, (found, wanted))| found != wanted);
    if let Some((line, (found, wanted))) = different {
        panic!(
            "{name} is not what src/protocol/ says. Line {} is\n  {found}\nand ought to be\n  {wanted}\n\
             Write it anew with: UPDATE_DOCS=1 cargo test --lib protocol",
            line + 1
        );
    }
}
