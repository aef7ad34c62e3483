//! JSON beside serde: the same texts, the same values, the same refusals.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

/// One type with everything that the derives know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
struct Strict {
    number: u16,
    #[serde(default)]
    text: String,
    #[serde(default = "seven", skip_serializing_if = "is_seven")]
    many: u8,
    maybe: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r#for: Option<Box<Strict>>,
}

fn seven() -> u8 {
    7
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_seven(many: &u8) -> bool {
    *many == 7
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromJson, ToTree)]
struct Lenient {
    #[serde(default)]
    a: i64,
    #[serde(default)]
    b: Vec<(i32, String)>,
    #[serde(skip)]
    c: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Outside {
    Bare,
    HoldsOne(u32),
    Named { a: bool },
    Empty {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Inside {
    Bare,
    Named {
        a: bool,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
enum Beside {
    Bare,
    One(Strict),
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
enum Word {
    First,
    SecondOne,
    #[serde(other)]
    Unknown,
}

/// What both make of a text; they have to agree whether it can be read, and as what.
fn same<T>(text: &str) -> Option<T>
where
    T: FromJson + ToTree + Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let by_serde =
        serde_json::from_str::<Value>(text).ok().and_then(|value| serde_json::from_value::<T>(value).ok());
    let by_us = T::parse(text).ok();
    assert_eq!(by_us, by_serde, "{text}");
    if let Some(read) = &by_us {
        let written: Value = serde_json::from_str(&read.to_tree().to_json()).unwrap();
        assert_eq!(written, serde_json::to_value(read).unwrap(), "{text}");
    }
    by_us
}

/// A whole text as serde has it.
fn plain_value(text: &str) -> Option<Value> {
    fn of(value: crate::tree::Value<'_>) -> Value {
        if value.is_null() {
            return Value::Null;
        }
        let whole = value.as_bool().map(Value::from).or_else(|| value.as_int().map(Value::from));
        let one = whole.or_else(|| value.as_float().map(Value::from));
        if let Some(one) = one.or_else(|| value.as_text().map(|text| Value::from(text.into_owned()))) {
            return one;
        }
        if let Some(items) = value.items() {
            return items.map(of).collect();
        }
        let mut parts = value.members().unwrap();
        let mut members = serde_json::Map::new();
        while let Some(name) = parts.next() {
            members.insert(name.as_text().unwrap().into_owned(), of(parts.next().unwrap()));
        }
        Value::Object(members)
    }
    Json::read(text).ok().map(|json| of(json.value()))
}

#[test]
fn structs_are_read_and_refused_as_serde_does() {
    for (text, is_read) in [
        (r#"{"number":1}"#, true),
        (r#"{"number":1,"number":2}"#, true),
        (r#"{"number":1,"text":"a","many":3,"maybe":null,"for":{"number":2,"maybe":true}}"#, true),
        (r#"{"number":1,"other":2}"#, false),
        (r#"{"number":1,"for":{"number":2,"other":3}}"#, false),
        (r#"{"text":"a"}"#, false),
        (r#"{"number":-1}"#, false),
        (r#"{"number":65536}"#, false),
        (r#"{"number":1.0}"#, false),
        (r#"{"number":1e2}"#, false),
        (r#"{"number":"1"}"#, false),
        (r#"{"number":1,"text":null}"#, false),
        (r#"{"number":1,"maybe":1}"#, false),
        ("null", false),
        ("7", false),
    ] {
        assert_eq!(same::<Strict>(text).is_some(), is_read, "{text}");
    }
}

#[test]
fn defaults_stand_in_for_what_is_missing() {
    assert_eq!(same::<Lenient>("{}"), Some(Lenient { a: 0, b: Vec::new(), c: 0 }));
    assert_eq!(same::<Lenient>(r#"{"a":1,"unknown":2}"#), Some(Lenient { a: 1, b: Vec::new(), c: 0 }));
    for text in [r#"{"b":[[1,"a"],[2,"b"]]}"#, r#"{"b":[[1]]}"#, r#"{"b":[[1,"a",2]]}"#, r#"{"b":{}}"#] {
        same::<Lenient>(text);
    }
}

#[test]
fn variants_are_told_as_serde_tells_them() {
    for text in [
        r#""bare""#,
        r#"{"bare":null}"#,
        r#"{"bare":1}"#,
        r#"{"holds_one":4}"#,
        r#"{"holds_one":-4}"#,
        r#""holds_one""#,
        r#"{"named":{"a":true}}"#,
        r#"{"named":{"a":true,"b":1}}"#,
        r#"{"empty":{}}"#,
        r#"{"empty":{"a":1}}"#,
        r#""empty""#,
        r#"{"bare":null,"empty":{}}"#,
        "{}",
        r#""else""#,
        "null",
    ] {
        same::<Outside>(text);
    }
    for text in [
        r#"{"kind":"bare"}"#,
        r#"{"kind":"bare","more":1}"#,
        r#"{"kind":"named","a":true,"more":1}"#,
        r#"{"kind":"named"}"#,
        r#"{"kind":"else","a":1}"#,
        r#"{"kind":7}"#,
        "{}",
        r#""bare""#,
    ] {
        same::<Inside>(text);
    }
    for text in [
        r#"{"kind":"bare"}"#,
        r#"{"kind":"one","data":{"number":1}}"#,
        r#"{"data":{"number":1},"kind":"one","more":1}"#,
        r#"{"kind":"one","data":{"number":1,"other":1}}"#,
        r#"{"kind":"one"}"#,
        r#"{"kind":"else"}"#,
        "{}",
    ] {
        same::<Beside>(text);
    }
    // What a newer peer says is unknown whatever stands beside it; serde wants it to have said nothing more.
    let newer = Beside::parse(r#"{"kind":"else","data":{"number":1}}"#);
    assert_eq!(newer, Ok(Beside::Unknown));
    for text in [r#""first""#, r#""second_one""#, r#""SecondOne""#, r#""third""#, "3", "{}"] {
        same::<Word>(text);
    }
}

#[test]
fn a_fault_says_what_and_where() {
    let fault = |text| Strict::parse(text).unwrap_err().to_string();
    assert_eq!(fault("{"), "not JSON");
    assert!(fault(r#"{"number":1,"extra":2}"#).contains("unknown field `extra`"));
    assert_eq!(fault(r#"{"number":"1"}"#), "a whole number was expected at or near number");
}

#[test]
fn text_that_is_no_json_is_refused_and_the_rest_is_not() {
    for text in [
        "",
        " ",
        "\0",
        "null\0",
        "nul",
        "nulll",
        "tru",
        "+1",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1 2",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        "{a:1}",
        "{1:1}",
        r#"""#,
        r#""\""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\ud800""#,
        r#""\ud800\u0041""#,
        r#""\udc00""#,
        "\"a\nb\"",
        "1e999",
        "'a'",
        "]",
    ] {
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        assert!(Json::read(text).is_err(), "{text:?}");
    }
    for text in [
        " null ",
        "-0",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "[ ]",
        "{ }",
        "[1 , 2]",
        r#"{"a" : 1}"#,
        r#""\ud83d\ude00 \u00e9 \/ \b\f\n\r\t""#,
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(plain_value(text), Some(value), "{text}");
    }
    let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json::read(&deep(100)).is_ok());
    assert!(Json::read(&deep(100_000)).is_err());
}

#[test]
fn numbers_that_are_not_whole_come_near() {
    for text in ["1.5", "-2.25e3", "1e2", "1e-7", "0.1", "18446744073709551616", "123456.789", "0.0", "5e0"] {
        let expected: f64 = text.parse().unwrap();
        let read = Json::read(text).unwrap().value().as_float().unwrap();
        assert!((read - expected).abs() <= expected.abs() * 1e-12, "{text}: {read}");
    }
    assert_eq!(Tree::Float(0.5).to_json(), "null", "no type that is saved has one");
}

fn plain() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(".{0,6}", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// A value to be written.
fn tree(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(*value),
        Value::Number(value) => Tree::Int(value.as_i64().unwrap()),
        Value::String(text) => Tree::Text(text.clone().into()),
        Value::Array(values) => Tree::List(values.iter().map(tree).collect()),
        Value::Object(members) => {
            Tree::Map(members.iter().map(|(name, value)| (name.clone().into(), tree(value))).collect())
        }
    }
}

fn time_of(text: &str) -> Result<DateTime<Utc>, Fault> {
    FromJson::parse(&Value::from(text).to_string())
}

proptest! {
    #[test]
    fn whatever_serde_writes_is_read_the_same_and_back(value in plain(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let read = plain_value(&text).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(&tree(&read).to_json()).unwrap(), &value);
        prop_assert_eq!(read, value);
    }

    #[test]
    fn whatever_comes_is_json_to_both_or_to_neither(text in r#"[\[\]{}:,"\\0-9a-u.eE+ -]{0,24}|.{0,24}"#) {
        prop_assert_eq!(Json::read(&text).is_ok(), serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn times_are_written_and_read_as_chrono_does(
        seconds in -60_000_000_000_i64..250_000_000_000, nanos in 0_u32..1_000_000_000, cut in 0_u32..4,
    ) {
        let step = 1000_u32.pow(cut);
        let time = DateTime::<Utc>::from_timestamp(seconds, nanos / step * step).unwrap();
        let expected = serde_json::to_value(time).unwrap().as_str().unwrap().to_owned();
        prop_assert_eq!(time_of(&expected), Ok(time));
        prop_assert_eq!(time.to_tree(), Tree::Text(expected.into()));
    }

    #[test]
    fn a_time_with_an_offset_is_the_same_instant(minutes in -1439_i32..=1439, seconds in 0_i64..4_000_000_000) {
        let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let time = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap();
        let text = time.with_timezone(&offset).to_rfc3339();
        prop_assert_eq!(time_of(&text), Ok(time));
    }

    #[test]
    fn what_is_no_time_to_chrono_is_none(
        text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])?",
    ) {
        let by_chrono = text.parse::<DateTime<Utc>>().ok();
        prop_assert_eq!(time_of(&text).ok(), by_chrono);
    }
}

#[test]
fn leap_days_and_leap_seconds_are_those_of_chrono() {
    for text in [
        "2024-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2000-02-29T23:59:60Z",
        "1900-02-29T00:00:00Z",
        "0000-01-01T00:00:60-00:01",
        "2016-12-31T23:59:60.5Z",
        "2024-04-31T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-12-31T24:00:00Z",
    ] {
        let by_chrono = text.parse::<DateTime<Utc>>().ok();
        assert_eq!(time_of(text).ok(), by_chrono, "{text}");
    }
}

#[test]
fn an_exponent_beyond_all_bounds_leaves_nothing() {
    let digits = "0.000e-99999999999999999999";
    assert_eq!(Json::read(digits).unwrap().value().as_float(), Some(0.0));
    assert_eq!(Json::read("0.5e-99999999999999999999").unwrap().value().as_float(), Some(0.0));
    assert!(Json::read("1e99999999999999999999").is_err());
}
