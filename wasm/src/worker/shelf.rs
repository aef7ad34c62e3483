//! A small map: a list of pairs, searched from its start. The core holds a handful of tabs, sessions and sites; a tree
//! for each pair of types would cost a tenth of the whole core's size.

use ticketgate_protocol::tree::{Faults, FromJson, ToTree, Tree, Value};

/// Pairs with distinct keys, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shelf<K, V>(Vec<(K, V)>);

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: FromJson, V: FromJson> FromJson for Shelf<K, V> {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        Self(Vec::read(value, faults))
    }
}

impl<K: ToTree, V: ToTree> ToTree for Shelf<K, V> {
    fn to_tree(&self) -> Tree {
        self.0.to_tree()
    }
}

impl<K: PartialEq, V> Shelf<K, V> {
    /// The value of this key.
    pub(super) fn get<Q: ?Sized + PartialEq>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.iter().find(|(k, _)| k.borrow() == key).map(|(_, v)| v)
    }

    /// The value of this key, to change it.
    pub(super) fn get_mut<Q: ?Sized + PartialEq>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.iter_mut().find(|(k, _)| k.borrow() == key).map(|(_, v)| v)
    }

    /// Whether there is a value of this key.
    pub(super) fn contains_key<Q: ?Sized + PartialEq>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Sets the value of this key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.get_mut(&key) {
            Some(old) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// The value of this key, made if there is none.
    pub(super) fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.0.iter().position(|(k, _)| *k == key) {
            Some(at) => at,
            None => {
                self.0.push((key, make()));
                self.0.len() - 1
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or pushed just now")]
        &mut self.0[at].1
    }

    /// Takes the value of this key out.
    pub(super) fn remove<Q: ?Sized + PartialEq>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let at = self.0.iter().position(|(k, _)| k.borrow() == key)?;
        Some(self.0.remove(at).1)
    }

    /// Keeps the pairs for which `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(k, v)| keep(k, v));
    }

    /// Every pair.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }

    /// Every key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(k, _)| k)
    }

    /// Every value.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, v)| v)
    }

    /// Every value, to change it.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, v)| v)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
