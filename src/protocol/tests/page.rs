//! The tables of `docs/protocol.md`: fields, values, messages and limits.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::super::{
    JOIN_WITHIN, MAX_DATA, MAX_LABEL, MAX_MESSAGE, MAX_META, MAX_NAME, MAX_TOPIC, MAX_TRACKS, MAX_VIEW,
    MESSAGE_BURST, MESSAGES_PER_SECOND, PING_EVERY, RESUME_WITHIN,
};
use super::schema::schema;
use super::typescript::declarations;
use super::{PAGE, assert_committed, committed};

const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end -->\n";

fn definitions(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = schema["$defs"].as_object().unwrap();
    all.iter().map(|(name, definition)| (name.as_str(), definition))
}

/// The page with all of its tables written anew.
fn page_of(page: &str, tables: &BTreeMap<String, String>) -> String {
    let mut parts = page.split(BEGIN);
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a name follows");
        let (_, rest) = rest.split_once(END).unwrap_or_else(|| panic!("the table {name} has no end"));
        let table = tables.get(name).unwrap_or_else(|| panic!("there is no table of {name}"));
        write!(text, "{BEGIN}{name} -->\n{table}{END}{rest}").unwrap();
    }
    text
}

/// A table for each type, and one of the limits.
fn tables(schema: &Value) -> BTreeMap<String, String> {
    let declarations: BTreeMap<_, _> = declarations().into_iter().collect();
    let mut tables = BTreeMap::from([("limits".to_owned(), limits())]);
    for (name, definition) in definitions(schema) {
        let order = declarations.get(name).map_or("", String::as_str);
        let table = match (&definition["oneOf"], &definition["properties"]) {
            (Value::Array(one_of), _) => choices(one_of),
            (_, Value::Object(_)) => fields(definition, order),
            _ if definition["type"] == "object" => "It has no fields.\n".to_owned(),
            _ => continue,
        };
        tables.insert(name.to_owned(), table);
    }
    tables
}

/// Messages with links, or the values of a choice.
fn choices(one_of: &[Value]) -> String {
    let mut table = String::new();
    for one in one_of {
        let meaning = one["description"].as_str().unwrap();
        let (head, row) = match (one["const"].as_str(), one["properties"]["t"]["const"].as_str()) {
            (Some(value), _) => ("Value", format!("`{value}`")),
            (_, Some(t)) => ("`t`", format!("[`{t}`](#{t})")),
            _ => panic!("neither a value nor a message: {one}"),
        };
        if table.is_empty() {
            write!(table, "| {head} | Meaning |\n|---|---|\n").unwrap();
        }
        writeln!(table, "| {row} | {meaning} |").unwrap();
    }
    table
}

/// Fields in the order of their declaration, which the schema does not keep.
fn fields(definition: &Value, declaration: &str) -> String {
    let mut table = "| Field | Type | There | Meaning |\n|---|---|---|---|\n".to_owned();
    let place = |name: &str| {
        let at = [format!("\n{name}: "), format!("\n{name}?: ")].iter().find_map(|it| declaration.find(it));
        at.unwrap_or_else(|| panic!("{name} is not in {declaration}"))
    };
    let mut properties: Vec<_> = definition["properties"].as_object().unwrap().iter().collect();
    properties.sort_by_key(|(name, _)| place(name));
    for (name, property) in properties {
        let required =
            definition["required"].as_array().is_some_and(|all| all.contains(&name.as_str().into()));
        let there = match &property["default"] {
            _ if required => "always".to_owned(),
            default @ (Value::Bool(_) | Value::Number(_)) => format!("or `{default}`"),
            _ => "optional".to_owned(),
        };
        let meaning = property["description"].as_str().unwrap().replace('\n', " ");
        writeln!(table, "| `{name}` | {} | {there} | {meaning} |", type_of(property)).unwrap();
    }
    table
}

fn type_of(property: &Value) -> String {
    if let Some(name) = property["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        let anchor = if name.ends_with("Id") { "ids".to_owned() } else { name.to_lowercase() };
        return format!("[{name}](#{anchor})");
    }
    let named = match (&property["type"], &property["anyOf"]) {
        (Value::String(name), _) => name.as_str(),
        // What may be `null` may as well be missing.
        (Value::Array(names), _) => names[0].as_str().unwrap(),
        (_, Value::Array(any)) => return type_of(&any[0]),
        _ => return "any".to_owned(),
    };
    if named == "array" { format!("list of {}", type_of(&property["items"])) } else { named.to_owned() }
}

fn limits() -> String {
    let rows = [
        ("Text frame to the server", format!("{} KiB", MAX_MESSAGE / 1024)),
        ("Messages to the server", format!("{MESSAGES_PER_SECOND} a second, {MESSAGE_BURST} at once")),
        ("Time until `join`", format!("{} s", JOIN_WITHIN.as_secs())),
        ("Time to resume a broken connection", format!("{} s", RESUME_WITHIN.as_secs())),
        ("WebSocket ping by the server", format!("every {} s", PING_EVERY.as_secs())),
        ("Name of a participant", format!("{MAX_NAME} characters")),
        ("Metadata of a participant", format!("{MAX_META} bytes of JSON")),
        ("Label of a track", format!("{MAX_LABEL} characters")),
        ("Topic of a message", format!("{MAX_TOPIC} bytes of UTF-8")),
        ("Message between participants", format!("{} KiB", MAX_DATA / 1024)),
        ("Tracks that a participant publishes", MAX_TRACKS.to_string()),
        ("Slots that a view names, and voices", format!("{MAX_VIEW} each")),
    ];
    let mut table = "| What | At most |\n|---|---|\n".to_owned();
    rows.iter().for_each(|(what, most)| writeln!(table, "| {what} | {most} |").unwrap());
    table
}

#[test]
fn the_tables_are_those_of_the_types() {
    let tables = tables(&schema());
    let page = committed(PAGE);
    for name in tables.keys() {
        assert!(page.contains(&format!("{BEGIN}{name} -->\n")), "{PAGE} has no table of {name}");
    }
    assert_committed(PAGE, &page_of(&page, &tables));
}
