//! The examples of `docs/protocol.md`. Each stands in a fence that says whose it is, such as "json client".

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::client::{ClientMessage, Request};
use super::super::data;
use super::schema::schema;
use super::{PAGE, committed};
use crate::ids::ParticipantId;

/// Whose example it is, and what it is.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let fences = page.split("\n```json ").skip(1);
    fences.map(|rest| rest.split("\n```").next().unwrap().split_once('\n').unwrap()).collect()
}

/// The keywords that [`Judge`] goes by.
const JUDGED: &[&str] = &[
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "items",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
];
/// Those that it may pass over.
const PASSED_OVER: &[&str] = &["default", "description", "format", "maximum", "minimum"];

/// Judges values by the schema. It knows what schemars writes for our types, and no more.
struct Judge<'a> {
    schema: &'a Value,
    /// Fields that were there, as `Type.field`, and the values of `t`.
    used: BTreeSet<String>,
    faults: Vec<String>,
}

impl<'a> Judge<'a> {
    fn new(schema: &'a Value) -> Self {
        Self { schema, used: BTreeSet::new(), faults: Vec::new() }
    }

    fn fault(&mut self, name: &str, value: &Value, what: &str) {
        self.faults.push(format!("{name}: {what}: {value}"));
    }

    /// `name` tells where we are, for the reader and for `used`.
    fn judge(&mut self, rule: &'a Value, value: &Value, name: &str) {
        for (keyword, _) in rule.as_object().into_iter().flatten() {
            let known = JUDGED.contains(&keyword.as_str()) || PASSED_OVER.contains(&keyword.as_str());
            assert!(known, "{keyword} in the schema of {name} is not judged here");
        }
        if let Some(target) = rule["$ref"].as_str() {
            let target = target.strip_prefix("#/$defs/").unwrap();
            return self.judge(&self.schema["$defs"][target], value, target);
        }
        if let Some(any) = rule["anyOf"].as_array() {
            assert_eq!(any[1], json!({"type": "null"}), "only what may be null is known");
            if !value.is_null() {
                self.judge(&any[0], value, name);
            }
            return;
        }
        if let Some(values) = rule["oneOf"].as_array().filter(|one_of| one_of[0].get("const").is_some()) {
            let known = values.iter().any(|one| one["const"] == *value);
            if !known {
                self.fault(name, value, "no such value");
            }
            return;
        }
        if !fits(&rule["type"], value) {
            return self.fault(name, value, "another type is asked for");
        }
        if let (Some(pattern), Some(text)) = (rule["pattern"].as_str(), value.as_str()) {
            let letter = pattern.strip_prefix('^').and_then(|it| it.strip_suffix("[0-9]+$")).unwrap();
            let number = text.strip_prefix(letter).is_some_and(|rest| rest.parse::<u64>().is_ok());
            if !number {
                self.fault(name, value, pattern);
            }
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.judge(&rule["items"], item, name)),
            Value::Object(fields) if rule["type"] == "object" && rule["additionalProperties"] != true => {
                self.object(rule, fields, name);
            }
            _ => {}
        }
    }

    fn object(&mut self, rule: &'a Value, fields: &Map<String, Value>, name: &str) {
        let mut rules = vec![(name, rule)];
        if let Some(messages) = rule["oneOf"].as_array() {
            let t = fields.get("t").unwrap_or(&Value::Null);
            let Some(message) = messages.iter().find(|one| one["properties"]["t"]["const"] == *t) else {
                return self.fault(name, t, "no such message");
            };
            self.used.insert(format!("{name}:{}", t.as_str().unwrap()));
            let target = message["$ref"].as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            rules.extend([(name, message), (target, &self.schema["$defs"][target])]);
        }
        for needed in rules.iter().filter_map(|(_, rule)| rule["required"].as_array()).flatten() {
            if !fields.contains_key(needed.as_str().unwrap()) {
                self.fault(name, &json!(fields), &format!("{needed} is missing"));
            }
        }
        for (field, value) in fields {
            let Some((owner, rule)) = rules.iter().find(|(_, rule)| rule["properties"].get(field).is_some())
            else {
                self.fault(name, value, &format!("there is no field {field}"));
                continue;
            };
            let place = format!("{owner}.{field}");
            self.judge(&rule["properties"][field], value, &place);
            self.used.insert(place);
        }
    }
}

