//! Measures activation and end at the broker's API for `cargo xtask bench`: one JSON line per figure. Beside each runs, in
//! the same round, the same thing done bare: the least LDAP writes over a warm connection, and an administrator's `samba-tool`.
//!
//! The least writes are those of a careful script that reads nothing back and records nothing:
//! - existing account: into the group; then password, end and enabling in one write;
//! - its end: disabled and its end put into the past in one write; out of the group; another password;
//! - new account: made disabled; into the group; then opened as above. So nobody can log on with half of an activation, as with the product.
//!   A careless script needs one write less: it makes the account open at once. That one is measured too;
//! - its end: disabled; out of the group; deleted.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, SystemTime};
use ticketgate_tests::Result;
use ticketgate_tests::figures::{quantile, timed};
use ticketgate_tests::ldap::View;
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const ROUNDS: usize = 60;
/// `samba-tool` takes seconds; every so many rounds are enough for a factor of twenty.
const TOOL_EVERY: usize = 10;
const HOUR: Duration = Duration::from_secs(3600);
const PASSWORD: &str = "A bare Passw0rd-of 24 ch";

/// Milliseconds of each kind of work.
#[derive(Default)]
struct Times {
    activation: Vec<f64>,
    end: Vec<f64>,
    new_activation: Vec<f64>,
    new_end: Vec<f64>,
    bare: Vec<f64>,
    bare_end: Vec<f64>,
    bare_new: Vec<f64>,
    careless_new: Vec<f64>,
    bare_new_end: Vec<f64>,
    tool: Vec<f64>,
}

/// The directory as somebody without the product would write to it: one connection of the service account, kept open.
struct Bare {
    ldap: View,
    unit: String,
    group: String,
}

fn main() -> Result<()> {
    // As a domain controller does it: every write is on the disk before it is acknowledged.
    let ad = SambaAd::start(Options { durable: true, ..Options::default() })?;
    let product = Product::start(&Configuration::standard(&ad).generous())?;
    let secret = std::fs::read_to_string(ad.service_password_file())?;
    let service = View::open(ad.address(), &ad.ca(), ad.service_account(), secret.trim(), ad.base())?;
    let (unit, group) = (ad.account_unit().to_owned(), ad.group("tier1").to_owned());
    let mut bare = Bare { ldap: service, unit, group };
    let standing = format!("CN=bare-standing,{}", bare.unit);
    done(bare.ldap.create(&standing, "bare-standing", PASSWORD, SystemTime::now() + HOUR)?)?;
    done(bare.ldap.disable(&standing)?)?;

    let mut times = Times::default();
    // The first activation makes the account and the connection.
    session(&product, "acme-server-admin", &mut Vec::new(), &mut Vec::new())?;
    for round in 0..ROUNDS {
        session(&product, "acme-server-admin", &mut times.activation, &mut times.end)?;
        bare.standing(&standing, &mut times)?;
        session(&product, "acme-burner", &mut times.new_activation, &mut times.new_end)?;
        bare.fresh(round, &mut times)?;
        bare.careless(round, &mut times)?;
        if round % TOOL_EVERY == 0 {
            times.tool.push(timed(|| by_tool(&ad))?);
            done(bare.ldap.remove_member(&bare.group, &standing)?)?;
            done(bare.ldap.disable(&standing)?)?;
        }
    }
    report(&times);
    Ok(())
}

/// One session from the wish to its end, at the API.
fn session(product: &Product, policy: &str, activation: &mut Vec<f64>, end: &mut Vec<f64>) -> Result<()> {
    let wish = wish(policy);
    let mut id = String::new();
    activation.push(timed(|| {
        let answer = product.ask_for(&wish)?.json()?;
        ensure!(answer["state"] == "active", "{answer}");
        id = answer["id"].as_str().context("no id")?.to_owned();
        Ok(())
    })?);
    end.push(timed(|| {
        let path = format!("/v1/sessions/{id}/end");
        let answer = product.api("POST", &path, Some(&new_key()), &json!({}))?.json()?;
        ensure!(answer["state"] == "ended", "{answer}");
        Ok(())
    })?);
    Ok(())
}

impl Bare {
    fn standing(&mut self, dn: &str, times: &mut Times) -> Result<()> {
        let Self { ldap, group, .. } = self;
        times.bare.push(timed(|| {
            done(ldap.add_member(group, dn)?)?;
            done(ldap.enable(dn, PASSWORD, SystemTime::now() + HOUR)?)
        })?);
        times.bare_end.push(timed(|| {
            done(ldap.disable(dn)?)?;
            done(ldap.remove_member(group, dn)?)?;
            done(ldap.set_password(dn, "An0ther bare-one nobody ")?)
        })?);
        Ok(())
    }

