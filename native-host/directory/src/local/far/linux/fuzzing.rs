//! The readers of the far side, for the fuzz targets (`fuzz/`), with what has to hold of what they read. Not in any shipped
//! binary.

use super::keys::Line;
use super::{databases, keys, note, sudo};
use crate::local::LocalRight;
use crate::local::request;

/// Every reader, of the same bytes. What is read can be written again as the same.
///
/// # Panics
/// When something of it does not hold.
pub fn readers(bytes: &[u8]) {
    if let Ok(ask) = request::read(bytes) {
        let line = serde_json::to_vec(&ask).unwrap_or_default();
        assert!(request::read(&line).is_ok(), "a request is not read as it was written");
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(rule) = sudo::read(&text) {
        assert_eq!(sudo::text(&rule), text, "a rule that is not to the letter");
        assert_eq!(text.lines().count(), 2);
    }
    for line in keys::read(&text) {
        if let Line::Ours(key) = line {
            assert_eq!(keys::read(&keys::text(std::slice::from_ref(&key))), [Line::Ours(key)]);
        }
    }
    for line in text.lines() {
        if let Some(read) = note::parse(line) {
            assert_eq!(note::format(&read).as_deref(), Some(line), "a note that is not to the letter");
        }
        if let Ok(right) = line.parse::<LocalRight>() {
            assert_eq!(right.to_string(), line);
        }
        let _ = sudo::file_name(line);
    }
    for user in databases::users(&text) {
        assert!(databases::has_name(&text, user.name));
        let _ = (
            databases::expiry(&text, user.name),
            databases::has_twin(&text, &user),
            databases::user_named(&text, user.name),
        );
    }
    let _ = (databases::groups(&text).count(), databases::setting(&text, "UID_MIN"));
}
