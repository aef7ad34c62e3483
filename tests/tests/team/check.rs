//! What has to be so when everything is over, without the product's code: the ledger by SQL, the directory by LDAP and by what it noted
//! itself, the audit log by its export, hashed anew, and what technicians were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ticketgate_tests::ldap::{Account, Expiry};
use ticketgate_tests::postgres::Pair;
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::team::site::{LONGEST, POLICIES};
use ticketgate_tests::witness;

use crate::ledger::{self, Row};
use crate::told::{Ask, Told};

/// What is known in the end.
pub(crate) struct End<'a> {
    pub(crate) told: &'a [Told],
    pub(crate) rows: BTreeMap<String, Row>,
    /// The audit log's records, each with its chain checked.
    pub(crate) records: Vec<Value>,
    /// The answers that the ledger keeps: technician and key, and the session.
    requests: BTreeMap<(String, String), String>,
    pub(crate) findings: Vec<String>,
}

/// How late the ends of sessions were whose time was over, in order.
pub(crate) fn lateness(rows: &BTreeMap<String, Row>) -> Vec<Duration> {
    let expired = rows.values().filter(|row| row.cause.as_deref() == Some("expired"));
    let mut all: Vec<_> =
        expired.filter_map(|row| Some(row.ended?.duration_since(row.until).unwrap_or_default())).collect();
    all.sort();
    all
}

/// Whether nothing is under way or open any more.
pub(crate) fn is_settled(db: &Pair) -> Result<bool> {
    let found = db.sql(
        "SELECT (SELECT count(*) FROM sessions WHERE state IN ('activating', 'active', 'ending'))
              + (SELECT count(*) FROM accounts WHERE NOT settled) AS open",
    )?;
    Ok(found.first().and_then(|row| row.get("open")?.as_i64()) == Some(0))
}

impl<'a> End<'a> {
    /// Reads all of it.
    ///
    /// # Errors
    /// It cannot be read, or a chain of the audit log is not whole.
    pub(crate) fn read(told: &'a [Told], db: &Pair, export: &str) -> Result<Self> {
        let rows = ledger::sessions(db, "true")?.into_iter().map(|row| (row.id.clone(), row)).collect();
        let heads = db.sql("SELECT chain, encode(hash, 'hex') AS hash FROM chains")?;
        let text =
            |row: &Value, field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let heads = heads.iter().map(|row| (text(row, "chain"), text(row, "hash"))).collect();
        let records = witness::chains_end_with(export, &heads)?;
        let requests = db.sql("SELECT technician, key, session FROM requests")?;
        let requests = requests
            .iter()
            .map(|row| ((text(row, "technician"), text(row, "key")), text(row, "session")))
            .collect();
        Ok(Self { told, rows, records, requests, findings: Vec::new() })
    }

