//! What Entra ID wants to be shown besides what was shown (a claims challenge), for the next sign-in: its text is passed on as it is.

use base64::Engine as _;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The claims that are wanted besides: of a header (continuous access evaluation, in Base64), or of PIM's text (an authentication
/// context, as part of an address).
pub(super) fn wanted(headers: &HeaderMap, message: &str) -> Option<String> {
    let decode = |text: &str| {
        let text = text.trim_end_matches('=');
        String::from_utf8(base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).ok()?).ok()
    };
    let header = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let in_header = header.split("claims=\"").nth(1).and_then(|rest| rest.split('"').next()).and_then(decode);
    let in_text = || unescaped(message.split("&claims=").nth(1)?.split(['&', ' ', '"']).next()?);
    // One that was cut on its way would make every sign-in fail.
    let is_whole =
        |claims: &String| serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(claims).is_ok();
    in_header.or_else(in_text).filter(is_whole)
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const CLAIMS: &str = r#"{"access_token":{"acrs":{"essential":true, "value":"c1"}}}"#;

    #[test]
    fn what_is_wanted_is_read_from_a_header_or_from_pims_text_and_nonsense_is_nothing() {
        let header = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap());
            headers
        };
        for encoded in [
            base64::engine::general_purpose::STANDARD.encode(CLAIMS),
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(CLAIMS),
        ] {
            let text = format!("Bearer realm=\"\", error=\"insufficient_claims\", claims=\"{encoded}\"");
            assert_eq!(wanted(&header(&text), "").as_deref(), Some(CLAIMS));
        }
        // As azure-powershell issue 25421 and others report it.
        let escaped = "%7B%22access_token%22%3A%7B%22acrs%22%3A%7B%22essential%22%3Atrue%2C%20%22value%22%3A%22c1%22%7D%7D%7D";
        for after in ["", "&x=y", " .", "\""] {
            assert_eq!(
                wanted(&HeaderMap::new(), &format!("… &claims={escaped}{after}")).as_deref(),
                Some(CLAIMS)
            );
        }
        for (text, message) in [
            ("Bearer", ""),
            ("Bearer claims=\"", ""),
            ("Bearer claims=\"*\"", ""),
            ("Bearer claims=\"/w==\"", ""),
            ("Bearer", "&claims=%zz"),
            ("Bearer", "&claims=%FF"),
            ("Bearer", "&claims=%7B%22access_token%22"),
        ] {
            assert_eq!(wanted(&header(text), message), None, "{text} {message}");
        }
    }
}
