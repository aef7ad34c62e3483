//! Answers questions as `extension/probe.js` does, limit for limit: a test plays both on the same pages.

use std::borrow::Cow;

use ticketgate_protocol::page::{
    ADDRESS_MAX, ANSWERS_MAX, Answer, FOUND_MAX, Facts, Label, Question, Questions, Read, TEXT_MAX,
};

use super::select::{Patience, Place, Selectors};
use super::tree::{DOCUMENT, Element, Id, Kind, Tree};
use super::{Reading, SavedPage, Unread};

/// All texts together, in UTF-16 units.
const ALL_TEXTS_MAX: usize = 12_000;
/// So much of one text is looked at, in UTF-16 units.
const READ_MAX: usize = 16_000;
/// Rows looked at for one label, elements looked at for one selector, nodes read for one text.
const ROWS_MAX: usize = 200;
const ELEMENTS_MAX: usize = 60;
const NODES_MAX: usize = 400;
/// Elements that are looked through for shadow roots, from one element on.
const NEST_MAX: usize = 4000;

/// What stands in a line of text.
const INLINE: [&str; 24] = [
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "font", "i", "kbd", "label", "mark", "q", "s",
    "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
];
/// What says nothing to a person.
const SILENT: [&str; 6] = ["script", "style", "template", "noscript", "option", "textarea"];
/// What a `<label>` can belong to.
const LABELABLE: [&str; 7] = ["button", "input", "meter", "output", "progress", "select", "textarea"];

/// Reads everything that was asked.
pub(super) fn read(
    page: &SavedPage,
    questions: &Questions,
    address: &str,
    patience: &Patience,
) -> Result<Reading, Unread> {
    let reader = Reader { tree: &page.tree, patience };
    let (mut answers, mut unclear) = (Vec::<Answer>::new(), Vec::new());
    let mut left = ALL_TEXTS_MAX;
    for question in &questions.ask {
        if answers.len() >= ANSWERS_MAX {
            break;
        }
        if question.only_if.is_some_and(|gate| answers.iter().all(|answer| answer.q != gate)) {
            continue;
        }
        let found = reader.answer(question).unwrap_or_else(|fault| {
            unclear.push((question.q, fault));
            Vec::new()
        });
        if patience.is_over() {
            return Err(Unread::TooSlow);
        }
        let length: usize = found.iter().map(|text| units(text)).sum();
        if found.is_empty() || length > left {
            continue;
        }
        left -= length;
        answers.push(Answer { q: question.q, found });
    }
    let title = page.tree.elements(DOCUMENT).find(|id| page.tree.element(*id).is_some_and(|e| e.is("title")));
    let title = title.map(|id| reader.own_text(id, "")).unwrap_or_default();
    let facts = Facts {
        rules: questions.rules,
        address: address_of(address).to_owned(),
        title: cut(&fold(&cut(&title, READ_MAX)), TEXT_MAX).into_owned(),
        shown: true,
        answers,
    };
    Ok(Reading { facts, unclear })
}

fn address_of(address: &str) -> &str {
    if address.len() <= ADDRESS_MAX {
        return address;
    }
    let bare = address.split('#').next().unwrap_or_default();
    if bare.len() <= ADDRESS_MAX { bare } else { "" }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// White space as JavaScript's `\s` and `trim` see it, and ASCII's control characters.
fn is_blank(c: char) -> bool {
    c.is_ascii_control() || c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

/// Every run of blanks is one space, and none is at either end.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_blank).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// At most so many UTF-16 units of a text.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let units: Vec<u16> = text.encode_utf16().take(most).collect();
    Cow::Owned(String::from_utf16_lossy(&units))
}

fn as_label(text: &str) -> String {
    fold(text).trim_end_matches(|c| is_blank(c) || matches!(c, ':' | '*')).to_lowercase()
}

pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree,
    pub(super) patience: &'a Patience,
}

