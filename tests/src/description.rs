//! An OpenAPI description of a vendor, cut to what a test needs, so that a proxy that takes minutes over the whole one takes a second.
//! What the vendor says is not changed, but where a test says what is wrong with it.

use crate::Result;
use crate::world;
use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Keys of a path that are no methods: what they hold counts for each.
const SHARED: [&str; 4] = ["parameters", "servers", "summary", "description"];

/// An OpenAPI 3.0 document.
#[derive(Debug, Clone)]
pub struct Description {
    whole: Value,
}

impl Description {
    /// One of those that `cargo xtask setup` gets (`xtask/src/setup/descriptions.rs`), as `atlassian.com/jira.json`.
    ///
    /// # Errors
    /// It is not there, or no JSON.
    pub fn of(name: &str) -> Result<Self> {
        let file = world::target().join("npm/descriptions").join(name);
        let text = fs::read(&file)
            .with_context(|| format!("{} is not there; run `cargo xtask setup`", file.display()))?;
        Ok(Self { whole: serde_json::from_slice(&text)? })
    }

    /// One of a test's own.
    pub fn new(whole: Value) -> Self {
        Self { whole }
    }

    /// The document as JSON.
    pub fn text(&self) -> String {
        self.whole.to_string()
    }

    /// Puts a value at an RFC 6901 pointer, whose last step need not be there. What was right already needs no correction.
    ///
    /// # Errors
    /// What the value should stand in is not there, or it is as wanted.
    pub fn corrected(mut self, pointer: &str, value: Value) -> Result<Self> {
        ensure!(
            self.whole.pointer(pointer) != Some(&value),
            "{pointer} is as wanted: no correction is needed"
        );
        let (parent, last) = pointer.rsplit_once('/').context("no pointer")?;
        let parent = self.whole.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.with_context(|| format!("nothing holds {pointer}"))?.insert(unescaped(last), value);
        Ok(self)
    }

    /// The names of a schema's properties.
    ///
    /// # Errors
    /// There is no such schema, or it has none.
    pub fn properties(&self, schema: &str) -> Result<Vec<String>> {
        let found = self.whole.pointer(&format!("/components/schemas/{schema}/properties"));
        let found = found.and_then(Value::as_object).with_context(|| format!("no properties of {schema}"))?;
        Ok(found.keys().cloned().collect())
    }

    /// Keeps these operations (`("get", "/tickets/{id}")`), and of the components only what they lead to.
    ///
    /// # Errors
    /// One is not described.
    pub fn only(mut self, operations: &[(&str, &str)]) -> Result<Self> {
        let mut paths: Map<String, Value> = Map::new();
        for (method, path) in operations {
            let found = self.whole.get("paths").and_then(|paths| paths.get(*path));
            let item = found.and_then(Value::as_object).with_context(|| format!("no path {path}"))?;
            ensure!(item.contains_key(*method), "{path} has no {method}");
            let kept = item.iter().filter(|(name, _)| *name == method || SHARED.contains(&name.as_str()));
            let kept: Map<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
            match paths.get_mut(*path).and_then(Value::as_object_mut) {
                Some(known) => known.extend(kept),
                None => _ = paths.insert((*path).to_owned(), Value::Object(kept)),
            }
        }
        let paths = Value::Object(paths);
        let mut wanted = BTreeSet::new();
        self.collect(&paths, &mut wanted)?;
        // These are named, not pointed at.
        let schemes = self.whole.pointer("/components/securitySchemes");
        let mut components: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        components.extend(
            schemes.and_then(|schemes| Some(("securitySchemes".to_owned(), schemes.as_object()?.clone()))),
        );
        for pointer in &wanted {
            let mut steps = pointer.trim_start_matches("/components/").split('/').map(unescaped);
            let (Some(kind), Some(name), None) = (steps.next(), steps.next(), steps.next()) else {
                bail!("{pointer} is no component");
            };
            let component = self.whole.pointer(pointer).with_context(|| format!("there is no {pointer}"))?;
            components.entry(kind).or_default().insert(name, component.clone());
        }
        let whole = self.whole.as_object_mut().context("no description")?;
        whole.insert("paths".to_owned(), paths);
        whole.insert("components".to_owned(), json!(components));
        Ok(self)
    }

