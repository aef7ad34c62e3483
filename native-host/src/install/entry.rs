//! What is written once: a manifest, with every browser that finds the host by it. On Windows one manifest serves all
//! browsers and each has a registry key of its own; on Linux and macOS Brave looks into Chrome's folder, too.

use std::path::PathBuf;

use ticketgate_protocol::HOST_NAME;

use super::browsers::{self, Browser, Place};
use super::{InstallError, Options};
use crate::places::Surroundings;

/// One manifest and the places that lead to it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The file.
    pub(super) manifest: PathBuf,
    /// Never empty, and never the same browser twice.
    pub(super) places: Vec<Place>,
}

impl Entry {
    /// Whose it is, for the report: `Chrome, Brave`.
    pub(super) fn browsers(&self) -> String {
        let names: Vec<String> = self.places.iter().map(|place| place.browser.to_string()).collect();
        names.join(", ")
    }
}

/// The entries of the named browsers, or of all; of their places those only that are `wanted`.
pub(super) fn all(
    around: &Surroundings,
    how: &Options,
    wanted: impl Fn(&Place) -> bool,
) -> Result<Vec<Entry>, InstallError> {
    let browsers = if how.browsers.is_empty() { Browser::ALL } else { &how.browsers };
    let mut entries: Vec<Entry> = Vec::new();
    for browser in browsers {
        let places = browsers::places(around, *browser, how.scope, HOST_NAME).ok_or(InstallError::NoHome)?;
        for place in places.into_iter().filter(&wanted) {
            match entries.iter_mut().find(|entry| entry.manifest == place.manifest) {
                Some(entry) if entry.places.contains(&place) => {}
                Some(entry) => entry.places.push(place),
                None => entries.push(Entry { manifest: place.manifest.clone(), places: vec![place] }),
            }
        }
    }
    Ok(entries)
}
