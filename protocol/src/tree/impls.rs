//! Types of Rust's own to and from trees.

use std::borrow::Cow;
use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::{Faults, FromTree, ToTree, Tree, stamp};

impl FromTree for Tree {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        tree.unwrap_or_else(|| {
            faults.expected("something was expected");
            Self::Null
        })
    }
}

impl ToTree for Tree {
    fn to_tree(&self) -> Tree {
        self.clone()
    }
}

impl FromTree for bool {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        match tree {
            Some(Tree::Bool(value)) => value,
            _ => {
                faults.expected("true or false was expected");
                false
            }
        }
    }
}

impl ToTree for bool {
    fn to_tree(&self) -> Tree {
        Tree::Bool(*self)
    }
}

/// A whole number within bounds.
fn whole(tree: Option<&Tree>, least: i64, most: i64, faults: &mut Faults) -> i64 {
    match tree {
        Some(Tree::Int(value)) if (least..=most).contains(value) => *value,
        _ => {
            faults.expected("a whole number was expected");
            0
        }
    }
}

macro_rules! whole {
    ($($kind:ty),*) => {$(
        impl FromTree for $kind {
            fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
                let bound = |bound: $kind| i64::try_from(bound).unwrap_or(i64::MAX);
                let value = whole(tree.as_ref(), bound(Self::MIN), bound(Self::MAX), faults);
                Self::try_from(value).unwrap_or_default()
            }
        }

        impl ToTree for $kind {
            fn to_tree(&self) -> Tree {
                // What is beyond 2^63 counts nothing that there is.
                Tree::Int(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )*};
}

whole!(u8, u16, u32, u64, usize, i32, i64);

impl ToTree for f64 {
    fn to_tree(&self) -> Tree {
        Tree::Float(*self)
    }
}

impl FromTree for String {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        match tree {
            Some(Tree::Text(text)) => text.into_owned(),
            _ => {
                faults.expected("a text was expected");
                Self::new()
            }
        }
    }
}

impl ToTree for String {
    fn to_tree(&self) -> Tree {
        Tree::Text(Cow::Owned(self.clone()))
    }
}

impl ToTree for &'static str {
    fn to_tree(&self) -> Tree {
        Tree::word(self)
    }
}

impl<T: FromTree> FromTree for Option<T> {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        if is_nothing(tree.as_ref()) { None } else { Some(T::read(tree, faults)) }
    }
}

fn is_nothing(tree: Option<&Tree>) -> bool {
    matches!(tree, None | Some(Tree::Null))
}

impl<T: ToTree> ToTree for Option<T> {
    fn to_tree(&self) -> Tree {
        self.as_ref().map_or(Tree::Null, ToTree::to_tree)
    }
}

impl<T: FromTree> FromTree for Box<T> {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        Self::new(T::read(tree, faults))
    }
}

impl<T: ToTree> ToTree for Rc<T> {
    fn to_tree(&self) -> Tree {
        T::to_tree(self)
    }
}

impl<T: ToTree> ToTree for Box<T> {
    fn to_tree(&self) -> Tree {
        T::to_tree(self)
    }
}

/// A list's values.
fn list(tree: Option<Tree>, faults: &mut Faults) -> Vec<Tree> {
    match tree {
        Some(Tree::List(values)) => values,
        _ => {
            faults.expected("a list was expected");
            Vec::new()
        }
    }
}

/// One loop for the lists of every type.
fn each(tree: Option<Tree>, faults: &mut Faults, take: &mut dyn FnMut(Tree, &mut Faults)) {
    for value in list(tree, faults) {
        take(value, faults);
    }
}

impl<T: FromTree> FromTree for Vec<T> {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        let mut out = Self::new();
        each(tree, faults, &mut |value, faults| out.push(T::read(Some(value), faults)));
        out
    }
}

#[inline(never)]
fn add(list: &mut Vec<Tree>, value: &dyn ToTree) {
    list.push(value.to_tree());
}

impl<T: ToTree> ToTree for Vec<T> {
    fn to_tree(&self) -> Tree {
        // A plain loop: an iterator's adapters would come once more with every type.
        let mut out = Vec::new();
        for value in self {
            add(&mut out, value);
        }
        Tree::List(out)
    }
}

impl<A: FromTree, B: FromTree> FromTree for (A, B) {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        let mut values = pair(tree, faults).into_iter();
        (A::read(values.next(), faults), B::read(values.next(), faults))
    }
}

fn pair(tree: Option<Tree>, faults: &mut Faults) -> Vec<Tree> {
    let values = list(tree, faults);
    if values.len() != 2 {
        faults.expected("a pair was expected");
    }
    values
}

impl<A: ToTree, B: ToTree> ToTree for (A, B) {
    fn to_tree(&self) -> Tree {
        Tree::List(vec![self.0.to_tree(), self.1.to_tree()])
    }
}

impl<const N: usize> FromTree for [u8; N] {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        Self::try_from(Vec::<u8>::read(tree, faults)).unwrap_or_else(|_| {
            faults.expected("a list of another length was expected");
            [0; N]
        })
    }
}

impl<const N: usize> ToTree for [u8; N] {
    fn to_tree(&self) -> Tree {
        self.to_vec().to_tree()
    }
}

impl FromTree for DateTime<Utc> {
    fn read(tree: Option<Tree>, faults: &mut Faults) -> Self {
        tree.as_ref().and_then(Tree::as_text).and_then(stamp::read).unwrap_or_else(|| {
            faults.expected("a time was expected");
            Self::UNIX_EPOCH
        })
    }
}

impl ToTree for DateTime<Utc> {
    fn to_tree(&self) -> Tree {
        Tree::Text(Cow::Owned(stamp::write(self)))
    }
}
