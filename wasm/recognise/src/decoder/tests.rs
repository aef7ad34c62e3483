use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// Hashes that Python's `lzma` made of states in the form that public addresses have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hash {
    about: String,
    hash: String,
    names: Option<BTreeMap<String, String>>,
}

fn hashes() -> Vec<Hash> {
    serde_json::from_str(include_str!("../../../tests/fixtures/hashes/connectwise.json")).unwrap()
}

#[test]
fn connectwise_hides_a_screen_and_its_record() {
    for Hash { about, hash, names } in hashes() {
        let found = hidden(Decoder::Connectwise, &hash)
            .map(|found| found.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        assert_eq!(found, names, "{about}");
    }
}

#[test]
fn what_is_cut_short_is_nothing() {
    for Hash { hash, .. } in hashes().iter().filter(|one| one.names.is_some()) {
        let blob = hash.split_once("??").map_or(&**hash, |(blob, _)| blob).trim_end_matches('=');
        let whole = base64(blob).unwrap();
        let end = whole.len();
        // The last bytes of a stream only flush the encoder; without them all may have been said already.
        for length in 0..end - 10 {
            assert_eq!(lzma::decode(&whole[..length], STATE_MAX), None, "{length} of {end}");
        }
    }
}

#[test]
fn a_hash_longer_than_the_probe_sends_is_not_looked_at() {
    let hash = format!("{}??{}", hashes()[0].hash, "x".repeat(HASH_MAX));
    assert_eq!(hidden(Decoder::Connectwise, &hash), None);
}

proptest! {
    #[test]
    fn a_damaged_stream_ends_quietly_and_bounded(
        which in 0..10_usize,
        damage in proptest::collection::vec((13..400_usize, any::<u8>()), 1..8),
        max in 0..3000_usize,
    ) {
        let hash = hashes().swap_remove(which).hash;
        let mut stream = base64(hash.split("??").next().unwrap_or_default()).unwrap();
        for (at, byte) in damage {
            let at = at % stream.len();
            stream[at] = byte;
        }
        if let Some(out) = lzma::decode(&stream, max) {
            prop_assert!(out.len() <= max);
        }
    }

    #[test]
    fn no_hash_can_upset_it(hash in "(XQAACA)?[A-Za-z0-9$_+/=?]{0,200}|.{0,60}") {
        let _ = hidden(Decoder::Connectwise, &hash);
    }
}
