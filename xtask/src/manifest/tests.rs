//! Each fault of an extension is named; a sound one passes. The sound one is written here, not the product's.

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::tree::write;

/// A made-up key: any bytes have an id.
const KEY: &str = "AAAA";

fn sound() -> Value {
    json!({
        "manifest_version": 3,
        "version": "1.2.3",
        "key": KEY,
        "background": { "service_worker": "worker.js", "type": "module" },
        "action": { "default_popup": "pages/popup.html", "default_icon": { "16": "icons/16.png" } },
        "permissions": ["storage", "activeTab"],
        "host_permissions": ["https://*.example.test/*"],
        "optional_host_permissions": ["https://*/*"],
        "externally_connectable": { "ids": [], "matches": [] },
        "content_security_policy": { "extension_pages": "script-src 'self' 'wasm-unsafe-eval'" },
        "web_accessible_resources": [{ "resources": ["icons/*.png"], "matches": ["https://*.example.test/*"] }],
    })
}

fn folder(manifest: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("manifest.json", manifest.to_string().as_str()),
        ("worker.js", "import { a } from './lib/a.js';\n// eval(x) only in a remark\nretrieval(1);\n"),
        ("lib/a.js", "export const a = 1;\n"),
        (
            "pages/popup.html",
            "<script type=\"module\" src=\"../lib/a.js\"></script><link rel=stylesheet href=p.css>",
        ),
        ("pages/p.css", ""),
        ("icons/16.png", ""),
    ] {
        write(&folder.path().join(name), content.as_bytes()).unwrap();
    }
    folder
}

fn faults(folder: &TempDir) -> String {
    let id = id_of_key(KEY).unwrap();
    check(folder.path(), "1.2.3", &id).map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn a_sound_extension_passes() {
    assert_eq!(faults(&folder(&sound())), "");
}

#[test]
fn the_products_key_gives_the_products_id() {
    let text = include_str!("../../../manifest.json");
    let manifest: Value = serde_json::from_str(text).unwrap();
    assert_eq!(id_of_key(manifest["key"].as_str().unwrap()).unwrap(), ticketgate_protocol::EXTENSION_ID);
}

#[test]
fn each_fault_of_the_manifest_is_named() {
    let cases: [(&str, Value, &str); 12] = [
        ("/manifest_version", json!(2), "`manifest_version` is not 3"),
        ("/version", json!("1.2.4"), "the workspace's is 1.2.3"),
        ("/key", json!("AAAB"), "gives the id"),
        ("/key", json!("not base64!"), "not base64"),
        ("/permissions", json!(["tabs"]), "`tabs`"),
        ("/host_permissions", json!(["<all_urls>"]), "<all_urls>"),
        ("/externally_connectable", json!(null), "externally_connectable"),
        ("/externally_connectable/ids", json!(["*"]), "lets others in"),
        ("/background/service_worker", json!("gone.js"), "`gone.js`"),
        ("/action/default_icon/16", json!("gone.png"), "`gone.png`"),
        ("/web_accessible_resources/0/resources", json!(["icons/*.svg"]), "icons/*.svg"),
        (
            "/content_security_policy/extension_pages",
            json!("script-src 'self' https://x.test"),
            "https://x.test",
        ),
    ];
    for (place, value, expected) in cases {
        let mut manifest = sound();
        *manifest.pointer_mut(place).unwrap() = value;
        let told = faults(&folder(&manifest));
        assert!(told.contains(expected), "{place}: {told}");
    }
}

#[test]
fn each_way_to_run_foreign_code_is_named() {
    for (name, content, expected) in [
        ("pages/popup.html", "<script>alert(1)</script>", "script written into it"),
        ("pages/popup.html", "<script src=\"https://x.test/a.js\"></script>", "from elsewhere"),
        ("pages/popup.html", "<link href='//x.test/a.css'>", "from elsewhere"),
        ("worker.js", "import './gone.js';", "./gone.js"),
        ("worker.js", "const m = await import('https://x.test/a.js');", "from elsewhere"),
        ("lib/a.js", "x = eval('1');", "makes code from text"),
        ("lib/a.js", "x = new Function('return 1');", "makes code from text"),
    ] {
        let folder = folder(&sound());
        write(&folder.path().join(name), content.as_bytes()).unwrap();
        let told = faults(&folder);
        assert!(told.contains(expected), "{content}: {told}");
    }
}
