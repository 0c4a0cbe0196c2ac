//! `web-demo/protocol.d.ts`: all types for TypeScript and for JSDoc.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use serde_json::Value;
use ts_rs::{Config, TS, TypeVisitor};

use super::super::client::{ClientMessage, Request};
use super::super::data::{DataHeader, DataReceived, DataSent};
use super::super::server::{Reply, ServerMessage};
use super::schema::schema;
use super::{TYPESCRIPT, assert_committed};

const HEAD: &str = "\
// The room protocol. Generated from the types in src/protocol/; docs/protocol.md explains it.
// A client sends `Request`, the server sends `Reply`. `DataSent`, `DataHeader` and `DataReceived` pass through data
// channels.
";

/// Declarations by the names of their types.
#[derive(Default)]
struct Declarations(BTreeMap<String, String>);

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        let config = Config::new();
        let name = T::ident(&config);
        if T::output_path().is_none() || self.0.contains_key(&name) {
            return;
        }
        let docs = T::docs().unwrap_or_default();
        self.0.insert(name, format!("{docs}export {}", T::decl(&config)));
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

/// All declarations, each after the one that names it first.
pub(super) fn declarations() -> Vec<(String, String)> {
    let mut all = Declarations::default();
    all.visit::<Request>();
    all.visit::<ClientMessage>();
    all.visit::<Reply>();
    all.visit::<ServerMessage>();
    all.visit::<DataSent<'static>>();
    all.visit::<DataHeader>();
    all.visit::<DataReceived<'static>>();
    let mut all = all.0;
    // The messages have a name of their own: clients pass them around without their numbers.
    let config = Config::new();
    named(&mut all, "Request", &ClientMessage::inline_flattened(&config), "ClientMessage");
    named(&mut all, "Reply", &ServerMessage::inline_flattened(&config), "ServerMessage");

    let mut queue: VecDeque<String> =
        ["Request", "Reply", "DataSent", "DataHeader", "DataReceived"].map(str::to_owned).into();
    let mut sorted = Vec::new();
    while let Some(name) = queue.pop_front() {
        let Some(declaration) = all.remove(&name) else { continue };
        let code: String = declaration.lines().filter(|line| !line.starts_with([' ', '/'])).collect();
        let words = code.rsplit(|c: char| !c.is_alphanumeric());
        words.for_each(|word| queue.push_front(word.to_owned()));
        sorted.push((name, declaration));
    }
    assert!(all.is_empty(), "nobody names {:?}", all.keys());
    sorted
}

fn named(all: &mut BTreeMap<String, String>, of: &str, spelled_out: &str, name: &str) {
    let declaration = all.get_mut(of).unwrap();
    assert!(declaration.contains(spelled_out), "{declaration}");
    *declaration = declaration.replace(spelled_out, name);
}

/// Breaks what comes as one line, and indents it.
fn formatted(declaration: &str) -> String {
    let broken = declaration.replace("{ \n", "{\n").replace(", \n", ";\n").replace(", }", ";\n}");
    let short = broken.replace("/**\n * ", "/** ");
    let (mut text, mut inside) = (String::new(), false);
    let mut lines = short.lines().peekable();
    while let Some(line) = lines.next() {
        inside &= !line.starts_with('}');
        let one_line = line.starts_with("/**") && lines.next_if_eq(&" */").is_some();
        let (indent, end) = (if inside { "  " } else { "" }, if one_line { " */" } else { "" });
        writeln!(text, "{indent}{line}{end}").unwrap();
        inside |= line.ends_with('{');
    }
    text
}

/// One line for each member of a union, below what the schema says of it.
fn union(declaration: &str, name: &str, schema: &Value) -> Option<String> {
    let (head, members) = declaration.trim_end().strip_suffix(';')?.split_once(" = ")?;
    let holder = match name {
        "ClientMessage" => "Request",
        "ServerMessage" => "Reply",
        other => other,
    };
    let described = schema["$defs"][holder]["oneOf"].as_array()?;
    let mut text = format!("{} =\n", formatted(head).trim_end());
    for member in members.split(" | ") {
        let value = member.split('"').nth(if member.starts_with('{') { 3 } else { 1 })?;
        let is_it = |one: &&Value| one["const"] == value || one["properties"]["t"]["const"] == value;
        let description = described.iter().find(is_it)?["description"].as_str()?;
        write!(text, "  /** {description} */\n  | {}\n", member.replace("\"t\"", "t")).unwrap();
    }
    Some(format!("{};\n", text.trim_end()))
}

#[test]
fn the_declarations_are_those_of_the_types() {
    let schema = schema();
    let mut text = HEAD.to_owned();
    for (name, declaration) in declarations() {
        let is_union = declaration.contains(" | ") && !declaration.contains("{ \n");
        let own = if is_union { union(&declaration, &name, &schema) } else { Some(formatted(&declaration)) };
        write!(text, "\n{}", own.unwrap_or_else(|| panic!("the schema describes {name} otherwise"))).unwrap();
    }
    assert_committed(TYPESCRIPT, &text);
}