    /// Every pointer below `value`, and below what it points at.
    fn collect(&self, value: &Value, wanted: &mut BTreeSet<String>) -> Result<()> {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer =
                        reference.strip_prefix('#').with_context(|| format!("{reference} is elsewhere"))?;
                    if wanted.insert(pointer.to_owned()) {
                        let target = self.whole.pointer(pointer);
                        self.collect(target.with_context(|| format!("there is no {pointer}"))?, wanted)?;
                    }
                }
                map.values().try_for_each(|value| self.collect(value, wanted))
            }
            Value::Array(list) => list.iter().try_for_each(|value| self.collect(value, wanted)),
            _ => Ok(()),
        }
    }

    /// Every path that begins so begins otherwise.
    pub fn moved(mut self, from: &str, to: &str) -> Self {
        if let Some(Value::Object(paths)) = self.whole.get_mut("paths") {
            *paths = std::mem::take(paths)
                .into_iter()
                .map(|(path, item)| match path.strip_prefix(from) {
                    Some(rest) => (format!("{to}{rest}"), item),
                    None => (path, item),
                })
                .collect();
        }
        self
    }

    /// Where an object's properties are described and nothing is said about others, there are no others: a misspelt name, which a
    /// server would pass over and a client never find, is then refused.
    #[must_use]
    pub fn closed(mut self) -> Self {
        if let Some(Value::Object(schemas)) = self.whole.pointer_mut("/components/schemas") {
            schemas.values_mut().for_each(close);
        }
        close_inside(&mut self.whole);
        self
    }
}

/// Closes the schemas of parameters, requests and answers that have no name of their own.
fn close_inside(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match name.as_str() {
                    "schema" => close(value),
                    // Values, and what is closed already.
                    "example" | "examples" | "schemas" => {}
                    _ => close_inside(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(close_inside),
        _ => {}
    }
}

/// A schema and those in it. One that is put together (`allOf`) stays open: each part would refuse the others' properties.
fn close(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let combined = ["allOf", "oneOf", "anyOf"].iter().any(|word| schema.contains_key(*word));
    let names = schema.get("properties").and_then(Value::as_object).is_some_and(|names| !names.is_empty());
    if names && !combined && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(close);
    }
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(word) {
            close(inner);
        }
    }
}

/// A step of a pointer as it is written in the document.
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Description {
        Description::new(json!({
            "openapi": "3.0.0",
            "paths": {
                "/a/{id}": {
                    "parameters": [{"$ref": "#/components/parameters/Id"}],
                    "get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}},
                    "delete": {"responses": {"204": {"$ref": "#/components/responses/Gone"}}},
                },
                "/b": {"get": {"responses": {}}},
            },
            "components": {
                "parameters": {"Id": {"name": "id", "in": "path"}},
                "responses": {"Gone": {"description": ""}},
                "schemas": {
                    // The name of a property is no word of the schema.
                    "A": {"properties": {"properties": {"type": "object"}, "b": {"$ref": "#/components/schemas/B"}}},
                    "B": {"properties": {"a": {"$ref": "#/components/schemas/A"}}, "additionalProperties": {}},
                    "C": {"type": "string"},
                },
                "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            },
        }))
    }

    #[test]
    fn what_is_kept_has_everything_that_it_leads_to_and_nothing_else() {
        let cut = whole().only(&[("get", "/a/{id}")]).unwrap().whole;
        assert_eq!(cut["paths"].as_object().unwrap().len(), 1);
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&cut["paths"]["/a/{id}"]), ["get", "parameters"]);
        assert_eq!(names(&cut["components"]), ["parameters", "schemas", "securitySchemes"]);
        assert_eq!(names(&cut["components"]["schemas"]), ["A", "B"]);
        assert!(whole().only(&[("put", "/a/{id}")]).is_err());
        assert!(whole().only(&[("get", "/c")]).is_err());
    }

    #[test]
    fn an_object_of_which_nothing_else_is_said_has_no_other_properties() {
        let closed = whole().closed().whole;
        let schemas = &closed["components"]["schemas"];
        assert_eq!(schemas["A"]["additionalProperties"], json!(false));
        assert_eq!(schemas["A"]["properties"]["properties"], json!({"type": "object"}));
        assert_eq!(schemas["B"]["additionalProperties"], json!({}));
        assert_eq!(schemas["C"], json!({"type": "string"}));
    }

    #[test]
    fn a_correction_that_changes_nothing_or_hangs_in_the_air_is_refused() {
        let at = "/components/schemas/C/nullable";
        let corrected = whole().corrected(at, json!(true)).unwrap();
        assert!(corrected.corrected(at, json!(true)).is_err());
        assert!(whole().corrected("/components/schemas/D/nullable", json!(true)).is_err());
    }
}
