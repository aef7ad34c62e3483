//! The small model: which sessions there are and until when, what the rules say, what the clocks show. It knows nothing of how
//! the product does its work.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use ticketgate_tests::witness::{Clocks, Session};

use crate::history::Ask;
use crate::rules::{AT_ONCE, DIRECTORIES, Grant, Mode, Policy, Rules, place, technician};

/// A session as the model has it, in however many directories.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) who: usize,
    pub(crate) policy: &'static Policy,
    pub(crate) live: bool,
    /// It is over, and yet not called ended: the clocks are too far apart to write the end of who shares its account.
    ending: bool,
    pub(crate) from: SystemTime,
    pub(crate) latest: SystemTime,
    pub(crate) until: SystemTime,
    /// What it was given, a part for each directory.
    pub(crate) parts: Vec<Part>,
    /// What is not known until the ledger is read.
    doubt: Doubt,
}

/// What a session has in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) grant: Grant,
    /// As the witness has it: id, account, rights.
    pub(crate) row: Session,
}

impl Held {
    /// The id by which people know it.
    pub(crate) fn id(&self) -> &str {
        self.parts[0].row.of()
    }

    /// Whether it is in several directories.
    pub(crate) fn is_whole(&self) -> bool {
        self.parts.len() > 1
    }
}

#[derive(Debug, Clone, Default)]
struct Doubt {
    may_end: bool,
    must_end: bool,
    /// Ends that it may have instead of its own.
    until: Vec<SystemTime>,
}

/// An activation of which nobody heard that it was granted.
#[derive(Debug, Clone)]
pub(crate) struct Unheard {
    pub(crate) who: usize,
    pub(crate) policy: &'static Policy,
    pub(crate) for_s: u32,
    pub(crate) rules: Rules,
    /// It may have been granted all the same.
    pub(crate) may_be: bool,
}

/// How the answers to an event have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// As the rules say.
    Calm,
    /// Others ask at the same moment.
    Crowd,
    /// Directory, ledger or broker may fail.
    Storm,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) sessions: Vec<Held>,
    pub(crate) unheard: Vec<Unheard>,
    pub(crate) rules: Rules,
    /// Passwords that let somebody in, by directory and account.
    pub(crate) passwords: BTreeMap<(usize, String), String>,
    /// By how many seconds the clocks are ahead of the true time: the wall clock of the broker's machine, …
    pub(crate) wall: i64,
    /// … the broker's own time, which does not follow a wall clock that is set back while a session is open, …
    pub(crate) broker: i64,
    /// … each directory's.
    pub(crate) directories: [i64; DIRECTORIES.len()],
    /// How long the broker's machine slept.
    pub(crate) slept: u32,
}

/// The true time and so many seconds.
pub(crate) fn moved(time: SystemTime, by: i64) -> SystemTime {
    let by_s = Duration::from_secs(by.unsigned_abs());
    if by < 0 { time - by_s } else { time + by_s }
}

impl Model {
    /// The broker's time.
    pub(crate) fn now(&self) -> SystemTime {
        moved(SystemTime::now(), self.broker)
    }

    /// The broker's clock and a directory's.
    pub(crate) fn clocks(&self, place: usize) -> Clocks {
        let now = SystemTime::now();
        Clocks { broker: moved(now, self.broker), directory: moved(now, self.directories[place]) }
    }

    /// Whether a directory's clock is too far from the broker's.
    pub(crate) fn far_apart(&self, place: usize) -> bool {
        self.clocks(place).are_too_far_apart()
    }

