//! Carrying out one step: one LDAP write, then reading back what it did. What has to be done is decided elsewhere.

use chrono::{DateTime, Utc};
use ticketgate_access::desired::{DirectoryEnd, Marker, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_protocol::api::Mode;

use super::clock::{LONG_OVER, account_expires, end_of};
use super::dn::Dn;
use super::domain::{self, DOMAIN_USERS, Domain};
use super::entry::Entry;
use super::failure::{Trouble, code};
use super::filter::{FilterValue, equals};
use super::link::{Change, Link};
use super::look::{ATTRIBUTES, DISABLED};
use super::password::unicode_pwd;
use super::{ActiveDirectory, guid, marker, parsed, sid};
use crate::{DirectoryError, Secret, secret};

/// `NORMAL_ACCOUNT` and `NOT_DELEGATED` (MS-ADTS 2.2.16). An administrator's logon must not be passed on by the servers it is used at.
const OPEN: i64 = 0x200 | 0x10_0000;
/// The same with `ACCOUNTDISABLE`.
const CLOSED: i64 = OPEN | DISABLED;
/// Two readings of one end of a membership differ by less than this: it is shown in seconds from now.
const END_TOLERANCE_S: i64 = 3;

/// What one step works on.
struct Work<'a> {
    link: &'a Link,
    domain: &'a Domain,
    account: &'a Account,
}

impl ActiveDirectory {
    /// The account's entry, if it is there and ours to change.
    ///
    /// # Errors
    /// [`DirectoryError::NameTaken`] when the name is somebody else's.
    pub(super) async fn target(
        &self,
        link: &Link,
        domain: &Domain,
        account: &Account,
    ) -> Result<Option<Entry>, DirectoryError> {
        let Some(entry) = self.find(link, domain, account).await? else { return Ok(None) };
        let by_identity = account.identity.is_some();
        let ours = || self.marker_of(&entry).is_some_and(|marker| marker.token == account.token);
        if account.mode == Mode::Membership || by_identity || ours() {
            Ok(Some(entry))
        } else {
            Err(DirectoryError::NameTaken(format!(
                "{}: {} is not a JIT account of this broker",
                account.name, entry.dn
            )))
        }
    }

    /// The contract of [`crate::Directory::apply`] on one connection, `target` being the account's entry.
    pub(super) async fn carry_out(
        &self,
        link: &Link,
        domain: &Domain,
        account: &Account,
        target: Option<Entry>,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        let work = Work { link, domain, account };
        if account.mode == Mode::Membership && !matches!(step, Step::Grant { .. } | Step::Revoke(_)) {
            return Err(DirectoryError::BadValue(format!("{} on a person's own account", step.name())));
        }
        match (step, target) {
            // Made by an earlier attempt whose answer was lost; the plan goes on from what it is like.
            (Step::Create(_), Some(_)) => Ok(()),
            (Step::Create(marker), None) => self.create(&work, marker).await,
            (Step::Delete | Step::Revoke(_), None) => Ok(()),
            (_, None) => Err(DirectoryError::NoSuchAccount(account.name.clone())),
            (Step::Grant { right, until }, Some(entry)) => self.grant(&work, &entry, right, *until).await,
            (Step::Revoke(right), Some(entry)) => revoke(&work, &entry, right).await,
            (Step::ResetPrimaryGroup, Some(entry)) => work.reset_primary_group(&entry).await,
            (Step::Open { until, marker }, Some(entry)) => {
                let password = password
                    .ok_or_else(|| DirectoryError::BadValue("an account is opened with a password".into()))?;
                let ticks = work.end(*until).await?;
                let (end, note) = (ticks.to_string(), marker::format(marker)?);
                if is_enabled(&entry, true).is_ok() {
                    outlive_old_password(&work, &entry).await?;
                }
                let secret = unicode_pwd(password);
                let changes = [
                    Change::Replace("unicodePwd", &secret),
                    Change::Replace("accountExpires", end.as_bytes()),
                    Change::Replace("description", note.as_bytes()),
                    Change::Replace("userAccountControl", &bytes(OPEN)),
                ];
                work.change(
                    &entry,
                    &changes,
                    &[&|e| is_enabled(e, true), &|e| ends(e, &end), &|e| notes(e, &note)],
                )
                .await
            }
            (Step::SetEnd { until, marker }, Some(entry)) => {
                let ticks = work.end(*until).await?;
                let (end, note) = (ticks.to_string(), marker::format(marker)?);
                let changes = [
                    Change::Replace("accountExpires", end.as_bytes()),
                    Change::Replace("description", note.as_bytes()),
                ];
                work.change(&entry, &changes, &[&|e| ends(e, &end), &|e| notes(e, &note)]).await
            }
            (Step::Close, Some(entry)) => {
                let changes = [
                    Change::Replace("userAccountControl", &bytes(CLOSED)),
                    Change::Replace("accountExpires", LONG_OVER.as_bytes()),
                ];
                work.change(&entry, &changes, &[&|e| is_enabled(e, false), &|e| ends(e, LONG_OVER)]).await
            }
            (Step::Rotate(marker), Some(entry)) => {
                let note = marker::format(marker)?;
                outlive_old_password(&work, &entry).await?;
                let random = secret::generate_for(&account.name).map_err(DirectoryError::BadValue)?;
                let secret = unicode_pwd(&random);
                let changes =
                    [Change::Replace("unicodePwd", &secret), Change::Replace("description", note.as_bytes())];
                work.change(&entry, &changes, &[&|e| notes(e, &note)]).await
            }
            (Step::Delete, Some(entry)) => work.delete(&entry).await,
        }
    }

