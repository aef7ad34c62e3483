//! Every request to change something leaves an audit record, also one that is refused before anybody looks at it: a body
//! that is no JSON, an unknown route, a caller who is no technician.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ticketgate_protocol::problem::Problem;

use super::{Api, Refusal};
use crate::broker::identity::Identified;
use crate::broker::on_record;

/// These ask, and change nothing.
const QUESTIONS: [&str; 2] = ["/v1/preview", "/v1/ticket"];

/// Records what was refused without a record.
pub(super) async fn recorded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let caller = request.extensions().get::<Identified>().and_then(|Identified(found)| found.clone().ok());
    let changes = request.method() == Method::POST && !QUESTIONS.contains(&path.as_str());
    let (true, Some(caller)) = (changes, caller) else { return next.run(request).await };
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Problem>().filter(|_| !on_record::is_noted()) else {
        return response;
    };
    match api.broker.record_unheard(&caller, &path, problem).await {
        Ok(()) => response,
        Err(other) => Refusal(other).into_response(),
    }
}