impl Reader<'_> {
    fn answer(&self, question: &Question) -> Result<Vec<String>, String> {
        let root = match &question.scope {
            None => DOCUMENT,
            Some(scope) => {
                match self.find(DOCUMENT, scope, ELEMENTS_MAX)?.into_iter().find(|id| self.visible(*id)) {
                    Some(root) => root,
                    None => return Ok(Vec::new()),
                }
            }
        };
        let many = usize::from(question.many).min(FOUND_MAX);
        let most =
            if question.label.is_some() || question.holding.is_some() { ROWS_MAX } else { ELEMENTS_MAX };
        let words: Option<Vec<String>> =
            question.label.as_ref().map(|label| label.words.iter().map(|word| as_label(word)).collect());
        let drop = question.drop.as_deref().map(Selectors::new).transpose()?;
        let holding = question.holding.as_ref().map(|holding| holding.to_lowercase());
        let mut found = Vec::new();
        for row in self.find(root, &question.selector, most)? {
            let element = match (&question.label, &words) {
                (Some(label), Some(words)) => self.labelled(row, label, words, question.value.as_deref())?,
                _ => match &question.value {
                    Some(value) => self.within(row, value)?,
                    None => Some(row),
                },
            };
            let Some(element) = element.filter(|id| question.hidden_too || self.visible(*id)) else {
                continue;
            };
            let Some(raw) = self.read_one(element, question, drop.as_ref()) else { continue };
            let text = fold(&cut(&raw, READ_MAX));
            if text.is_empty() && question.read != Read::Present {
                continue;
            }
            if holding.as_ref().is_some_and(|holding| !text.to_lowercase().contains(holding)) {
                continue;
            }
            found.push(cut(&text, TEXT_MAX).into_owned());
            if found.len() >= many {
                break;
            }
        }
        Ok(found)
    }

    /// The value of a row, if its label says one of the words.
    fn labelled(
        &self,
        row: Id,
        label: &Label,
        words: &[String],
        value: Option<&str>,
    ) -> Result<Option<Id>, String> {
        let name = match &label.selector {
            Some(selector) => self.first(row, selector)?,
            None => Some(row),
        };
        let Some(name) = name.filter(|name| words.contains(&as_label(&self.tree.text_content(*name)))) else {
            return Ok(None);
        };
        match value {
            _ if label.control => Ok(self.control(name)),
            Some(value) => self.within(row, value),
            None => Ok(Some(row)),
        }
    }

    fn place(&self, scope: Option<Id>) -> Place<'_> {
        Place { tree: self.tree, scope, patience: self.patience }
    }

    /// `querySelectorAll`.
    fn all(&self, root: Id, selector: &str) -> Result<impl Iterator<Item = Id>, String> {
        let selectors = Selectors::new(selector)?;
        let scope = Some(root).filter(|root| self.tree.element(*root).is_some());
        let place = self.place(scope);
        Ok(self.tree.elements(root).filter(move |id| self.patience.lasts() && place.fits(&selectors, *id)))
    }

    /// `querySelector`.
    fn first(&self, root: Id, selector: &str) -> Result<Option<Id>, String> {
        Ok(self.all(root, selector)?.next())
    }

    /// Elements for a selector. `a >>> b` finds `b` in the open shadow root of `a` and in those nested inside it.
    fn find(&self, root: Id, selector: &str, most: usize) -> Result<Vec<Id>, String> {
        let mut steps = selector.split(" >>> ");
        let first = steps.next().unwrap_or_default();
        let deeper: Vec<&str> = steps.collect();
        // Without a step further in, what stands behind the last that counts need not be found.
        let enough = if deeper.is_empty() { most } else { usize::MAX };
        let mut found: Vec<Id> = self.all(root, first)?.take(enough).collect();
        for step in deeper {
            let mut next = Vec::new();
            for element in found {
                if let Some(shadow) = self.shadow(element) {
                    self.find_deep(shadow, step, &mut next)?;
                }
                if next.len() >= most {
                    break;
                }
            }
            found = next;
        }
        found.truncate(most);
        Ok(found)
    }

    fn shadow(&self, id: Id) -> Option<Id> {
        self.tree.element(id)?.shadow.filter(|(_, open)| *open).map(|(root, _)| root)
    }

    /// In this root, and then in those inside, each before its neighbours.
    fn find_deep(&self, root: Id, selector: &str, into: &mut Vec<Id>) -> Result<(), String> {
        let mut left = NEST_MAX;
        let mut open = vec![root];
        let mut over = false;
        while let Some(root) = open.pop() {
            if over {
                break;
            }
            into.extend(self.all(root, selector)?);
            let looked: Vec<Id> = self.tree.elements(root).take(NEST_MAX).collect();
            over = looked.len() > left;
            left = left.saturating_sub(looked.len());
            open.extend(looked.into_iter().rev().filter_map(|id| self.shadow(id)));
        }
        Ok(())
    }

    /// What stands in a row; `+ b` is what follows it.
    fn within(&self, row: Id, selector: &str) -> Result<Option<Id>, String> {
        let Some(behind) = selector.strip_prefix("+ ") else { return self.first(row, selector) };
        let selectors = Selectors::new(behind)?;
        Ok(self.tree.sibling(row, true).filter(|next| self.place(Some(*next)).fits(&selectors, *next)))
    }

    /// The control that a `<label>` belongs to.
    fn control(&self, label: Id) -> Option<Id> {
        let element = self.tree.element(label).filter(|element| element.is("label"))?;
        let may = |id: &Id| {
            self.tree.element(*id).is_some_and(|element| {
                element.is_html()
                    && LABELABLE.contains(&element.name())
                    && !(element.is("input") && kind_of(element) == "hidden")
            })
        };
        match element.attribute("for") {
            Some(wanted) => {
                let named = |id: &Id| self.tree.element(*id).and_then(|e| e.attribute("id")) == Some(wanted);
                self.tree.elements(self.root_of(label)).find(named).filter(may)
            }
            None => self.tree.elements(label).find(may),
        }
    }

    fn root_of(&self, id: Id) -> Id {
        std::iter::successors(Some(id), |at| self.tree.parent(*at)).last().unwrap_or(DOCUMENT)
    }

    fn read_one(&self, id: Id, question: &Question, drop: Option<&Selectors>) -> Option<String> {
        let element = self.tree.element(id)?;
        match &question.read {
            Read::Present => return Some(String::new()),
            Read::Attribute(name) if element.is_html() => {
                return element.attribute(&name.to_ascii_lowercase()).map(str::to_owned);
            }
            Read::Attribute(name) => return element.attribute(name).map(str::to_owned),
            Read::OwnText => return Some(self.own_text(id, " ")),
            Read::Value if element.is("input") => return value_of(element),
            // A saved page has what the server wrote into it, not what somebody typed since.
            Read::Value if element.is("textarea") => return Some(self.own_text(id, "")),
            Read::Value if element.is("select") => return self.chosen(id, element),
            Read::Value | Read::Text => {}
        }
        Some(self.text_of(id, drop, question.hidden_too))
    }

    /// The text nodes right inside, with `between` where anything stands.
    fn own_text(&self, id: Id, between: &str) -> String {
        let texts: Vec<&str> = self
            .tree
            .children(id)
            .map(|child| match self.tree.kind(child) {
                Kind::Text(text) => text.as_str(),
                Kind::Root | Kind::Element(_) | Kind::Other => "",
            })
            .collect();
        texts.join(between)
    }

    /// The chosen option's words.
    fn chosen(&self, select: Id, element: &Element) -> Option<String> {
        let options =
            || self.tree.elements(select).filter(|id| self.tree.element(*id).is_some_and(|e| e.is("option")));
        let has = |id: &Id, name: &str| self.tree.element(*id).is_some_and(|e| e.attribute(name).is_some());
        let is_disabled = |id: &Id| {
            let group =
                self.tree.around(*id).filter(|id| self.tree.element(*id).is_some_and(|e| e.is("optgroup")));
            has(id, "disabled") || group.is_some_and(|group| has(&group, "disabled"))
        };
        let chosen = if element.attribute("multiple").is_some() {
            options().find(|id| has(id, "selected"))
        } else {
            let chosen = options().filter(|id| has(id, "selected")).last();
            chosen.or_else(|| options().find(|id| !is_disabled(id)).filter(|_| is_dropdown(element)))
        };
        chosen.map(|id| self.tree.text_content(id))
    }

    /// The text as a person sees it: without hidden or dropped parts, a space between blocks.
    fn text_of(&self, element: Id, drop: Option<&Selectors>, hidden_too: bool) -> String {
        let (mut out, mut length, mut nodes) = (String::new(), 0, 0);
        let mut at = self.tree.first(element);
        // The elements that are open, and what is written when they close.
        let mut open: Vec<(Id, &str)> = Vec::new();
        loop {
            let next = at.filter(|_| length < 4 * TEXT_MAX && nodes < NODES_MAX);
            let Some(id) = next else {
                let Some((closed, space)) = open.pop() else { return out };
                out.push_str(space);
                length += space.len();
                at = self.tree.next(closed);
                continue;
            };
            nodes += 1;
            at = self.tree.next(id);
            match self.tree.kind(id) {
                Kind::Text(text) => {
                    let text = cut(text, READ_MAX);
                    out.push_str(&text);
                    length += units(&text);
                }
                Kind::Element(inner) => {
                    let is_silent = inner.is_html() && SILENT.contains(&inner.name());
                    let is_dropped = || drop.is_some_and(|drop| self.place(Some(id)).fits(drop, id));
                    if is_silent || is_dropped() || !(hidden_too || self.visible(id)) {
                        continue;
                    }
                    let space = if inner.is_html() && INLINE.contains(&inner.name()) { "" } else { " " };
                    out.push_str(space);
                    length += space.len();
                    open.push((id, space));
                    at = self.tree.first(id);
                }
                Kind::Root | Kind::Other => {}
            }
        }
    }
}

/// Whether a `<select>` shows one option and opens for the others.
pub(super) fn is_dropdown(select: &Element) -> bool {
    let size = select.attribute("size").and_then(|size| size.trim().parse::<u32>().ok()).unwrap_or(0);
    select.attribute("multiple").is_none() && size <= 1
}

/// An input's `type` as the browser takes it, as far as it matters here.
pub(super) fn kind_of(element: &Element) -> String {
    element.attribute("type").unwrap_or("text").to_ascii_lowercase()
}

/// What an input holds before anybody typed. What a person typed as a secret is never a fact of a ticket.
fn value_of(element: &Element) -> Option<String> {
    let written = element.attribute("value");
    let text = written.unwrap_or_default();
    Some(match kind_of(element).as_str() {
        "password" => return None,
        // A script may set it, a page may not.
        "file" => String::new(),
        "checkbox" | "radio" => written.unwrap_or("on").to_owned(),
        "hidden" | "submit" | "reset" | "button" | "image" => text.to_owned(),
        "number" => Some(text).filter(|text| text.parse::<f64>().is_ok()).unwrap_or_default().to_owned(),
        _ => text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect(),
    })
}
