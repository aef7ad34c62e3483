//! What the derived code calls: members of an object, a variant among others, members being written.

use std::borrow::Cow;

use super::{Faults, FromTree, ToTree, Tree};

/// An object's members, by their place in the type.
#[derive(Debug)]
pub struct Members<'f> {
    names: &'static [&'static str],
    found: Vec<Option<Tree>>,
    faults: &'f mut Faults,
}

impl<'f> Members<'f> {
    /// Sorts an object's members. Unknown ones are passed over, or a fault with `deny_unknown`.
    pub fn of(
        tree: Option<Tree>,
        names: &'static [&'static str],
        deny_unknown: bool,
        faults: &'f mut Faults,
    ) -> Self {
        let mut found: Vec<Option<Tree>> = Vec::new();
        found.resize_with(names.len(), || None);
        if let Some(Tree::Map(members)) = tree {
            for (name, value) in members {
                match names.iter().position(|known| *known == name).and_then(|at| found.get_mut(at)) {
                    Some(place) => *place = Some(value),
                    None if deny_unknown => faults.unknown_field(&name),
                    None => {}
                }
            }
        } else {
            faults.expected("an object was expected");
        }
        Self { names, found, faults }
    }

    #[inline(never)]
    fn take(&mut self, at: usize) -> Option<Tree> {
        self.faults.member = self.names.get(at).copied().unwrap_or_default();
        self.found.get_mut(at)?.take()
    }

    fn has(&self, at: usize) -> bool {
        self.found.get(at).is_some_and(Option::is_some)
    }

    /// A member that has to be there, unless its type says what it is otherwise.
    pub fn get<T: FromTree>(&mut self, at: usize) -> T {
        let tree = self.take(at);
        T::read(tree, self.faults)
    }

    /// A member, or something else where it is not there.
    pub fn or<T: FromTree>(&mut self, at: usize, otherwise: T) -> T {
        if self.has(at) { self.get(at) } else { otherwise }
    }

    /// A member, or its type's default where it is not there.
    pub fn or_default<T: FromTree + Default>(&mut self, at: usize) -> T {
        if self.has(at) { self.get(at) } else { T::default() }
    }
}

/// Which variant of an enum a tree holds.
#[derive(Debug)]
pub struct Chosen {
    /// The variant's place among the names; their number for an unknown one.
    pub at: usize,
    /// What it holds.
    pub body: Option<Tree>,
}

impl Chosen {
    fn new(name: &str, body: Option<Tree>, names: &[&str], open: bool, faults: &mut Faults) -> Self {
        match names.iter().position(|known| *known == name) {
            Some(at) => Self { at, body },
            None if open => Self { at: names.len(), body },
            None => Self::none_of(names, faults),
        }
    }

    fn none_of(names: &[&str], faults: &mut Faults) -> Self {
        faults.expected("a known variant was expected");
        Self { at: names.len(), body: None }
    }

    /// A variant's bare name, or an object whose only member has its name. `open`: unknown ones are taken, too.
    pub fn outside(tree: Option<Tree>, names: &[&str], open: bool, faults: &mut Faults) -> Self {
        match tree {
            Some(Tree::Text(name)) => Self::new(&name, None, names, open, faults),
            Some(Tree::Map(mut members)) if members.len() == 1 => match members.pop() {
                Some((name, body)) => Self::new(&name, Some(body), names, open, faults),
                None => Self::none_of(names, faults),
            },
            _ => Self::none_of(names, faults),
        }
    }

    /// A variant whose name stands among its members.
    pub fn inside(tree: Option<Tree>, tag: &str, names: &[&str], open: bool, faults: &mut Faults) -> Self {
        let Some(Tree::Map(mut members)) = tree else { return Self::none_of(names, faults) };
        let mut name = None;
        members.retain_mut(|(known, value)| {
            let other = known != tag;
            if !other {
                name = Some(std::mem::take(value));
            }
            other
        });
        match name {
            Some(Tree::Text(name)) => Self::new(&name, Some(Tree::Map(members)), names, open, faults),
            _ => Self::none_of(names, faults),
        }
    }

    /// A variant whose name and content stand beside each other.
    pub fn beside(
        tree: Option<Tree>,
        tag: &str,
        content: &str,
        names: &[&str],
        open: bool,
        faults: &mut Faults,
    ) -> Self {
        let Some(mut tree) = tree else { return Self::none_of(names, faults) };
        let body = tree.take(content);
        match tree.get(tag) {
            Some(Tree::Text(name)) => Self::new(name, body, names, open, faults),
            _ => Self::none_of(names, faults),
        }
    }

    /// A fault unless the variant holds nothing.
    pub fn nothing(&self, faults: &mut Faults) {
        if !matches!(self.body, None | Some(Tree::Null)) {
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
