//! Finding things on a page in what the DevTools protocol answers: the DOM with closed shadow roots, the accessibility
//! tree, quads.

use serde_json::Value;

/// A node that can be clicked.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its id for the protocol (`backendNodeId`).
    pub id: i64,
    /// Its accessible name, or its tag when it was found in the DOM.
    pub name: String,
    /// `DOM.Node` or `Accessibility.AXNode`, as it was answered, without what is below it.
    pub raw: Value,
}

/// The first node that fits, in document order.
pub(super) fn in_document(node: &Value, fits: &dyn Fn(&Value) -> bool) -> Option<Node> {
    if fits(node) {
        let mut raw = node.clone();
        if let Some(fields) = raw.as_object_mut() {
            fields.remove("children");
        }
        let id = node.get("backendNodeId")?.as_i64()?;
        return Some(Node { id, name: text(node, "/nodeName"), raw });
    }
    let below =
        ["children", "shadowRoots"].into_iter().filter_map(|part| node.get(part)?.as_array()).flatten();
    below.chain(node.get("contentDocument")).find_map(|child| in_document(child, fits))
}

/// The first node of a role whose name contains `name`.
pub(super) fn in_accessibility_tree(tree: &Value, role: &str, name: &str) -> Option<Node> {
    let nodes = tree.get("nodes")?.as_array()?;
    let fits = |node: &&Value| {
        node.get("ignored") != Some(&Value::Bool(true))
            && text(node, "/role/value") == role
            && text(node, "/name/value").contains(name)
    };
    let node = nodes.iter().find(fits)?;
    let id = node.get("backendDOMNodeId")?.as_i64()?;
    Some(Node { id, name: text(node, "/name/value"), raw: node.clone() })
}

/// The middle of the first quad of an answer: corners as x, y, x, y, … clockwise.
pub(super) fn middle_of_quad(answer: &Value) -> Option<(f64, f64)> {
    let corners: Vec<f64> =
        answer.pointer("/quads/0")?.as_array()?.iter().filter_map(Value::as_f64).collect();
    let [left, top, _, _, right, bottom, ..] = corners.as_slice() else { return None };
    Some(((left + right) / 2.0, (top + bottom) / 2.0))
}

fn text(node: &Value, pointer: &str) -> String {
    node.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
