//! An entry as a server sent it. Unlike the LDAP crate's own reader it keeps bytes as bytes and never panics on a malformed one.

use std::collections::BTreeMap;

use ldap3::ResultEntry;
use ldap3::asn1::{PL, StructureTag};

/// An entry: its name and its attributes' values, by the attribute's name in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its DN as the server spells it.
    pub(crate) dn: String,
    values: BTreeMap<String, Vec<Vec<u8>>>,
}

/// A multi-valued attribute as far as one answer had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The values of this answer.
    pub(crate) values: Vec<String>,
    /// The number of the first value that is still to come (MS-ADTS 3.1.1.3.1.3.3: a server hands out 1,500 at a time).
    pub(crate) next: Option<u32>,
}

impl Entry {
    /// Reads a server's answer; none when it is no entry, or malformed.
    pub(crate) fn read(answer: ResultEntry) -> Option<Self> {
        let mut parts = constructed(answer.0, 4)?.into_iter();
        let dn = String::from_utf8(primitive(parts.next()?)?).ok()?;
        let mut values = BTreeMap::new();
        for attribute in children(parts.next()?)? {
            let mut both = children(attribute)?.into_iter();
            let name = String::from_utf8(primitive(both.next()?)?).ok()?;
            let found: Option<Vec<_>> = children(both.next()?)?.into_iter().map(primitive).collect();
            values.insert(name.to_ascii_lowercase(), found?);
        }
        Some(Self { dn, values })
    }

    /// How many bytes its name, each attribute's name and each value has.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        let names = self.values.keys().map(String::len);
        let values = self.values.values().flatten().map(Vec::len);
        std::iter::once(self.dn.len()).chain(names).chain(values)
    }

    /// The first value as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok()
    }

    /// The first value.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.values.get(&name.to_ascii_lowercase())?.first().map(Vec::as_slice)
    }

    /// The first value as a number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// Every value that is text.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        let values = self.values.get(&name.to_ascii_lowercase());
        values.into_iter().flatten().filter_map(|value| std::str::from_utf8(value).ok()).collect()
    }

    /// The values of an attribute that may have come as a range (`memberOf;range=0-1499`).
    pub(crate) fn part(&self, name: &str) -> Part {
        let prefix = format!("{};range=", name.to_ascii_lowercase());
        let ranged =
            self.values.iter().find_map(|(name, values)| Some((name.strip_prefix(&prefix)?, values)));
        // One that is no text is none that anybody knows, but it is there.
        let owned = |values: &Vec<Vec<u8>>| {
            values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        match ranged {
            Some((range, values)) => {
                // `1500-*` is the last one.
                let last = range.split_once('-').and_then(|(_, last)| last.parse::<u32>().ok());
                let next = last.and_then(|last| last.checked_add(1)).filter(|_| !values.is_empty());
                Part { values: owned(values), next }
            }
            None => {
                let values = self.values.get(&name.to_ascii_lowercase()).map(owned).unwrap_or_default();
                Part { values, next: None }
            }
        }
    }
}

fn constructed(tag: StructureTag, id: u64) -> Option<Vec<StructureTag>> {
    tag.match_id(id).and_then(children)
}

fn children(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(children) => Some(children),
        PL::P(_) => None,
    }
}

fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldap3::asn1::TagClass;

    fn octets(text: &[u8]) -> StructureTag {
        StructureTag { class: TagClass::Universal, id: 4, payload: PL::P(text.to_vec()) }
    }

    fn list(id: u64, children: Vec<StructureTag>) -> StructureTag {
        StructureTag { class: TagClass::Universal, id, payload: PL::C(children) }
    }

    fn answer(attributes: &[(&str, &[&[u8]])]) -> ResultEntry {
        let attributes = attributes
            .iter()
            .map(|(name, values)| {
                list(16, vec![octets(name.as_bytes()), list(17, values.iter().map(|v| octets(v)).collect())])
            })
            .collect();
        let tag = StructureTag {
            class: TagClass::Application,
            id: 4,
            payload: PL::C(vec![octets(b"CN=a,DC=b"), list(16, attributes)]),
        };
        ResultEntry::new(tag)
    }

    #[test]
    fn bytes_stay_bytes_and_names_have_no_case() {
        let entry =
            Entry::read(answer(&[("objectGUID", &[&[0xff, 0]]), ("Description", &["ä".as_bytes(), b"b"])]))
                .unwrap();
        assert_eq!(entry.bytes("objectguid"), Some(&[0xff, 0][..]));
        assert_eq!(entry.text("objectGUID"), None);
        assert_eq!(entry.texts("description"), ["ä", "b"]);
    }

    #[test]
    fn a_range_says_where_it_goes_on() {
        let first =
            Entry::read(answer(&[("memberOf", &[]), ("memberOf;range=0-1", &[b"CN=a", b"CN=b"])])).unwrap();
        assert_eq!(
            first.part("memberOf"),
            Part { values: vec!["CN=a".into(), "CN=b".into()], next: Some(2) }
        );
        let last = Entry::read(answer(&[("memberOf;Range=2-*", &[b"CN=c"])])).unwrap();
        assert_eq!(last.part("memberOf"), Part { values: vec!["CN=c".into()], next: None });
        let whole = Entry::read(answer(&[("memberOf", &[b"CN=a"])])).unwrap();
        assert_eq!(whole.part("memberOf"), Part { values: vec!["CN=a".into()], next: None });
        assert_eq!(whole.part("member"), Part { values: vec![], next: None });
    }

    #[test]
    fn an_empty_range_ends_the_asking() {
        let odd = Entry::read(answer(&[("member;range=0-1499", &[])])).unwrap();
        assert_eq!(odd.part("member").next, None);
    }

    #[test]
    fn a_malformed_answer_is_no_entry() {
        assert_eq!(Entry::read(ResultEntry::new(octets(b"x"))), None);
        assert_eq!(Entry::read(ResultEntry::new(list(4, vec![octets(b"CN=a")]))), None);
    }
}
