//! After each event: everything is let settle, then what has to hold is looked for in the ledger and in the directories.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::patience::LIMIT;
use ticketgate_tests::samba::audit::{Change, Record};
use ticketgate_tests::witness::{self, Ledger, Session};

use crate::history::{Ask, Event};
use crate::rules::{DIRECTORIES, place, technician};
use crate::stage::Scene;

/// What is still under way after this waits for a retry: time passes until it is due.
const PATIENCE: Duration = Duration::from_millis(250);
/// No retry waits longer.
const LONGEST_PAUSE_S: u32 = 400;
/// An end so near could come between two looks.
const SOON: Duration = Duration::from_secs(4);
/// So many of the server's own records of an account that does not settle are shown.
const CHANGES_SHOWN: usize = 60;

impl Scene<'_> {
    /// Settles and looks. `was_open`: sessions were, before the event.
    pub(crate) fn holds(&mut self, was_open: bool) -> Result<()> {
        self.read_broker_clock(was_open)?;
        self.settles()?;
        while self.model.live().any(|held| held.until < self.model.now() + SOON) && self.some_end_is_near()? {
            self.pass(5)?;
            self.settles()?;
        }
        let rows = self.ledger()?.sessions()?;
        let Self { stage, model, .. } = self;
        model.reconcile(&rows, |place, short| stage.rights(place, short))?;
        self.read_broker_clock(was_open)?;
        for (place, id) in DIRECTORIES.iter().enumerate() {
            self.directory_is_as_the_model(place).with_context(|| format!("in {id}"))?;
        }
        self.audit_is_whole()?;
        self.what_is_over_lets_nobody_in()
    }

    /// The end of a history: with clocks put right every live session is usable, and when all are ended nothing is left.
    pub(crate) fn ends(&mut self) -> Result<()> {
        self.play(&Event::Agree)?;
        self.holds(true)?;
        while let Some(held) = self.model.pick(0) {
            let (live, parts) = (self.model.live().count(), held.parts.len());
            for part in 0..parts {
                self.play(&Event::Ask(Ask::Password { pick: part * live, renew: true }))?;
            }
            self.play(&Event::Ask(Ask::End { pick: 0 }))?;
            self.holds(true)?;
            ensure!(self.model.live().count() < live, "something cannot be ended");
        }
        let rows = self.ledger()?.sessions()?;
        let wholes = &mut self.stage.wholes;
        for row in rows.iter().filter(|row| row.whole.as_ref() == Some(&row.id)) {
            *if row.state == "failed" { &mut wholes.taken_back } else { &mut wholes.granted } += 1;
        }
        Ok(())
    }

    /// Whether a session in the ledger ends so soon that it could come between two looks.
    fn some_end_is_near(&mut self) -> Result<bool> {
        let soon = self.model.now() + SOON;
        Ok(self.ledger()?.sessions()?.iter().any(|row| row.state == "active" && row.until < soon))
    }

    /// Waits until nothing is under way and nothing is overdue.
    pub(crate) fn settles(&mut self) -> Result<()> {
        let (started, mut looked, mut pause) = (Instant::now(), Instant::now(), 2);
        loop {
            let (now, apart) = (self.model.now(), self.model.apart());
            let ledger = self.ledger()?;
            let rows = ledger.sessions()?;
            witness::parts_stand_together(&rows)?;
            let overdue = rows.iter().any(|row| row.state == "active" && row.until <= now);
            // Too far apart, ends are not written: what is live waits for that.
            if ledger.is_settled_but_for(&apart)? && !overdue {
                return Ok(());
            }
            ensure!(self.product.broker_runs()?, "the broker died");
            if started.elapsed() > LIMIT {
                let left: Vec<_> = rows.iter().filter(|row| row.state != "ended").collect();
                let sides = self.both_sides(&left)?;
                bail!("it does not settle: {left:?}\n{}", sides.join("\n"));
            }
            if looked.elapsed() > PATIENCE {
                self.pass(pause)?;
                pause = (pause * 2).min(LONGEST_PAUSE_S);
                looked = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the directory says of the rights of these sessions, from either side: whom the group lists, and which groups the
    /// account lists. A server whose database is damaged tells one thing here and another there; its own records of the changes
    /// say how it came to that.
    fn both_sides(&mut self, sessions: &[&Session]) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for session in sessions {
            let place = &mut self.stage.places[place(&session.directory)?];
            said.extend(place.look(|look, _| {
                let account = look.account(&session.account)?;
                let mut said = vec![format!("{}: {} has {account:?}", session.directory, session.account)];
                for right in &session.rights {
                    said.push(format!("{right} has {:?}", look.members(right)?));
                }
                Ok(said)
            })?);
        }
        let names: Vec<_> = sessions.iter().flat_map(|one| one.rights.iter().chain([&one.account])).collect();
        let is_about = |change: &Change| {
            let text = change.raw.to_string();
            names.iter().any(|name| text.contains(name.as_str()))
        };
        for place in &self.stage.places {
            let noted = place.ad.audit()?.into_iter().filter_map(|record| match record {
                Record::Change(change) if is_about(&change) => Some(format!("{} {}", change.at, change.raw)),
                _ => None,
            });
            let noted: Vec<_> = noted.collect();
            said.extend(noted.into_iter().rev().take(CHANGES_SHOWN).rev());
        }
        Ok(said)
    }

    fn directory_is_as_the_model(&mut self, place: usize) -> Result<()> {
        let (clocks, people) = (self.model.clocks(place), self.stage.users.len());
        let (jit, own) = (self.model.rows_in(place, false), self.model.rows_in(place, true));
        let (accounts, persons) = self.stage.places[place].look(|look, ad| {
            let accounts = look.accounts_below(ad.account_unit())?;
            let persons = (0..people).map(|who| look.account(&technician(who))?.context("a person is gone"));
            Ok((accounts, persons.collect::<Result<Vec<_>>>()?))
        })?;
        witness::accounts_hold_what_is_live(&accounts, &jit.iter().collect::<Vec<_>>(), &clocks)?;
        for account in &accounts {
            let dedicated =
                (0..people).any(|who| account.dn.starts_with(&format!("CN=jit-{},", technician(who))));
            ensure!(dedicated || account.enabled(), "a burner account stays: {account:?}");
        }
        for (who, person) in persons.iter().enumerate() {
            let lent: Vec<_> = own.iter().filter(|one| one.technician == technician(who)).collect();
            witness::a_person_holds_what_is_live(person, &lent)?;
        }
        Ok(())
    }

    fn audit_is_whole(&mut self) -> Result<()> {
        let export = || Ok(self.api(0, "GET", "/v1/audit/export", None, &Value::Null)?.text());
        let records = witness::audit_is_whole(&Ledger::open(&self.product.state())?, export)?;
        for held in &self.model.sessions {
            let of_session = |one: &&Value| one.pointer("/details/session") == Some(&json!(held.id()));
            let granted =
                |one: &&Value| one.get("action").is_some_and(|action| action == "activation.granted");
            let granted = records.iter().filter(of_session).filter(granted).count();
            ensure!(granted <= 1 && (granted == 1 || !held.live), "granted {granted} times: {held:?}");
        }
        Ok(())
    }

    /// Passwords of accounts that no session needs are those of nobody.
    fn what_is_over_lets_nobody_in(&mut self) -> Result<()> {
        let live = self.model.live().flat_map(|held| &held.parts);
        let live: Vec<_> = live.map(|part| (part.grant.place, part.row.account.clone())).collect();
        let over: Vec<_> =
            self.model.passwords.keys().filter(|account| !live.contains(account)).cloned().collect();
        for (place, account) in over {
            let password = self.model.passwords.remove(&(place, account.clone())).context("no password")?;
            let bind = self.stage.places[place].ad.bind(&account, &password)?;
            ensure!(!bind.accepted(), "somebody can log on with an account of no session: {account}");
        }
        Ok(())
    }
}
