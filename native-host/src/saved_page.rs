//! A page that somebody saved as a file, read as the extension's probe would read it in the browser, so that a rule can be
//! tried on it. What only a running browser knows is left out and told: stylesheets, scripts, frames. No rules here.

mod answer;
mod select;
mod tree;
mod visible;

use std::time::{Duration, Instant};

use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{ParseOpts, parse_document};
use ticketgate_protocol::page::{Facts, Question, Questions};

use self::select::{NOT_UNDERSTOOD, Patience, Selectors};
use self::tree::{Builder, DOCUMENT, Tree};

/// The largest page that is read, in bytes. Ticket pages are below one megabyte.
pub const PAGE_MAX: usize = 32 << 20;
/// How long parsing may take, and then answering: a page can be written so that either takes for ever.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// So much is parsed between two looks at the clock.
const PIECE: usize = 1 << 10;

/// Why a page could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// More than [`PAGE_MAX`].
    #[error("the page is larger than {} MB; save a single ticket's page", PAGE_MAX >> 20)]
    TooLarge,
    /// It takes longer than it may.
    #[error("the page takes too long to read: it is nested or written as no ticket page is")]
    TooSlow,
}

/// A page as it was saved.
#[derive(Debug)]
pub struct SavedPage {
    tree: Tree,
    /// Whether it was not UTF-8, so that letters beyond ASCII may be others.
    pub odd_letters: bool,
}

/// What was read.
#[derive(Debug)]
pub struct Reading {
    /// What the probe would report.
    pub facts: Facts,
    /// Questions with a selector that is not understood here, and why; they found nothing.
    pub unclear: Vec<(u16, String)>,
}

/// What of a page only a browser shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Stylesheets, which may hide what counts as visible here.
    pub stylesheets: usize,
    /// Scripts, which may have built what was seen.
    pub scripts: usize,
    /// Frames, each a page of its own.
    pub frames: usize,
}

impl SavedPage {
    /// Reads a page.
    ///
    /// # Errors
    /// [`Unread`] where it is too large, or takes longer than `patience`.
    pub fn read(bytes: &[u8], patience: Duration) -> Result<Self, Unread> {
        if bytes.len() > PAGE_MAX {
            return Err(Unread::TooLarge);
        }
        let until = Instant::now() + patience;
        let (text, odd_letters) = text_of(bytes);
        let mut parser = parse_document(Builder::new(), ParseOpts::default());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let piece = rest.floor_char_boundary(PIECE.min(rest.len()));
            let (piece, tail) = rest.split_at(piece);
            parser.process(StrTendril::from_slice(piece));
            rest = tail;
            if Instant::now() > until {
                return Err(Unread::TooSlow);
            }
        }
        Ok(Self { tree: parser.finish(), odd_letters })
    }

    /// What the questions find.
    ///
    /// # Errors
    /// [`Unread::TooSlow`] where it takes longer than `patience`.
    pub fn answers(
        &self,
        questions: &Questions,
        address: &str,
        patience: Duration,
    ) -> Result<Reading, Unread> {
        answer::read(self, questions, address, &Patience::until(Instant::now() + patience))
    }

    /// What of the page only a browser shows.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        let mut out = LeftOut::default();
        for id in self.tree.elements(DOCUMENT) {
            let Some(element) = self.tree.element(id) else { continue };
            let is_sheet =
                |rel: &str| rel.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case("stylesheet"));
            match element.name() {
                "style" => out.stylesheets += 1,
                "link" if element.attribute("rel").is_some_and(is_sheet) => out.stylesheets += 1,
                "script" => out.scripts += 1,
                "iframe" | "frame" => out.frames += 1,
                _ => {}
            }
        }
        out
    }
}

/// What is wrong with the grammar of a selector. Pseudo-classes that only a browser knows are none of it.
#[must_use]
pub fn selector_fault(selector: &str) -> Option<String> {
    let fault = Selectors::new(selector).err()?;
    let fault = fault.strip_prefix("selector: ").unwrap_or(&fault);
    (!fault.ends_with(NOT_UNDERSTOOD)).then(|| fault.to_owned())
}

/// What of a question's selectors cannot be read here, if anything.
#[must_use]
pub fn fault_of(question: &Question) -> Option<String> {
    let value = question.value.as_deref().map(|value| value.strip_prefix("+ ").unwrap_or(value));
    let label = question.label.as_ref().and_then(|label| label.selector.as_deref());
    let stepped =
        question.selector.split(" >>> ").chain(question.scope.iter().flat_map(|s| s.split(" >>> ")));
    stepped
        .chain(value)
        .chain(label)
        .chain(question.drop.as_deref())
        .find_map(|one| Selectors::new(one).err())
}

/// The text of a file, and whether letters had to be replaced.
fn text_of(bytes: &[u8]) -> (String, bool) {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(unit)).collect();
        (String::from_utf16_lossy(&units), false)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (String::from_utf8_lossy(rest).into_owned(), true),
        },
    }
}

#[cfg(test)]
mod tests;
