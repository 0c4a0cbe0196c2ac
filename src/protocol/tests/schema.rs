//! `docs/protocol.schema.json`: one document for both directions.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::super::VERSION;
use super::super::client::Request;
use super::super::data::{DataHeader, DataReceived, DataSent};
use super::super::server::Reply;
use super::{SCHEMA, assert_committed};

/// The document: under `$defs` all types by name, beside each other.
pub(super) fn schema() -> Value {
    let mut all = definitions::<Request>(true);
    let more = [
        definitions::<Reply>(false),
        definitions::<DataSent<'static>>(true),
        definitions::<DataHeader>(true),
        definitions::<DataReceived<'static>>(false),
    ];
    for (name, definition) in more.into_iter().flatten() {
        if let Some(other) = all.insert(name.clone(), definition.clone()) {
            assert_eq!(other, definition, "two types are called {name}");
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("The room protocol of Sluice, version {VERSION}"),
        "description": "Request is what a client sends over the WebSocket, Reply what the server sends. DataSent, \
                        DataHeader and DataReceived pass through data channels. docs/protocol.md explains them.",
        "anyOf": [{"$ref": "#/$defs/Request"}, {"$ref": "#/$defs/Reply"}],
        "$defs": all,
    })
}

/// A type and all it is made of, as the server reads it or as it writes it.
fn definitions<T: JsonSchema>(read: bool) -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12();
    let settings = if read { settings.for_deserialize() } else { settings.for_serialize() };
    let mut generator = settings.into_generator();
    generator.subschema_for::<T>();
    generator.take_definitions(true)
}

#[test]
fn the_schema_is_that_of_the_types() {
    assert_committed(SCHEMA, &format!("{:#}\n", schema()));
}
