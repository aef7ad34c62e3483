//! Spans as a collector takes them: an `ExportTraceServiceRequest` of OTLP 1.x in its JSON form (opentelemetry-proto, "JSON Protobuf
//! Encoding": names in lower camel case, ids in hexadecimal, 64-bit numbers as text).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Kind, Span};

/// The attribute that is a number.
pub(in crate::broker) const STATUS: &str = "http.response.status_code";

/// `STATUS_CODE_ERROR` of `Status`.
const ERROR: u8 = 2;

/// A request's body. `instance` tells this broker from others.
pub(super) fn body(instance: &str, spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [
        text("service.name", "ticketgate"),
        text("service.version", version),
        text("service.instance.id", instance),
    ];
    let spans: Vec<Value> = spans.iter().map(of).collect();
    let all = json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": { "name": "ticketgate", "version": version }, "spans": spans }],
        }],
    });
    all.to_string().into_bytes()
}

fn of(span: &Span) -> Value {
    let mut attributes: Vec<Value> = span
        .known
        .iter()
        .map(|(key, values)| {
            let value = values.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            if *key == STATUS {
                json!({ "key": key, "value": { "intValue": value } })
            } else {
                text(key, &value)
            }
        })
        .collect();
    attributes.extend(span.failure.map(|failure| text("error.type", failure)));
    let mut told = json!({
        "traceId": hex::encode(span.trace),
        "spanId": hex::encode(span.id),
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": nanoseconds(span.began, Duration::ZERO),
        "endTimeUnixNano": nanoseconds(span.began, span.took),
        "attributes": attributes,
        "status": span.failure.map_or_else(|| json!({}), |_| json!({ "code": ERROR })),
    });
    if let (Some(parent), Some(members)) = (span.parent, told.as_object_mut()) {
        members.insert("parentSpanId".into(), hex::encode(parent).into());
    }
    told
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// `SpanKind`.
const fn kind(kind: Kind) -> u8 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    }
}

fn nanoseconds(began: SystemTime, took: Duration) -> String {
    let since = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since + took).as_nanos().to_string()
}
