//! Types of Rust's own out of JSON and to trees.

use std::borrow::Cow;
use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::json::Parts;
use super::{Faults, FromJson, ToTree, Tree, Value, stamp};

impl ToTree for Tree {
    fn to_tree(&self) -> Tree {
        self.clone()
    }
}

impl FromJson for bool {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        value.and_then(Value::as_bool).unwrap_or_else(|| {
            faults.expected("true or false was expected");
            false
        })
    }
}

impl ToTree for bool {
    fn to_tree(&self) -> Tree {
        Tree::Bool(*self)
    }
}

/// A whole number within bounds.
fn whole(value: Option<Value<'_>>, least: i64, most: i64, faults: &mut Faults) -> i64 {
    value.and_then(Value::as_int).filter(|value| (least..=most).contains(value)).unwrap_or_else(|| {
        faults.expected("a whole number was expected");
        0
    })
}

macro_rules! whole {
    ($($kind:ty),*) => {$(
        impl FromJson for $kind {
            fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
                let bound = |bound: $kind| i64::try_from(bound).unwrap_or(i64::MAX);
                let value = whole(value, bound(Self::MIN), bound(Self::MAX), faults);
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

impl FromJson for String {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        value.and_then(Value::as_text).map(Cow::into_owned).unwrap_or_else(|| {
            faults.expected("a text was expected");
            Self::new()
        })
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

impl<T: FromJson> FromJson for Option<T> {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        if value.is_none_or(Value::is_null) { None } else { Some(T::read(value, faults)) }
    }
}

impl<T: ToTree> ToTree for Option<T> {
    fn to_tree(&self) -> Tree {
        self.as_ref().map_or(Tree::Null, ToTree::to_tree)
    }
}

impl<T: FromJson> FromJson for Box<T> {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        Self::new(T::read(value, faults))
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
fn list<'j>(value: Option<Value<'j>>, faults: &mut Faults) -> Option<Parts<'j>> {
    let items = value.and_then(Value::items);
    if items.is_none() {
        faults.expected("a list was expected");
    }
    items
}

impl<T: FromJson> FromJson for Vec<T> {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        let mut out = Self::new();
        for value in list(value, faults).into_iter().flatten() {
            out.push(T::read(Some(value), faults));
        }
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

impl<A: FromJson, B: FromJson> FromJson for (A, B) {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        let [a, b] = pair(value, faults);
        (A::read(a, faults), B::read(b, faults))
    }
}

fn pair<'j>(value: Option<Value<'j>>, faults: &mut Faults) -> [Option<Value<'j>>; 2] {
    let Some(mut items) = list(value, faults) else { return [None; 2] };
    let pair = [items.next(), items.next()];
    if pair.iter().any(Option::is_none) || items.next().is_some() {
        faults.expected("a pair was expected");
    }
    pair
}

impl<A: ToTree, B: ToTree> ToTree for (A, B) {
    fn to_tree(&self) -> Tree {
        Tree::List(vec![self.0.to_tree(), self.1.to_tree()])
    }
}

impl<const N: usize> FromJson for [u8; N] {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        Self::try_from(Vec::<u8>::read(value, faults)).unwrap_or_else(|_| {
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

impl FromJson for DateTime<Utc> {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        value.and_then(Value::as_text).and_then(|text| stamp::read(&text)).unwrap_or_else(|| {
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
