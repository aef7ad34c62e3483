//! The other customers, played: root on Northwind's machine, a role in Contoso's stand-in tenant, and one session in two of Globex's
//! directories. What came of it is asked of machine, tenant and domain themselves.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use ticketgate_tests::Result;
use ticketgate_tests::patience::{LIMIT, until, wait_for};

use crate::minute::{copied, only_session, open_sessions, text};
use crate::northwind::{self, Northwind};
use crate::stage::{Stage, Teller};
use crate::standins::{self, CONTOSO, GLOBEX};

const JIT: &str = "jit-tech1";

pub(crate) fn play(stage: &Stage, teller: &Teller) -> Result<()> {
    if let (Some(machine), Some(number)) = (&stage.northwind, stage.further.northwind) {
        northwind(stage, machine, number, teller)?;
    }
    contoso(stage, teller)?;
    globex(stage, teller)?;
    stage.tenants.are_as_described()
}

fn northwind(stage: &Stage, machine: &Northwind, number: u32, teller: &Teller) -> Result<()> {
    let password = from_the_page(stage, number, "7-machine")?;
    ensure!(
        machine.machine.sudo_makes_root(JIT, &password)?,
        "sudo does not make {JIT} root: {}",
        stage.product.broker_log()
    );
    let rule = machine.machine.sh(&format!("cat /etc/sudoers.d/ticketgate_{JIT}* | grep NOTAFTER"))?;
    teller.done(&format!("root on {} by sudo with the password from the clipboard: {rule}", northwind::NAME));
    end_in_popup(stage, "8-machine-popup")?;
    northwind::closes(machine, JIT)?;
    ensure!(!machine.machine.sudo_makes_root(JIT, &password)?, "sudo still makes {JIT} root");
    teller.done("ended from the popup: sudo refuses, the rule is gone, the account is expired");
    Ok(())
}

fn contoso(stage: &Stage, teller: &Teller) -> Result<()> {
    let tenant = &stage.tenants.contoso;
    let password = from_the_page(stage, stage.further.contoso, "9-tenant")?;
    let account = text(&only_session(stage)?, "account");
    ensure!(tenant.sign_in(&account, &password), "the stand-in tenant does not let {account} in");
    let held = standins::roles(tenant, &account);
    ensure!(held == ["Exchange Administrator"], "{account} has {held:?}");
    teller.done(&format!(
        "{CONTOSO}: signed in as {account} with the password from the clipboard; it is {} and has an end there",
        held.join(", ")
    ));
    end_in_popup(stage, "10-tenant-popup")?;
    until("the account to be gone", LIMIT, || Ok(tenant.user(&account).is_none()))?;
    teller.done("ended from the popup: the tenant has no such account any more");
    Ok(())
}

fn globex(stage: &Stage, teller: &Teller) -> Result<()> {
    stage.page.open(&stage.tickets.ticket_url(2))?;
    stage.page.to_front()?;
    stage.page.wait_for_control("button", "Activate")?;
    let summary = ["--ticket", "2", "--summary", "New starter needs an account by Monday"];
    let session = stage.product.cli_json(&[&["activate", "globex-both"], &summary[..]].concat())?;
    let id = text(&session, "id");
    let accounts = accounts(&session);
    let [_, in_tenant] = accounts.as_slice() else { bail!("a session in two directories: {session}") };
    let password = |directory: &str| -> Result<String> {
        Ok(text(&stage.product.cli_json(&["password", &id, "--directory", directory])?, "password"))
    };
    let (in_domain, of_tenant) = (password("globex-ad")?, password(GLOBEX)?);
    ensure!(stage.globex.bind(JIT, &in_domain)?.accepted(), "the domain does not accept the password");
    ensure!(
        stage.tenants.globex.sign_in(in_tenant, &of_tenant),
        "the stand-in tenant does not let {in_tenant} in"
    );
    teller.done(&format!("one session in two directories of Globex: {}", accounts.join(" and ")));
    stage.badge_becomes("59m or 1h", |text| text == "59m" || text == "1h")?;
    end_in_popup(stage, "11-two-directories-popup")?;
    ensure!(!stage.globex.bind(JIT, &in_domain)?.accepted(), "the domain still accepts the password");
    ensure!(stage.tenants.globex.user(in_tenant).is_none(), "{in_tenant} is still there");
    teller.done("ended from the popup, in both at once");
    Ok(())
}

fn accounts(session: &Value) -> Vec<String> {
    let parts = session.get("parts").and_then(Value::as_array);
    parts.into_iter().flatten().map(|part| text(part, "account")).collect()
}

/// Activates from a ticket's page, and answers the new password.
fn from_the_page(stage: &Stage, number: u32, picture: &str) -> Result<String> {
    let clipboard = stage.clipboard.as_ref().context("there is no clipboard to look at")?;
    let before = clipboard.clipboard()?;
    let page = &stage.page;
    page.open(&stage.tickets.ticket_url(number))?;
    // A popup may be before it.
    page.to_front()?;
    page.wait_for_control("button", "Activate")?;
    stage.picture(page, picture)?;
    // As in the first minute: the guard wants it in sight before a click counts.
    std::thread::sleep(std::time::Duration::from_millis(700));
    page.click("button", "Activate")?;
    stage.badge_becomes("59m or 1h", |text| text == "59m" || text == "1h")?;
    wait_for("another password in the clipboard", LIMIT, || {
        let now = copied(stage)?;
        Ok((Some(&now) != before.as_ref()).then_some(now))
    })
}

fn end_in_popup(stage: &Stage, picture: &str) -> Result<()> {
    let popup = stage.browser.open_popup()?;
    popup.until("!!document.querySelector('main:not([aria-busy=true])')")?;
    popup.wait_for_control("button", "End now")?;
    stage.picture(&popup, picture)?;
    popup.click("button", "End now")?;
    until("the session to end", LIMIT, || Ok(open_sessions(stage)?.is_empty()))?;
    popup.close()
}
