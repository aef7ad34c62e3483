//! One session in two directories of one customer: given whole, ended whole, and nothing of it where one of them is away.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

mod domains;
mod tenant;

use serde_json::Value;
use ticketgate_tests::Result;
use ticketgate_tests::product::Product;

const JIT: &str = "jit-tech1";

/// A policy that grants a right in each of two directories.
fn both(id: &str, rights: [(&str, &str); 2]) -> String {
    let [first, second] =
        rights.map(|(directory, right)| format!("{{ directory = {directory:?}, rights = [{right:?}] }}"));
    format!(
        "[[policy]]\nid = {id:?}\nname = {id:?}\ngrant = [{first}, {second}]\n\
         duration = {{ default = \"1h\", max = \"4h\" }}\neligible = {{ groups = [\"tier2\"] }}\n"
    )
}

fn states(session: &Value) -> Vec<&str> {
    let parts = session["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["state"].as_str()).collect()
}

fn password(product: &Product, id: &str, directory: &str) -> Result<String> {
    let said = product.cli_json(&["password", id, "--directory", directory])?;
    Ok(said["password"].as_str().unwrap_or_default().to_owned())
}