    async fn create(&self, work: &Work<'_>, marker: &Marker) -> Result<(), DirectoryError> {
        let name = logon_name(&work.account.name)?;
        let dn = self.unit().child("CN", name).to_string();
        let principal = format!("{name}@{}", work.domain.base.dns());
        let note = marker::format(marker)?;
        // A new account without a password would be one that needs none.
        let random = secret::generate_for(name).map_err(DirectoryError::BadValue)?;
        let attributes: [(&str, &[u8]); 7] = [
            ("objectClass", b"user"),
            ("sAMAccountName", name.as_bytes()),
            ("userPrincipalName", principal.as_bytes()),
            ("userAccountControl", &bytes(CLOSED)),
            ("accountExpires", LONG_OVER.as_bytes()),
            ("description", note.as_bytes()),
            ("unicodePwd", &unicode_pwd(&random)),
        ];
        match work.link.add(&dn, &attributes).await {
            Ok(()) => {
                work.verify(
                    &dn,
                    &dn,
                    &[&|e| is_enabled(e, false), &|e| ends(e, LONG_OVER), &|e| notes(e, &note)],
                )
                .await
            }
            Err(trouble) if trouble.is(&[code::ALREADY_EXISTS]) => {
                // By name now: an identity that the ledger remembers is of an account that is gone.
                let by_name = Account { identity: None, ..work.account.clone() };
                match self.target(work.link, work.domain, &by_name).await? {
                    Some(_) => Ok(()),
                    None => Err(DirectoryError::NameTaken(format!("{dn}: something else has this name"))),
                }
            }
            Err(trouble) if trouble.is(&[code::NO_SUCH_OBJECT]) => Err(DirectoryError::Refused(format!(
                "the unit {} does not exist, or the service account cannot see it",
                self.unit()
            ))),
            Err(trouble) => Err(trouble.writing(&dn)),
        }
    }

    async fn grant(
        &self,
        work: &Work<'_>,
        entry: &Entry,
        right: &Right,
        until: Option<DateTime<Utc>>,
    ) -> Result<(), DirectoryError> {
        let group = parsed(&right.0)?.to_string();
        let seconds = match until {
            Some(until) if work.domain.time_limited => {
                let now = domain::time(work.link).await?;
                // The same limits as for an account's own end.
                account_expires(until, now)?;
                Some((until - now).num_seconds().max(1))
            }
            _ => None,
        };
        let (plain, timed) = (entry.dn.clone(), seconds.map(|s| format!("<TTL={s},{}>", entry.dn)));
        let value = timed.as_ref().unwrap_or(&plain);
        let result = work
            .link
            .modify(&group, &[Change::Add("member", value.as_bytes())], work.domain.link_ends())
            .await;
        let result = match result {
            Err(trouble) if trouble.is(&[code::ALREADY_EXISTS]) && timed.is_some() => {
                let shown = self.end_in_group(work.link, work.domain, right, &entry.dn).await?;
                if shown.map(i64::from).zip(seconds).is_some_and(|(a, b)| (a - b).abs() <= END_TOLERANCE_S) {
                    return Ok(());
                }
                // One write, so that the membership has no gap: out with the old end, in with the new one.
                let both =
                    [Change::Remove("member", plain.as_bytes()), Change::Add("member", value.as_bytes())];
                work.link.modify(&group, &both, work.domain.link_ends()).await
            }
            other => other,
        };
        match result {
            Err(trouble) if trouble.is_connection() => Err(trouble.writing(&right.0)),
            Err(trouble) if trouble.is(&[code::NO_SUCH_OBJECT]) => {
                let there =
                    work.link.entry(&group, &["1.1"], Vec::new()).await.map_err(|t| t.reading(&right.0))?;
                Err(match there {
                    Some(_) => DirectoryError::NoSuchAccount(entry.dn.clone()),
                    None => DirectoryError::NoSuchRight(right.0.clone()),
                })
            }
            // "There already" and "may not" are looked at alike: what counts is whether the account is a member.
            result => {
                let member = work.is_member(&group, &entry.dn).await.map_err(|t| unread(t, &right.0))?;
                match result {
                    _ if member => self.ends_as_wanted(work, entry, right, seconds).await,
                    Ok(()) => {
                        Err(DirectoryError::Refused(format!("{}: the new member did not stay", right.0)))
                    }
                    Err(trouble)
                        if trouble.is(&[code::ALREADY_EXISTS]) && work.is_primary(entry, &group).await? =>
                    {
                        Ok(())
                    }
                    Err(trouble) => Err(trouble.writing(&right.0)),
                }
            }
        }
    }

