//! What the derived code calls: members of an object, a variant among others, members being written.

use std::borrow::Cow;

use super::{Faults, FromJson, ToTree, Tree, Value};

/// The most members that a type may have; the derive holds to it.
const MEMBERS_MAX: usize = 32;

/// An object's members, by their place in the type.
#[derive(Debug)]
pub struct Members<'j, 'f> {
    names: &'static [&'static str],
    object: Option<Value<'j>>,
    /// Where each stands; 0, which is never a member's place, for one that is not there.
    found: [u32; MEMBERS_MAX],
    faults: &'f mut Faults,
}

impl<'j, 'f> Members<'j, 'f> {
    /// Sorts an object's members. Unknown ones are passed over, or a fault with `deny_unknown`.
    pub fn of(
        object: Option<Value<'j>>,
        names: &'static [&'static str],
        deny_unknown: bool,
        faults: &'f mut Faults,
    ) -> Self {
        let mut found = [0; MEMBERS_MAX];
        let sorted = object.and_then(|object| {
            object.sort(names, &mut |place, name, value| match place.and_then(|place| found.get_mut(place)) {
                Some(place) => *place = value.at(),
                None if deny_unknown => faults.unknown_field(&name.as_text().unwrap_or_default()),
                None => {}
            })
        });
        if sorted.is_none() {
            faults.expected("an object was expected");
        }
        Self { names, object, found, faults }
    }

    #[inline(never)]
    fn value(&mut self, place: usize) -> Option<Value<'j>> {
        self.faults.member = self.names.get(place).copied().unwrap_or_default();
        let at = self.found.get(place).copied().filter(|at| *at > 0)?;
        self.object.map(|object| object.other(at))
    }

    /// A member that has to be there, unless its type says what it is otherwise.
    pub fn get<T: FromJson>(&mut self, place: usize) -> T {
        let value = self.value(place);
        T::read(value, self.faults)
    }

    /// A member, or something else where it is not there.
    pub fn or<T: FromJson>(&mut self, place: usize, otherwise: T) -> T {
        match self.value(place) {
            None => otherwise,
            value => T::read(value, self.faults),
        }
    }

    /// A member, or its type's default where it is not there.
    pub fn or_default<T: FromJson + Default>(&mut self, place: usize) -> T {
        match self.value(place) {
            None => T::default(),
            value => T::read(value, self.faults),
        }
    }
}

/// Which variant of an enum a value holds.
#[derive(Debug)]
pub struct Chosen<'j> {
    /// The variant's place among the names; their number for an unknown one.
    pub at: usize,
    /// What it holds.
    pub body: Option<Value<'j>>,
}

impl<'j> Chosen<'j> {
    fn new(
        name: Option<Value<'j>>,
        body: Option<Value<'j>>,
        names: &[&str],
        open: bool,
        faults: &mut Faults,
    ) -> Self {
        let name = name.and_then(Value::as_text);
        match name.as_ref().and_then(|name| names.iter().position(|known| known == name)) {
            Some(at) => Self { at, body },
            None if open && name.is_some() => Self { at: names.len(), body },
            None => {
                faults.expected("a known variant was expected");
                Self { at: names.len(), body: None }
            }
        }
    }

    /// A variant's bare name, or an object whose only member has its name. `open`: unknown ones are taken, too.
    pub fn outside(value: Option<Value<'j>>, names: &[&str], open: bool, faults: &mut Faults) -> Self {
        let (mut name, mut body) = (value, None);
        if let Some(mut parts) = value.and_then(Value::members) {
            (name, body) = (parts.next(), parts.next());
            if parts.next().is_some() {
                name = None;
            }
        }
        Self::new(name, body, names, open, faults)
    }

    /// A variant whose name stands among its members.
    pub fn inside(
        value: Option<Value<'j>>,
        tag: &'static str,
        names: &[&str],
        open: bool,
        faults: &mut Faults,
    ) -> Self {
        let name = value.and_then(|value| value.get(tag));
        Self::new(name, value.map(|value| value.without(tag)), names, open, faults)
    }

    /// A variant whose name and content stand beside each other.
    pub fn beside(
        value: Option<Value<'j>>,
        tag: &str,
        content: &str,
        names: &[&str],
        open: bool,
        faults: &mut Faults,
    ) -> Self {
        let member = |name| value.and_then(|value| value.get(name));
        Self::new(member(tag), member(content), names, open, faults)
    }

    /// A fault unless the variant holds nothing.
    pub fn nothing(&self, faults: &mut Faults) {
        if !self.body.is_none_or(Value::is_null) {
            faults.expected("nothing but a name was expected");
        }
    }
}

/// Members being written.
#[derive(Debug, Default)]
pub struct Written(Vec<(Cow<'static, str>, Tree)>);

impl Written {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub fn put(&mut self, name: &'static str, value: &dyn ToTree) {
        self.0.push((Cow::Borrowed(name), value.to_tree()));
    }

    /// Adds another object's members.
    pub fn flatten(&mut self, value: &dyn ToTree) {
        if let Tree::Map(members) = value.to_tree() {
            self.0.extend(members);
        }
    }

    /// The object.
    #[must_use]
    pub fn done(self) -> Tree {
        Tree::Map(self.0)
    }
}
