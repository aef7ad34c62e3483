//! The extension's JavaScript is checked as TypeScript by its JSDoc, together with the glue that wasm-bindgen declares.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::setup::npm;
use crate::steps::Steps;
use crate::tree::{Tree, files_below, program, write};

/// Checks everything in `extension/`.
pub(crate) fn check(tree: &Tree, steps: &mut Steps, glue: &Path) -> Result<()> {
    let sources = tree.path("extension");
    let modules = files_below(&sources)?
        .iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "js"))
        .count();
    if modules == 0 {
        steps.skipped("JavaScript types", "extension/ has no JavaScript");
        return Ok(());
    }
    let settings = json!({
        "compilerOptions": {
            "allowJs": true,
            "checkJs": true,
            "noEmit": true,
            "strict": true,
            "noFallthroughCasesInSwitch": true,
            "noImplicitOverride": true,
            "target": "ES2024",
            "module": "ESNext",
            "moduleResolution": "bundler",
            "lib": ["ES2024", "DOM", "DOM.Iterable"],
            "types": ["chrome"],
            "typeRoots": [npm::folder(tree).join("node_modules/@types")],
            // Types of others are theirs to check.
            "skipLibCheck": true,
            // In the shipped folder the glue lies beside the worker; here it is still where wasm-bindgen wrote it.
            "rootDirs": [&sources, glue],
        },
        "include": [sources.join("**/*.js"), sources.join("**/*.d.ts")],
    });
    let config = npm::folder(tree).join("tsconfig.json");
    write(&config, serde_json::to_string_pretty(&settings)?.as_bytes())?;

    let node = program("node").context("there is no node; run `cargo xtask setup`")?;
    let checker = npm::folder(tree).join("node_modules/typescript/bin/tsc");
    let mut command = Command::new(node);
    command.arg(checker).arg("--project").arg(config).arg("--pretty").arg("false").current_dir(tree.root());
    steps.program(&format!("JavaScript types ({modules} files)"), &mut command, "")
}
