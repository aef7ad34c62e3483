//! Carrying out one step: one LDAP write. What has to be done is decided elsewhere, and whether it was done shows the look
//! that follows a plan.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use ticketgate_access::desired::{Marker, Observed, ObservedAccount, Step, is_ours};
use ticketgate_access::session::{Account, Right};
use ticketgate_protocol::api::Mode;

use super::clock::{LONG_OVER, account_expires};
use super::dn::Dn;
use super::domain::{self, DOMAIN_USERS, Domain};
use super::failure::{Trouble, code};
use super::filter::{FilterValue, equals};
use super::link::{Change, Link};
use super::look::DISABLED;
use super::password::unicode_pwd;
use super::{ActiveDirectory, guid, parsed, sid};
use crate::note as marker;
use ticketgate_credentials::Secret;

use crate::{DirectoryError, generate_for};

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
    /// The account as it was seen, or as it is found now where it was not there then; if it is there and ours to change.
    ///
    /// # Errors
    /// [`DirectoryError::NameTaken`] when the name is somebody else's.
    pub(super) async fn target<'a>(
        &self,
        link: &Link,
        domain: &Domain,
        account: &Account,
        seen: &'a Observed,
    ) -> Result<Option<Cow<'a, ObservedAccount>>, DirectoryError> {
        let target = match &seen.account {
            Some(seen) => Cow::Borrowed(seen),
            None => match self.find(link, domain, account).await? {
                Some(entry) => {
                    Cow::Owned(self.account(link, domain, account.mode, &entry, seen.directory_time).await?)
                }
                None => return Ok(None),
            },
        };
        if account.mode == Mode::Membership || is_ours(account, &target) {
            return Ok(Some(target));
        }
        Err(DirectoryError::NameTaken(format!(
            "{}: {} is not a JIT account of this broker",
            account.name, target.place
        )))
    }

    /// The contract of [`crate::Directory::apply`] on one connection.
    pub(super) async fn carry_out(
        &self,
        link: &Link,
        domain: &Domain,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        let work = Work { link, domain, account };
        let target = self.target(link, domain, account, seen).await?;
        if account.mode == Mode::Membership && !matches!(step, Step::Grant { .. } | Step::Revoke(_)) {
            return Err(DirectoryError::BadValue(format!("{} on a person's own account", step.name())));
        }
        // By the directory's clock of the look: an end that passes for one in the future and is over meanwhile opens nothing.
        let end = |until: DateTime<Utc>| {
            Ok::<_, DirectoryError>(account_expires(until, seen.directory_time)?.to_string())
        };
        match (step, target.as_deref()) {
            // Made by an earlier attempt whose answer was lost; the plan goes on from what it is like.
            (Step::Create(_), Some(_)) => Ok(()),
            (Step::Create(marker), None) => self.create(&work, marker).await,
            (Step::Delete | Step::Revoke(_), None) => Ok(()),
            (_, None) => Err(DirectoryError::NoSuchAccount(account.name.clone())),
            (Step::Grant { right, until, .. }, Some(target)) => {
                self.grant(&work, target, right, *until).await
            }
            (Step::Revoke(right), Some(target)) => revoke(&work, target, right).await,
            (Step::ResetPrimaryGroup, Some(target)) if target.ordinary_primary_group => Ok(()),
            (Step::ResetPrimaryGroup, Some(target)) => {
                work.change(target, &[Change::Replace("primaryGroupID", &bytes(DOMAIN_USERS.into()))]).await
            }
            (Step::Open { until, marker }, Some(target)) => {
                let password = password
                    .ok_or_else(|| DirectoryError::BadValue("an account is opened with a password".into()))?;
                let (end, note) = (end(*until)?, marker::format(marker)?);
                if !nobody_knows_the_password(account, target) {
                    work.outlive_old_password(target).await?;
                }
                let secret = unicode_pwd(password);
                let changes = [
                    Change::Replace("unicodePwd", &secret),
                    Change::Replace("accountExpires", end.as_bytes()),
                    Change::Replace("description", note.as_bytes()),
                    Change::Replace("userAccountControl", &bytes(OPEN)),
                ];
                work.change(target, &changes).await
            }
            (Step::SetEnd { until, marker }, Some(target)) => {
                let (end, note) = (end(*until)?, marker::format(marker)?);
                let changes = [
                    Change::Replace("accountExpires", end.as_bytes()),
                    Change::Replace("description", note.as_bytes()),
                ];
                work.change(target, &changes).await
            }
            (Step::Close, Some(target)) => {
                let changes = [
                    Change::Replace("userAccountControl", &bytes(CLOSED)),
                    Change::Replace("accountExpires", LONG_OVER.as_bytes()),
                ];
                work.change(target, &changes).await
            }
            (Step::Rotate(marker), Some(target)) => {
                // Password and note in one write: a note of a closed account stands for a password that nobody knows.
                let note = marker::format(marker)?;
                let secret = unicode_pwd(&work.random_password()?);
                let changes = [
                    Change::Replace("unicodePwd", &secret),
                    // To be changed at the next logon, and as if set long ago: the one before is not accepted any more,
                    // whoever enables the account. The write of the next password takes this back.
                    Change::Replace("pwdLastSet", b"0"),
                    Change::Replace("description", note.as_bytes()),
                ];
                work.change(target, &changes).await
            }
            (Step::Delete, Some(target)) => work.delete(target).await,
        }
    }

    /// An account that nobody can log on with: it is disabled, its end is over, and it has no password at all. The write
    /// that opens it brings the first.
    async fn create(&self, work: &Work<'_>, marker: &Marker) -> Result<(), DirectoryError> {
        let name = logon_name(&work.account.name)?;
        let dn = self.unit().child("CN", name).to_string();
        let principal = format!("{name}@{}", work.domain.base.dns());
        let note = marker::format(marker)?;
        let attributes: [(&str, &[u8]); 6] = [
            ("objectClass", b"user"),
            ("sAMAccountName", name.as_bytes()),
            ("userPrincipalName", principal.as_bytes()),
            // Said outright: the server's own choice would be an account that needs no password (546).
            ("userAccountControl", &bytes(CLOSED)),
            ("accountExpires", LONG_OVER.as_bytes()),
            ("description", note.as_bytes()),
        ];
        match work.link.add(&dn, &attributes).await {
            Ok(()) => Ok(()),
            Err(trouble) if trouble.is(&[code::ALREADY_EXISTS]) => {
                // By name now: an identity that the ledger remembers is of an account that is gone.
                let by_name = Account { identity: None, ..work.account.clone() };
                let taken = || DirectoryError::NameTaken(format!("{dn}: something else has this name"));
                let entry = self.find(work.link, work.domain, &by_name).await?.ok_or_else(taken)?;
                match self.marker_of(&entry) {
                    Some(marker) if marker.token == work.account.token => Ok(()),
                    _ => Err(DirectoryError::NameTaken(format!(
                        "{name}: {} is not a JIT account of this broker",
                        entry.dn
                    ))),
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
        target: &ObservedAccount,
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
        let (plain, timed) = (target.place.as_str(), seconds.map(|s| format!("<TTL={s},{}>", target.place)));
        let value = timed.as_deref().unwrap_or(plain);
        let result = work
            .link
            .modify(&group, &[Change::Add("member", value.as_bytes())], work.domain.link_ends())
            .await;
        let result = match result {
            Err(trouble) if trouble.is(&[code::ALREADY_EXISTS]) && timed.is_some() => {
                let shown = self.end_in_group(work.link, work.domain, right, plain).await?;
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
            Ok(()) => self.ends_as_wanted(work, target, right, seconds).await,
            Err(trouble) if trouble.is_connection() => Err(trouble.writing(&right.0)),
            Err(trouble) if trouble.is(&[code::NO_SUCH_OBJECT]) => {
                let there =
                    work.link.entry(&group, &["1.1"], Vec::new()).await.map_err(|t| t.reading(&right.0))?;
                Err(match there {
                    Some(_) => DirectoryError::NoSuchAccount(plain.to_owned()),
                    None => DirectoryError::NoSuchRight(right.0.clone()),
                })
            }
            // "There already" and "may not" are looked at alike: what counts is whether the account is a member.
            Err(trouble) => {
                if work.is_member(&group, plain).await.map_err(|t| t.reading(&right.0))? {
                    return self.ends_as_wanted(work, target, right, seconds).await;
                }
                if trouble.is(&[code::ALREADY_EXISTS]) && work.is_primary(target, &group).await? {
                    return Ok(());
                }
                Err(trouble.writing(&right.0))
            }
        }
    }

    /// After a grant with an end: whether the directory shows it. A server that does not know such ends might make the right
    /// one for good, so this does not wait for the look after the plan.
    async fn ends_as_wanted(
        &self,
        work: &Work<'_>,
        target: &ObservedAccount,
        right: &Right,
        seconds: Option<i64>,
    ) -> Result<(), DirectoryError> {
        let Some(wanted) = seconds else { return Ok(()) };
        let shown = self.end_in_group(work.link, work.domain, right, &target.place).await?.map(i64::from);
        if shown.is_some_and(|shown| shown <= wanted + END_TOLERANCE_S) {
            return Ok(());
        }
        Err(DirectoryError::Refused(format!(
            "{}: the membership was to end in {wanted} s and shows {shown:?}",
            right.0
        )))
    }
}

/// Whether the account is closed, and its note was written with the random password of the closed account (or with none, when
/// it was made). For an hour a domain controller goes on accepting the last but one (Windows for NTLM, `OldPasswordAllowedPeriod`;
/// Samba for every simple bind as well): of such an account that is one that nobody ever had.
fn nobody_knows_the_password(account: &Account, seen: &ObservedAccount) -> bool {
    let put_away = |note: &Marker| note.token == account.token && note.until.is_none();
    !seen.enabled && seen.marker.as_ref().is_some_and(put_away)
}

async fn revoke(work: &Work<'_>, target: &ObservedAccount, right: &Right) -> Result<(), DirectoryError> {
    // A right that was seen is named as the server names it, however odd.
    let group = Dn::parse(&right.0).map_or_else(|_| right.0.clone(), |dn| dn.to_string());
    let member = target.place.as_str();
    let result = work.link.modify(&group, &[Change::Remove("member", member.as_bytes())], Vec::new()).await;
    let Err(trouble) = result else { return Ok(()) };
    let not_a_member = trouble.is(&[
        code::UNWILLING,
        code::NO_SUCH_OBJECT,
        code::NO_SUCH_ATTRIBUTE,
        code::INSUFFICIENT_RIGHTS,
    ]);
    if !not_a_member || work.is_member(&group, member).await.map_err(|t| t.reading(&right.0))? {
        return Err(trouble.writing(&right.0));
    }
    Ok(())
}

impl Work<'_> {
    /// Changes an account in one write, under its identity, so that a rename at the same moment does not matter.
    async fn change(&self, target: &ObservedAccount, changes: &[Change<'_>]) -> Result<(), DirectoryError> {
        let name = steady_name(target);
        self.link.modify(&name, changes, Vec::new()).await.map_err(|t| t.writing(&target.place))
    }

    /// Sets a random password, to be followed by another write of the password, so that the one before counts for nothing.
    async fn outlive_old_password(&self, target: &ObservedAccount) -> Result<(), DirectoryError> {
        let secret = unicode_pwd(&self.random_password()?);
        self.change(target, &[Change::Replace("unicodePwd", &secret)]).await
    }

    fn random_password(&self) -> Result<Secret, DirectoryError> {
        generate_for(&self.account.name).map_err(DirectoryError::BadValue)
    }

    async fn delete(&self, target: &ObservedAccount) -> Result<(), DirectoryError> {
        match self.link.delete(&steady_name(target)).await {
            Err(trouble) if !trouble.is(&[code::NO_SUCH_OBJECT]) => Err(trouble.writing(&target.place)),
            _ => Ok(()),
        }
    }

    /// Asked of the group, so that its size and ranges do not matter.
    async fn is_member(&self, group: &str, account: &str) -> Result<bool, Trouble> {
        self.link.fits(group, &equals("member", &FilterValue::text(account))).await
    }

    /// Whether a group is the account's primary one, which no list of members shows.
    async fn is_primary(&self, target: &ObservedAccount, group: &str) -> Result<bool, DirectoryError> {
        let failed = |t: Trouble| t.reading(group);
        let found = self.link.entry(group, &["objectSid"], Vec::new()).await.map_err(failed)?;
        let number = found.as_ref().and_then(|g| g.bytes("objectSid")).and_then(sid::number);
        let account = self.link.entry(&steady_name(target), &["primaryGroupID"], Vec::new()).await;
        let primary = account.map_err(failed)?.and_then(|entry| entry.number("primaryGroupID"));
        Ok(number.map(i64::from).is_some_and(|number| primary == Some(number)))
    }
}

/// The name under which an account is changed: its identity.
fn steady_name(target: &ObservedAccount) -> String {
    guid::name(&target.identity).unwrap_or_else(|| target.place.clone())
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