    /// After a grant: whether the directory shows the end that it was given.
    async fn ends_as_wanted(
        &self,
        work: &Work<'_>,
        entry: &Entry,
        right: &Right,
        seconds: Option<i64>,
    ) -> Result<(), DirectoryError> {
        let Some(wanted) = seconds else { return Ok(()) };
        let shown = self.end_in_group(work.link, work.domain, right, &entry.dn).await?.map(i64::from);
        if shown.is_some_and(|shown| shown <= wanted + END_TOLERANCE_S) {
            return Ok(());
        }
        Err(DirectoryError::Refused(format!(
            "{}: the membership was to end in {wanted} s and shows {shown:?}",
            right.0
        )))
    }
}

/// Sets a random password, to be followed by another write of the password: for an hour a domain controller goes on
/// accepting the last but one (Windows for NTLM, `OldPasswordAllowedPeriod`; Samba for every simple bind as well).
async fn outlive_old_password(work: &Work<'_>, entry: &Entry) -> Result<(), DirectoryError> {
    let random = secret::generate_for(&work.account.name).map_err(DirectoryError::BadValue)?;
    let secret = unicode_pwd(&random);
    work.change(entry, &[Change::Replace("unicodePwd", &secret)], &[]).await
}

async fn revoke(work: &Work<'_>, entry: &Entry, right: &Right) -> Result<(), DirectoryError> {
    // A right that was seen is named as the server names it, however odd.
    let group = Dn::parse(&right.0).map_or_else(|_| right.0.clone(), |dn| dn.to_string());
    let result = work.link.modify(&group, &[Change::Remove("member", entry.dn.as_bytes())], Vec::new()).await;
    if let Err(trouble) = result {
        let not_a_member = trouble.is(&[
            code::UNWILLING,
            code::NO_SUCH_OBJECT,
            code::NO_SUCH_ATTRIBUTE,
            code::INSUFFICIENT_RIGHTS,
        ]);
        if !not_a_member || work.is_member(&group, &entry.dn).await.map_err(|t| t.reading(&right.0))? {
            return Err(trouble.writing(&right.0));
        }
        return Ok(());
    }
    if work.is_member(&group, &entry.dn).await.map_err(|t| unread(t, &right.0))? {
        return Err(DirectoryError::Refused(format!("{}: the member is still there", right.0)));
    }
    Ok(())
}

/// A look at an entry after a write.
type Look<'a> = &'a (dyn Fn(&Entry) -> Result<(), String> + Sync);