    /// The directories whose clocks are.
    pub(crate) fn apart(&self) -> Vec<&'static str> {
        let apart = |place: &usize| self.far_apart(*place);
        (0..DIRECTORIES.len()).filter(apart).map(|place| DIRECTORIES[place]).collect()
    }

    /// Whether one of a session's directories is among them.
    pub(crate) fn apart_for(&self, held: &Held) -> bool {
        held.parts.iter().any(|part| self.far_apart(part.grant.place))
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Held> {
        self.sessions.iter().filter(|held| held.live)
    }

    /// The live sessions' parts in a directory.
    pub(crate) fn live_in(&self, place: usize) -> impl Iterator<Item = (&Held, &Part)> {
        let parts = self.live().flat_map(|held| held.parts.iter().map(move |part| (held, part)));
        parts.filter(move |(_, part)| part.grant.place == place)
    }

    /// The rows of those parts that have an account of their person's own, or of ours.
    pub(crate) fn rows_in(&self, place: usize, own: bool) -> Vec<Session> {
        let rows = self.live_in(place).filter(|(_, part)| (part.grant.mode == Mode::Membership) == own);
        rows.map(|(held, part)| Session { until: held.until, ..part.row.clone() }).collect()
    }

    /// One of the live sessions.
    pub(crate) fn pick(&self, pick: usize) -> Option<&Held> {
        let live: Vec<_> = self.live().collect();
        live.get(pick % live.len().max(1)).copied()
    }

    pub(crate) fn held(&mut self, id: &str) -> Result<&mut Held> {
        match self.sessions.iter_mut().find(|held| held.id() == id) {
            Some(held) => Ok(held),
            None => bail!("the model has no session {id}"),
        }
    }

    /// Time passes on every clock.
    pub(crate) fn pass(&mut self, seconds: u32) {
        for clock in [&mut self.wall, &mut self.broker].into_iter().chain(&mut self.directories) {
            *clock += i64::from(seconds);
        }
        self.slept += seconds;
    }

    /// The wall clock of the broker's machine is set: followed forward, and not back.
    pub(crate) fn set_wall(&mut self, by: i64) {
        self.wall += by;
        self.broker = self.broker.max(self.wall);
    }

    /// Why an activation has to be refused, if it has to.
    pub(crate) fn refusal(&self, who: usize, policy: &Policy, for_s: u32) -> Option<&'static str> {
        let open = self.sessions.iter().filter(|held| held.who == who && (held.live || held.ending)).count();
        if !self.rules.admits(who) {
            // A customer at which he may use nothing is none to him.
            return Some("unknown_customer");
        }
        if !self.rules.policies().any(|one| one.id == policy.id) {
            return Some("unknown_policy");
        }
        if Duration::from_secs(for_s.into()) > self.rules.max().1 {
            return Some("bad_duration");
        }
        if open >= AT_ONCE {
            return Some("too_many_sessions");
        }
        let apart = self.rules.grants(policy).iter().any(|grant| self.far_apart(grant.place));
        apart.then_some("clock_skew")
    }

    /// The end that an extension brings, or why there is none.
    pub(crate) fn extension(&self, held: &Held, by_s: u32) -> Result<SystemTime, &'static str> {
        let rules = self.rules;
        let grants = rules.grants(held.policy);
        let now_of = |part: &Part| {
            grants.iter().find(|one| one.place == part.grant.place && one.mode == part.grant.mode)
        };
        let is_there = rules.policies().any(|one| one.id == held.policy.id);
        if !is_there || held.parts.iter().any(|part| now_of(part).is_none()) {
            return Err("unknown_policy");
        }
        // Rights are compared by what the session was given by.
        let gives = |part: &Part| {
            now_of(part).is_some_and(|now| part.grant.rights.iter().all(|right| now.rights.contains(right)))
        };
        if !rules.admits(held.who) || !held.parts.iter().all(gives) {
            return Err("not_eligible");
        }
        let latest = held.latest.min(held.from + rules.max().1);
        let until = (held.until + Duration::from_secs(by_s.into())).min(latest);
        if until <= held.until { Err("at_maximum") } else { Ok(until) }
    }

    pub(crate) fn ends(&mut self, id: &str) -> Result<()> {
        self.held(id)?.doubt.must_end = true;
        Ok(())
    }

    pub(crate) fn may_end(&mut self, id: &str) -> Result<()> {
        self.held(id)?.doubt.may_end = true;
        Ok(())
    }

    /// Its end may be this one by now.
    pub(crate) fn may_be_until(&mut self, id: &str, until: SystemTime) -> Result<()> {
        self.held(id)?.doubt.until.push(until);
        Ok(())
    }

    /// What has become of everything, by the ledger.
    pub(crate) fn reconcile(
        &mut self,
        rows: &[Session],
        rights: impl Fn(usize, &[&str]) -> Vec<String>,
    ) -> Result<()> {
        let now = self.now();
        let apart = [0, 1].map(|place| self.far_apart(place));
        let may_be_ending = |part: &Part, state: &str| {
            state != "ending" || (part.grant.mode == Mode::Dedicated && apart[part.grant.place])
        };
        for held in &mut self.sessions {
            let mut states = Vec::new();
            for part in &held.parts {
                let Some(row) = rows.iter().find(|row| row.id == part.row.id) else {
                    bail!("a session, or a part of one, was lost: {held:?}");
                };
                let same = Session { state: row.state.clone(), until: row.until, ..part.row.clone() };
                ensure!(*row == same, "a session became another one: {row:?} was {held:?}");
                ensure!(may_be_ending(part, &row.state), "a session does not end: {row:?}, was {held:?}");
                states.push(row);
            }
            let state = state_of_whole(&states)?;
            let end = states[0].until;
            let Doubt { may_end, must_end, until } = std::mem::take(&mut held.doubt);
            match state {
                "active" => {
                    ensure!(held.live, "a session that was over is active again: {held:?}");
                    ensure!(!must_end, "a session that was ended is active: {held:?}");
                    ensure!(
                        end == held.until || until.contains(&end),
                        "a session has another end than anybody was told: {end:?}, was {held:?}, could be {until:?}"
                    );
                    held.until = end;
                    ensure!(now < end, "a session is active after its end: {held:?}, it is {now:?}");
                }
                "ending" => {
                    let over = held.until <= now || until.iter().any(|end| *end <= now);
                    ensure!(!held.live || may_end || must_end || over, "a session ends by itself: {held:?}");
                    (held.live, held.ending) = (false, true);
                }
                "ended" if held.live => {
                    let latest = until.iter().chain([&held.until]).max().copied();
                    let earliest = until.iter().chain([&held.until]).min().copied();
                    let over = earliest.is_some_and(|end| end <= now);
                    ensure!(
                        may_end || must_end || over,
                        "a session ended by itself, its end was {latest:?}, it is {now:?}: {held:?}"
                    );
                    held.live = false;
                }
                "ended" | "failed" if !held.live => held.ending = false,
                _ => bail!("a session is in a strange state: {states:?}, was {held:?}"),
            }
        }
        let known = |row: &Session| self.sessions.iter().any(|held| held.id() == row.of());
        let mut others: BTreeMap<&str, Vec<&Session>> = BTreeMap::new();
        for row in rows.iter().filter(|row| !known(row)) {
            others.entry(row.of()).or_default().push(row);
        }
        for whole in others.values() {
            self.adopt(whole, now, &rights)?;
        }
        self.unheard.clear();
        Ok(())
    }

    /// A session of which nobody was told.
    fn adopt(
        &mut self,
        rows: &[&Session],
        now: SystemTime,
        rights: &impl Fn(usize, &[&str]) -> Vec<String>,
    ) -> Result<()> {
        let first = rows.first().context("no row")?;
        let of =
            |asked: &Unheard| first.technician == technician(asked.who) && first.policy == asked.policy.id;
        let Some(at) = self.unheard.iter().position(of) else {
            bail!("a session that nobody asked for: {rows:?}")
        };
        let asked = self.unheard.remove(at);
        let grants = asked.rules.grants(asked.policy);
        ensure!(grants.len() == rows.len(), "not the parts that were asked for: {rows:?} {asked:?}");
        let mut parts = Vec::new();
        for grant in grants {
            let row = rows.iter().find(|row| place(&row.directory).is_ok_and(|place| place == grant.place));
            let row = (*row.with_context(|| format!("a part is missing: {rows:?} {asked:?}"))?).clone();
            ensure!(
                row.rights == rights(grant.place, grant.rights),
                "other rights than asked for: {row:?} {asked:?}"
            );
            // Given up while who shares its account has an end that cannot be written.
            let waits = grant.mode == Mode::Dedicated && self.far_apart(grant.place);
            ensure!(row.state != "ending" || waits, "a session does not end: {row:?} {asked:?}");
            parts.push(Part { grant, row });
        }
        let state = state_of_whole(rows)?;
        let live = match state {
            "failed" | "ending" => false,
            "ended" if asked.may_be => false,
            "active" if asked.may_be => true,
            _ => bail!("a refused activation left a session: {rows:?} {asked:?}"),
        };
        let longest = now + Duration::from_secs(u64::from(asked.for_s) + 2);
        ensure!(!live || first.until <= longest, "longer than asked for: {rows:?} {asked:?}");
        self.add(&asked, first.until, parts);
        if let Some(held) = self.sessions.last_mut() {
            (held.live, held.ending) = (live, state == "ending");
        }
        Ok(())
    }

    /// A session that was granted as it was `asked` for.
    pub(crate) fn add(&mut self, asked: &Unheard, until: SystemTime, parts: Vec<Part>) {
        let from = until - Duration::from_secs(asked.for_s.into());
        self.sessions.push(Held {
            who: asked.who,
            policy: asked.policy,
            live: true,
            ending: false,
            from,
            latest: from + asked.rules.max().1,
            until,
            parts,
            doubt: Doubt::default(),
        });
    }
}

/// Where a session stands once everything is settled, by the rows of its parts: all alike, but where one cannot end yet.
fn state_of_whole<'a>(rows: &[&'a Session]) -> Result<&'a str> {
    let first = rows.first().context("no row")?;
    if rows.iter().all(|row| row.state == first.state) {
        return Ok(&first.state);
    }
    let is_over = |row: &&Session| ["ending", "ended", "failed"].contains(&row.state.as_str());
    let ending = rows.iter().find(|row| row.state == "ending").filter(|_| rows.iter().all(is_over));
    Ok(&ending.with_context(|| format!("a part is left alone: {rows:?}"))?.state)
}

impl Ask {
    /// Whose session it is about, where it is about one.
    pub(crate) const fn picks(&self) -> Option<usize> {
        match self {
            Self::Activate { .. } => None,
            Self::Extend { pick, .. } | Self::End { pick } | Self::Password { pick, .. } => Some(*pick),
        }
    }
}
