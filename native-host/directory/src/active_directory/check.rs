//! Looking for everything that sessions will need, before a technician meets what is missing. Nothing is changed, unless a
//! rehearsal is asked for: it makes, changes and deletes an account of its own that is never enabled ([`rehearsal`]).

mod groups;
mod rehearsal;

use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use ldap3::Scope;
use ticketgate_access::desired::DirectoryEnd;
use ticketgate_protocol::api::Finding;

use super::clock::{end_of, time_of_ticks};
use super::delegation::{self, Need, Service};
use super::dn::Dn;
use super::domain::{self, Domain};
use super::entry::Entry;
use super::filter::{FilterValue, equals};
use super::link::Link;
use super::{ActiveDirectory, SKEW_REFUSED, SKEW_SHOWN, sid};
use crate::{Directory, DirectoryError, RightUse};

pub(super) use rehearsal::is_rehearsal;

/// Earlier than this an administrator need not think of a password that will expire.
const SOON: TimeDelta = TimeDelta::days(14);
/// `DONT_EXPIRE_PASSWORD` (MS-ADTS 2.2.16).
const NEVER_EXPIRES: i64 = 0x1_0000;
/// A read-only domain controller says so among its capabilities (MS-ADTS 3.1.1.3.4.3).
const READ_ONLY: &str = "1.2.840.113556.1.4.1920";
struct Findings {
    subject: String,
    found: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, level: &str, text: String, remedy: String) {
        self.found.push(Finding { level: level.into(), subject: self.subject.clone(), text, remedy });
    }

    fn ok(&mut self, text: impl Into<String>) {
        self.add("ok", text.into(), String::new());
    }

    fn failed(&mut self, error: &DirectoryError) {
        self.add("error", error.to_string(), remedy(error).into());
    }
}

/// The contract of [`crate::Directory::check`].
pub(super) async fn check(directory: &ActiveDirectory, rights: &[RightUse]) -> Vec<Finding> {
    let mut findings =
        Findings { subject: format!("directory {}", directory.servers.name()), found: Vec::new() };
    let mut first = None;
    for (server, opened) in directory.servers.each().await {
        match opened {
            Ok(link) => {
                findings.ok(format!(
                    "{server} answers, its certificate is good, and the service account may log on"
                ));
                if is_read_only(&link).await {
                    let text =
                        format!("{server} is a read-only domain controller: it sends every change elsewhere");
                    findings.add("error", text, "Name writable domain controllers in servers.".into());
                }
                first.get_or_insert(link);
            }
            Err(error) => findings.failed(&error),
        }
    }
    let Some(link) = first else { return findings.found };
    let domain = match directory.domain_by(&link).await {
        Ok(domain) => domain,
        Err(error) => {
            findings.failed(&error);
            return findings.found;
        }
    };
    clock(&mut findings, &link).await;
    let service = service(directory, &mut findings, &link, &domain).await;
    time_limited(&mut findings, &domain);
    if unit(directory, &mut findings, &link, &service.0).await {
        accounts(directory, &mut findings, &link, &service.0).await;
    }
    for wanted in rights {
        findings.subject = format!("right {}", directory.right_name(&wanted.right));
        if let Err(error) = groups::group(&mut findings, &link, &domain, &service, wanted).await {
            findings.failed(&error);
        }
    }
    findings.found
}

/// The contract of [`crate::Directory::rehearse`].
pub(super) async fn rehearse(directory: &ActiveDirectory) -> Vec<Finding> {
    let mut findings =
        Findings { subject: format!("directory {}", directory.servers.name()), found: Vec::new() };
    let (link, domain) = match directory.link().await {
        Ok(linked) => linked,
        Err(error) => {
            findings.failed(&error);
            return findings.found;
        }
    };
    // What is wrong with the service account itself is `check`'s to say.
    let mut unsaid = Findings { subject: String::new(), found: Vec::new() };
    let service = service(directory, &mut unsaid, &link, &domain).await;
    rehearsal::rehearse(directory, &mut findings, &service.0).await;
    findings.found
}

