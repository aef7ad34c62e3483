//! What a domain tells about itself: its names, its clock, and what it can do.

use chrono::{DateTime, Utc};
use ldap3::Scope;
use ldap3::controls::RawControl;

use super::clock::generalized_time;
use super::dn::Dn;
use super::entry::Entry;
use super::filter::{FilterValue, equals};
use super::link::Link;
use crate::DirectoryError;

/// Time-limited links: answers come as `<TTL=seconds,DN>` (MS-ADTS 3.1.1.3.4.1.36, `LDAP_SERVER_LINK_TTL_OID`).
const LINK_TTL: &str = "1.2.840.113556.1.4.2309";
/// The optional feature that a forest needs for them, by the first step of its name.
const PAM_FEATURE: &str = "Privileged Access Management Feature";
/// `Domain Users`: every account's primary group unless somebody changed it (MS-DTYP 2.4.2.4).
pub(crate) const DOMAIN_USERS: u32 = 513;

/// What does not change while a broker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    /// The domain's DN.
    pub(crate) base: Dn,
    /// The short name (`ACME`).
    pub(crate) netbios: String,
    /// Whether a membership can carry its own end.
    pub(crate) time_limited: bool,
}

impl Domain {
    /// The control under which the end of a time-limited link is shown, where there is such a thing.
    pub(crate) fn link_ends(&self) -> Vec<RawControl> {
        let control = || RawControl { ctype: LINK_TTL.to_owned(), crit: false, val: None };
        self.time_limited.then(control).into_iter().collect()
    }
}

/// The DN of the domain that a server is a controller of.
///
/// # Errors
/// [`DirectoryError`]
pub(crate) async fn served(link: &Link) -> Result<Dn, DirectoryError> {
    let root = link.entry("", &["defaultNamingContext"], Vec::new()).await;
    naming_context(&root.map_err(|t| t.reading("rootDSE"))?.unwrap_or_default(), "defaultNamingContext")
}

fn naming_context(root: &Entry, attribute: &str) -> Result<Dn, DirectoryError> {
    Dn::parse(root.text(attribute).unwrap_or_default()).map_err(|_| {
        DirectoryError::Refused(format!("the server is no domain controller: it has no {attribute}"))
    })
}

/// Reads all that.
///
/// # Errors
/// [`DirectoryError`]
pub(crate) async fn read(link: &Link) -> Result<Domain, DirectoryError> {
    let wanted = ["defaultNamingContext", "configurationNamingContext", "supportedControl"];
    let root =
        link.entry("", &wanted, Vec::new()).await.map_err(|t| t.reading("rootDSE"))?.unwrap_or_default();
    let base = naming_context(&root, "defaultNamingContext")?;
    let configuration = naming_context(&root, "configurationNamingContext")?;
    let partitions = configuration.child("CN", "Partitions").to_string();
    let this_domain = equals("nCName", &FilterValue::text(&base.to_string()));
    let found = link.search(&partitions, Scope::OneLevel, &this_domain, &["nETBIOSName"], Vec::new()).await;
    let found = found.map_err(|t| t.reading("the domain's short name"))?;
    // Whoever cannot read it gets the first label of the DNS name, which it nearly always is.
    let first_label = || base.dns().split('.').next().unwrap_or_default().to_uppercase();
    let netbios = found.iter().find_map(|e| e.text("nETBIOSName")).map_or_else(first_label, str::to_owned);
    let mut time_limited = root.texts("supportedControl").contains(&LINK_TTL);
    if time_limited {
        // Every newer server knows the control; only a forest with the feature turned on takes such a link.
        let features = link.entry(&partitions, &["msDS-EnabledFeature"], Vec::new()).await;
        let features = features.map_err(|t| t.reading("the forest's features"))?.unwrap_or_default();
        time_limited = features.texts("msDS-EnabledFeature").iter().any(|dn| {
            Dn::parse(dn).is_ok_and(|dn| dn.name().is_some_and(|n| n.eq_ignore_ascii_case(PAM_FEATURE)))
        });
    }
    Ok(Domain { base, netbios, time_limited })
}

/// The server's clock.
///
/// # Errors
/// [`DirectoryError`]
pub(crate) async fn time(link: &Link) -> Result<DateTime<Utc>, DirectoryError> {
    let root =
        link.entry("", &["currentTime"], Vec::new()).await.map_err(|t| t.reading("the directory's clock"))?;
    let time = root.as_ref().and_then(|root| root.text("currentTime")).and_then(generalized_time);
    time.ok_or_else(|| DirectoryError::Refused("the server does not tell its time".into()))
}
