//! Reads Rust source just well enough for the rules: what is code, what is comment, what is a test, which
//! paths are named and where functions begin and end. No parser crate, so that the guard depends on nothing.

use std::collections::BTreeSet;
use std::ops::Range;

/// One source file.
pub(crate) struct Source {
    /// Path below the scanned folder, with `/` between its parts: `sfu/session/mod.rs`.
    pub path: String,
    /// The module this file is: `sfu/session/mod.rs` is `[sfu, session]`, `lib.rs` is `[]`.
    pub module: Vec<String>,
    /// The text with comments, strings and characters blanked out; lines and columns stay where they are.
    pub code: String,
    /// The text with everything but comments blanked out.
    pub comments: String,
    /// Byte ranges of `code` that are compiled for tests only.
    pub tests: Vec<Range<usize>>,
}

/// A path that code names, resolved to its full module path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Segments behind `crate::`.
    pub target: Vec<String>,
    /// Offset in the code.
    pub at: usize,
    /// The path stands in a `pub use`: it passes a name on and needs nothing itself.
    pub passed_on: bool,
}

/// A function with a body.
pub(crate) struct Function {
    pub name: String,
    pub at: usize,
    /// Lines from `fn` to the closing brace, both counted.
    pub lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let tests = if module.last().is_some_and(|name| name == "tests" || name.ends_with("_tests")) {
            std::iter::once(0..code.len()).collect()
        } else {
            test_items(&code)
        };
        Self { path: path.to_owned(), module, code, comments, tests }
    }

    /// The line, counted from 1, of an offset.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }

    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// Lines that are neither tests nor a test module's declaration.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let tests: usize = self.tests.iter().map(|range| self.code[range.clone()].lines().count()).sum();
        self.code.lines().count().saturating_sub(tests)
    }

    /// Where `phrase` stands in the code as whole words.
    pub(crate) fn find(&self, phrase: &str) -> Vec<usize> {
        find_words(&self.code, phrase)
    }

    /// All functions that have a body, closures not counted.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut all = Vec::new();
        for at in self.find("fn") {
            let name = leading_word(self.code[at + 2..].trim_start());
            // A `fn` without a name is a function pointer type.
            if name.is_empty() {
                continue;
            }
            let Some(end) = item_end(&self.code, at) else { continue };
            if self.code[at..end].ends_with('}') {
                let lines = self.code[at..end].lines().count();
                all.push(Function { name: name.to_owned(), at, lines });
            }
        }
        all
    }

    /// Every path that begins with `crate`, `self`, `super` or the name of a child module declared here.
    pub(crate) fn names(&self) -> Vec<Named> {
        let inline = inline_modules(&self.code);
        let children: BTreeSet<String> = declared_modules(&self.code);
        let passed_on = passed_on(&self.code);
        let mut all = Vec::new();
        for (at, word) in words(&self.code) {
            let before = &self.code[..at];
            // `pub(in crate::sfu)` names a module without needing anything from it.
            if !self.code[at + word.len()..].trim_start().starts_with("::")
                || before.ends_with("::")
                || before.ends_with("(in ")
            {
                continue;
            }
            let mut here = self.module.clone();
            here.extend(inline.iter().filter(|(range, _)| range.contains(&at)).map(|(_, name)| name.clone()));
            let base = match word {
                "crate" | "self" | "super" => Vec::new(),
                child if children.contains(child) => here.clone(),
                _ => continue,
            };
            let mut rest = &self.code[at..];
            for path in tree(&mut rest) {
                let target = resolve(&here, &base, &path);
                let passed_on = passed_on.iter().any(|range| range.contains(&at));
                all.push(Named { target, at, passed_on });
            }
        }
        all
    }
}

/// Follows `crate`, `self` and `super` at the head of `path`, seen from module `here`.
fn resolve(here: &[String], base: &[String], path: &[String]) -> Vec<String> {
    let mut full = base.to_vec();
    for (position, segment) in path.iter().enumerate() {
        match segment.as_str() {
            "crate" => full.clear(),
            "self" if position == 0 => full = here.to_vec(),
            "self" => {}
            "super" => {
                if position == 0 {
                    full = here.to_vec();
                }
                full.pop();
            }
            name => full.push(name.to_owned()),
        }
    }
    full
}

