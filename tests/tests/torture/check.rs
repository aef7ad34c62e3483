//! After each event: everything is let settle, then what has to hold is looked for in the ledger and in the directory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::patience::LIMIT;
use ticketgate_tests::samba::audit::{Change, Record};
use ticketgate_tests::witness::{self, Ledger, Session};

use crate::history::{Ask, Event};
use crate::model::{Mode, technician};
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
        while self.model.live().any(|held| held.session.until < self.model.clocks().broker + SOON)
            && self.some_end_is_near()?
        {
            self.pass(5)?;
            self.settles()?;
        }
        let rows = self.ledger()?.sessions()?;
        let Self { stage, model, .. } = self;
        model.reconcile(&rows, |short| stage.rights(short))?;
        self.read_broker_clock(was_open)?;
        self.directory_is_as_the_model()?;
        self.audit_is_whole()?;
        self.what_is_over_lets_nobody_in()
    }

    /// The end of a history: with clocks put right every live session is usable, and when all are ended nothing is left.
    pub(crate) fn ends(&mut self) -> Result<()> {
        self.play(&Event::Agree)?;
        self.holds(true)?;
        for _ in 0..self.model.live().count() {
            self.play(&Event::Ask(Ask::Password { pick: 0, renew: true }))?;
            self.play(&Event::Ask(Ask::End { pick: 0 }))?;
            self.holds(true)?;
        }
        ensure!(self.model.live().next().is_none(), "something cannot be ended");
        Ok(())
    }

    /// Whether a session in the ledger ends so soon that it could come between two looks.
    fn some_end_is_near(&mut self) -> Result<bool> {
        let soon = self.model.clocks().broker + SOON;
        Ok(self.ledger()?.sessions()?.iter().any(|row| row.state == "active" && row.until < soon))
    }

    /// Waits until nothing is under way and nothing is overdue.
    pub(crate) fn settles(&mut self) -> Result<()> {
        let (started, mut looked, mut pause) = (Instant::now(), Instant::now(), 2);
        loop {
            let now = self.model.clocks().broker;
            let far_apart = self.model.far_apart();
            let ledger = self.ledger()?;
            let rows = ledger.sessions()?;
            let overdue = rows.iter().any(|row| row.state == "active" && row.until <= now);
            // Too far apart, ends are not written: what is live waits for that.
            let still = if far_apart { ledger.nothing_moves()? } else { ledger.is_settled()? };
            if still && !overdue {
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
        let mut said = self.stage.look(|look, _| {
            let mut said = Vec::new();
            for session in sessions {
                let account = look.account(&session.account)?;
                said.push(format!("{} has {account:?}", session.account));
                for right in &session.rights {
                    said.push(format!("{right} has {:?}", look.members(right)?));
                }
            }
            Ok(said)
        })?;
        let names: Vec<_> = sessions.iter().flat_map(|one| one.rights.iter().chain([&one.account])).collect();
        let is_about = |change: &Change| {
            let text = change.raw.to_string();
            names.iter().any(|name| text.contains(name.as_str()))
        };
        let noted = self.stage.ad.audit()?.into_iter().filter_map(|record| match record {
            Record::Change(change) if is_about(&change) => Some(format!("{} {}", change.at, change.raw)),
            _ => None,
        });
        let noted: Vec<_> = noted.collect();
        said.extend(noted.into_iter().rev().take(CHANGES_SHOWN).rev());
        Ok(said)
    }

    fn directory_is_as_the_model(&mut self) -> Result<()> {
        let clocks = self.model.clocks();
        let live: Vec<_> = self.model.live().cloned().collect();
        let of = |own: bool| -> Vec<&Session> {
            live.iter()
                .filter(|held| (held.policy.mode == Mode::Membership) == own)
                .map(|held| &held.session)
                .collect()
        };
        let (jit, people) = (of(false), self.stage.users.len());
        let (accounts, persons) = self.stage.look(|look, ad| {
            let accounts = look.accounts_below(ad.account_unit())?;
            let persons = (0..people).map(|who| look.account(&technician(who))?.context("a person is gone"));
            Ok((accounts, persons.collect::<Result<Vec<_>>>()?))
        })?;
        witness::accounts_hold_what_is_live(&accounts, &jit, &clocks)?;
        for account in &accounts {
            let dedicated =
                (0..people).any(|who| account.dn.starts_with(&format!("CN=jit-{},", technician(who))));
            ensure!(dedicated || account.enabled(), "a burner account stays: {account:?}");
        }
        for (who, person) in persons.iter().enumerate() {
            let lent: Vec<_> = of(true).into_iter().filter(|one| one.technician == technician(who)).collect();
            witness::a_person_holds_what_is_live(person, &lent)?;
        }
        Ok(())
    }

    fn audit_is_whole(&mut self) -> Result<()> {
        let export = || Ok(self.api(0, "GET", "/v1/audit/export", None, &Value::Null)?.text());
        let records = witness::audit_is_whole(&Ledger::open(&self.product.state())?, export)?;
        for held in &self.model.sessions {
            let of_session = |one: &&Value| one.pointer("/details/session") == Some(&json!(held.session.id));
            let granted =
                |one: &&Value| one.get("action").is_some_and(|action| action == "activation.granted");
            let granted = records.iter().filter(of_session).filter(granted).count();
            ensure!(granted <= 1 && (granted == 1 || !held.live), "granted {granted} times: {held:?}");
        }
        Ok(())
    }

    /// Passwords of accounts that no session needs are those of nobody.
    fn what_is_over_lets_nobody_in(&mut self) -> Result<()> {
        let live: Vec<_> = self.model.live().map(|held| held.session.account.clone()).collect();
        let over: Vec<_> =
            self.model.passwords.keys().filter(|account| !live.contains(account)).cloned().collect();
        for account in over {
            let password = self.model.passwords.remove(&account).context("no password")?;
            let bind = self.stage.ad.bind(&account, &password)?;
            ensure!(!bind.accepted(), "somebody can log on with an account of no session: {account}");
        }
        Ok(())
    }
}
