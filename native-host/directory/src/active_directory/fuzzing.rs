//! The readers of what a server sends, for the fuzz targets (`fuzz/`), with what has to hold of what they read. Not in any
//! shipped binary.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use ldap3::Scope;
use ticketgate_access::config::{self, SecretRef};
use ticketgate_access::desired::Marker;
use ticketgate_access::session::{Account, AccountKey, Right};
use ticketgate_protocol::api::Mode;
use ticketgate_protocol::ids::{DirectoryId, TechnicianId};

use super::dn::{Dn, escape_rdn_value};
use super::domain::{self, Domain};
use super::filter::{self, FilterValue};
use super::link::{Change, Link};
use super::{ActiveDirectory, clock, guid, sid};
use crate::note as marker;
use ticketgate_credentials::MachineSecrets;

use crate::DirectoryError;

const UNIT: &str = "OU=JIT,DC=acme,DC=test";
/// All that there is to hear has been said long before.
const TIMEOUT: Duration = Duration::from_millis(30);

/// Every reader of a single value. What is read can be written and read again as the same; what is escaped stays one value.
pub fn readers(bytes: &[u8]) {
    if let Some(text) = sid::text(bytes) {
        assert!(text.starts_with("S-") && sid::number(bytes).is_some());
        assert_eq!(bytes.len(), 8 + 4 * text.split('-').skip(3).count());
        assert_eq!(sid::of_neighbour(bytes, sid::number(bytes).unwrap_or(0)), Some(text));
    }
    if let Some(text) = guid::text(bytes) {
        assert_eq!(guid::bytes(&text).as_ref().map(<[u8; 16]>::as_slice), Some(bytes));
    }
    let escaped = FilterValue::bytes(bytes).to_string();
    assert!(!escaped.contains(['(', ')', '*', '\0', '&', '|', '!']), "{escaped}");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(dn) = Dn::parse(text) {
        assert_eq!(Dn::parse(&dn.to_string()), Ok(dn.clone()), "it is not read as it was written");
        assert!(!dn.is_below(&dn) && !dn.to_string().contains(['\0', '\n']));
        let _ = (dn.key(), dn.dns(), dn.name());
    }
    if let Ok(unit) = Dn::parse(UNIT)
        && !text.is_empty()
    {
        let child = Dn::parse(&unit.child("CN", text).to_string());
        assert!(
            child.as_ref().is_ok_and(|dn| dn.is_below(&unit) && dn.name() == Some(text)),
            "{}",
            escape_rdn_value(text)
        );
    }
    marker::parse(text).iter().for_each(survives);
    let _ = clock::generalized_time(text);
    let _ = clock::end_of(Some(text));
}

/// A note that can be written is read again as the same.
fn survives(note: &Marker) {
    if let Ok(written) = marker::format(note) {
        assert_eq!(marker::parse(&written).as_ref(), Some(note));
    }
}

/// Asks whoever is at the other end one of the questions that a session needs.
///
/// # Errors
/// [`DirectoryError`], as the product would have it.
pub async fn ask(stream: UnixStream, question: u8) -> Result<(), DirectoryError> {
    let link = Link::bare(stream, TIMEOUT).await?;
    let directory = directory()?;
    let domain = Domain {
        base: super::parsed("DC=acme,DC=test")?,
        netbios: "ACME".into(),
        time_limited: question >= 128,
    };
    let lost = |trouble: super::failure::Trouble| trouble.writing("fuzz");
    match question % 8 {
        0 => {
            link.search_in_pages(UNIT, filter::ANY, &["memberOf"], Vec::new()).await.map_err(lost)?;
        }
        1 => {
            let Some(entry) = link.entry(UNIT, &["member"], Vec::new()).await.map_err(lost)? else {
                return Ok(());
            };
            link.every_value(&entry.dn, "member", entry.part("member"), &[]).await.map_err(lost)?;
        }
        2 => link.modify(UNIT, &[Change::Replace("description", b"x")], Vec::new()).await.map_err(lost)?,
        3 => link.add(UNIT, &[("objectClass", b"user")]).await.map_err(lost)?,
        4 => {
            domain::served(&link).await?;
        }
        5 => {
            domain::read(&link).await?;
        }
        6 => {
            link.search(UNIT, Scope::Subtree, filter::ANY, &["*"], domain.link_ends()).await.map_err(lost)?;
        }
        _ => {
            let account = account(if question >= 64 { Mode::Dedicated } else { Mode::Membership });
            let seen = directory.observe_by(&link, &domain, &account).await?;
            if let Some(account) = seen.account {
                assert!(guid::name(&account.identity).is_some(), "an identity that cannot be asked for");
                assert!(account.right_ends.iter().all(|(right, _)| account.rights.contains(right)));
                account.marker.iter().for_each(survives);
            }
        }
    }
    Ok(())
}

fn directory() -> Result<ActiveDirectory, DirectoryError> {
    let config = config::ActiveDirectory {
        servers: vec!["ldaps://dc.acme.test".into()],
        bind_dn: "CN=svc,DC=acme,DC=test".into(),
        password: SecretRef::Env("NONE".into()),
        ca_file: None,
        account_unit: UNIT.into(),
        account_name: "jit-{technician}".into(),
        timeout_s: 2,
    };
    let known = [Right("CN=Domain Admins,CN=Users,DC=acme,DC=test".into())].into();
    ActiveDirectory::with_secrets(&config, known, Arc::new(MachineSecrets))
}

fn account(mode: Mode) -> Account {
    let bad = |_| DirectoryError::BadValue(String::new());
    let (directory, technician) =
        (DirectoryId::new("acme-ad").map_err(bad), TechnicianId::new("tech1").map_err(bad));
    let (Ok(directory), Ok(technician)) = (directory, technician) else {
        unreachable!("both are well formed")
    };
    Account {
        key: AccountKey("acme-ad/dedicated/tech1".into()),
        directory,
        mode,
        technician,
        name: "jit-tech1".into(),
        identity: None,
        display_name: None,
        token: "k3v9".into(),
        password_generation: 1,
        standing: Vec::new(),
        settled: false,
        attempts: 0,
        next_try: Some(Utc::now()),
        gone: false,
        version: 1,
    }
}
