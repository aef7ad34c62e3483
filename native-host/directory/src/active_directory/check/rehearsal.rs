//! Doing to an account of its own what sessions do to theirs, except enabling it. It is deleted at the end; one that an
//! interrupted check left is deleted by the next.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::desired::{Marker, Step};
use ticketgate_access::session::{Account, AccountKey};
use ticketgate_protocol::api::Mode;

use super::super::ActiveDirectory;
use super::super::delegation::{self, Need, Service};
use super::{Findings, remedy};
use crate::{Directory, DirectoryError, ListedAccount};

/// How its name begins, and whose its note says it is.
const NAME: &str = "tgchk-";
const OWNER: &str = "check";
/// A rehearsal takes a second. An account whose note says that it should be gone was left by one that was interrupted.
const LONGEST: TimeDelta = TimeDelta::minutes(10);

/// Whether an account in the unit is a rehearsal's.
pub(in super::super) fn is_rehearsal(listed: &ListedAccount) -> bool {
    listed.name.starts_with(NAME) && listed.seen.marker.as_ref().is_some_and(|note| note.owner == OWNER)
}

/// Makes an account, does to it what sessions do except enabling it, and deletes it.
pub(super) async fn rehearse(directory: &ActiveDirectory, findings: &mut Findings, service: &Service) {
    if let Err(error) = clean_up(directory, findings).await {
        findings.failed(&error);
    }
    let account = match account() {
        Ok(account) => account,
        Err(error) => return findings.failed(&error),
    };
    let until = match directory.time().await {
        Ok(time) => Some(time + LONGEST),
        Err(error) => return findings.failed(&error),
    };
    let marker = |generation| Marker { token: account.token.clone(), owner: OWNER.into(), generation, until };
    let steps = [
        (Step::Create(marker(0)), Need::Accounts),
        (Step::Close, Need::Restrictions),
        (Step::Rotate(marker(1)), Need::Password),
        (Step::Delete, Need::Accounts),
    ];
    let mut all = true;
    for (step, need) in steps {
        if matches!(step, Step::Delete) {
            primary_group(directory, findings, service, &account).await;
        }
        let done = match directory.observe(&account).await {
            Ok(seen) => directory.apply(&account, &seen, &step, None).await,
            Err(error) => Err(error),
        };
        let Err(error) = done else { continue };
        all = false;
        let text = format!(
            "rehearsed with an account {} that is never enabled: {} failed: {error}",
            account.name,
            step.name()
        );
        findings.add("error", text, what_to_do(directory, service, need, &error));
        if matches!(step, Step::Create(_)) {
            break;
        }
    }
    if all {
        findings.ok("the service account can create, change and delete accounts in the unit (rehearsed with one that was never enabled)");
    }
}

fn what_to_do(directory: &ActiveDirectory, service: &Service, need: Need, error: &DirectoryError) -> String {
    match error {
        DirectoryError::NotDelegated(_) if need == Need::Password => {
            let [password, note] = [Need::Password, Need::Description]
                .map(|need| delegation::on_unit(directory.unit(), service, need));
            format!("{password}  {note}")
        }
        DirectoryError::NotDelegated(_) => delegation::on_unit(directory.unit(), service, need),
        other => remedy(other).into(),
    }
}

/// Whether a primary group could be put back. Asked, not done: a changed one is what only somebody with more rights can make.
async fn primary_group(
    directory: &ActiveDirectory,
    findings: &mut Findings,
    service: &Service,
    account: &Account,
) {
    match directory.may_write(account, "primaryGroupID").await {
        Ok(true) => {}
        Ok(false) => no_primary_group(directory, findings, service),
        Err(error) => findings.failed(&error),
    }
}

pub(super) fn no_primary_group(directory: &ActiveDirectory, findings: &mut Findings, service: &Service) {
    findings.add(
        "warning",
        "the service account may not write primaryGroupID: a group that somebody makes a JIT account's primary group \
         then keeps the session from ending until an administrator puts it back"
            .into(),
        delegation::on_unit(directory.unit(), service, Need::PrimaryGroup),
    );
}

/// Deletes what interrupted rehearsals left.
async fn clean_up(directory: &ActiveDirectory, findings: &mut Findings) -> Result<(), DirectoryError> {
    let unit = directory.in_unit().await?;
    let is_over = |listed: &&ListedAccount| {
        let until = listed.seen.marker.as_ref().and_then(|note| note.until);
        is_rehearsal(listed) && until.is_none_or(|until: DateTime<Utc>| until <= unit.directory_time)
    };
    for listed in unit.accounts.iter().filter(is_over) {
        let left =
            Account { name: listed.name.clone(), identity: Some(listed.seen.identity.clone()), ..account()? };
        let seen = directory.observe(&left).await?;
        directory.apply(&left, &seen, &Step::Delete, None).await?;
        findings.ok(format!("{}, which an interrupted check had left, is deleted", listed.name));
    }
    Ok(())
}

fn account() -> Result<Account, DirectoryError> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random)
        .map_err(|error| DirectoryError::BadValue(format!("no randomness: {error}")))?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let bad = |error: ticketgate_protocol::ids::BadId| DirectoryError::BadValue(error.to_string());
    Ok(Account {
        key: AccountKey(OWNER.into()),
        directory: OWNER.parse().map_err(bad)?,
        mode: Mode::Burner,
        technician: OWNER.parse().map_err(bad)?,
        name: format!("{NAME}{}", token.get(..12).unwrap_or(&token)),
        identity: None,
        display_name: None,
        token,
        password_generation: 0,
        standing: Vec::new(),
        settled: false,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 0,
    })
}
