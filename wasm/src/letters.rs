//! Letters without what would be large: small ones of every script, whose tables the browser has already, and a search
//! for texts so short that a clever one is not worth its size.

/// Whether `part` stands somewhere in `text`.
pub(crate) fn holds(text: &str, part: &str) -> bool {
    part.is_empty() || text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

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
