//! The extension's own pages and permissions in a real Chromium: settings, one page by a click on the toolbar, the window
//! that stands in for the popup, administrator's settings, the extension's own content security policy, the keyboard and
//! the screen reader. The host is scripted where only the browser's side is asked; what it grants is tested elsewhere.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

mod customers;
mod desk;
mod keyboard;
mod notices;
mod pages;
mod rules;
mod scripts;
mod sites;
