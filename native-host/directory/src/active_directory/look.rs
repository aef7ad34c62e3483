//! Looking at an account: finding it, and telling what it has.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ldap3::Scope;
use ticketgate_access::desired::{Marker, Observed, ObservedAccount, SelfEnding};
use ticketgate_access::session::{Account, Right};
use ticketgate_protocol::api::Mode;

use super::clock::end_of;
use super::dn::Dn;
use super::domain::{self, DOMAIN_USERS, Domain};
use super::entry::Entry;
use super::filter::{FilterValue, equals};
use super::link::Link;
use super::{ActiveDirectory, guid, sid};
use crate::note as marker;
use crate::{DirectoryError, ListedAccount, Listing};

/// `ACCOUNTDISABLE` of `userAccountControl` (MS-ADTS 2.2.16).
pub(crate) const DISABLED: i64 = 0x2;

/// What is read of an account. `objectSid` tells its domain, for the groups that go by number.
pub(crate) const ATTRIBUTES: &[&str] = &[
    "objectGUID",
    "objectSid",
    "sAMAccountName",
    "userAccountControl",
    "accountExpires",
    "memberOf",
    "primaryGroupID",
    "description",
    "pwdLastSet",
];

impl ActiveDirectory {
    /// The contract of [`crate::Directory::observe`] on one connection.
    pub(super) async fn observe_by(
        &self,
        link: &Link,
        domain: &Domain,
        account: &Account,
    ) -> Result<Observed, DirectoryError> {
        // Both at once: the clock and the account come in one round trip.
        let (time, found) = tokio::join!(domain::time(link), self.find(link, domain, account));
        let directory_time = time?;
        let account = match found? {
            Some(entry) => Some(self.account(link, domain, account.mode, &entry, directory_time).await?),
            None => None,
        };
        let self_ending = if domain.time_limited { SelfEnding::All } else { SelfEnding::None };
        Ok(Observed { directory_time, self_ending, account, behind: false })
    }

    /// Every account in the unit of JIT accounts, a rehearsal's of `check` included.
    pub(super) async fn in_unit(&self) -> Result<Listing, DirectoryError> {
        let (link, domain) = self.link().await?;
        let directory_time = domain::time(&link).await?;
        let unit = self.unit().to_string();
        let people = "(&(objectCategory=person)(objectClass=user))";
        let found = link.search_in_pages(&unit, people, ATTRIBUTES, domain.link_ends()).await;
        let mut accounts = Vec::new();
        for entry in found.map_err(|t| t.reading(&unit))? {
            let name = entry.text("sAMAccountName").unwrap_or_default().to_owned();
            let seen = self.account(&link, &domain, Mode::Dedicated, &entry, directory_time).await?;
            accounts.push(ListedAccount { name, seen });
        }
        Ok(Listing { directory_time, accounts })
    }

    /// Whether the service account may write this attribute of the account, as the server counts it.
    pub(super) async fn may_write(&self, account: &Account, attribute: &str) -> Result<bool, DirectoryError> {
        let (link, domain) = self.link().await?;
        let Some(entry) = self.find(&link, &domain, account).await? else { return Ok(true) };
        let asked = link.entry(&entry.dn, &["allowedAttributesEffective"], Vec::new()).await;
        let entry = asked.map_err(|t| t.reading(&entry.dn))?.unwrap_or_default();
        Ok(entry.texts("allowedAttributesEffective").iter().any(|a| a.eq_ignore_ascii_case(attribute)))
    }

    /// The account's entry: by its identity where that is known, else by its name anywhere in the domain.
    pub(super) async fn find(
        &self,
        link: &Link,
        domain: &Domain,
        account: &Account,
    ) -> Result<Option<Entry>, DirectoryError> {
        let subject = account.name.as_str();
        if let Some(identity) = &account.identity {
            let name = guid::name(identity).ok_or_else(|| {
                DirectoryError::BadValue(format!("{identity} is not an identity of this directory"))
            })?;
            return link.entry(&name, ATTRIBUTES, domain.link_ends()).await.map_err(|t| t.reading(subject));
        }
        let by_name = equals("sAMAccountName", &FilterValue::text(&account.name));
        // A group or computer of a JIT account's name is in its way; but only a person can be put into a group.
        let filter = match account.mode {
            Mode::Membership => format!("(&(objectCategory=person)(objectClass=user){by_name})"),
            Mode::Dedicated | Mode::Burner => by_name,
        };
        let base = domain.base.to_string();
        let found = link.search(&base, Scope::Subtree, &filter, ATTRIBUTES, domain.link_ends()).await;
        Ok(found.map_err(|t| t.reading(subject))?.into_iter().next())
    }

