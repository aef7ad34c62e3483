//! The groups that policies grant: does each exist, may the service account change its members, and will it still in an hour?

use ldap3::controls::RawControl;

use super::super::delegation::{self, Need, Service};
use super::super::domain::Domain;
use super::super::link::Link;
use super::super::{parsed, sid};
use super::Findings;
use crate::{DirectoryError, RightUse};

/// Groups whose access list `AdminSDHolder` rewrites, by number (MS-ADTS 3.1.1.6.1.2; 526 and 527 are the key administrators'
/// of newer forests). `adminCount` shows it only once it happened.
const PROTECTED: [u32; 14] = [498, 512, 516, 518, 519, 521, 526, 527, 544, 548, 549, 550, 551, 552];

/// What a JIT account's own access list has to give, for as long as the account lives.
const OF_ACCOUNTS: [Need; 4] = [Need::Password, Need::Restrictions, Need::Description, Need::PrimaryGroup];

pub(super) async fn group(
    findings: &mut Findings,
    link: &Link,
    domain: &Domain,
    service: &(Service, Vec<u8>),
    wanted: &RightUse,
) -> Result<(), DirectoryError> {
    let right = &wanted.right;
    let dn = parsed(&right.0)?;
    let name = dn.to_string();
    let attributes = ["objectClass", "adminCount", "objectSid", "allowedAttributesEffective"];
    let Some(entry) = link.entry(&name, &attributes, Vec::new()).await.map_err(|t| t.reading(&right.0))?
    else {
        findings.add(
            "error",
            format!("{} does not exist, or the service account cannot see it", right.0),
            "Correct the DN in rights; Get-ADGroup NAME shows it (Samba: samba-tool group show NAME).".into(),
        );
        return Ok(());
    };
    if !entry.texts("objectClass").iter().any(|class| class.eq_ignore_ascii_case("group")) {
        findings.add("error", format!("{} is no group", right.0), "Name a group's DN in rights.".into());
        return Ok(());
    }
    let number = entry.bytes("objectSid").and_then(sid::number);
    let protected =
        entry.number("adminCount") == Some(1) || number.is_some_and(|number| PROTECTED.contains(&number));
    let holder = if protected { holder(link, domain).await } else { Holder::RewritesNothing };
    let command = delegation::on_group(&dn, &domain.base, &service.0, protected);
    if !entry.texts("allowedAttributesEffective").iter().any(|a| a.eq_ignore_ascii_case("member")) {
        let why = if protected {
            ": the group is protected, Windows rewrites its access list every hour from AdminSDHolder"
        } else {
            ""
        };
        findings.add(
            "error",
            format!("the service account may not change the members of {}{why}", right.0),
            command,
        );
    } else if !holder.gives(delegation::MEMBER, &service.1) {
        let text = format!(
            "{} is protected: Windows rewrites its access list every hour from AdminSDHolder, which does not name the service \
             account; its right to change the members goes with the next hour",
            right.0
        );
        findings.add("warning", text, command);
    } else {
        findings.ok("exists, and the service account may change its members");
    }
    if wanted.outlives_an_hour {
        accounts_in(findings, domain, service, wanted, &holder);
    }
    Ok(())
}

/// An account that is put into a protected group is protected itself: its access list, too, is AdminSDHolder's within the hour.
fn accounts_in(
    findings: &mut Findings,
    domain: &Domain,
    service: &(Service, Vec<u8>),
    wanted: &RightUse,
    holder: &Holder,
) {
    let missing: Vec<_> =
        OF_ACCOUNTS.into_iter().filter(|need| !holder.gives(need.identity(), &service.1)).collect();
    if missing.is_empty() {
        return;
    }
    let text = format!(
        "a JIT account that is in {} becomes protected with it: Windows replaces its access list within the hour by \
         AdminSDHolder's, and the service account may then no longer change its end, close it or set its password",
        wanted.right.0
    );
    let commands: Vec<_> =
        missing.into_iter().map(|need| delegation::on_holder(&domain.base, &service.0, need)).collect();
    let remedy = format!("{}; or grant it in mode burner, whose accounts are deleted.", commands.join("; "));
    findings.add("warning", text, remedy);
}

/// The pattern of protected access lists.
enum Holder {
    /// Samba's: it is copied nowhere.
    RewritesNothing,
    /// Its access list; empty when the service account may not read it.
    AccessList(Vec<u8>),
}

impl Holder {
    /// Whether what this gives will still be there in an hour.
    fn gives(&self, identity: &str, sid: &[u8]) -> bool {
        match self {
            Self::RewritesNothing => true,
            Self::AccessList(list) => delegation::gives(list, identity, sid),
        }
    }
}

async fn holder(link: &Link, domain: &Domain) -> Holder {
    let root = link.entry("", &["vendorName"], Vec::new()).await;
    if root
        .is_ok_and(|root| root.is_some_and(|r| r.text("vendorName").is_some_and(|v| v.starts_with("Samba"))))
    {
        return Holder::RewritesNothing;
    }
    // Only the access list is asked for (MS-ADTS 3.1.1.3.4.1.11): the rest of a descriptor needs more rights to read.
    let list_only =
        RawControl { ctype: "1.2.840.113556.1.4.801".into(), crit: true, val: Some(vec![0x30, 3, 2, 1, 4]) };
    let holder = delegation::holder(&domain.base).to_string();
    let found = link.entry(&holder, &["nTSecurityDescriptor"], vec![list_only]).await;
    let list = found.ok().flatten().and_then(|e| e.bytes("nTSecurityDescriptor").map(<[u8]>::to_vec));
    Holder::AccessList(list.unwrap_or_default())
}
