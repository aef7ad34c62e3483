//! The readers of what Graph and the sign-in answer, for the fuzz targets (`fuzz/`), with what has to hold of what they read. Not
//! in any shipped binary.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Response;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use ticketgate_access::entra::RoleName;
use ticketgate_https::{LONGEST_PAUSE, retry_after, server_time};
use tokio::time::Instant;

use super::failure::{About, Failed, SAID_MAX, WORD_MAX, What};
use super::graph::{inside, refusal, seconds};
use super::roles::Table;
use super::wire::{
    Became, EligibleGroup, EligibleRole, Group, HeldGroup, HeldRole, MemberOf, Organization, Page, Pass,
    PassPolicy, RoleAssignment, RoleDefinition, ScheduleRequest, User,
};
use super::{authority, look, pass, tokens};
use crate::{DirectoryError, note};

/// Addresses of a Graph: one with a path, one without.
const GRAPHS: [&str; 2] = ["https://graph.microsoft.com/v1.0", "https://127.0.0.1:8443"];

/// The longest text that a refusal comes to: what a server says, and what we say of it.
const TEXT_MAX: usize = SAID_MAX + 2 * WORD_MAX + 600;

/// Hands an answer to every reader, whatever was asked for. `again` makes the same answer each time.
pub async fn answer(again: impl Fn() -> Option<Response>) {
    let Some(response) = again() else { return };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let Ok(body) = ticketgate_https::body(response).await else { return };
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let time = server_time(&headers);
    if let Some(time) = time {
        // Ends are counted from it, and it is shown.
        let far = TimeDelta::days(366 * 1000);
        assert!(time.checked_add_signed(far).is_some() && time.checked_sub_signed(far).is_some());
    }
    let pause = retry_after(&headers, time.unwrap_or(now));
    assert!(pause.is_none_or(|pause| pause <= LONGEST_PAUSE));
    if (200..300).contains(&status) {
        things(&body, time.unwrap_or(now));
    } else if let Some(response) = again() {
        // A pause is always known where it counts: one that nobody names is ours.
        let busy = matches!(status, 429 | 503);
        let error = refusal(status, &headers, response, pause.filter(|_| busy)).await;
        assert!(!error.request.is_empty() && error.after_s.is_none_or(|after_s| after_s >= 1));
        assert_eq!(error.after_s, pause.filter(|_| busy).map(seconds));
        for what in [What::User("u"), What::Right("r"), What::Pass("p"), What::Tenant] {
            for writes in [false, true] {
                let about = About { what, needs: "Permission", writes };
                meaning(status, Failed::Graph(error.clone()), &about);
            }
        }
    }
    if let Some(response) = again() {
        let asked = Instant::now();
        match tokens::granted(response, "t-1", "c-1", asked).await {
            Ok(token) => {
                assert!((200..300).contains(&status));
                // In memory only: whether it could be sent.
                let shown = HeaderValue::from_str(&format!("Bearer {}", token.text.expose()));
                assert!(shown.is_ok() && !token.text.expose().is_empty());
                assert!(token.good_until >= asked && token.good_until <= asked + authority::LONGEST);
                let _ = tokens::permissions(&token.text);
            }
            Err(error) => is_a_line(&error),
        }
    }
}

fn meaning(status: u16, failed: Failed, about: &About<'_>) {
    use DirectoryError as E;
    assert_eq!(failed.is_absent(), status == 404);
    let (without_pim, named) =
        (failed.is_without_pim(), matches!(&failed, Failed::Graph(e) if e.after_s.is_some()));
    let error = failed.meaning(about);
    is_a_line(&error);
    match status {
        429 | 503 if named => {
            assert!(
                matches!(&error, E::BusyFor { after_s, .. } if u64::from(*after_s) <= LONGEST_PAUSE.as_secs())
            );
        }
        429 | 503 => assert!(matches!(&error, E::Busy(_)), "{error:?}"),
        // Done or not: only a look can tell.
        500.. if about.writes => assert!(error.is_ambiguous(), "{error:?}"),
        500.. => assert!(matches!(&error, E::Busy(_)), "{error:?}"),
        // What was refused was not done, and no refusal is taken for "already gone" but the one that says so.
        _ => {
            assert!(
                !error.is_ambiguous()
                    && !matches!(&error, E::Busy(_) | E::BusyFor { .. } | E::Unreachable(_))
            );
            let gone = matches!(&error, E::NoSuchAccount(_)) && status != 404;
            assert!(!gone && (!without_pim || matches!(&error, E::NoLicence(_))), "{error:?}");
        }
    }
}