async fn is_read_only(link: &Link) -> bool {
    let root = link.entry("", &["supportedCapabilities"], Vec::new()).await;
    root.is_ok_and(|root| root.is_some_and(|root| root.texts("supportedCapabilities").contains(&READ_ONLY)))
}

async fn clock(findings: &mut Findings, link: &Link) {
    let time = match domain::time(link).await {
        Ok(time) => time,
        Err(error) => return findings.failed(&error),
    };
    let skew = time - DateTime::<Utc>::from(SystemTime::now());
    let text = format!("the directory's clock differs from this machine's by {} s", skew.num_seconds());
    let remedy = "Let both follow one time server: w32tm /resync on Windows, chronyc makestep or timedatectl set-ntp true on Linux.";
    if skew.abs() > SKEW_REFUSED {
        findings.add(
            "error",
            format!("{text}; beyond {} s nothing is granted", SKEW_REFUSED.num_seconds()),
            remedy.into(),
        );
    } else if skew.abs() > SKEW_SHOWN {
        findings.add("warning", text, remedy.into());
    } else {
        findings.ok("both clocks agree");
    }
}

/// The service account itself: its names for the commands, its SID, and what would stop it one day.
async fn service(
    directory: &ActiveDirectory,
    findings: &mut Findings,
    link: &Link,
    domain: &Domain,
) -> (Service, Vec<u8>) {
    const WANTED: &[&str] = &[
        "sAMAccountName",
        "objectSid",
        "userAccountControl",
        "accountExpires",
        "msDS-UserPasswordExpiryTimeComputed",
    ];
    let bind = directory.servers.config().bind_dn.as_str();
    let found = match Dn::parse(bind) {
        Ok(dn) => link.entry(&dn.to_string(), WANTED, Vec::new()).await,
        Err(_) => {
            let by_name = equals("userPrincipalName", &FilterValue::text(bind));
            let found =
                link.search(&domain.base.to_string(), Scope::Subtree, &by_name, WANTED, Vec::new()).await;
            found.map(|entries| entries.into_iter().next())
        }
    };
    let entry = match found {
        Ok(entry) => entry.unwrap_or_default(),
        Err(trouble) => {
            findings.failed(&trouble.reading("the service account"));
            Entry::default()
        }
    };
    let name = format!("{}\\{}", domain.netbios, entry.text("sAMAccountName").unwrap_or("SERVICE-ACCOUNT"));
    let bytes = entry.bytes("objectSid").unwrap_or_default().to_vec();
    if let DirectoryEnd::At(at) = end_of(entry.text("accountExpires")) {
        let remedy =
            "Set-ADUser NAME -AccountExpirationDate $null; Samba: samba-tool user setexpiry NAME --noexpiry";
        findings.add(
            "warning",
            format!("the service account expires at {at}; then no session can start or end"),
            remedy.into(),
        );
    }
    let never = entry.number("userAccountControl").is_none_or(|flags| flags & NEVER_EXPIRES != 0);
    let expiry =
        entry.number("msDS-UserPasswordExpiryTimeComputed").filter(|ticks| *ticks > 0 && *ticks < i64::MAX);
    if let Some(at) = expiry.and_then(time_of_ticks).filter(|_| !never) {
        let soon = at - DateTime::<Utc>::from(SystemTime::now()) < SOON;
        let text =
            format!("the service account's password expires at {at}; then no session can start or end");
        let remedy =
            "Set-ADUser NAME -PasswordNeverExpires $true; Samba: samba-tool user setexpiry NAME --noexpiry";
        findings.add(if soon { "error" } else { "warning" }, text, remedy.into());
    }
    let sid = sid::text(&bytes).unwrap_or_else(|| "SID".into());
    (Service { name, sid }, bytes)
}

