//! A page as a tree, built by the parser that Servo uses: what a browser makes of the same HTML, before any script ran.
//! An arena, since a page may be nested so deep that nothing about it can be recursive.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, QualName, local_name, ns};

/// A node's place in its tree.
pub(super) type Id = usize;

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// The document, the inside of a template, or a shadow root.
    Root,
    Text(String),
    Element(Element),
    /// A comment and the like.
    Other,
}

/// An element.
#[derive(Debug)]
pub(super) struct Element {
    name: Rc<QualName>,
    attributes: Vec<(String, String)>,
    /// The inside of a template, which is in no document.
    contents: Option<Id>,
    /// The shadow root, and whether a page's script can reach it.
    pub(super) shadow: Option<(Id, bool)>,
}

impl Element {
    /// The local name; of HTML's own elements in small letters.
    pub(super) fn name(&self) -> &str {
        &self.name.local
    }

    /// Whether it is one of HTML's own, not of a drawing or a formula.
    pub(super) fn is_html(&self) -> bool {
        self.name.ns == ns!(html)
    }

    /// Whether it is HTML's element of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.is_html() && self.name() == name
    }

    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    parent: Option<Id>,
    previous: Option<Id>,
    next: Option<Id>,
    first: Option<Id>,
    last: Option<Id>,
}

/// A whole page.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Ids and classes are compared without case.
    pub(super) quirks: bool,
    /// Shadow roots with their hosts.
    hosts: HashMap<Id, Id>,
}

/// The document itself.
pub(super) const DOCUMENT: Id = 0;

impl Tree {
    fn add(&mut self, kind: Kind) -> Id {
        self.nodes.push(Node { kind, parent: None, previous: None, next: None, first: None, last: None });
        self.nodes.len() - 1
    }

    fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(super) fn kind(&self, id: Id) -> &Kind {
        self.node(id).map_or(&Kind::Other, |node| &node.kind)
    }

    pub(super) fn element(&self, id: Id) -> Option<&Element> {
        match self.kind(id) {
            Kind::Element(element) => Some(element),
            Kind::Root | Kind::Text(_) | Kind::Other => None,
        }
    }

    fn element_mut(&mut self, id: Id) -> Option<&mut Element> {
        match &mut self.nodes.get_mut(id)?.kind {
            Kind::Element(element) => Some(element),
            Kind::Root | Kind::Text(_) | Kind::Other => None,
        }
    }

    /// The parent, which may be a root.
    pub(super) fn parent(&self, id: Id) -> Option<Id> {
        self.node(id)?.parent
    }

    /// The element around this one; none at a root.
    pub(super) fn around(&self, id: Id) -> Option<Id> {
        self.parent(id).filter(|parent| self.element(*parent).is_some())
    }

    /// The element whose shadow root this is.
    pub(super) fn host_of(&self, root: Id) -> Option<Id> {
        self.hosts.get(&root).copied()
    }

    pub(super) fn first(&self, id: Id) -> Option<Id> {
        self.node(id)?.first
    }

    pub(super) fn next(&self, id: Id) -> Option<Id> {
        self.node(id)?.next
    }

    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        std::iter::successors(self.first(id), |child| self.next(*child))
    }

    /// The element right before or behind this one.
    pub(super) fn sibling(&self, id: Id, forward: bool) -> Option<Id> {
        let step = |at: Id| self.node(at).and_then(|node| if forward { node.next } else { node.previous });
        std::iter::successors(step(id), |at| step(*at)).find(|at| self.element(*at).is_some())
    }

    /// All that is inside, in document order; templates and shadow roots are not.
    pub(super) fn inside(&self, root: Id) -> impl Iterator<Item = Id> + '_ {
        let after = move |at: Id| {
            let mut at = at;
            while at != root {
                match self.next(at) {
                    Some(next) => return Some(next),
                    None => at = self.parent(at)?,
                }
            }
            None
        };
        std::iter::successors(self.first(root), move |at| self.first(*at).or_else(|| after(*at)))
    }

    /// The elements inside, in document order.
    pub(super) fn elements(&self, root: Id) -> impl Iterator<Item = Id> + '_ {
        self.inside(root).filter(|id| self.element(*id).is_some())
    }

    /// All text inside, scripts' included.
    pub(super) fn text_content(&self, root: Id) -> String {
        self.inside(root)
            .filter_map(|id| match self.kind(id) {
                Kind::Text(text) => Some(text.as_str()),
                Kind::Root | Kind::Element(_) | Kind::Other => None,
            })
            .collect()
    }

    fn detach(&mut self, id: Id) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let (parent, previous, next) = (node.parent.take(), node.previous.take(), node.next.take());
        match previous.and_then(|at| self.nodes.get_mut(at)) {
            Some(before) => before.next = next,
            None => {
                if let Some(parent) = parent.and_then(|at| self.nodes.get_mut(at)) {
                    parent.first = next;
                }
            }
        }
        match next.and_then(|at| self.nodes.get_mut(at)) {
            Some(behind) => behind.previous = previous,
            None => {
                if let Some(parent) = parent.and_then(|at| self.nodes.get_mut(at)) {
                    parent.last = previous;
                }
            }
        }
    }

    /// Puts a node before another one, or at the parent's end.
    fn put(&mut self, parent: Id, id: Id, before: Option<Id>) {
        self.detach(id);
        let previous = match before {
            Some(before) => self.node(before).and_then(|node| node.previous),
            None => self.node(parent).and_then(|node| node.last),
        };
        if let Some(node) = self.nodes.get_mut(id) {
            (node.parent, node.previous, node.next) = (Some(parent), previous, before);
        }
        match previous.and_then(|at| self.nodes.get_mut(at)) {
            Some(node) => node.next = Some(id),
            None => {
                if let Some(parent) = self.nodes.get_mut(parent) {
                    parent.first = Some(id);
                }
            }
        }
        match before.and_then(|at| self.nodes.get_mut(at)) {
            Some(node) => node.previous = Some(id),
            None => {
                if let Some(parent) = self.nodes.get_mut(parent) {
                    parent.last = Some(id);
                }
            }
        }
    }

    fn put_new(&mut self, parent: Id, new: NodeOrText<Handle>, before: Option<Id>) {
        match new {
            NodeOrText::AppendNode(handle) => self.put(parent, handle.id, before),
            NodeOrText::AppendText(text) => {
                let previous = match before {
                    Some(before) => self.node(before).and_then(|node| node.previous),
                    None => self.node(parent).and_then(|node| node.last),
                };
                if let Some(Kind::Text(so_far)) =
                    previous.and_then(|at| self.nodes.get_mut(at)).map(|node| &mut node.kind)
                {
                    so_far.push_str(&text);
                    return;
                }
                let id = self.add(Kind::Text(text.to_string()));
                self.put(parent, id, before);
            }
        }
    }
}

