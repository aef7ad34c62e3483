//! What a message may hold, read from OpenTelemetry's own description of it (`tests/otlp/*.proto`), and whether some JSON is so, by
//! the "JSON Protobuf Encoding" of OTLP: names in lower camel case, ids in hexadecimal, 64-bit numbers as text, enums as numbers.

use std::collections::HashMap;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::Result;
use crate::world::workspace;

/// All messages and enums, by the last part of their names.
#[derive(Debug, Default)]
pub struct Shape {
    messages: HashMap<String, HashMap<String, Field>>,
    enums: HashMap<String, Vec<u64>>,
}

#[derive(Debug)]
struct Field {
    kind: String,
    repeated: bool,
    /// Of the fields of a group only one can be there.
    group: Option<String>,
}

/// What a block of a description is.
enum Block {
    Message(String),
    Enum(String),
    OneOf(String),
    Other,
}

impl Shape {
    /// That of traces.
    ///
    /// # Errors
    /// A file is not there.
    pub fn of_opentelemetry() -> Result<Self> {
        let mut shape = Self::default();
        for name in ["common", "resource", "trace", "trace_service"] {
            let file = workspace().join("tests/otlp").join(format!("{name}.proto"));
            shape.add(&std::fs::read_to_string(&file).with_context(|| file.display().to_string())?);
        }
        Ok(shape)
    }

    fn add(&mut self, text: &str) {
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join(" ");
        let mut blocks: Vec<Block> = Vec::new();
        let mut statement = String::new();
        for letter in text.chars() {
            match letter {
                '{' => {
                    let words: Vec<&str> = statement.split_whitespace().collect();
                    blocks.push(match words.as_slice() {
                        ["message", name] => Block::Message((*name).to_owned()),
                        ["enum", name] => Block::Enum((*name).to_owned()),
                        ["oneof", name] => Block::OneOf((*name).to_owned()),
                        _ => Block::Other,
                    });
                    statement.clear();
                }
                '}' => {
                    blocks.pop();
                    statement.clear();
                }
                ';' => {
                    self.take(&blocks, &statement);
                    statement.clear();
                }
                other => statement.push(other),
            }
        }
    }

    fn take(&mut self, blocks: &[Block], statement: &str) {
        let Some((left, number)) = statement.split_once('=') else { return };
        let words: Vec<&str> = left.split_whitespace().collect();
        let number = number.trim().parse().unwrap_or_default();
        match (blocks, words.as_slice()) {
            ([.., Block::Enum(name)], [_]) => self.enums.entry(name.clone()).or_default().push(number),
            ([.., Block::Message(name)], ["repeated", kind, field]) => {
                self.field(name, field, kind, true, None);
            }
            ([.., Block::Message(name)], [kind, field]) => self.field(name, field, kind, false, None),
            ([.., Block::Message(name), Block::OneOf(group)], [kind, field]) => {
                self.field(name, field, kind, false, Some(group.clone()));
            }
            _ => {}
        }
    }

    fn field(&mut self, message: &str, name: &str, kind: &str, repeated: bool, group: Option<String>) {
        let kind = kind.rsplit('.').next().unwrap_or(kind).to_owned();
        let field = Field { kind, repeated, group };
        self.messages.entry(message.to_owned()).or_default().insert(lower_camel_case(name), field);
    }

    /// Whether a value is this message.
    ///
    /// # Errors
    /// What in it is not.
    pub fn check(&self, value: &Value, message: &str) -> Result<()> {
        let fields = self.messages.get(message).with_context(|| format!("no message {message}"))?;
        let members = value.as_object().with_context(|| format!("{message} is no object: {value}"))?;
        let mut groups = Vec::new();
        for (name, member) in members {
            let field = fields.get(name).with_context(|| format!("{message} has no {name}"))?;
            if let Some(group) = &field.group {
                ensure!(!groups.contains(&group), "{message} has two of {group}");
                groups.push(group);
            }
            let all = match (field.repeated, member) {
                (true, Value::Array(all)) => all.as_slice(),
                (true, _) => bail!("{name} of {message} is no list"),
                (false, one) => std::slice::from_ref(one),
            };
            for one in all {
                self.one(name, &field.kind, one).with_context(|| format!("{name} of {message}"))?;
            }
        }
        Ok(())
    }

    fn one(&self, name: &str, kind: &str, value: &Value) -> Result<()> {
        let is_so = match kind {
            "string" => value.is_string(),
            "bool" => value.is_boolean(),
            "double" => value.is_number(),
            "uint32" | "fixed32" => value.as_u64().is_some_and(|number| u32::try_from(number).is_ok()),
            "int32" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            "fixed64" | "uint64" => value.as_str().is_some_and(|text| text.parse::<u64>().is_ok()),
            "int64" => value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
            "bytes" => value.as_str().is_some_and(|text| is_id(name, text)),
            other => match self.enums.get(other) {
                Some(known) => value.as_u64().is_some_and(|number| known.contains(&number)),
                None => return self.check(value, other),
            },
        };
        ensure!(is_so, "{value} is no {kind}");
        Ok(())
    }
}

/// Ids alone are in hexadecimal. Nothing of ours has other bytes.
fn is_id(name: &str, text: &str) -> bool {
    let length = match name {
        "traceId" => 32,
        "spanId" | "parentSpanId" => 16,
        _ => return false,
    };
    text.len() == length && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn lower_camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(part.len().min(1));
        out.push_str(&first.to_uppercase());
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The example of the protocol's specification (opentelemetry-proto, `examples/trace.json`), shortened.
    fn example() -> Value {
        json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "my.service" } }] },
            "scopeSpans": [{
                "scope": { "name": "my.library", "version": "1.0.0" },
                "spans": [{
                    "traceId": "5B8EFFF798038103D269B633813FC60C",
                    "spanId": "EEE19B7EC3C1B174",
                    "parentSpanId": "EEE19B7EC3C1B173",
                    "name": "I'm a server span",
                    "startTimeUnixNano": "1544712660000000000",
                    "endTimeUnixNano": "1544712661000000000",
                    "kind": 2,
                    "attributes": [{ "key": "my.span.attr", "value": { "stringValue": "some value" } }],
                }],
            }],
        }] })
    }

    #[test]
    fn the_specifications_own_example_is_as_described_and_what_differs_is_not() {
        let shape = Shape::of_opentelemetry().unwrap();
        let check = |value: &Value| shape.check(value, "ExportTraceServiceRequest");
        check(&example()).unwrap();
        for (at, wrong) in [
            ("kind", json!("SPAN_KIND_SERVER")),
            ("kind", json!(9)),
            ("traceId", json!("W47/95gDgQPSabYzgT/GDA==")),
            ("startTimeUnixNano", json!(1_544_712_660_000_000_000_u64)),
            ("start_time_unix_nano", json!("1")),
            ("attributes", json!({ "my.span.attr": "some value" })),
            ("attributes", json!([{ "key": "a", "value": "b" }])),
            ("attributes", json!([{ "key": "a", "value": { "intValue": 1 } }])),
            ("attributes", json!([{ "key": "a", "value": { "intValue": "1", "stringValue": "1" } }])),
            ("status", json!({ "code": "STATUS_CODE_ERROR" })),
            ("status", json!({ "code": 3 })),
        ] {
            let mut example = example();
            let span = example.pointer_mut("/resourceSpans/0/scopeSpans/0/spans/0").unwrap();
            span.as_object_mut().unwrap().insert(at.to_owned(), wrong.clone());
            assert!(check(&example).is_err(), "{at}: {wrong}");
        }
    }
}