    /// What an entry says about its account.
    pub(super) async fn account(
        &self,
        link: &Link,
        domain: &Domain,
        mode: Mode,
        entry: &Entry,
        now: DateTime<Utc>,
    ) -> Result<ObservedAccount, DirectoryError> {
        let identity = entry.bytes("objectGUID").and_then(guid::text);
        let identity = identity
            .ok_or_else(|| DirectoryError::Refused(format!("{}: it shows no objectGUID", entry.dn)))?;
        let name = entry.text("sAMAccountName").unwrap_or_default();
        let members_of =
            link.every_value(&entry.dn, "memberOf", entry.part("memberOf"), &domain.link_ends()).await;
        let members_of = members_of.map_err(|t| t.reading(&entry.dn))?;
        let (mut rights, mut right_ends) = (BTreeSet::new(), Vec::new());
        for value in members_of {
            let (seconds, group) = link_value(&value);
            let right = self.right(group);
            let end = match seconds {
                // Not every server shows the end from the member's side.
                None if domain.time_limited && self.known.values().any(|known| *known == right) => {
                    self.end_in_group(link, domain, &right, &entry.dn).await?
                }
                seconds => seconds,
            };
            if let Some(seconds) = end {
                right_ends.push((right.clone(), now + TimeDelta::seconds(seconds.into())));
            }
            rights.insert(right);
        }
        let primary = entry.number("primaryGroupID").and_then(|id| u32::try_from(id).ok());
        // Nobody can change what an account without one is a member of.
        let ordinary_primary_group = primary.is_none_or(|id| id == DOMAIN_USERS);
        if let Some(id) = primary.filter(|_| !ordinary_primary_group) {
            let by_number =
                async |id| group_by_number(link, entry, id).await.map_err(|t| t.reading(&entry.dn));
            match mode {
                // A person's primary group is a right that the person had before, only written elsewhere.
                Mode::Membership => rights.extend(by_number(id).await?.map(|dn| self.right(&dn))),
                // The ordinary group then stands in the list; taking it away would only keep it from being put back.
                Mode::Dedicated | Mode::Burner => {
                    if let Some(ordinary) = by_number(DOMAIN_USERS).await? {
                        rights.remove(&self.right(&ordinary));
                    }
                }
            }
        }
        Ok(ObservedAccount {
            identity,
            place: entry.dn.clone(),
            display_name: format!("{}\\{name}", domain.netbios),
            enabled: entry.number("userAccountControl").is_none_or(|flags| flags & DISABLED == 0),
            end: end_of(entry.text("accountExpires")),
            rights,
            right_ends,
            marker: self.marker_of(entry),
            own: BTreeSet::new(),
            ordinary_primary_group,
        })
    }

    /// The account's note. Outside the unit of JIT accounts nobody's note counts: others may write descriptions there.
    pub(super) fn marker_of(&self, entry: &Entry) -> Option<Marker> {
        let inside = Dn::parse(&entry.dn).is_ok_and(|dn| dn.is_below(self.unit()));
        entry.text("description").filter(|_| inside).and_then(marker::parse)
    }

    /// How long the directory itself leaves an account in a group, asked from the group's side.
    pub(super) async fn end_in_group(
        &self,
        link: &Link,
        domain: &Domain,
        right: &Right,
        account: &str,
    ) -> Result<Option<u32>, DirectoryError> {
        let failed = |t: super::failure::Trouble| t.reading(&right.0);
        let group = super::parsed(&right.0)?.to_string();
        let Some(entry) = link.entry(&group, &["member"], domain.link_ends()).await.map_err(failed)? else {
            return Ok(None);
        };
        let members = link
            .every_value(&group, "member", entry.part("member"), &domain.link_ends())
            .await
            .map_err(failed)?;
        let key = |dn: &str| Dn::parse(dn).map(|dn| dn.key()).ok();
        let wanted = key(account);
        Ok(members
            .iter()
            .map(|value| link_value(value))
            .find(|(_, dn)| wanted.is_some() && key(dn) == wanted)
            .and_then(|(s, _)| s))
    }
}

/// The DN of a group of the account's own domain by its number (the last part of its SID).
async fn group_by_number(
    link: &Link,
    account: &Entry,
    id: u32,
) -> Result<Option<String>, super::failure::Trouble> {
    match account.bytes("objectSid").and_then(|sid| sid::of_neighbour(sid, id)) {
        Some(sid) => {
            Ok(link.entry(&format!("<SID={sid}>"), &["1.1"], Vec::new()).await?.map(|entry| entry.dn))
        }
        None => Ok(None),
    }
}

/// A link's value: `<TTL=seconds,DN>` under the control for it, else a plain DN.
fn link_value(value: &str) -> (Option<u32>, &str) {
    let timed = value.strip_prefix("<TTL=").and_then(|rest| rest.split_once(','));
    let timed = timed.and_then(|(seconds, rest)| Some((seconds.parse().ok()?, rest)));
    match timed {
        // Servers put the bracket around the number and the name, or around the number alone.
        Some((seconds, rest)) => (Some(seconds), rest.strip_suffix('>').unwrap_or(rest)),
        None => match value.strip_prefix("<TTL=").and_then(|rest| rest.split_once(">,")) {
            Some((seconds, dn)) => (seconds.parse().ok(), dn),
            None => (None, value),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_with_an_end_is_told_from_one_without() {
        assert_eq!(link_value("CN=a,DC=b"), (None, "CN=a,DC=b"));
        assert_eq!(link_value("<TTL=3600,CN=a,DC=b>"), (Some(3600), "CN=a,DC=b"));
        assert_eq!(link_value("<TTL=3600>,CN=a,DC=b"), (Some(3600), "CN=a,DC=b"));
        assert_eq!(link_value("<TTL=x,CN=a>"), (None, "<TTL=x,CN=a>"));
    }
}