impl Work<'_> {
    /// An end's value, by the directory's own clock of this moment.
    async fn end(&self, until: DateTime<Utc>) -> Result<i64, DirectoryError> {
        account_expires(until, domain::time(self.link).await?)
    }

    /// Changes an entry in one write and reads it back.
    async fn change(
        &self,
        entry: &Entry,
        changes: &[Change<'_>],
        looks: &[Look<'_>],
    ) -> Result<(), DirectoryError> {
        let name = steady_name(entry);
        self.link.modify(&name, changes, Vec::new()).await.map_err(|t| t.writing(&entry.dn))?;
        self.verify(&name, &entry.dn, looks).await
    }

    async fn verify(&self, name: &str, subject: &str, looks: &[Look<'_>]) -> Result<(), DirectoryError> {
        let found = self.link.entry(name, ATTRIBUTES, Vec::new()).await.map_err(|t| unread(t, subject))?;
        let found = found
            .ok_or_else(|| DirectoryError::NoSuchAccount(format!("{subject}: gone right after the write")))?;
        for look in looks {
            look(&found)
                .map_err(|why| DirectoryError::Refused(format!("{subject}: {why} after the write")))?;
        }
        Ok(())
    }

    async fn reset_primary_group(&self, entry: &Entry) -> Result<(), DirectoryError> {
        let ordinary = i64::from(DOMAIN_USERS);
        if entry.number("primaryGroupID") == Some(ordinary) {
            return Ok(());
        }
        let changes = [Change::Replace("primaryGroupID", &bytes(ordinary))];
        let look = |e: &Entry| match e.number("primaryGroupID") {
            Some(id) if id == ordinary => Ok(()),
            other => Err(format!("the primary group is {other:?}")),
        };
        self.change(entry, &changes, &[&look]).await
    }

    async fn delete(&self, entry: &Entry) -> Result<(), DirectoryError> {
        let name = steady_name(entry);
        match self.link.delete(&name).await {
            Err(trouble) if !trouble.is(&[code::NO_SUCH_OBJECT]) => return Err(trouble.writing(&entry.dn)),
            _ => {}
        }
        match self.link.entry(&name, &["1.1"], Vec::new()).await.map_err(|t| unread(t, &entry.dn))? {
            None => Ok(()),
            Some(_) => {
                Err(DirectoryError::Refused(format!("{}: it is still there after its deletion", entry.dn)))
            }
        }
    }

    /// Asked of the group, so that its size and ranges do not matter.
    async fn is_member(&self, group: &str, account: &str) -> Result<bool, Trouble> {
        self.link.fits(group, &equals("member", &FilterValue::text(account))).await
    }

    /// Whether a group is the account's primary one, which no list of members shows.
    async fn is_primary(&self, entry: &Entry, group: &str) -> Result<bool, DirectoryError> {
        let found = self.link.entry(group, &["objectSid"], Vec::new()).await.map_err(|t| t.reading(group))?;
        let number = found.as_ref().and_then(|g| g.bytes("objectSid")).and_then(sid::number);
        Ok(number.map(i64::from).is_some_and(|number| entry.number("primaryGroupID") == Some(number)))
    }
}

/// The name under which an entry is changed: its identity, so that a rename at the same moment does not matter.
fn steady_name(entry: &Entry) -> String {
    entry
        .bytes("objectGUID")
        .and_then(guid::text)
        .and_then(|id| guid::name(&id))
        .unwrap_or_else(|| entry.dn.clone())
}

/// A write was acknowledged and cannot be read back: it is not known to be done.
fn unread(trouble: Trouble, subject: &str) -> DirectoryError {
    if trouble.is_connection() {
        DirectoryError::Ambiguous(format!("{subject}: written, but it cannot be read back"))
    } else {
        trouble.reading(subject)
    }
}

fn is_enabled(entry: &Entry, wanted: bool) -> Result<(), String> {
    match entry.number("userAccountControl") {
        Some(flags) if (flags & DISABLED == 0) == wanted => Ok(()),
        other => Err(format!("userAccountControl is {other:?}")),
    }
}

fn ends(entry: &Entry, wanted: &str) -> Result<(), String> {
    let shown = entry.text("accountExpires");
    // Compared as what it means, so that "never" cannot pass for anything else.
    match (end_of(shown), end_of(Some(wanted))) {
        (DirectoryEnd::At(shown), DirectoryEnd::At(wanted)) if shown == wanted => Ok(()),
        _ => Err(format!("accountExpires is {shown:?} instead of {wanted}")),
    }
}

fn notes(entry: &Entry, wanted: &str) -> Result<(), String> {
    if entry.text("description") == Some(wanted) {
        Ok(())
    } else {
        Err("the account's note is another one".into())
    }
}

fn bytes(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// A name that may be an account's `sAMAccountName` (MS-ADTS 3.1.1.6).
fn logon_name(name: &str) -> Result<&str, DirectoryError> {
    let forbidden = |c: char| c.is_control() || "\"/\\[]:;|=,+*?<>@".contains(c);
    let fits = !name.is_empty() && name.chars().count() <= 20 && !name.contains(forbidden);
    let ends = !name.ends_with('.') && !name.starts_with(' ') && !name.ends_with(' ');
    if fits && ends {
        return Ok(name);
    }
    Err(DirectoryError::BadValue(format!(
        "{name:?} cannot be an account's name: 1 to 20 characters, none of \"/\\[]:;|=,+*?<>@"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_directory_would_refuse_or_change_is_refused_before() {
        for good in ["jit-tech1", "jit.größe", "a", "12345678901234567890"] {
            assert!(logon_name(good).is_ok(), "{good}");
        }
        for bad in ["", "123456789012345678901", "a,b", "a@b", "a.", " a", "a ", "a\0", "a\\b"] {
            assert!(matches!(logon_name(bad), Err(DirectoryError::BadValue(_))), "{bad}");
        }
    }
}
