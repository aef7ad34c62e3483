//! How alike two names of customers are. It orders suggestions and nothing else: no customer is ever chosen by it.
//! Whoever asks brings the names in small letters; the WASM core has the browser's tables for that.

/// Words that say what kind of company it is, not which.
const FORMS: [&str; 46] = [
    "ab",
    "ag",
    "and",
    "aps",
    "asa",
    "bv",
    "co",
    "company",
    "corp",
    "corporation",
    "ek",
    "ev",
    "eg",
    "gbr",
    "gmbh",
    "group",
    "holding",
    "holdings",
    "inc",
    "incorporated",
    "kg",
    "kgaa",
    "kk",
    "limited",
    "llc",
    "llp",
    "lp",
    "ltd",
    "mbh",
    "nv",
    "of",
    "ohg",
    "oy",
    "plc",
    "pte",
    "pty",
    "sa",
    "sarl",
    "sas",
    "se",
    "sl",
    "spa",
    "srl",
    "the",
    "ug",
    "und",
];
/// From how alike a name is worth suggesting. One word of two in common is above it; a word that twenty customers share is not.
const LEAST: f32 = 0.45;
/// What it counts that a name stands in a longer text.
const WITHIN: f32 = 0.8;
/// From how alike two words count as spellings of one.
const SAME_WORD: f32 = 0.5;

/// The words of a name, without those for its legal form unless there are no others.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    // `S.p.A.` is one word, `O'Brien` too.
    let name: String = name.chars().filter(|c| !matches!(c, '.' | '\'' | '’')).collect();
    let is_between = |c: char| {
        (c.is_ascii() && !c.is_ascii_alphanumeric())
            || c.is_whitespace()
            || matches!(c, '\u{2010}'..='\u{2027}' | '«' | '»')
    };
    let all: Vec<&str> = name.split(is_between).filter(|word| !word.is_empty()).collect();
    let is_form = |word: &&str| FORMS.contains(word);
    let some: Vec<String> = all.iter().filter(|word| !is_form(word)).map(|word| (*word).to_owned()).collect();
    if some.is_empty() { all.into_iter().map(str::to_owned).collect() } else { some }
}

/// Whose names are most like `wanted`, best first, at most `most`. Each of `names` says whose it is; one may have several.
#[must_use]
pub fn most_alike(wanted: &str, names: &[(usize, String)], most: usize) -> Vec<usize> {
    let wanted = words(wanted);
    let names: Vec<(usize, Vec<String>)> = names.iter().map(|(whose, name)| (*whose, words(name))).collect();
    let weights: Vec<f32> = wanted.iter().map(|word| weight(word, &names)).collect();
    let mut best: Vec<(f32, usize)> = Vec::new();
    for (whose, name) in &names {
        let alike = likeness(&wanted, &weights, name);
        if alike < LEAST {
            continue;
        }
        match best.iter_mut().find(|(_, other)| other == whose) {
            Some((so_far, _)) => *so_far = so_far.max(alike),
            None => best.push((alike, *whose)),
        }
    }
    let mut found = Vec::new();
    // At most a handful is wanted: no sorting in the core for that.
    while found.len() < most {
        let mut first: Option<(f32, usize)> = None;
        for (alike, whose) in &best {
            if !found.contains(whose) && first.is_none_or(|(most, _)| *alike > most) {
                first = Some((*alike, *whose));
            }
        }
        let Some((_, whose)) = first else { break };
        found.push(whose);
    }
    found
}

/// A word that many share tells little.
fn weight(word: &str, names: &[(usize, Vec<String>)]) -> f32 {
    let mut having: Vec<usize> = Vec::new();
    for (whose, name) in names {
        if having.last() != Some(whose) && name.iter().any(|other| other == word) {
            having.push(*whose);
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "customers are counted in thousands at most")]
    let shared = having.len().max(1) as f32;
    1.0 / shared.sqrt()
}