/// Whether a value is of one of the types that a rule names. A rule without any takes all.
fn fits(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{other} is not known here"),
    };
    match types {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

/// All that examples can use: `Type.field` of each type, and the messages as `Request:join`.
fn usable(schema: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let fields = definition["properties"].as_object().into_iter().flatten();
        all.extend(fields.map(|(field, _)| format!("{name}.{field}")));
        for message in definition["oneOf"].as_array().into_iter().flatten() {
            if let Some(t) = message["properties"]["t"]["const"].as_str() {
                all.extend([format!("{name}:{t}"), format!("{name}.t")]);
            }
        }
    }
    all
}

#[test]
fn the_examples_are_messages_and_show_every_field() {
    let (schema, page) = (schema(), committed(PAGE));
    let mut judge = Judge::new(&schema);
    for (whose, example) in examples(&page) {
        let before = judge.faults.len();
        match serde_json::from_str::<Value>(example) {
            Ok(value) => {
                let name = match whose {
                    "client" => "Request",
                    "server" => "Reply",
                    "data sent" => "DataSent",
                    "data header" => "DataHeader",
                    "data received" => "DataReceived",
                    other => {
                        panic!("nobody is called {other:?}: client, server, data sent, header or received")
                    }
                };
                judge.judge(&schema["$defs"][name], &value, name);
            }
            Err(error) => judge.faults.push(error.to_string()),
        }
        assert!(judge.faults.len() == before, "in {PAGE}, {:?} of\n{example}", &judge.faults[before..]);
    }
    let missing: Vec<_> = usable(&schema).difference(&judge.used).cloned().collect();
    assert!(missing.is_empty(), "no example in {PAGE} shows {missing:?}");
}

#[test]
fn the_server_understands_the_examples_of_clients() {
    let page = committed(PAGE);
    for (whose, example) in examples(&page) {
        match whose {
            "client" => {
                let request: Request =
                    serde_json::from_str(example).unwrap_or_else(|e| panic!("{e}: {example}"));
                assert_ne!(request.message, ClientMessage::Unknown, "{example}");
            }
            "data sent" => {
                let envelope =
                    data::read(example.as_bytes(), true).unwrap_or_else(|e| panic!("{e}: {example}"));
                let forwarded: Value = serde_json::from_slice(&envelope.forwarded(ParticipantId(1))).unwrap();
                assert_eq!(forwarded["from"], "p1");
            }
            "data header" => {
                let length = u16::try_from(example.len()).unwrap().to_be_bytes();
                let message = [&length, example.as_bytes(), b"content"].concat();
                data::read(&message, false).unwrap_or_else(|e| panic!("{e}: {example}"));
                let prefix = format!("`{:02x} {:02x}`, the {} bytes", length[0], length[1], example.len());
                assert!(page.contains(&prefix), "{PAGE} gives the header's length otherwise than {prefix}");
            }
            _ => {}
        }
    }
}

#[test]
fn wrong_examples_are_found() {
    let schema = schema();
    let faults = |name: &str, value: Value| {
        let mut judge = Judge::new(&schema);
        judge.judge(&schema["$defs"][name], &value, name);
        judge.faults
    };
    assert_eq!(faults("Reply", json!({"re": 1, "t": "pong", "ts": 5})), [""; 0]);
    for (name, wrong) in [
        ("Reply", json!({"t": "pong"})),
        ("Reply", json!({"t": "pong", "ts": "5"})),
        ("Reply", json!({"t": "pong", "ts": 5, "more": 1})),
        ("Reply", json!({"t": "pang", "ts": 5})),
        ("Reply", json!({"ts": 5})),
        ("Reply", json!({"t": "peers", "gone": ["t1"]})),
        ("Reply", json!({"t": "bye", "code": "bored", "message": ""})),
        ("Request", json!({"t": "view", "slots": [{"mid": "3", "w": -1}]})),
        ("Request", json!({"t": "view", "slots": [{"mid": "3", "track": "p1"}]})),
        ("DataSent", json!({"topic": "chat"})),
    ] {
        assert_eq!(faults(name, wrong.clone()).len(), 1, "{wrong}");
    }
}
