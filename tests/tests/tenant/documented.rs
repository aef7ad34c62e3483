//! The requests of Microsoft's own pages, sent to the stand-in.

use crate::asking::App;
use serde_json::Value;
use std::net::SocketAddr;
use ticketgate_tests::Result;
use ticketgate_tests::tenant::Entra;

const EXAMPLES: &str = include_str!("../../graph/docs-examples.json");

/// Pages that do not keep to Microsoft's description, where the proxy refuses them: see `_known_deviations` in the file.
const DEVIATIONS: [&str; 3] = [
    // `NoExpiration`: the description's words begin small.
    "POST /roleManagement/directory/roleAssignmentScheduleRequests",
    // A customer's identity, without what a user has to have.
    "POST /users",
    // A property of an extension of a directory.
    "PATCH /users/4562bcc8-c436-4f95-b7c0-4f8ce89dca5e",
];

/// Sends all of them for which a path is described, and says which the proxy refused.
pub(crate) fn play(entra: &Entra, graph: SocketAddr) -> Result<()> {
    let tenant = entra.tenant("documented")?;
    let app = App::sign_in(entra, &tenant, graph)?;
    let me = tenant.add_user("me");
    let person = App::with_token(graph, &tenant.token_of(&me, &["User.Read"]));
    let examples: Value = serde_json::from_str(EXAMPLES)?;
    let vectors = examples["vectors"].as_array().cloned().unwrap_or_default();
    assert_eq!(vectors.len(), 101);
    let (mut played, mut unplayed, mut refused) = (0, 0, Vec::new());
    for vector in &vectors {
        let text = |name: &str| vector["request"][name].as_str().unwrap_or_default();
        let Some(path) = text("url").strip_prefix("https://graph.microsoft.com/v1.0") else { continue };
        let (method, body) = (text("method"), &vector["request"]["body"]);
        let asker = if path.starts_with("/me") { &person } else { &app };
        let answer = asker.send(method, &encoded(path), body)?;
        let said = answer.json().unwrap_or_default();
        let own = said["type"].as_str().unwrap_or_default();
        // 404 and 405: the description that was cut for this project does not have it.
        if own.ends_with("NO_PATH_MATCHED_ERROR") || own.ends_with("NO_METHOD_MATCHED_ERROR") {
            continue;
        }
        if own.contains("stoplight.io") {
            refused.push(format!("{method} {path}"));
        } else if said["error"]["code"] == "StandInRefuses" {
            // Since no client of ours asks it.
            unplayed += 1;
        } else {
            played += 1;
        }
    }
    refused.sort();
    let mut known = DEVIATIONS.map(str::to_owned).to_vec();
    known.sort();
    assert_eq!(refused, known);
    assert_eq!((played, unplayed), (57, 35), "played, and described but not played");
    Ok(())
}

/// As a client would have to write it, with an id where the page has a place for one.
fn encoded(path: &str) -> String {
    let mut out = String::new();
    for piece in path.split_inclusive(['{', '}']) {
        match piece.strip_suffix('}') {
            Some(_) => out.push_str("00000000-0000-4000-8000-000000000000"),
            None => out.push_str(piece.trim_end_matches('{')),
        }
    }
    match out.split_once('?') {
        // The proxy knows a function's argument by quotes that are written out.
        Some((path, query)) => format!("{path}?{}", query.replace('"', "%22").replace('\'', "%27")),
        None => out,
    }
}
