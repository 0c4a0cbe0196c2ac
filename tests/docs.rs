//! Keeps README.md and docs/ true to the tree: every relative link leads somewhere, every file of `src/` that is named
//! exists, and every function that is named beside a file is in that file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What a page says of the tree, with the line on which it says so.
#[derive(Debug, PartialEq, Eq)]
struct Claim<'a> {
    line: usize,
    what: What<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum What<'a> {
    /// The target of a link or a picture, not an absolute URL.
    Link(&'a str),
    /// A path below the root of the project that begins with `src/`.
    Source(&'a str),
    /// A function in code style, as in `` `Core::receive()` ``, and the source files named on the same line: one of
    /// them has it, or if there are none, any file of `src/`. Without a type and without a file it is somebody else's.
    Function(&'a str, Vec<&'a str>),
}

/// All claims of a page. Links inside code fences are examples; paths there count as everywhere.
fn claims(page: &str) -> Vec<Claim<'_>> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, text) in page.lines().enumerate() {
        let mut claim = |what| found.push(Claim { line: index + 1, what });
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let sources = sources(text);
        let files: Vec<_> = sources.iter().copied().filter(|path| path.ends_with(".rs")).collect();
        if !fenced {
            links(text).into_iter().for_each(|link| claim(What::Link(link)));
            for path in functions(text).into_iter().filter(|path| path.contains("::") || !files.is_empty()) {
                let name = path.rsplit("::").next().unwrap_or(path);
                claim(What::Function(name, files.clone()));
            }
        }
        sources.into_iter().for_each(|path| claim(What::Source(path)));
    }
    found
}

/// The targets of `[text](target)`, of `![text](target)`, and of the same broken over two lines inside the text.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

fn sources(text: &str) -> Vec<&str> {
    let of_a_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let words = text.split(|c| !of_a_path(c)).filter_map(|word| {
        let at = word.find("src/").filter(|at| word[..*at].chars().all(|c| "./".contains(c)))?;
        Some(word[at..].trim_end_matches('.'))
    });
    let mut words: Vec<_> = words.collect();
    words.dedup();
    words
}

/// The functions in code style, such as `choose()` and `Core::receive()`.
fn functions(text: &str) -> Vec<&str> {
    let code = text.split('`').skip(1).step_by(2);
    let paths = code.filter_map(|code| code.strip_suffix("()"));
    paths.filter(|path| path.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))).collect()
}

/// The anchor that a heading gets: lower case, blanks as hyphens, without punctuation.
fn anchor(heading: &str) -> String {
    let kept =
        heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(page: &str, wanted: &str) -> bool {
    page.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == wanted)
}

fn defines(source: &str, function: &str) -> bool {
    let definition = format!("fn {function}");
    let after = source.split(&definition).skip(1);
    after.into_iter().any(|rest| rest.starts_with(['(', '<']))
}

/// What is wrong with a claim of the page at `path`.
fn fault(root: &Path, path: &Path, page: &str, claim: &Claim<'_>) -> Option<String> {
    match &claim.what {
        What::Link(target) => {
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.to_owned() } else { path.parent()?.join(file) };
            if !file.exists() {
                return Some(format!("the link leads nowhere: {target}"));
            }
            let there =
                if file == path { page.to_owned() } else { fs::read_to_string(&file).unwrap_or_default() };
            let found = wanted.is_empty() || has_anchor(&there, wanted);
            (!found).then(|| format!("the page has no such heading: {target}"))
        }
        What::Source(source) => (!root.join(source).exists()).then(|| format!("there is no {source}")),
        What::Function(name, sources) => {
            let named: Vec<_> = sources.iter().map(|source| root.join(source)).collect();
            let files = if named.is_empty() { rust_files(&root.join("src")) } else { named };
            let found = files.iter().any(|file| defines(&fs::read_to_string(file).unwrap_or_default(), name));
            let place = if sources.is_empty() { "src".to_owned() } else { sources.join(", ") };
            (!found).then(|| format!("there is no `fn {name}` in {place}"))
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] }).collect()
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let docs = fs::read_dir(root.join("docs")).expect("the folder can be listed");
    let docs = docs.map(|entry| entry.expect("its entries can be read").path());
    let mut pages: Vec<_> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

#[test]
fn what_the_pages_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut list = String::new();
    for path in pages(root) {
        let page = fs::read_to_string(&path).expect("a page is UTF-8");
        for claim in claims(&page) {
            if let Some(fault) = fault(root, &path, &page, &claim) {
                let name = path.strip_prefix(root).expect("it lies below the root").display();
                let _ = writeln!(list, "{name}:{}: {fault}", claim.line);
            }
        }
    }
    assert!(list.is_empty(), "the pages name what is not there:\n{list}");
}

#[test]
fn every_module_stands_on_a_floor_of_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).expect("the page is there");
    for entry in fs::read_dir(root.join("src")).expect("the folder can be listed") {
        let entry = entry.expect("its entries can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if entry.path().is_dir() { format!("`src/{name}/`") } else { format!("`src/{name}`") };
        assert!(page.contains(&name), "docs/architecture.md does not say on which floor {name} stands");
    }
}

#[test]
fn claims_are_found() {
    let page = "See [the core](../src/sfu/core.rs) `Core::receive()`, ![a](b.png) and [web](https://example.org).\n\
                ```sh\ncat src/lib.rs [x](y)\n```\n\
                [to](#a-heading), `a + b()`, `rate()`, `Room::join()`, `benches/rtcload/src/main.rs`, see src/net/.";
    let claim = |line, what| Claim { line, what };
    assert_eq!(
        claims(page),
        [
            claim(1, What::Link("../src/sfu/core.rs")),
            claim(1, What::Link("b.png")),
            claim(1, What::Function("receive", vec!["src/sfu/core.rs"])),
            claim(1, What::Source("src/sfu/core.rs")),
            claim(3, What::Source("src/lib.rs")),
            claim(5, What::Link("#a-heading")),
            claim(5, What::Function("join", vec![])),
            claim(5, What::Source("src/net/")),
        ]
    );
}

#[test]
fn false_claims_are_faults() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = "# One: `two` & three\n";
    let judge = |what| fault(root, &root.join("README.md"), page, &Claim { line: 1, what });
    for good in [
        What::Link("#one-two--three"),
        What::Link("src/lib.rs"),
        What::Source("src/net/"),
        What::Function("classify", vec!["src/lib.rs", "src/net/demux.rs"]),
        What::Function("classify", vec![]),
    ] {
        assert_eq!(judge(good), None);
    }
    for bad in [
        What::Link("#one"),
        What::Link("docs/nothing.md"),
        What::Source("src/nothing.rs"),
        What::Function("classif", vec!["src/net/demux.rs"]),
        What::Function("classif", vec![]),
    ] {
        let text = format!("{bad:?}");
        assert!(judge(bad).is_some(), "{text}");
    }
}
