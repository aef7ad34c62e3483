//! Which permission a request needs: read out of Microsoft's own description (`x-permissions`), so that nobody here has to know.

use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Microsoft's description. See its header for where it is from.
pub(super) const DESCRIPTION: &str = include_str!("../../graph/graph-v1.0-jit.yaml");

/// Permissions of requests for which the description names none.
const UNNAMED: [(&str, &str, &[&str]); 5] = [
    ("post", "/groups/{group-id}/members/$ref", MEMBERS),
    ("delete", "/groups/{group-id}/members/{directoryObject-id}/$ref", MEMBERS),
    ("get", "/directory/deletedItems/microsoft.graph.user", DELETED),
    ("get", "/directory/deletedItems/{directoryObject-id}", DELETED),
    ("delete", "/directory/deletedItems/{directoryObject-id}", DELETED),
];
const MEMBERS: &[&str] = &["GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"];
const DELETED: &[&str] = &["User.DeleteRestore.All", "User.ReadWrite.All", "Directory.ReadWrite.All"];

/// The paths of one active assignment and of one request, which nobody asks for. The proxy takes `filterByCurrentUser(on='principal')`
/// for an id in them, and then finds the answer wrong.
const IN_THE_WAY: [&str; 2] = [
    "  /roleManagement/directory/roleAssignmentScheduleInstances/{unifiedRoleAssignmentScheduleInstance-id}:",
    "  /roleManagement/directory/roleAssignmentScheduleRequests/{unifiedRoleAssignmentScheduleRequest-id}:",
];

/// The description as the proxy is given it.
pub(super) fn for_proxy() -> String {
    let mut cut = false;
    let mut text = String::with_capacity(DESCRIPTION.len());
    for line in DESCRIPTION.lines() {
        let is_path = line.starts_with("  ") && !line.starts_with("   ");
        cut = if is_path { IN_THE_WAY.contains(&line) } else { cut && line.starts_with(' ') };
        if !cut {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A request that is described.
#[derive(Debug)]
pub(super) struct Operation {
    /// In lower case.
    pub(super) method: String,
    /// As `/users/{user-id}`.
    pub(super) path: String,
    /// Each of these is enough for an app.
    pub(super) application: BTreeSet<String>,
    /// Each of these is enough for a person's token.
    pub(super) delegated: BTreeSet<String>,
}

/// All that are described.
pub(super) fn operations() -> &'static [Operation] {
    static ALL: OnceLock<Vec<Operation>> = OnceLock::new();
    ALL.get_or_init(|| read(DESCRIPTION))
}

/// The described request that this one is.
pub(super) fn operation(method: &str, path: &[String]) -> Option<&'static Operation> {
    let fitting = operations().iter().filter(|known| known.method.eq_ignore_ascii_case(method));
    let fitting = fitting.filter_map(|known| Some((literal_segments(&known.path, path)?, known)));
    fitting.max_by_key(|(literal, _)| *literal).map(|(_, known)| known)
}

/// How many segments are so by name, where all fit.
fn literal_segments(pattern: &str, path: &[String]) -> Option<usize> {
    let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
    if pattern.len() != path.len() {
        return None;
    }
    let mut literal = 0;
    for (known, given) in pattern.iter().zip(path) {
        match known.split_once('{') {
            None if known == given => literal += 1,
            Some((start, _)) if given.starts_with(start) => literal += usize::from(!start.is_empty()),
            _ => return None,
        }
    }
    Some(literal)
}

/// Reads the lines that matter by their indentation, which the file keeps to.
fn read(text: &str) -> Vec<Operation> {
    let mut found: Vec<Operation> = Vec::new();
    let (mut path, mut permissions, mut delegated) = ("", false, false);
    let lines = text.lines().skip_while(|line| *line != "paths:").skip(1);
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let rest = line.trim_start();
        match line.len() - rest.len() {
            // A name that is too long for one line stands alone, and its first method behind it.
            2 if !rest.starts_with(": ") => path = rest.trim_start_matches("? ").trim_end_matches(':'),
            2 | 4 => {
                let method = rest.trim_start_matches(": ").trim_end_matches(':').to_owned();
                let application = UNNAMED
                    .iter()
                    .filter(|(known, of, _)| *known == method && *of == path)
                    .flat_map(|(_, _, names)| names.iter().map(|name| (*name).to_owned()))
                    .collect();
                found.push(Operation {
                    method,
                    path: path.to_owned(),
                    application,
                    delegated: BTreeSet::new(),
                });
                permissions = false;
            }
            6 => permissions = rest == "x-permissions:",
            8 if permissions && rest.ends_with(':') => delegated = rest == "delegated:",
            _ if permissions => {
                if let (Some(name), Some(operation)) = (rest.strip_prefix("- "), found.last_mut()) {
                    let list = if delegated { &mut operation.delegated } else { &mut operation.application };
                    list.insert(name.to_owned());
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_of_the_description_has_permissions() {
        assert_eq!(operations().len(), 77);
        let without = operations().iter().filter(|known| known.application.is_empty());
        let without: Vec<_> = without.map(|known| format!("{} {}", known.method, known.path)).collect();
        // A person's alone.
        let only_delegated = ["/me", "filterByCurrentUser", "resetPassword", "/delegatedAdmin"];
        let left: Vec<_> =
            without.iter().filter(|name| !only_delegated.iter().any(|known| name.contains(known))).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn two_paths_are_cut_for_the_proxy_and_nothing_else() {
        let cut = read(&for_proxy());
        assert_eq!(cut.len() + 2, operations().len());
        let without = |known: &Operation| !cut.iter().any(|kept| kept.path == known.path);
        let gone: Vec<_> =
            operations().iter().filter(|known| without(known)).map(|known| &known.path).collect();
        assert_eq!(gone, IN_THE_WAY.map(|path| path.trim().trim_end_matches(':')));
    }

    #[test]
    fn a_name_counts_more_than_a_place_for_any() {
        let path = |text: &str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
        let found = |text: &str| operation("GET", &path(text)).map(|known| known.path.clone());
        assert_eq!(found("/users/1").as_deref(), Some("/users/{user-id}"));
        assert_eq!(
            found("/directory/deletedItems/microsoft.graph.user").as_deref(),
            Some("/directory/deletedItems/microsoft.graph.user")
        );
        assert_eq!(
            found("/roleManagement/directory/roleAssignmentScheduleInstances/filterByCurrentUser(on='principal')")
                .as_deref(),
            Some("/roleManagement/directory/roleAssignmentScheduleInstances/filterByCurrentUser(on='{on}')")
        );
        assert_eq!(found("/nowhere"), None);
    }
}