    /// Looks at everything, and notes what does not hold.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn holds(&mut self, ad: &SambaAd) -> Result<()> {
        let mut found = Vec::new();
        let mut note = |checked: Result<()>| found.extend(checked.err().map(|why| format!("{why:#}")));
        for told in self.told {
            note(self.was_kept(told));
        }
        for row in self.rows.values() {
            note(self.has_its_story(row));
        }
        for account in ad.look()?.accounts_below(ad.account_unit())? {
            note(is_closed(&account));
        }
        note(witness::every_opening_had_its_end(ad, LONGEST).map(drop));
        self.findings.append(&mut found);
        Ok(())
    }

    /// What a technician was told is so: one session for one key, whatever was lost in between, and granted once.
    fn was_kept(&self, told: &Told) -> Result<()> {
        let ids: BTreeSet<_> =
            told.attempts.iter().filter_map(|attempt| attempt.granted()?.get("id")?.as_str()).collect();
        ensure!(ids.len() <= 1, "several sessions for one key: {told:?}");
        let kept = self.requests.get(&(told.who(), told.key.clone()));
        match &told.ask {
            Ask::Activate { policy, .. } => {
                let Some(id) = ids.first() else {
                    ensure!(
                        kept.is_none_or(|id| self
                            .rows
                            .get(id)
                            .is_some_and(|row| self.may_be_unheard(told, row))),
                        "refused, and granted all the same: {told:?}, {:?}",
                        kept.and_then(|id| self.rows.get(id))
                    );
                    return Ok(());
                };
                let row = self.rows.get(*id).with_context(|| format!("a session is lost: {told:?}"))?;
                ensure!(
                    row.technician == told.who()
                        && POLICIES.get(*policy).is_some_and(|one| one.id == row.policy),
                    "another session than asked for: {told:?}, {row:?}"
                );
                ensure!(kept.is_some_and(|kept| kept == id), "the answer is not kept: {told:?}, {kept:?}");
                Ok(())
            }
            Ask::End { session } if told.granted().is_some() => {
                let row = self.rows.get(session).with_context(|| format!("a session is lost: {told:?}"))?;
                // One that was taken back meanwhile is called so.
                let said = |what: &str| told.granted().and_then(|said| said.get(what)?.as_str());
                let taken_back = said("state") == Some("failed") || said("end_cause") == Some("grant_failed");
                ensure!(
                    row.state == "ended" || row.state == "failed" && taken_back,
                    "not ended, although somebody was told so: {told:?}, {row:?}"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a session is there of which the technician never got a good word: it was taken back, or the word was lost.
    fn may_be_unheard(&self, told: &Told, row: &Row) -> bool {
        row.state == "failed" || !told.is_settled() || told.attempts.len() > 1
    }

    /// A session's records are those of its state, each once; somebody asked for it, and for an end before its time.
    fn has_its_story(&self, row: &Row) -> Result<()> {
        // Extensions and ends of it are requests, too.
        let about = self.requests.iter().filter(|(_, session)| **session == row.id).map(|(who, _)| who);
        let asks_for = |(technician, key): &&(String, String)| {
            let is = |told: &&Told| told.who() == *technician && told.key == *key;
            let told = self.told.iter().find(is);
            *technician == row.technician && told.is_some_and(|told| matches!(told.ask, Ask::Activate { .. }))
        };
        ensure!(about.clone().next().is_some(), "nobody asked for a session: {row:?}");
        ensure!(about.clone().any(|who| asks_for(&who)), "its technician did not ask for a session: {row:?}");
        let times = |action: &str| {
            let of_session =
                |one: &&Value| one.pointer("/details/session").and_then(Value::as_str) == Some(&row.id);
            let of_action = |one: &&Value| one.get("action").and_then(Value::as_str) == Some(action);
            self.records.iter().filter(of_action).filter(of_session).count()
        };
        let story =
            ["activation.requested", "activation.granted", "session.ended", "activation.failed"].map(times);
        let good = match row.state.as_str() {
            "ended" => story == [1, 1, 1, 0] || (row.active.is_none() && story == [1, 0, 1, 0]),
            "failed" => story == [1, 0, 0, 1],
            _ => false,
        };
        ensure!(good, "a session's records are {story:?}: {row:?}");
        let early = row.ended.is_some_and(|ended| ended < row.until);
        if row.state == "ended" && early {
            let asked = self.told.iter().any(|told| told.ask == Ask::End { session: row.id.clone() });
            ensure!(asked && row.cause.as_deref() == Some("technician"), "ended before its time: {row:?}");
        }
        Ok(())
    }
}

fn is_closed(account: &Account) -> Result<()> {
    let name = account.dn.trim_start_matches("CN=jit-").split(',').next().unwrap_or_default();
    let dedicated = !name.contains('-');
    ensure!(dedicated, "an account of one session stays: {account:?}");
    ensure!(!account.enabled() && account.groups.is_empty(), "open in the end: {account:?}");
    let over = matches!(account.expires, Expiry::At(at) if at <= SystemTime::now());
    ensure!(over, "closed without an end: {account:?}");
    Ok(())
}