/// A node as the parser holds it.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    id: Id,
    name: Option<Rc<QualName>>,
}

/// What the parser builds into.
#[derive(Debug)]
pub(super) struct Builder {
    tree: RefCell<Tree>,
    nobody: QualName,
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut tree = Tree { nodes: Vec::new(), quirks: false, hosts: HashMap::new() };
        tree.add(Kind::Root);
        Self { tree: RefCell::new(tree), nobody: QualName::new(None, ns!(), local_name!("")) }
    }

    fn other(&self) -> Handle {
        Handle { id: self.tree.borrow_mut().add(Kind::Other), name: None }
    }
}

fn written(attributes: Vec<Attribute>) -> impl Iterator<Item = (String, String)> {
    attributes.into_iter().map(|attribute| {
        let local = &attribute.name.local;
        let name = match &attribute.name.prefix {
            Some(prefix) => format!("{prefix}:{local}"),
            None => local.to_string(),
        };
        (name, attribute.value.to_string())
    })
}

/// HTML's own elements that may have a shadow root; besides these, only elements that a page names itself (`x-card`).
const HOSTS: [&str; 18] = [
    "article",
    "aside",
    "blockquote",
    "body",
    "div",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "main",
    "nav",
    "p",
    "section",
    "span",
];

impl TreeSink for Builder {
    type Handle = Handle;
    type Output = Tree;
    type ElemName<'a> = &'a QualName;

    fn finish(self) -> Tree {
        self.tree.into_inner()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { id: DOCUMENT, name: None }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> &'a QualName {
        target.name.as_deref().unwrap_or(&self.nobody)
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Handle {
        let mut tree = self.tree.borrow_mut();
        let contents = flags.template.then(|| tree.add(Kind::Root));
        let name = Rc::new(name);
        let attributes = written(attributes).collect();
        let element = Element { name: Rc::clone(&name), attributes, contents, shadow: None };
        Handle { id: tree.add(Kind::Element(element)), name: Some(name) }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        self.other()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        self.other()
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.tree.borrow_mut().put_new(parent.id, child, None);
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        if self.tree.borrow().parent(element.id).is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Handle) -> Handle {
        let contents = self.tree.borrow().element(target.id).and_then(|element| element.contents);
        Handle { id: contents.unwrap_or(target.id), name: None }
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one.id == other.id
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.tree.borrow_mut().quirks = matches!(mode, QuirksMode::Quirks);
    }

    fn append_before_sibling(&self, sibling: &Handle, new: NodeOrText<Handle>) {
        let mut tree = self.tree.borrow_mut();
        if let Some(parent) = tree.parent(sibling.id) {
            tree.put_new(parent, new, Some(sibling.id));
        }
    }

    fn add_attrs_if_missing(&self, target: &Handle, attributes: Vec<Attribute>) {
        let mut tree = self.tree.borrow_mut();
        let Some(element) = tree.element_mut(target.id) else { return };
        for (name, value) in written(attributes) {
            if element.attribute(&name).is_none() {
                element.attributes.push((name, value));
            }
        }
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.tree.borrow_mut().detach(target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut tree = self.tree.borrow_mut();
        while let Some(child) = tree.first(node.id) {
            tree.put(new_parent.id, child, None);
        }
    }

    fn attach_declarative_shadow(&self, host: &Handle, template: &Handle, attributes: &[Attribute]) -> bool {
        let mut tree = self.tree.borrow_mut();
        let contents = tree.element(template.id).and_then(|element| element.contents);
        let Some(element) = tree.element_mut(host.id) else { return false };
        let may = element.is_html() && (HOSTS.contains(&element.name()) || element.name().contains('-'));
        let mode = attributes.iter().find(|attribute| &*attribute.name.local == "shadowrootmode");
        let open = match mode.map(|mode| mode.value.to_ascii_lowercase()).as_deref() {
            Some("open") => true,
            Some("closed") => false,
            _ => return false,
        };
        if !may || element.shadow.is_some() {
            return false;
        }
        let Some(contents) = contents else { return false };
        element.shadow = Some((contents, open));
        tree.hosts.insert(contents, host.id);
        true
    }
}
