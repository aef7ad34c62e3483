//! Texts without what would be large: small letters of every script, whose tables the browser has already, a search for
//! texts so short that a clever one is not worth its size, and one way of joining for everything that is joined.

/// Whether `part` stands somewhere in `text`.
pub fn holds(text: &str, part: &str) -> bool {
    part.is_empty() || text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

/// What stands before the last `mark` and what behind it.
pub fn split_at_last(text: &str, mark: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == mark)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The parts with `between` between them.
pub fn joined(parts: &mut dyn Iterator<Item = &str>, between: &str) -> String {
    let mut out = String::new();
    for (at, part) in parts.enumerate() {
        if at > 0 {
            out.push_str(between);
        }
        out.push_str(part);
    }
    out
}

/// The text in small letters.
pub fn lower_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { of_any_script(text) }
}

/// Whether two texts are the same but for the case of their letters.
pub fn is_same_word(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!b.is_ascii() && !a.is_ascii() && lower_case(a) == lower_case(b))
}

/// Whether a letter or a digit of any script is in it.
pub fn names_something(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_alphanumeric()) || (!text.is_ascii() && in_any_script(text))
}

#[cfg(target_arch = "wasm32")]
fn in_any_script(text: &str) -> bool {
    js_sys::RegExp::new(r"[\p{Alphabetic}\p{N}]", "u").test(text)
}

#[cfg(not(target_arch = "wasm32"))]
fn in_any_script(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(target_arch = "wasm32")]
fn of_any_script(text: &str) -> String {
    js_sys::JsString::from(text).to_lower_case().into()
}

#[cfg(not(target_arch = "wasm32"))]
fn of_any_script(text: &str) -> String {
    text.to_lowercase()
}
