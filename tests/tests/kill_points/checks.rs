//! What has to hold: right after a broker was killed, once everything is settled, and in the end.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::ldap::{Account, View};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::witness::{self, Session};

use crate::play::{FIRST, Play, SECOND};
use crate::stories::{Heard, LONGER_BY, LONGEST, Mode, Story};

impl Play<'_> {
    /// What holds between the death of a broker and the start of the next: nothing is open that the ledger does not know, and
    /// the directory ends it by itself.
    pub(crate) fn ends_by_itself(&self, look: &mut View) -> Result<()> {
        let sessions = self.ledger()?.sessions()?;
        witness::parts_stand_together(&sessions)?;
        if self.mode == Mode::Membership {
            return witness::a_person_holds_what_is_known(&self.person_now(look)?, &sessions);
        }
        self.each_directory(look, |accounts, directory| {
            let there: Vec<_> = sessions.iter().filter(|one| one.directory == directory).cloned().collect();
            witness::what_is_open_is_known_and_ends(accounts, &there, &self.clocks(), LONGEST)
        })
    }

    /// Does this with the technician's JIT accounts in each directory that the story is about.
    fn each_directory(&self, look: &mut View, what: impl Fn(&[Account], &str) -> Result<()>) -> Result<()> {
        what(&witness::jit_accounts(look, self.ad, &self.technician)?, FIRST)?;
        let Some(second) = self.second else { return Ok(()) };
        let accounts = witness::jit_accounts(&mut second.look()?, second, &self.technician)?;
        what(&accounts, SECOND).context(SECOND)
    }

    /// What has to hold once everything is settled.
    pub(crate) fn check(&mut self, look: &mut View, heard: &Heard) -> Result<()> {
        let (sessions, rows) = (self.sessions()?, self.ledger()?.sessions()?);
        self.nothing_is_lost(&sessions, heard)?;
        for row in rows.iter().filter(|row| row.whole.is_some()) {
            let whole = sessions.iter().find(|one| one.id == row.of()).context("a part without its first")?;
            ensure!(row.state == whole.state, "a part is left alone: {row:?} {whole:?}");
        }
        let clocks = self.clocks();
        let live: Vec<_> = rows.iter().filter(|session| session.is_live(&clocks)).collect();
        match self.mode {
            Mode::Dedicated | Mode::Burner | Mode::Several => {
                self.each_directory(look, |accounts, directory| {
                    let there: Vec<_> =
                        live.iter().copied().filter(|session| session.directory == directory).collect();
                    witness::accounts_hold_what_is_live(accounts, &there, &clocks)?;
                    let burner_stays =
                        self.mode == Mode::Burner && accounts.iter().any(|account| !account.enabled());
                    ensure!(!burner_stays, "a burner account stays: {accounts:?}");
                    Ok(())
                })?;
            }
            Mode::Membership => witness::a_person_holds_what_is_live(&self.person_now(look)?, &live)?,
        }
        self.log_is_right(&sessions)
    }

    /// The technician's own account, of which nothing but its groups may be another than before.
    fn person_now(&self, look: &mut View) -> Result<Account> {
        let person = look.account(&self.technician)?.context("the person is gone")?;
        let alike = Account { groups: Vec::new(), ..person.clone() };
        ensure!(Some(&alike) == self.person.as_ref(), "{person:?} was {:?}", self.person);
        Ok(person)
    }

    /// Whether the ledger has everything that somebody was told, and nothing came of it twice.
    fn nothing_is_lost(&self, sessions: &[Session], heard: &Heard) -> Result<()> {
        for before in &self.before {
            let now = sessions.iter().find(|one| one.id == before.id).context("a session was lost")?;
            let is_other = !self.story.is_about_one() || self.before.last() != Some(before);
            ensure!(!is_other || now == before, "another session was changed: {before:?} {now:?}");
        }
        let begun: Vec<_> =
            sessions.iter().filter(|one| self.before.iter().all(|before| before.id != one.id)).collect();
        ensure!(begun.len() <= usize::from(self.story.begins_one()), "too many sessions: {begun:?}");
        let its_own = if self.story.is_about_one() { sessions.last() } else { begun.first().copied() };
        let Some(session) = its_own else {
            ensure!(heard.granted().is_none(), "a session was lost: {heard:?}");
            return Ok(());
        };
        let killed = self.met.as_ref().filter(|met| met.is_deadly());
        let states = self.story.may_come_to(self.mode, heard, killed);
        ensure!(states.contains(&session.state.as_str()), "it should be {states:?}: {session:?} {heard:?}");
        match self.before.last() {
            Some(before) if matches!(self.story, Story::Extension | Story::Outage) => {
                self.ends_as_said(before, session, heard)
            }
            _ => Ok(()),
        }
    }

    /// Whether an extension counts once, and as the technician was told.
    fn ends_as_said(&self, before: &Session, session: &Session, heard: &Heard) -> Result<()> {
        let (not, once) = (before.until, before.until + LONGER_BY);
        let (met, extension) = (self.met.as_ref(), self.story == Story::Extension);
        let possible = match heard {
            Heard::Granted(answer) => {
                vec![self.ledger()?.time(answer["expires_at"].as_str().context("no end")?)?]
            }
            // Unless that could not be recorded, what was refused is not there.
            Heard::Refused if met.is_none_or(|met| met.point != "ledger.extension_undone") => vec![not],
            // Recorded is extended, whatever the directory had of it.
            Heard::Nothing if met.is_some_and(|met| met.is("ledger.session_extended", "before")) => vec![not],
            Heard::Nothing if extension && met.is_some() => vec![once],
            _ => vec![not, once],
        };
        ensure!(
            possible.contains(&session.until),
            "another end than was said: {before:?} {heard:?} {session:?}"
        );
        ensure!(session.until <= once, "extended twice: {before:?} {session:?}");
        Ok(())
    }

    /// Whether the audit log is whole and says once of each session that it was granted.
    fn log_is_right(&mut self, sessions: &[Session]) -> Result<()> {
        let export = || Ok(self.product.api("GET", "/v1/audit/export", None, &Value::Null)?.text());
        let records = witness::audit_is_whole(&self.ledger()?, export)?;
        let grants: Vec<_> =
            records.iter().filter(|record| record["action"] == "activation.granted").collect();
        for session in sessions {
            let of_session =
                grants.iter().filter(|one| one.pointer("/details/session") == Some(&json!(session.id)));
            ensure!(of_session.count() <= 1, "granted twice: {session:?}");
        }
        self.granted = grants.len();
        Ok(())
    }

    /// How many JIT accounts were opened, at least: a session that joins another one opens none.
    pub(crate) fn opened(&self) -> usize {
        match (self.mode, self.story) {
            (Mode::Membership, _) => 0,
            (_, Story::Overlap | Story::EndOfOne) => self.granted.min(1),
            _ => self.granted,
        }
    }

    /// Whether the password from before is good as long as a session needs it, without a gap, and not longer.
    pub(crate) fn password_is_good_while_needed(&self) -> Result<()> {
        let (Some(password), Some(before)) = (&self.password, self.before.last()) else { return Ok(()) };
        if self.story == Story::Renewal {
            return Ok(());
        }
        let clocks = self.clocks();
        let sessions = self.sessions()?;
        let needed = sessions.iter().any(|one| one.account == before.account && one.is_live(&clocks));
        let bind = self.ad.bind(&before.account, password)?;
        ensure!(bind.accepted() == needed, "{bind:?} with the password of {before:?}: {sessions:?}");
        Ok(())
    }

    /// Whether the technician can work with every session that is live.
    pub(crate) fn live_sessions_are_usable(&self) -> Result<()> {
        if self.mode == Mode::Membership {
            // With the person's own password; that the right is there was checked.
            return Ok(());
        }
        let clocks = self.clocks();
        for session in self.ledger()?.sessions()?.iter().filter(|session| session.is_live(&clocks)) {
            let path = format!("/v1/sessions/{}/password", session.of());
            let wish = json!({"renew": true, "directory": session.directory});
            let over = self.product.api("POST", &path, Some(&new_key()), &wish)?.json()?;
            let password = over["password"].as_str().with_context(|| format!("no password: {over}"))?;
            let ad = self.second.filter(|_| session.directory == SECOND).unwrap_or(self.ad);
            let bind = ad.bind(&session.account, password)?;
            ensure!(bind.accepted(), "nobody can log on with a live session: {bind:?} {session:?}");
        }
        Ok(())
    }

    /// Whether an account whose activation was taken back can be opened again.
    pub(crate) fn opens_again(&self) -> Result<()> {
        let taken_back = self.sessions()?.last().is_some_and(|session| session.state == "failed");
        if !taken_back || self.mode == Mode::Membership || self.story == Story::Failure {
            return Ok(());
        }
        let id = self.product.granted(&wish(self.policy()))?;
        let path = format!("/v1/sessions/{id}/password");
        let which = json!({"directory": FIRST});
        let over = self.product.api("POST", &path, Some(&new_key()), &which)?.json()?;
        let session = self.sessions()?.pop().context("no session")?;
        let bind = self.ad.bind(&session.account, over["password"].as_str().unwrap_or_default())?;
        ensure!(bind.accepted(), "nobody can log on after what was taken back: {bind:?} {session:?}");
        Ok(())
    }

    /// Takes the installation and its accounts away: the directory that every start and sweep lists stays small.
    pub(crate) fn clear(self, look: &mut View) -> Result<()> {
        let Self { ad, second, product, technician, person, .. } = self;
        drop(product);
        if let Some(second) = second {
            let mut look = second.look()?;
            for account in witness::jit_accounts(&mut look, second, &technician)? {
                ensure!(look.delete(&account.dn)? == 0, "{} stays in {SECOND}", account.dn);
            }
        }
        for account in witness::jit_accounts(look, ad, &technician)?.into_iter().chain(person) {
            let deleted = look.delete(&account.dn)?;
            ensure!(deleted == 0, "{} stays: {deleted}", account.dn);
        }
        Ok(())
    }
}
