//! One session on a machine and in a domain.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ticketgate_tests::machine::Machine;
use ticketgate_tests::machine::installed::{HERE, Installed};
use ticketgate_tests::patience::until;
use ticketgate_tests::product::Said;
use ticketgate_tests::proxy::Proxy;
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::{Outcome, Result};

use crate::account::{TECH1, is_root, nothing_is_open};

const LDAPS: u16 = 636;

/// A broker on a machine that reaches a domain, with policies that grant in both: `both`, and `half`, whose right on the machine
/// is not there.
struct Site {
    here: Installed,
    ad: SambaAd,
    _way: Proxy,
}

impl Site {
    fn start() -> Result<Self> {
        let ad = SambaAd::start(Default::default())?;
        let machine = Machine::start("acme-web1")?;
        machine.prepare()?;
        let way = machine.reaches(SocketAddr::from((ad.address(), LDAPS)))?;
        let (ca, secret) = ("/etc/acme-ca.pem", "/etc/acme.secret");
        fs::copy(ad.ca(), machine.path(ca))?;
        fs::copy(ad.service_password_file(), machine.path(secret))?;
        machine.sh(&format!("chmod 600 {secret}"))?;
        let domain = format!(
            "[[directory]]\nid = \"acme-ad\"\ncustomer = \"acme\"\nkind = \"active_directory\"\nservers = [{:?}]\n\
             bind_dn = {:?}\npassword = {{ file = {secret:?} }}\nca_file = {ca:?}\naccount_unit = {:?}\ntimeout = \"3s\"\n",
            ad.url(),
            ad.service_account(),
            ad.account_unit()
        );
        let policy = |id: &str, right: &str| {
            format!(
                "[[policy]]\nid = {id:?}\ngrant = [{{ directory = \"acme-ad\", rights = [{:?}] }}, \
                 {{ directory = \"here\", rights = [{right:?}] }}]\n\
                 duration = {{ default = \"1h\", max = \"4h\" }}\neligible = {{ technicians = [\"tech1\"] }}\n",
                ad.group("tier1")
            )
        };
        let policies = policy("both", "sudo:ALL") + &policy("half", "group:nobody-made-it");
        let here = Installed::start(machine, &[HERE, &domain, &policies].join("\n"))?;
        Ok(Self { here, ad, _way: way })
    }

    fn asked(&self, policy: &str) -> Result<Said> {
        self.here.cli(&["--json", "activate", policy, "--reason", "#4711 nginx does not answer"])
    }

    fn granted(&self) -> Result<String> {
        let session = self.asked("both")?.json()?;
        assert_eq!((session["state"].as_str(), states(&session)), (Some("active"), vec!["active", "active"]));
        Ok(session["id"].as_str().unwrap_or_default().to_owned())
    }

    fn password(&self, id: &str, directory: &str) -> Result<String> {
        let over = self.here.cli_json(&["password", id, "--new", "--directory", directory])?;
        Ok(over["password"].as_str().unwrap_or_default().to_owned())
    }

    /// Nobody can work with either account, and neither has a right.
    fn all_is_closed(&self) -> Result<()> {
        nothing_is_open(&self.here.machine)?;
        assert!(self.ad.open_accounts()?.is_empty());
        let account = self.ad.look()?.account(TECH1)?;
        assert!(account.as_ref().is_none_or(|account| account.groups.is_empty()), "{account:?}");
        Ok(())
    }
}

fn states(session: &Value) -> Vec<&str> {
    let parts = session["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["state"].as_str()).collect()
}

#[test]
fn a_session_on_a_machine_and_in_a_domain_is_given_and_taken_whole() -> Outcome {
    let mut site = Site::start()?;
    let id = site.granted()?;
    let (ad, here) = (site.password(&id, "acme-ad")?, site.password(&id, "here")?);
    assert!(ad != here && site.ad.bind(TECH1, &ad)?.accepted() && is_root(&site.here.machine, TECH1, &here)?);
    let account = site.ad.look()?.account(TECH1)?.expect("the account is there");
    assert_eq!(account.groups, [site.ad.group("tier1")]);
    // Also with the next broker.
    site.here.kill_broker()?;
    site.here.start_broker(&[])?;
    assert!(site.ad.bind(TECH1, &ad)?.accepted() && is_root(&site.here.machine, TECH1, &here)?);
    let ended = site.here.cli_json(&["end", &id])?;
    assert_eq!((ended["state"].as_str(), states(&ended)), (Some("ended"), vec!["ended", "ended"]));
    site.all_is_closed()?;
    assert!(!site.ad.bind(TECH1, &ad)?.accepted() && !is_root(&site.here.machine, TECH1, &here)?);

    // The machine refuses, then the domain is away: nothing is left in the other.
    let refused = site.asked("half")?;
    assert!(refused.stderr.contains("unknown_right"), "{refused:?}");
    site.all_is_closed()?;
    site.ad.crash()?;
    let refused = site.asked("both")?;
    assert!(refused.stderr.contains("directory_down"), "{refused:?}");
    nothing_is_open(&site.here.machine)?;
    site.ad.restart()?;

    // Whoever closes one of the accounts ends the whole.
    let id = site.granted()?;
    site.here.machine.sh(&format!("chage -E 1 {TECH1}"))?;
    site.here.cli(&["sweep"])?;
    until("the session to end", Duration::from_secs(20), || {
        Ok(site.here.cli_json(&["sessions"])?.as_array().is_some_and(Vec::is_empty))
    })?;
    site.all_is_closed()?;
    let all = site.here.cli_json(&["sessions", "--past"])?;
    let ended = all.as_array().into_iter().flatten().find(|one| one["id"] == id.as_str());
    assert_eq!(ended.map(|one| &one["end_cause"]), Some(&Value::from("administrator")));
    Ok(())
}
