//! Ids for customers to be, made from their names.

use std::collections::BTreeSet;

use ticketgate_protocol::likeness;

/// An id that nobody has, made from a name: lower-case letters and digits of its words, without the legal form.
pub(in crate::cli) fn free_id(name: &str, ids: &mut BTreeSet<String>) -> String {
    let words: Vec<String> = likeness::words(&name.to_lowercase())
        .iter()
        .map(|word| word.chars().flat_map(plain).filter(char::is_ascii_alphanumeric).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect();
    let mut id = words.join("-");
    id.truncate(56);
    let id = Some(id.trim_end_matches('-').to_owned())
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| "customer".into());
    let mut free = id.clone();
    let mut number = 1_u32;
    while !ids.insert(free.clone()) {
        number += 1;
        free = format!("{id}-{number}");
    }
    free
}

/// Letters without their marks, as they are spelled in plain ones.
fn plain(c: char) -> Vec<char> {
    let spelled = match c {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'ß' => "ss",
        'à' | 'á' | 'â' | 'ã' | 'ą' | 'ă' => "a",
        'å' => "aa",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        other => return vec![other],
    };
    spelled.chars().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_free_and_well_formed() {
        let mut ids = BTreeSet::from(["acme".to_owned()]);
        for (name, id) in [
            ("Acme Inc.", "acme-2"),
            ("ACME", "acme-3"),
            ("S.p.A. Società Élan", "societa-elan"),
            ("東京", "customer"),
            ("…", "customer-2"),
            ("Ltd", "ltd"),
        ] {
            assert_eq!(free_id(name, &mut ids), id);
        }
    }
}