    fn fresh(&mut self, round: usize, times: &mut Times) -> Result<()> {
        let name = format!("bare-{round}");
        let dn = format!("CN={name},{}", self.unit);
        times.bare_new.push(timed(|| {
            done(self.ldap.create_closed(&dn, &name)?)?;
            done(self.ldap.add_member(&self.group, &dn)?)?;
            done(self.ldap.enable(&dn, PASSWORD, SystemTime::now() + HOUR)?)
        })?);
        times.bare_new_end.push(timed(|| {
            done(self.ldap.disable(&dn)?)?;
            done(self.ldap.remove_member(&self.group, &dn)?)?;
            done(self.ldap.delete(&dn)?)
        })?);
        Ok(())
    }
}

impl Bare {
    fn careless(&mut self, round: usize, times: &mut Times) -> Result<()> {
        let name = format!("careless-{round}");
        let dn = format!("CN={name},{}", self.unit);
        times.careless_new.push(timed(|| {
            done(self.ldap.create(&dn, &name, PASSWORD, SystemTime::now() + HOUR)?)?;
            done(self.ldap.add_member(&self.group, &dn)?)
        })?);
        done(self.ldap.delete(&dn)?)
    }
}

/// The four commands of an administrator who does by hand what an activation does.
fn by_tool(ad: &SambaAd) -> Result<()> {
    let group = ad.group("tier1");
    let group =
        group.split(',').next().and_then(|part| part.strip_prefix("CN=")).context("a group's name")?;
    let url = format!("ldaps://{}", ad.address());
    let (user, password) = (ad.login("Administrator"), ad.password("Administrator")?);
    for arguments in [
        &["user", "setpassword", "bare-standing", &format!("--newpassword={PASSWORD}")][..],
        &["user", "enable", "bare-standing"],
        &["user", "setexpiry", "bare-standing", "--days=1"],
        &["group", "addmembers", group, "bare-standing"],
    ] {
        let mut tool = Command::new("samba-tool");
        tool.args(arguments).args(["-H", &url, "-U"]).arg(format!("{user}%{password}"));
        let output = tool.args(["--option=tls verify peer = no_check"]).output()?;
        if !output.status.success() {
            bail!("samba-tool {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

fn report(times: &Times) {
    let ldap = "the same least LDAP writes, bare, over a warm LDAPS connection";
    let careless =
        "bare as well, but the account is open before it has its right: two writes instead of three";
    figure("activation, existing account, p50", &times.activation, &times.bare, 0.5, 1.25, ldap);
    figure("activation, existing account, p99", &times.activation, &times.bare, 0.99, 1.5, ldap);
    figure("activation, new account, p50", &times.new_activation, &times.bare_new, 0.5, 1.25, ldap);
    figure("activation, new account, p99", &times.new_activation, &times.bare_new, 0.99, 1.5, ldap);
    figure(
        "new account against two writes, p50",
        &times.new_activation,
        &times.careless_new,
        0.5,
        f64::NAN,
        careless,
    );
    let tool = "samba-tool: setpassword, enable, setexpiry, group addmembers";
    figure("activation against samba-tool, p50", &times.activation, &times.tool, 0.5, 0.05, tool);
    figure("end, existing account, p50", &times.end, &times.bare_end, 0.5, 1.5, ldap);
    figure("end, new account, p50", &times.new_end, &times.bare_new_end, 0.5, 1.5, ldap);
}

/// `reach` is how many times the baseline it may take; no number where nothing was promised.
fn figure(name: &str, of: &[f64], baseline: &[f64], share: f64, reach: f64, note: &str) {
    let (value, beside) = (quantile(of, share), quantile(baseline, share));
    let spread = (quantile(of, 0.9) - quantile(of, 0.1)) / 2.0;
    let note = format!("n = {}; baseline: {note}", of.len());
    let mut line: Value = json!({
        "name": name, "unit": "ms", "value": value, "baseline": beside, "ratio": value / beside,
        "spread": spread, "note": note, "samples": {"value": of, "baseline": baseline},
    });
    if reach.is_finite() {
        line["reach"] = json!({ "ratio_at_most": reach });
    }
    println!("{line}");
}

fn done(code: u32) -> Result<()> {
    ensure!(code == 0, "the directory answered {code}");
    Ok(())
}
