//! The unpacked extension: `manifest.json`, what lies in `extension/`, and the WASM core side by side in one folder,
//! so that `worker.js` imports `./ticketgate_wasm.js` and the manifest names files without a folder before them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tree::{Tree, files_below, write};
use crate::wasm::{CORE, GLUE};

/// Kinds of files that a browser has a use for. Anything else in `extension/` (notes, type declarations, pictures'
/// sources) stays at home.
const SHIPPED: [&str; 10] = ["html", "css", "js", "mjs", "json", "png", "svg", "wasm", "woff2", "txt"];

/// Puts the extension together in `out` and takes away what no longer belongs there.
/// Files that are the same stay untouched, so that a browser that watches the folder sees only real changes.
pub(crate) fn assemble(tree: &Tree, glue: &Path, out: &Path) -> Result<usize> {
    let mut parts: Vec<(PathBuf, PathBuf)> =
        vec![(PathBuf::from("manifest.json"), tree.path("manifest.json"))];
    let sources = tree.path("extension");
    for file in files_below(&sources)?.into_iter().filter(|file| is_shipped(file)) {
        let from = sources.join(&file);
        parts.push((file, from));
    }
    parts.push((PathBuf::from(GLUE), glue.join(GLUE)));
    parts.push((PathBuf::from(CORE), glue.join(CORE)));

    let mut names = BTreeSet::new();
    for (name, from) in &parts {
        if !names.insert(name.clone()) {
            bail!("two files of the extension are called {}; rename the one in extension/", name.display());
        }
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        write(&out.join(name), &content)?;
    }
    for stale in files_below(out)?.into_iter().filter(|file| !names.contains(file)) {
        fs::remove_file(out.join(&stale))?;
    }
    Ok(names.len())
}

fn is_shipped(file: &Path) -> bool {
    let hidden = file.iter().any(|part| part.to_string_lossy().starts_with('.') || part == "node_modules");
    let is_test = file.to_string_lossy().contains(".test.");
    let settings = file.file_name().is_some_and(|name| name == "jsconfig.json" || name == "tsconfig.json");
    let kind = file.extension().is_some_and(|kind| SHIPPED.iter().any(|shipped| kind == *shipped));
    kind && !hidden && !is_test && !settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_went_away_leaves_the_assembled_extension_too() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::at(folder.path());
        for (name, content) in [
            ("manifest.json", "{}"),
            ("extension/worker.js", "1"),
            ("extension/old.js", "2"),
            ("extension/notes.md", "3"),
            ("glue/ticketgate_wasm.js", "4"),
            ("glue/ticketgate_wasm_bg.wasm", "5"),
        ] {
            write(&folder.path().join(name), content.as_bytes()).unwrap();
        }
        let (glue, out) = (folder.path().join("glue"), folder.path().join("out"));
        assert_eq!(assemble(&tree, &glue, &out).unwrap(), 5);
        fs::remove_file(folder.path().join("extension/old.js")).unwrap();
        assemble(&tree, &glue, &out).unwrap();
        let names: Vec<String> =
            files_below(&out).unwrap().iter().map(|file| file.display().to_string()).collect();
        assert_eq!(names, ["manifest.json", "ticketgate_wasm.js", "ticketgate_wasm_bg.wasm", "worker.js"]);
    }
}
