//! What the stand-in answers: bodies, refusals in Graph's form, pages.

use super::question::Question;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// What is not Graph's word but the stand-in's own: something was asked that no client of ours should ask.
pub(super) const OWN_REFUSAL: &str = "StandInRefuses";

/// An answer, before it has the headers that each one has.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

/// A refusal is an answer, too; this way round, `?` gives it.
pub(super) type Answered = Result<Answer, Answer>;

impl Answer {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    pub(super) fn created(body: Value) -> Self {
        Self::new(201, body)
    }

    pub(super) fn done() -> Self {
        Self { status: 204, headers: Vec::new(), body: None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The error code of a refusal.
    pub(super) fn code(&self) -> Option<&str> {
        self.body.as_ref()?.pointer("/error/code")?.as_str()
    }
}

/// A refusal in Graph's form; `innerError` comes with the headers.
pub(super) fn refusal(status: u16, code: &str, message: impl Into<String>) -> Answer {
    Answer::new(status, json!({"error": {"code": code, "message": message.into()}}))
}

/// A value that the directory does not take.
pub(super) fn bad(message: impl Into<String>) -> Answer {
    refusal(400, "Request_BadRequest", message)
}

/// A value that the directory does not take, of a named property.
pub(super) fn bad_property(code: &str, property: &str, message: &str) -> Answer {
    Answer::new(
        400,
        json!({"error": {
            "code": "Request_BadRequest",
            "message": message,
            "details": [{"code": code, "message": message, "target": property}],
        }}),
    )
}

pub(super) fn not_found(id: &str) -> Answer {
    refusal(
        404,
        "Request_ResourceNotFound",
        format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
        ),
    )
}

pub(super) fn denied() -> Answer {
    refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

/// The stand-in does not know what is asked, or knows that no client of ours asks it.
pub(super) fn own_refusal(message: impl Into<String>) -> Answer {
    refusal(400, OWN_REFUSAL, message)
}

/// A time as Graph writes it.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub(super) fn stamp_or_null(time: Option<DateTime<Utc>>) -> Value {
    time.map_or(Value::Null, |time| stamp(time).into())
}

/// How lists are cut.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    /// At most so many at once, whatever was asked for.
    pub(super) size: usize,
    /// What the address of the next page begins with.
    pub(super) base: String,
}

/// The part of a list that was asked for, with the address of the next one. At most `most` can be asked for at once.
pub(super) fn list(question: &Question, items: &[Value], pages: &Pages, most: usize) -> Answered {
    let top = match question.option("$top") {
        Some(text) => Some(text.parse().map_err(|_| bad("Invalid value for query option '$top'."))?),
        None => None,
    };
    if top.is_some_and(|top| top == 0 || top > most) {
        return Err(bad(format!("Invalid page size specified. Must be between 1 and {most} inclusive.")));
    }
    let from: usize = match question.option("$skiptoken") {
        Some(text) => text
            .strip_prefix("at-")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad("$skiptoken is wrong."))?,
        None => 0,
    };
    let size = top.unwrap_or(100).min(pages.size);
    let page: Vec<Value> = items.iter().skip(from).take(size).cloned().collect();
    let mut body = json!({"@odata.context": context(&question.path.join("/")), "value": page});
    if let Some(map) = body.as_object_mut().filter(|_| from + size < items.len()) {
        let link =
            format!("{}{}", pages.base, question.address_with("$skiptoken", &format!("at-{}", from + size)));
        map.insert("@odata.nextLink".to_owned(), link.into());
    }
    Ok(Answer::ok(body))
}

pub(super) fn context(of: &str) -> String {
    format!("https://graph.microsoft.com/v1.0/$metadata#{of}")
}
