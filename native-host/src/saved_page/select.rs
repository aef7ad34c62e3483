//! CSS selectors, as far as rules use them: types, ids, classes, attributes, the four combinators, `:is`, `:where`,
//! `:not`, `:has`, `:scope`, and places among siblings. Anything else is refused by name, never passed over.
//!
//! Own code because the crates for it are under another kind of licence than everything else in the binary.

mod parse;

use std::cell::Cell;
use std::time::Instant;

use super::tree::{Element, Id, Tree};

/// How a refusal of a pseudo-class ends.
pub(super) const NOT_UNDERSTOOD: &str = "is not understood here";

/// A list of selectors, compiled.
#[derive(Debug)]
pub(super) struct Selectors(Vec<Complex>);

/// Compounds with what stands between them, the rightmost first.
#[derive(Debug)]
struct Complex {
    subject: Vec<Simple>,
    /// What has to be where, from the subject outwards.
    rest: Vec<(Between, Vec<Simple>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Descendant,
    Child,
    Next,
    Later,
}

#[derive(Debug)]
enum Simple {
    Any,
    Type(String),
    Id(String),
    Class(String),
    Attribute {
        name: String,
        test: Test,
        any_case: bool,
    },
    Is(Selectors),
    Not(Selectors),
    Has(Vec<(Between, Complex)>),
    Scope,
    Root,
    Empty,
    /// One of these places among siblings: `step * n + first`, counted from the end, and only those of the same name.
    Nth {
        step: i64,
        first: i64,
        from_end: bool,
        of_type: bool,
    },
    Checked,
    Disabled(bool),
}

#[derive(Debug)]
enum Test {
    There,
    Equals(String),
    Word(String),
    Lang(String),
    Begins(String),
    Ends(String),
    Holds(String),
}

/// How long one may look.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    steps: Cell<u32>,
    over: Cell<bool>,
}

impl Patience {
    pub(super) fn until(until: Instant) -> Self {
        Self { until, steps: Cell::new(0), over: Cell::new(false) }
    }

    /// Counts a step; whether one may go on.
    pub(super) fn lasts(&self) -> bool {
        let steps = self.steps.get().wrapping_add(1);
        self.steps.set(steps);
        if steps.is_multiple_of(4096) && Instant::now() > self.until {
            self.over.set(true);
        }
        !self.over.get()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get() || Instant::now() > self.until
    }
}

/// How far a selector got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Match,
    /// Not here.
    Not,
    /// Not here nor further out: there is nothing around any more.
    Never,
}

/// Where a selector is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tree: &'a Tree,
    /// What `:scope` is; a whole document's own root without.
    pub(super) scope: Option<Id>,
    pub(super) patience: &'a Patience,
}