fn time_limited(findings: &mut Findings, domain: &Domain) {
    if domain.time_limited {
        findings.ok("the forest takes time-limited memberships away by itself");
    } else {
        findings.ok(
            "the forest has no time-limited memberships: JIT accounts end by their own expiry all the same; rights on a \
             technician's own account (mode membership) end by the broker alone",
        );
    }
}

async fn unit(directory: &ActiveDirectory, findings: &mut Findings, link: &Link, service: &Service) -> bool {
    let (unit, name) = (directory.unit(), directory.unit().to_string());
    match link.entry(&name, &["allowedChildClassesEffective"], Vec::new()).await {
        Err(trouble) => findings.failed(&trouble.reading(&name)),
        Ok(None) => findings.add(
            "error",
            format!("the unit {name} does not exist, or the service account cannot see it"),
            "Create it: New-ADOrganizationalUnit; Samba: samba-tool ou add. It holds JIT accounts and nothing else.".into(),
        ),
        Ok(Some(entry)) if entry.texts("allowedChildClassesEffective").iter().any(|c| c.eq_ignore_ascii_case("user")) => {
            return true;
        }
        Ok(Some(_)) => findings.add(
            "error",
            format!("the service account may not create accounts in {name}"),
            delegation::on_unit(unit, service, Need::Accounts),
        ),
    }
    false
}

/// What the service account may do to accounts, as the server says it of one that is there. Their passwords are no attribute:
/// only a rehearsal, or a session, tells.
async fn accounts(directory: &ActiveDirectory, findings: &mut Findings, link: &Link, service: &Service) {
    const UNTRIED: &str =
        "`ticketgate check --rehearse` tries it with one that is never enabled and deleted at once";
    let listed = match directory.list().await {
        Ok(listed) => listed,
        Err(error) => return findings.failed(&error),
    };
    let Some(one) = listed.accounts.first() else {
        return findings.ok(format!("the service account may create accounts in the unit; {UNTRIED}"));
    };
    let answer = link.entry(&one.seen.place, &["allowedAttributesEffective"], Vec::new()).await;
    let entry = match answer {
        Ok(entry) => entry.unwrap_or_default(),
        Err(trouble) => return findings.failed(&trouble.reading(&one.seen.place)),
    };
    let allowed = entry.texts("allowedAttributesEffective");
    let may = |attribute: &&&str| allowed.iter().any(|a| a.eq_ignore_ascii_case(attribute));
    let mut all = true;
    for (need, attributes) in [
        (Need::Restrictions, ["userAccountControl", "accountExpires"].as_slice()),
        (Need::Description, &["description"]),
    ] {
        let missing: Vec<_> = attributes.iter().filter(|attribute| !may(attribute)).copied().collect();
        if !missing.is_empty() {
            all = false;
            let text = format!("the service account may not write {} of {}", missing.join(", "), one.name);
            findings.add("error", text, delegation::on_unit(directory.unit(), service, need));
        }
    }
    if !may(&&"primaryGroupID") {
        all = false;
        rehearsal::no_primary_group(directory, findings, service);
    }
    if all {
        findings.ok(format!(
            "the service account may create accounts in the unit and change what is in it; whether it may set passwords, {UNTRIED}"
        ));
    }
}

/// What to do about a failure; the text itself often says it already.
const fn remedy(error: &DirectoryError) -> &'static str {
    match error {
        DirectoryError::Unreachable(_) | DirectoryError::Ambiguous(_) => {
            "Look at the server's name, the network and the firewall: LDAPS is TCP port 636, StartTLS port 389."
        }
        DirectoryError::Certificate(_) => "See \"The servers' certificate\" in docs/active-directory.md.",
        DirectoryError::Bind(_) => "See \"The service account\" in docs/active-directory.md.",
        DirectoryError::NotDelegated(_) => "See \"Delegation\" in docs/active-directory.md.",
        DirectoryError::NoSecret(_) => "See `password` of a directory in the administrator's guide.",
        DirectoryError::Busy(_) => "Try again in a minute.",
        _ => "",
    }
}
