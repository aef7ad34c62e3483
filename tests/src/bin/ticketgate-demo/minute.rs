//! The technician's minute, played: activate from the page, log on, extend, end; then a short session that runs out.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use ticketgate_tests::Result;
use ticketgate_tests::patience::{LIMIT, until, wait_for};

use crate::stage::{Stage, Teller};

/// Long enough to be seen running down, short enough to wait for.
const SHORT: &str = "12s";

pub(crate) fn play(stage: &Stage, teller: &Teller) -> Result<()> {
    let page = &stage.page;
    let button = page.wait_for_control("button", "Activate")?;
    teller.done(&format!("the button is in the page: {}", button.name));
    stage.picture(page, "1-ticket")?;
    // The guard wants it in sight for half a second before a click counts; a person needs that long to read it.
    std::thread::sleep(Duration::from_millis(700));
    page.click("button", "Activate")?;
    let badge = stage.badge_becomes("59m or 1h", |text| text == "59m" || text == "1h")?;
    teller.done(&format!("one click in the page, and the session is active: the badge shows {badge}"));
    stage.picture(page, "2-active-in-page")?;

    let password = copied(stage)?;
    let name = "jit-tech1";
    if !stage.acme.bind(name, &password)?.accepted() {
        bail!("the directory does not accept the password from the clipboard");
    }
    let groups = stage.acme.look()?.account(name)?.context("there is no JIT account")?.groups;
    teller.done(&format!(
        "logged on to the directory as ACME\\{name} with the password from the clipboard; member of {}",
        groups.join(", ")
    ));

    let session = only_session(stage)?;
    let before = text(&session, "expires_at");
    let popup = stage.browser.open_popup()?;
    popup.until("!!document.querySelector('main:not([aria-busy=true])')")?;
    popup.wait_for_control("button", "Extend by")?;
    stage.picture(&popup, "3-popup")?;
    popup.click("button", "Extend by")?;
    let after = wait_for("the later end", LIMIT, || {
        let after = text(&only_session(stage)?, "expires_at");
        Ok((after != before).then_some(after))
    })?;
    teller.done(&format!("extended from the popup: the end moved from {before} to {after}"));
    stage.picture(&popup, "4-extended")?;
    popup.click("button", "End now")?;
    until("the session to end", LIMIT, || Ok(open_sessions(stage)?.is_empty()))?;
    teller.done("ended from the popup");
    stage.picture(&popup, "5-ended")?;
    popup.close()?;
    teller.done(&closed(stage, name, &password)?);

    let ticket = ["--ticket", "4", "--summary", "Backup of FS01 failed twice", "--for", SHORT];
    let short = stage.product.activate("acme-domain-admin", &ticket)?;
    if !stage.acme.bind(name, &short.password)?.accepted() {
        bail!("the directory does not accept the short session's password");
    }
    teller.done(&format!("a session of {SHORT} from the command line: {}; its password works", short.id));
    let badge = stage.badge_becomes("seconds", |text| text.ends_with('s'))?;
    stage.picture(&stage.page, "6-short")?;
    teller.note(&format!("the badge shows {badge}"));
    teller.begins(&format!("it runs out by itself, {SHORT} after its begin"));
    until("the session to run out", LIMIT, || Ok(open_sessions(stage)?.is_empty()))?;
    teller.done(&format!("it ran out: {}", closed(stage, name, &short.password)?));
    Ok(())
}

/// What is on record of it all.
pub(crate) fn the_record(stage: &Stage, teller: &Teller) -> Result<()> {
    let verdict = stage.product.cli_json(&["audit", "verify"])?;
    if verdict.pointer("/whole") != Some(&Value::Bool(true)) {
        bail!("the audit log is not whole: {verdict}");
    }
    teller.done(&format!(
        "the audit log is whole: {} records",
        verdict.pointer("/records").unwrap_or(&Value::Null)
    ));
    teller.note("Pictures: target/demo/");
    Ok(())
}

/// What the directory itself says of an account after the end of its session.
fn closed(stage: &Stage, name: &str, password: &str) -> Result<String> {
    let refusal = stage.acme.bind(name, password)?;
    if refusal.accepted() {
        bail!("the directory still accepts the password after the end");
    }
    let account = stage.acme.look()?.account(name)?.context("the JIT account is gone")?;
    if account.enabled() || !account.groups.is_empty() {
        bail!("the account is not closed: {account:?}");
    }
    Ok(format!(
        "the directory refuses the password (LDAP result {}, {}); the account is disabled and in no group",
        refusal.code, refusal.reason
    ))
}

/// The password that the relay put into the clipboard.
pub(crate) fn copied(stage: &Stage) -> Result<String> {
    let clipboard = stage.clipboard.as_ref().context("there is no clipboard to look at")?;
    wait_for("the password in the clipboard", LIMIT, || clipboard.clipboard())
}

pub(crate) fn open_sessions(stage: &Stage) -> Result<Vec<Value>> {
    let sessions = stage.product.cli_json(&["sessions"])?;
    sessions.as_array().cloned().context("sessions are a list")
}

pub(crate) fn only_session(stage: &Stage) -> Result<Value> {
    let sessions = open_sessions(stage)?;
    match sessions.as_slice() {
        [session] => Ok(session.clone()),
        other => bail!("one session is open, not {}", other.len()),
    }
}

pub(crate) fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
