//! What a request's headers say of the trace that it is a part of: `traceparent` of W3C Trace Context. Anybody can send one, so it is
//! taken to be nothing but two numbers.

use axum::http::HeaderMap;

/// The span of a caller that a request was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    /// Whether the caller collects this trace.
    pub(super) sampled: bool,
}

/// The caller's span; nothing where there is none, or more than one.
pub(super) fn of(headers: &HeaderMap) -> Option<Caller> {
    let mut all = headers.get_all("traceparent").iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    parse(only.to_str().ok()?)
}

/// Trace Context §3.2.2: `00-TRACE-SPAN-FLAGS`. A later version begins the same and may go on.
fn parse(text: &str) -> Option<Caller> {
    let mut fields = text.split('-');
    let version: [u8; 1] = hexadecimal(fields.next()?)?;
    let trace = hexadecimal(fields.next()?)?;
    let span = hexadecimal(fields.next()?)?;
    let [flags]: [u8; 1] = hexadecimal(fields.next()?)?;
    let is_known = match version {
        [0] => fields.next().is_none(),
        [version] => version != 0xff,
    };
    let is_valid = is_known && trace != [0; 16] && span != [0; 8];
    is_valid.then_some(Caller { trace, span, sampled: flags & 1 == 1 })
}

/// In lower case, of exactly this length.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

/// A request's method, where it is one that others know; a caller may send any word.
pub(super) fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_span_is_taken_and_nothing_that_only_looks_like_one() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let found = parse(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!((hex::encode(found.trace), hex::encode(found.span)), (trace.into(), span.into()));
        assert!(found.sampled);
        assert!(!parse(&format!("00-{trace}-{span}-00")).unwrap().sampled);
        assert!(parse(&format!("01-{trace}-{span}-03-more")).unwrap().sampled, "a later version");
        for bad in [
            "".to_owned(),
            "00".to_owned(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}0-{span}-01"),
            format!("00-{trace}-{span}-xx"),
            format!("00-{trace}-{span}-01 "),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn of_two_callers_none_is_believed() {
        let mut headers = HeaderMap::new();
        let told = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.append("traceparent", told.parse().unwrap());
        assert!(of(&headers).is_some());
        headers.append("traceparent", told.parse().unwrap());
        assert_eq!(of(&headers), None);
    }

    #[test]
    fn a_word_of_the_callers_is_no_method() {
        assert_eq!((known_method("POST"), known_method("PASSWORD-hunter2")), ("POST", "_OTHER"));
    }
}
