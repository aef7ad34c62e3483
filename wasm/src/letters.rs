//! Small letters of every script. In the browser they are the browser's: Unicode's tables are in it already.

/// The text in small letters.
pub(crate) fn lower_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { of_any_script(text) }
}

#[cfg(target_arch = "wasm32")]
fn of_any_script(text: &str) -> String {
    js_sys::JsString::from(text).to_lower_case().into()
}

#[cfg(not(target_arch = "wasm32"))]
fn of_any_script(text: &str) -> String {
    text.to_lowercase()
}