/// Reads one path or use tree (`a::b`, `a::{b, c::d}`, `a::*`) and returns its paths, spelled out.
fn tree(rest: &mut &str) -> Vec<Vec<String>> {
    let mut head = Vec::new();
    loop {
        *rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('{') {
            *rest = inside;
            return branches(&head, rest);
        }
        let word = leading_word(rest);
        if word.is_empty() {
            return vec![head];
        }
        head.push(word.to_owned());
        *rest = rest[word.len()..].trim_start();
        match rest.strip_prefix("::") {
            Some(after) => *rest = after,
            None => return vec![head],
        }
    }
}

fn branches(head: &[String], rest: &mut &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        for branch in tree(rest) {
            all.push(head.iter().cloned().chain(branch).collect());
        }
        // Whatever stands before the next comma or brace is `*` or `as name`.
        let Some(stop) = rest.find([',', '}']) else { break };
        let closed = rest[stop..].starts_with('}');
        *rest = rest[stop + 1..].trim_start();
        if closed {
            break;
        }
        if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            break;
        }
    }
    all
}

/// Ranges of the statements `pub use …;` and `pub(…) use …;`.
fn passed_on(code: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    for at in find_words(code, "use") {
        let before = code[..at].trim_end();
        let restricted = |open: usize| before[open..].find(')') == Some(before.len() - open - 1);
        if before.ends_with("pub") || before.rfind("pub(").is_some_and(restricted) {
            let end = code[at..].find(';').map_or(code.len(), |length| at + length);
            all.push(at..end);
        }
    }
    all
}

/// Names of the modules that `mod name;` or `mod name {` declares.
fn declared_modules(code: &str) -> BTreeSet<String> {
    find_words(code, "mod")
        .into_iter()
        .map(|at| leading_word(code[at + 3..].trim_start()).to_owned())
        .collect()
}

/// Bodies and names of `mod name { … }`, outer before inner.
fn inline_modules(code: &str) -> Vec<(Range<usize>, String)> {
    let mut all = Vec::new();
    for at in find_words(code, "mod") {
        let after = code[at + 3..].trim_start();
        let name = leading_word(after);
        if after[name.len()..].trim_start().starts_with('{')
            && let Some(end) = item_end(code, at)
        {
            all.push((at..end, name.to_owned()));
        }
    }
    all
}

/// Ranges of the items behind `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for mark in ["#[cfg(test)]", "#[cfg(all(test,"] {
        for (at, _) in code.match_indices(mark) {
            if let Some(end) = item_end(code, at) {
                all.push(at..end);
            }
        }
    }
    all
}

/// The end of the item that begins at `at`: behind its closing brace, or behind its semicolon.
fn item_end(code: &str, at: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (offset, byte) in code[at..].bytes().enumerate() {
        match byte {
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces <= 0 {
                    return Some(at + offset + 1);
                }
            }
            // The semicolon of an array type `[u8; 4]` ends nothing.
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets -= 1,
            b';' if braces == 0 && brackets == 0 => return Some(at + offset + 1),
            _ => {}
        }
    }
    None
}

/// Offsets at which `phrase` stands with no letter, digit or underscore on either side.
pub(crate) fn find_words(text: &str, phrase: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(phrase)
        .map(|(at, _)| at)
        .filter(|&at| !text[..at].ends_with(part) && !text[at + phrase.len()..].starts_with(part))
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c| !part(c))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
}

fn leading_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Splits a text into its code and its comments, each of the same length as the text.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = piece(rest, code.chars().next_back());
        let (taken, after) = rest.split_at(length.max(first.len_utf8()));
        match kind {
            Kind::Code => (code.push_str(taken), comments.push_str(&blank(taken))),
            Kind::Comment => (code.push_str(&blank(taken)), comments.push_str(taken)),
            Kind::Literal => (code.push_str(&blank(taken)), comments.push_str(&blank(taken))),
        };
        rest = after;
    }
    (code, comments)
}

enum Kind {
    Code,
    Comment,
    Literal,
}

/// Length in bytes and kind of the piece that `rest` begins with; `before` is the character in front of it.
fn piece(rest: &str, before: Option<char>) -> (usize, Kind) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Kind::Comment);
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"'), Kind::Literal);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string(rest) {
        return (length, Kind::Literal);
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let mut chars = inside.chars();
        let (first, second) = (chars.next(), chars.next());
        // 'a' and '\n' are characters; 'a without a closing quote is a lifetime.
        if first == Some('\\') || second == Some('\'') {
            return (quoted(rest, '\''), Kind::Literal);
        }
    }
    (1, Kind::Code)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#` and the like.
fn raw_string(rest: &str) -> Option<usize> {
    let after = ["br", "cr", "r"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(rest.len() - inside.len() + end)
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) }).collect()
}
