//! The rules that are compiled in, with what tells whether one is needed: a worker that wakes reads a rule's text only for a
//! page that it may be about.

/// A rule of this build, unread.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its file.
    pub file: &'static str,
    /// Its system's id.
    pub system: &'static str,
    /// Its `hosts`.
    pub hosts: &'static [&'static str],
    /// Its `not_hosts`.
    pub not_hosts: &'static [&'static str],
    /// Whether page facts can tell its product on other hosts.
    pub elsewhere: bool,
    /// Its text, without what is for its readers only.
    pub text: &'static str,
}

/// All of them, by their files' names. `build.rs` makes the list out of `wasm/rules`.
pub const BUILT_IN: &[BuiltIn] = &include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The fingerprint of all their texts.
pub(super) const FINGERPRINT: u32 = include!(concat!(env!("OUT_DIR"), "/fingerprint.rs"));