impl Place<'_> {
    /// Whether an element is one of those that are meant.
    pub(super) fn fits(&self, selectors: &Selectors, id: Id) -> bool {
        selectors.0.iter().any(|complex| self.complex(complex, id, None))
    }

    /// Whether the selector ends at this element, and, for `:has`, begins at that one.
    fn complex(&self, complex: &Complex, id: Id, anchor: Option<(Between, Id)>) -> bool {
        self.compound(&complex.subject, id) && self.outwards(&complex.rest, id, anchor) == Got::Match
    }

    fn outwards(&self, rest: &[(Between, Vec<Simple>)], id: Id, anchor: Option<(Between, Id)>) -> Got {
        if !self.patience.lasts() {
            return Got::Never;
        }
        let Some(((between, compound), rest)) = rest.split_first() else {
            let Some((between, anchor)) = anchor else { return Got::Match };
            return self.begins_at(between, anchor, id);
        };
        let here = |at: Id| {
            if self.compound(compound, at) { self.outwards(rest, at, anchor) } else { Got::Not }
        };
        match between {
            Between::Child => self.tree.around(id).map_or(Got::Never, here),
            Between::Next => self.tree.sibling(id, false).map_or(Got::Not, here),
            Between::Descendant => {
                let mut at = id;
                while let Some(around) = self.tree.around(at) {
                    match here(around) {
                        Got::Not => at = around,
                        got => return got,
                    }
                    if !self.patience.lasts() {
                        break;
                    }
                }
                Got::Never
            }
            Between::Later => {
                let mut at = id;
                while let Some(before) = self.tree.sibling(at, false) {
                    match here(before) {
                        Got::Not => at = before,
                        got => return got,
                    }
                    if !self.patience.lasts() {
                        break;
                    }
                }
                Got::Not
            }
        }
    }

    fn begins_at(&self, between: Between, anchor: Id, id: Id) -> Got {
        let is_so = match between {
            Between::Descendant => {
                std::iter::successors(self.tree.around(id), |at| self.tree.around(*at)).any(|at| at == anchor)
            }
            Between::Child => self.tree.around(id) == Some(anchor),
            Between::Next => self.tree.sibling(id, false) == Some(anchor),
            Between::Later => self.tree.around(id) == self.tree.around(anchor) && id != anchor,
        };
        if is_so { Got::Match } else { Got::Not }
    }

    fn compound(&self, compound: &[Simple], id: Id) -> bool {
        let Some(element) = self.tree.element(id) else { return false };
        compound.iter().all(|simple| self.simple(simple, element, id))
    }

    fn simple(&self, simple: &Simple, element: &Element, id: Id) -> bool {
        let same = |one: &str, other: &str| {
            if self.tree.quirks { one.eq_ignore_ascii_case(other) } else { one == other }
        };
        match simple {
            Simple::Any => true,
            Simple::Type(name) => {
                if element.is_html() {
                    element.name().eq_ignore_ascii_case(name)
                } else {
                    element.name() == name
                }
            }
            Simple::Id(wanted) => element.attribute("id").is_some_and(|id| same(id, wanted)),
            Simple::Class(wanted) => element
                .attribute("class")
                .is_some_and(|classes| classes.split_ascii_whitespace().any(|class| same(class, wanted))),
            Simple::Attribute { name, test, any_case } => {
                let lower = name.to_ascii_lowercase();
                let name = if element.is_html() { &lower } else { name };
                let any_case = *any_case || element.is_html() && ANY_CASE.contains(&lower.as_str());
                element.attribute(name).is_some_and(|value| test.holds(value, any_case))
            }
            Simple::Is(list) => self.fits(list, id),
            Simple::Not(list) => !self.fits(list, id),
            Simple::Has(list) => list.iter().any(|(between, complex)| self.has(*between, complex, id)),
            Simple::Scope => self.scope.map_or_else(|| self.is_root(id), |scope| scope == id),
            Simple::Root => self.is_root(id),
            Simple::Empty => self.tree.children(id).all(|child| match self.tree.kind(child) {
                super::tree::Kind::Text(text) => text.is_empty(),
                super::tree::Kind::Element(_) => false,
                super::tree::Kind::Root | super::tree::Kind::Other => true,
            }),
            Simple::Nth { step, first, from_end, of_type } => {
                let mut place = 1;
                let mut at = id;
                while let Some(before) = self.tree.sibling(at, *from_end) {
                    at = before;
                    let counts = |other: &Element| {
                        !of_type || other.name() == element.name() && other.is_html() == element.is_html()
                    };
                    place += i64::from(self.tree.element(at).is_some_and(counts));
                    // The first place needs no counting to the end.
                    if !self.patience.lasts() || (*step == 0 && place > *first) {
                        return false;
                    }
                }
                let off = place - first;
                if *step == 0 { off == 0 } else { off % step == 0 && off / step >= 0 }
            }
            Simple::Checked => {
                element.attribute("checked").is_some() || element.attribute("selected").is_some()
            }
            Simple::Disabled(wanted) => {
                let may = ["button", "input", "select", "textarea", "option", "optgroup", "fieldset"];
                element.is_html()
                    && may.contains(&element.name())
                    && element.attribute("disabled").is_some() == *wanted
            }
        }
    }

    fn is_root(&self, id: Id) -> bool {
        self.tree.parent(id) == Some(super::tree::DOCUMENT)
    }

    fn has(&self, between: Between, complex: &Complex, id: Id) -> bool {
        let place = Place { scope: Some(id), ..*self };
        let fits = |found: Id| self.patience.lasts() && place.complex(complex, found, Some((between, id)));
        match between {
            Between::Descendant | Between::Child => self.tree.elements(id).any(fits),
            Between::Next | Between::Later => {
                let mut at = self.tree.sibling(id, true);
                while let Some(sibling) = at {
                    if fits(sibling) || self.tree.elements(sibling).any(fits) {
                        return true;
                    }
                    at = self.tree.sibling(sibling, true);
                }
                false
            }
        }
    }
}

impl Test {
    fn holds(&self, value: &str, any_case: bool) -> bool {
        let fold = |text: &str| if any_case { text.to_ascii_lowercase() } else { text.to_owned() };
        let value = fold(value);
        match self {
            Self::There => true,
            Self::Equals(wanted) => value == fold(wanted),
            Self::Word(wanted) => {
                let wanted = fold(wanted);
                !wanted.is_empty() && value.split_ascii_whitespace().any(|word| word == wanted)
            }
            Self::Lang(wanted) => {
                value.strip_prefix(&fold(wanted)).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            }
            Self::Begins(wanted) => !wanted.is_empty() && value.starts_with(&fold(wanted)),
            Self::Ends(wanted) => !wanted.is_empty() && value.ends_with(&fold(wanted)),
            Self::Holds(wanted) => !wanted.is_empty() && value.contains(&fold(wanted)),
        }
    }
}

/// Attributes whose values HTML compares without case.
const ANY_CASE: [&str; 46] = [
    "accept",
    "accept-charset",
    "align",
    "alink",
    "axis",
    "bgcolor",
    "charset",
    "checked",
    "clear",
    "codetype",
    "color",
    "compact",
    "declare",
    "defer",
    "dir",
    "direction",
    "disabled",
    "enctype",
    "face",
    "frame",
    "hreflang",
    "http-equiv",
    "lang",
    "language",
    "link",
    "media",
    "method",
    "multiple",
    "nohref",
    "noresize",
    "noshade",
    "nowrap",
    "readonly",
    "rel",
    "rev",
    "rules",
    "scope",
    "scrolling",
    "selected",
    "shape",
    "target",
    "text",
    "type",
    "valign",
    "valuetype",
    "vlink",
];
