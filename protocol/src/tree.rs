//! Types out of JSON text and, by way of plain values, into JSON or JavaScript's own form, for whoever must be small: the WASM
//! core. A type says only which members it has (`#[derive(FromJson, ToTree)]`, out of its serde attributes); what reads and
//! writes them stands here once for all types. Native programs use serde itself.

mod impls;
mod json;
mod members;
mod serial;
mod stamp;
mod write;

use std::borrow::Cow;
use std::fmt;

pub use json::{Json, Parts, Value};
pub use members::{Chosen, Members, Written};
pub use ticketgate_tree_derive::{FromJson, ToTree};

/// A plain value.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Tree {
    /// Nothing.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number. Never read as a whole one.
    Float(f64),
    /// A text.
    Text(Cow<'static, str>),
    /// A list.
    List(Vec<Tree>),
    /// Members by name. Of a name that comes twice the last counts.
    Map(Vec<(Cow<'static, str>, Tree)>),
}

/// What reads itself out of JSON.
pub trait FromJson: Sized {
    /// What the value holds; `None` stands for a member that is not there. Where it is not of the type's shape, `faults` hears
    /// of it and whatever comes back is thrown away: so nothing has to be undone half way, which would be most of the code.
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self;

    /// What the value holds.
    ///
    /// # Errors
    /// [`Fault`] says what is not of the type's shape.
    fn from_value(value: Value<'_>) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let read = Self::read(Some(value), &mut faults);
        match faults.first {
            None => Ok(read),
            Some(fault) => Err(fault),
        }
    }

    /// What a JSON text holds.
    ///
    /// # Errors
    /// [`Fault`] where it is no JSON, or not of the type's shape.
    fn parse(text: &str) -> Result<Self, Fault> {
        Self::from_value(Json::read(text)?.value())
    }
}

/// What writes itself as a tree.
pub trait ToTree {
    /// The value as a tree.
    fn to_tree(&self) -> Tree;
}

/// A text is no JSON, or not of the shape that a type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    what: Cow<'static, str>,
    member: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.member.is_empty() {
            f.write_str(" at or near ")?;
            f.write_str(self.member)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// The first fault of a reading, if there is one.
#[derive(Debug, Default)]
pub struct Faults {
    first: Option<Fault>,
    member: &'static str,
}

impl Faults {
    /// Something is not what was expected.
    pub fn expected(&mut self, what: &'static str) {
        self.hear(Cow::Borrowed(what));
    }

    /// Whether there is one.
    #[must_use]
    pub fn any(&self) -> bool {
        self.first.is_some()
    }

    fn unknown_field(&mut self, name: &str) {
        self.hear(format!("unknown field `{name}`").into());
    }

    fn hear(&mut self, what: Cow<'static, str>) {
        if self.first.is_none() {
            self.first = Some(Fault { what, member: self.member });
        }
    }
}

impl Tree {
    /// Writes JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write::write(self, &mut out);
        out
    }

    /// A text that stands in the program.
    #[must_use]
    pub fn word(word: &'static str) -> Self {
        Self::Text(Cow::Borrowed(word))
    }

    /// A map of one member.
    #[must_use]
    pub fn named(name: &'static str, value: Self) -> Self {
        Self::Map(vec![(Cow::Borrowed(name), value)])
    }

    /// A variant's members with its name in front of them.
    #[must_use]
    pub fn tagged(tag: &'static str, variant: &'static str, members: Self) -> Self {
        let mut all = vec![(Cow::Borrowed(tag), Self::word(variant))];
        if let Self::Map(members) = members {
            all.extend(members);
        }
        Self::Map(all)
    }

    /// A variant's name, and what it holds beside it.
    #[must_use]
    pub fn beside(tag: &'static str, variant: &'static str, content: &'static str, value: Self) -> Self {
        Self::Map(vec![(Cow::Borrowed(tag), Self::word(variant)), (Cow::Borrowed(content), value)])
    }
}

#[cfg(test)]
mod tests;
