//! What Microsoft Graph and the sign-in answer. The input is an answer as text: the status, lines of headers, an empty line, the body;
//! what has no such head is the body of a success. It is handed to every reader as the answer to whatever that asks
//! (`ticketgate_directory::entra::fuzzing`): no refusal is taken for a deed, nothing outlives its session, the token goes nowhere else,
//! and what a server says is one line in a log.

use axum::http::{HeaderName, HeaderValue, Response};
use ticketgate_directory::entra::fuzzing;

use crate::ldap::runtime;

pub(crate) fn run(data: &[u8]) {
    runtime().block_on(fuzzing::answer(|| answer(data).map(Into::into)));
}

fn answer(data: &[u8]) -> Option<Response<Vec<u8>>> {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let head = end.and_then(|end| std::str::from_utf8(data.get(..end)?).ok());
    let status = head.and_then(|head| head.lines().next()?.trim().parse::<u16>().ok());
    let (Some(end), Some(head), Some(status)) = (end, head, status) else {
        return Response::builder().body(data.to_vec()).ok();
    };
    let mut response = Response::builder().status(status).body(data.get(end + 2..)?.to_vec()).ok()?;
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        let name = name.trim().to_ascii_lowercase();
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value.trim())) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}