/// Whatever a server says becomes one line for a log, of a bounded length.
fn is_a_line(error: &DirectoryError) {
    let text = error.to_string();
    assert!(!text.chars().any(ticketgate_protocol::text::is_forbidden), "{text:?}");
    assert!(text.chars().count() <= TEXT_MAX, "{} characters: {text}", text.len());
}

/// A page of a list, or one thing.
fn page<T: DeserializeOwned>(body: &[u8]) -> Vec<T> {
    match ticketgate_https::json::<Page<T>>(body) {
        Ok(page) => {
            if let Some(link) = &page.next {
                GRAPHS.iter().for_each(|graph| stays_inside(graph, link));
            }
            page.value
        }
        Err(_) => ticketgate_https::json(body).into_iter().collect(),
    }
}

/// The token goes to no other server, whatever the next page is called.
fn stays_inside(graph: &str, link: &str) {
    let Some(path) = inside(graph, link) else { return };
    let (Ok(ours), Ok(asked)) = (reqwest::Url::parse(graph), reqwest::Url::parse(&format!("{graph}{path}")))
    else {
        return;
    };
    assert_eq!(ours.origin(), asked.origin(), "{link}");
    assert!(asked.username().is_empty() && asked.password().is_none(), "{link}");
}

fn things(body: &[u8], now: DateTime<Utc>) {
    for user in page::<User>(body) {
        let enabled = user.account_enabled == Some(true);
        let seen = look::observed(user, look::Held::default());
        assert!(seen.enabled == enabled && seen.rights.is_empty());
        if let Some(written) = seen.marker.as_ref().and_then(|marker| note::format(marker).ok()) {
            assert_eq!(note::parse(&written), seen.marker, "a note changes when it is written again");
        }
    }
    for role in page::<HeldRole>(body) {
        let limited = role.directory_scope_id.as_ref().is_some_and(|scope| scope != "/");
        assert!(!limited || look::given_role(role).is_none(), "a role in a part of the directory counts");
    }
    page::<EligibleRole>(body);
    for group in page::<EligibleGroup>(body) {
        let word = group.access_id.map(|word| word.as_str().to_owned());
        assert!(word.is_none_or(|word| word == word.to_lowercase()));
        let _ = group.schedule_info.map(|schedule| schedule.is_now(now));
    }
    for group in page::<HeldGroup>(body) {
        let word = group.access_id.map(|word| word.as_str().to_owned());
        assert!(word.is_none_or(|word| word == word.to_lowercase()));
    }
    for member in page::<MemberOf>(body) {
        assert!(!member.is_given() || !member.id.is_empty());
    }
    for request in page::<ScheduleRequest>(body) {
        let status = request.status.as_ref().map(|status| status.as_str().to_owned());
        for removes in [false, true] {
            let done = matches!(status.as_deref(), Some("provisioned" | "granted" | "schedulecreated"));
            assert!(!done || request.became(removes) == Became::Taken);
            let refused = matches!(status.as_deref(), Some("denied" | "failed" | "canceled"));
            assert!(!refused || request.became(removes) == Became::Refused);
        }
    }
    for made in page::<Pass>(body) {
        let until = now + TimeDelta::hours(1);
        if pass::ends_by(&made, until, now, 60) {
            let minutes = i128::from(made.lifetime_in_minutes.unwrap_or(60));
            let start = i128::from(made.start_date_time.unwrap_or(now).timestamp());
            assert!(start + 60 * minutes <= i128::from(until.timestamp()), "a pass outlives its session");
        }
    }
    let table = Table::new(page::<RoleDefinition>(body));
    for near in table.near("exchange operator") {
        assert!(
            near.chars().count() <= WORD_MAX && !near.chars().any(ticketgate_protocol::text::is_forbidden)
        );
    }
    for role in page::<RoleDefinition>(body) {
        let Some(name) = role.display_name.as_ref().and_then(|name| format!("role:{name}").parse().ok())
        else {
            continue;
        };
        if let ticketgate_access::entra::EntraRight::Role(name @ RoleName::Name(_)) = name {
            let id = table.id(&name);
            assert!(
                id.is_some_and(|id| table.name(&id).is_some()),
                "a role is not found by its own name: {name:?}"
            );
        }
    }
    let policies = page::<PassPolicy>(body);
    policies.iter().for_each(|policy| drop(pass::described(policy)));
    let _ = (page::<RoleAssignment>(body), page::<Organization>(body), page::<Group>(body));
}