/// Words in common, other spellings counted in part, and a little for what the whole looks like (`Stadt Werke`).
fn likeness(wanted: &[String], weights: &[f32], name: &[String]) -> f32 {
    let mut of_name = vec![0.0_f32; name.len()];
    let mut sum = 0.0;
    for (word, weight) in wanted.iter().zip(weights) {
        let mut best = 0.0_f32;
        for (other, so_far) in name.iter().zip(&mut of_name) {
            let alike = if word == other { *weight } else { spelling(word, other) };
            best = best.max(alike);
            *so_far = so_far.max(alike);
        }
        sum += best;
    }
    let its: f32 = of_name.iter().sum();
    #[allow(clippy::cast_precision_loss, reason = "a name has a few words")]
    let (all, its_all) = ((wanted.len() + name.len()).max(1) as f32, name.len().max(1) as f32);
    // A short name that stands whole in a long text tells, too.
    ((sum + its) / all).max(its / its_all * WITHIN) + trigrams(&wanted.concat(), &name.concat()) / 2.0
}

fn spelling(a: &str, b: &str) -> f32 {
    let alike = trigrams(a, b);
    if alike < SAME_WORD { 0.0 } else { alike }
}

/// The part of groups of three bytes that two texts share, their beginnings and ends among them.
fn trigrams(a: &str, b: &str) -> f32 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (a, b) = (format!(" {a} "), format!(" {b} "));
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let shared = |one: &[u8], other: &[u8]| {
        one.windows(3).filter(|three| other.windows(3).any(|its| its == *three)).count()
    };
    #[allow(clippy::cast_precision_loss, reason = "a name has a few hundred bytes")]
    let part = (shared(a, b) + shared(b, a)) as f32 / (a.len() + b.len() - 4).max(1) as f32;
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best<'a>(wanted: &str, known: &[&'a str]) -> Vec<&'a str> {
        let names: Vec<(usize, String)> =
            known.iter().enumerate().map(|(at, name)| (at, name.to_lowercase())).collect();
        most_alike(&wanted.to_lowercase(), &names, 3).into_iter().map(|at| known[at]).collect()
    }

    #[test]
    fn names_that_a_person_would_think_of_come_first() {
        let known =
            ["Acme Corp", "Acme Bakery Ltd", "Globex", "Stadtwerke Bonn", "Initech", "Müller & Söhne KG"];
        for (wanted, expected) in [
            ("Acme (HQ)", &["Acme Corp", "Acme Bakery Ltd"][..]),
            ("ACME, Inc.", &["Acme Corp", "Acme Bakery Ltd"]),
            ("The Acme Bakery", &["Acme Bakery Ltd", "Acme Corp"]),
            ("Globex Deutschland GmbH", &["Globex"]),
            ("Stadt Werke Bonn", &["Stadtwerke Bonn"]),
            ("Inittech", &["Initech"]),
            ("Mueller und Soehne", &[]),
            ("Müller Söhne", &["Müller & Söhne KG"]),
            ("Acme Corporation, Headquarters and all of its Offices (North)", &["Acme Corp"]),
            ("Hooli", &[]),
            ("Corp", &[]),
            ("", &[]),
            ("…", &[]),
        ] {
            assert_eq!(best(wanted, &known), expected, "{wanted}");
        }
    }

    #[test]
    fn a_word_that_many_share_suggests_none_of_them() {
        let first = [
            "Anton",
            "Bertha",
            "Caesar",
            "Dora",
            "Emil",
            "Friedrich",
            "Gustav",
            "Heinrich",
            "Ida",
            "Julius",
            "Kaufmann",
            "Ludwig",
            "Martha",
            "Nordpol",
            "Otto",
            "Paula",
            "Quelle",
            "Richard",
            "Samuel",
            "Theodor",
        ];
        let known: Vec<String> = first.iter().map(|name| format!("{name} Services")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(best("Miller Services", &known), Vec::<&str>::new());
    }

    #[test]
    fn legal_forms_are_no_words_of_a_name_unless_it_has_no_others() {
        assert_eq!(words("acme s.p.a."), ["acme"]);
        assert_eq!(words("o'brien gmbh & co. kg"), ["obrien"]);
        assert_eq!(words("the company"), ["the", "company"]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_each_is_named_once_and_no_more_than_wanted(
            wanted in ".{0,40}", names in prop::collection::vec((0_usize..6, ".{0,30}"), 0..12), most in 0_usize..5,
        ) {
            let found = most_alike(&wanted, &names, most);
            prop_assert!(found.len() <= most);
            for (at, whose) in found.iter().enumerate() {
                prop_assert!(names.iter().any(|(other, _)| other == whose));
                prop_assert!(!found[..at].contains(whose));
            }
        }
    }
}
