//! What has to hold at any moment of a run, looked at now and then: the directory by LDAP, between two looks into the ledger by SQL.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use ticketgate_tests::ldap::{Account, Expiry, View};
use ticketgate_tests::patience::{LIMIT, wait_for};
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::team::site::LONGEST;

use crate::faults::{Field, locked};
use crate::ledger::{self, Row};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1_500);
/// So long some broker may have had all it needs before what is over is taken away: it finds the work of a dead one within five
/// seconds, and works on a busy machine.
const LATE: Duration = Duration::from_secs(10);
/// The directory counts whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);
/// Looks that took longer say nothing: too much happened in between.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// After so many findings there is nothing more to be learnt from others.
const FINDINGS_MAX: usize = 40;

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) looks: usize,
    /// Looks at which the database did not answer.
    pub(crate) blind: usize,
    /// The greatest number of open accounts at one look.
    pub(crate) open_most: usize,
    pub(crate) findings: Vec<String>,
}

/// Three looks, in this order, with their times.
struct Look {
    before: Vec<Row>,
    accounts: Vec<Account>,
    after: Vec<Row>,
    began: SystemTime,
    seen: SystemTime,
    done: SystemTime,
}

/// Looks until it is told that the run is over.
///
/// # Errors
/// The directory cannot be looked at, which no fault of this run explains.
pub(crate) fn watches(field: &Field<'_>, ad: &SambaAd, over: &AtomicBool, seen: &Mutex<Seen>) -> Result<()> {
    let mut view = wait_for("a look into the directory", LIMIT, || Ok(ad.look().ok()))?;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        match look(field, ad, &mut view)? {
            Some(look) => {
                let found = look.findings(field)?;
                let mut seen = locked(seen);
                seen.looks += 1;
                seen.open_most =
                    seen.open_most.max(look.accounts.iter().filter(|one| is_open(one, look.seen)).count());
                if seen.findings.len() < FINDINGS_MAX {
                    seen.findings.extend(found);
                }
            }
            None => locked(seen).blind += 1,
        }
    }
    Ok(())
}

fn look(field: &Field<'_>, ad: &SambaAd, view: &mut View) -> Result<Option<Look>> {
    let open = "s.state IN ('activating', 'active', 'ending')";
    let began = SystemTime::now();
    let Ok(before) = ledger::sessions(&locked(&field.db), open) else { return Ok(None) };
    let accounts = view.accounts_below(ad.account_unit())?;
    let seen = SystemTime::now();
    // What ended meanwhile is among them, too.
    let since: chrono::DateTime<chrono::Utc> = began.into();
    let or_ended = format!("{open} OR s.ended_at >= '{}'", since.format("%Y-%m-%dT%H:%M:%S%.9fZ"));
    let Ok(after) = ledger::sessions(&locked(&field.db), &or_ended) else { return Ok(None) };
    let done = SystemTime::now();
    let took = done.duration_since(began).unwrap_or_default();
    Ok((took < LOOK_MAX).then_some(Look { before, accounts, after, began, seen, done }))
}

/// Whether somebody could log on with it.
fn is_open(account: &Account, at: SystemTime) -> bool {
    account.enabled() && !matches!(account.expires, Expiry::At(end) if end <= at)
}

fn is_of(account: &Account, row: &Row) -> bool {
    account.dn.to_lowercase().starts_with(&format!("cn={},", row.account.to_lowercase()))
}

impl Look {
    fn findings(&self, field: &Field<'_>) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for account in &self.accounts {
            let check = self.is_known(account).and_then(|()| self.is_not_late(account, field));
            found.extend(check.err().map(|why| format!("{why:#}")));
        }
        for row in &self.after {
            found.extend(self.is_in_force(row, field).err().map(|why| format!("{why:#}")));
        }
        Ok(found)
    }

    /// Whatever an account holds has an open session in the ledger, and the directory itself ends it.
    fn is_known(&self, account: &Account) -> Result<()> {
        let known: Vec<_> = self.before.iter().chain(&self.after).filter(|row| is_of(account, row)).collect();
        let given: BTreeSet<_> = known.iter().flat_map(|row| &row.rights).collect();
        ensure!(
            account.groups.iter().all(|right| given.contains(right)),
            "rights without an open session: {account:?}, known {known:?}"
        );
        if account.enabled() {
            ensure!(!known.is_empty(), "enabled without an open session: {account:?}");
            let latest = self.seen + LONGEST + ROUNDING;
            let ends = matches!(account.expires, Expiry::At(end) if end <= latest);
            ensure!(ends, "enabled without a near end: {account:?}, known {known:?}");
        }
        Ok(())
    }

    /// What no session needs any more is taken away, once some broker had the time for it.
    fn is_not_late(&self, account: &Account, field: &Field<'_>) -> Result<()> {
        let rows: Vec<_> = self.before.iter().chain(&self.after).filter(|row| is_of(account, row)).collect();
        let live = |row: &&&Row| {
            ["activating", "active"].contains(&row.state.as_str()) && row.until + ROUNDING > self.began
        };
        let needed: BTreeSet<_> = rows.iter().filter(live).flat_map(|row| &row.rights).collect();
        let nobody = !rows.iter().any(|row| live(&row));
        let too_much: Vec<_> = account.groups.iter().filter(|right| !needed.contains(right)).collect();
        if too_much.is_empty() && !(nobody && is_open(account, self.seen)) {
            return Ok(());
        }
        // The latest of those that may have left it there.
        let mut over = None;
        for row in self.before.iter().filter(|row| is_of(account, row) && !live(&row)) {
            let mut end = row.until;
            if row.state == "ending" {
                // A database that is away says nothing against anybody.
                let Ok(began) = ledger::ending_since(&locked(&field.db), &row.id) else { return Ok(()) };
                end = began.map_or(end, |began| began.min(end));
            }
            over = over.max(Some(end));
        }
        let Some(over) = over else { return Ok(()) };
        let fair = field.weather.fair(over, self.seen);
        ensure!(
            fair <= LATE,
            "{too_much:?} of {account:?} is over since {:?}, of which somebody could have seen to it for {fair:?}: {rows:?}",
            self.seen.duration_since(over).unwrap_or_default()
        );
        Ok(())
    }

    /// Whatever is active in the ledger all the time is in force in the directory. A later end is once it is answered; when its broker
    /// is stopped in between, another one has to see to it.
    fn is_in_force(&self, row: &Row, field: &Field<'_>) -> Result<()> {
        let all_the_time = row.state == "active"
            && row.until > self.done + ROUNDING
            && self.before.iter().any(|before| before.id == row.id && before.state == "active");
        if !all_the_time {
            return Ok(());
        }
        let account = self.accounts.iter().find(|account| is_of(account, row));
        let holds = account.is_some_and(|account| {
            is_open(account, self.seen) && row.rights.iter().all(|right| account.groups.contains(right))
        });
        if holds {
            return Ok(());
        }
        // A database that is away says nothing against anybody.
        let Ok(extended) = ledger::extended(&locked(&field.db), &row.id) else { return Ok(()) };
        let fair = extended.map(|since| field.weather.fair(since, self.seen));
        ensure!(
            fair.is_some_and(|fair| fair <= LATE),
            "an active session is not in force, extended {extended:?}, since when somebody could have seen to it for {fair:?}: {row:?}, {account:?}"
        );
        Ok(())
    }
}
