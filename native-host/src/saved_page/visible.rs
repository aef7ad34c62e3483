//! What of a page can be seen, as far as that stands in the page itself: the browser's own sheet, inline styles, folds,
//! slots. Stylesheets are not applied.

use super::answer::{Reader, is_dropdown, kind_of};
use super::tree::{Element, Id, Kind};

/// What the browser's own sheet draws nothing of.
const UNDRAWN: [&str; 17] = [
    "area", "base", "datalist", "head", "link", "meta", "noembed", "noframes", "noscript", "param", "rp",
    "script", "source", "style", "template", "title", "track",
];

impl Reader<'_> {
    /// Whether anything of it can be seen, as far as that stands in the page itself: stylesheets are not applied.
    pub(super) fn visible(&self, id: Id) -> bool {
        let mut said = None;
        let mut at = Some(id);
        let mut from = None;
        while let Some(here) = at {
            if !self.patience.lasts() {
                return false;
            }
            let Some(element) = self.tree.element(here) else { break };
            let style = Style::of(element);
            if is_undrawn(element, &style)
                || self.is_in_dropdown(here, element)
                || (from.is_none() && style.contents)
                || self.folds(here, element, from)
            {
                return false;
            }
            said = said.or(style.visible);
            from = Some(here);
            at = match self.slot(here) {
                Slot::Around(around) => around,
                Slot::Nowhere => return false,
            };
        }
        said.unwrap_or(true)
    }

    /// Whether it is an option of a list that is not open.
    fn is_in_dropdown(&self, id: Id, element: &Element) -> bool {
        let is_group = |id: Id| self.tree.element(id).is_some_and(|e| e.is("optgroup"));
        if !element.is("option") && !element.is("optgroup") {
            return false;
        }
        let around = self.tree.around(id);
        let list = around.filter(|id| is_group(*id)).map_or(around, |group| self.tree.around(group));
        list.and_then(|id| self.tree.element(id)).is_some_and(|list| list.is("select") && is_dropdown(list))
    }

    /// Whether a closed `<details>` keeps this child of it folded away.
    fn folds(&self, details: Id, element: &Element, child: Option<Id>) -> bool {
        let Some(child) = child.filter(|_| element.is("details") && element.attribute("open").is_none())
        else {
            return false;
        };
        let summary =
            self.tree.children(details).find(|id| self.tree.element(*id).is_some_and(|e| e.is("summary")));
        summary != Some(child)
    }

    /// Where an element is drawn: in its parent, in the slot of a shadow root, or, without such a slot, nowhere.
    fn slot(&self, id: Id) -> Slot {
        let Some(parent) = self.tree.parent(id) else { return Slot::Around(None) };
        match self.tree.kind(parent) {
            Kind::Element(host) => {
                let Some((shadow, _)) = host.shadow else { return Slot::Around(Some(parent)) };
                let wanted = self.tree.element(id).and_then(|e| e.attribute("slot")).unwrap_or_default();
                let slot = self.tree.elements(shadow).find(|slot| {
                    self.tree
                        .element(*slot)
                        .is_some_and(|e| e.is("slot") && e.attribute("name").unwrap_or_default() == wanted)
                });
                slot.map_or(Slot::Nowhere, |slot| Slot::Around(Some(slot)))
            }
            Kind::Root => Slot::Around(self.tree.host_of(parent)),
            Kind::Text(_) | Kind::Other => Slot::Around(None),
        }
    }
}

enum Slot {
    Around(Option<Id>),
    Nowhere,
}

/// What an inline style says of an element's being drawn.
struct Style {
    none: bool,
    contents: bool,
    drawn: bool,
    visible: Option<bool>,
}

impl Style {
    fn of(element: &Element) -> Self {
        let mut style = Self { none: false, contents: false, drawn: false, visible: None };
        for declaration in element.attribute("style").unwrap_or_default().split(';') {
            let Some((name, value)) = declaration.split_once(':') else { continue };
            let value = value.trim().to_ascii_lowercase();
            let value = value.strip_suffix("!important").unwrap_or(&value).trim_end();
            match name.trim().to_ascii_lowercase().as_str() {
                "display" => {
                    style.none = value == "none";
                    style.contents = value == "contents";
                    style.drawn = !style.none;
                }
                "visibility" => {
                    style.visible = match value {
                        "visible" => Some(true),
                        "hidden" | "collapse" => Some(false),
                        _ => style.visible,
                    }
                }
                _ => {}
            }
        }
        style
    }
}

fn is_undrawn(element: &Element, style: &Style) -> bool {
    if style.none || (element.is("input") && kind_of(element) == "hidden") {
        return true;
    }
    let by_itself = element.is_html()
        && (UNDRAWN.contains(&element.name())
            || element.attribute("hidden").is_some_and(|how| !how.eq_ignore_ascii_case("until-found"))
            || element.attribute("popover").is_some()
            || (element.is("dialog") && element.attribute("open").is_none()));
    by_itself && !style.drawn
}
