//! The small model: which sessions there are and until when, what the rules say, what the clocks show. It knows nothing of how
//! the product does its work.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail, ensure};
use ticketgate_tests::witness::{Clocks, Session};

use crate::history::Ask;

/// Sessions that a technician may have at once.
pub(crate) const AT_ONCE: usize = 5;

/// The group whose members may use every policy.
pub(crate) const GROUP: &str = "tier2";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Dedicated,
    Burner,
    Membership,
}

/// A policy, with the short names of its rights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) id: &'static str,
    pub(crate) mode: Mode,
    rights: &'static [&'static str],
}

pub(crate) const POLICIES: [Policy; 7] = [
    Policy { id: "d-tier1", mode: Mode::Dedicated, rights: &["tier1"] },
    Policy { id: "d-help", mode: Mode::Dedicated, rights: &["helpdesk"] },
    Policy { id: "d-both", mode: Mode::Dedicated, rights: &["helpdesk", "tier1", "comma"] },
    Policy { id: "b-help", mode: Mode::Burner, rights: &["helpdesk"] },
    Policy { id: "b-both", mode: Mode::Burner, rights: &["tier1", "helpdesk"] },
    Policy { id: "m-help", mode: Mode::Membership, rights: &["helpdesk"] },
    Policy { id: "m-both", mode: Mode::Membership, rights: &["tier1", "helpdesk"] },
];

/// The configuration's rules. Each bit of a change is one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules(pub(crate) u8);

impl Rules {
    const OTHER_RIGHTS: u8 = 1;
    const SHORT: u8 = 2;
    const NO_BURNER: u8 = 4;
    const NOT_ELIGIBLE: u8 = 8;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// The policies that there are.
    pub(crate) fn policies(self) -> impl Iterator<Item = &'static Policy> {
        POLICIES.iter().filter(move |policy| !(self.has(Self::NO_BURNER) && policy.id == "b-help"))
    }

    /// The short names of what a policy gives.
    pub(crate) fn rights(self, policy: &Policy) -> &'static [&'static str] {
        match policy.id {
            "d-tier1" if self.has(Self::OTHER_RIGHTS) => &["helpdesk"],
            "m-both" if self.has(Self::OTHER_RIGHTS) => &["tier1", "brackets"],
            _ => policy.rights,
        }
    }

    /// The longest session.
    pub(crate) const fn max(self) -> (&'static str, Duration) {
        if self.has(Self::SHORT) {
            ("30m", Duration::from_secs(1800))
        } else {
            ("4h", Duration::from_secs(14_400))
        }
    }

    /// Whether this technician may use the policies.
    pub(crate) const fn admits(self, who: usize) -> bool {
        !(self.has(Self::NOT_ELIGIBLE) && who == 1)
    }
}

/// A session as the model has it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) who: usize,
    pub(crate) policy: &'static Policy,
    pub(crate) live: bool,
    /// It is over, and yet not called ended: the clocks are too far apart to write the end of who shares its account.
    ending: bool,
    pub(crate) from: SystemTime,
    pub(crate) latest: SystemTime,
    /// The short names of its rights.
    short: &'static [&'static str],
    /// As the witness has it: id, account, rights, end.
    pub(crate) session: Session,
    /// What is not known until the ledger is read.
    doubt: Doubt,
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
    /// Passwords that let somebody in, by account.
    pub(crate) passwords: BTreeMap<String, String>,
    /// By how many seconds the clocks are ahead of the true time: the wall clock of the broker's machine, …
    pub(crate) wall: i64,
    /// … the broker's own time, which does not follow a wall clock that is set back while a session is open, …
    pub(crate) broker: i64,
    /// … the directory's.
    pub(crate) directory: i64,
    /// How long the broker's machine slept.
    pub(crate) slept: u32,
}

/// The true time and so many seconds.
pub(crate) fn moved(time: SystemTime, by: i64) -> SystemTime {
    let by_s = Duration::from_secs(by.unsigned_abs());
    if by < 0 { time - by_s } else { time + by_s }
}

impl Model {
    pub(crate) fn clocks(&self) -> Clocks {
        let now = SystemTime::now();
        Clocks { broker: moved(now, self.broker), directory: moved(now, self.directory) }
    }

    pub(crate) fn far_apart(&self) -> bool {
        self.clocks().are_too_far_apart()
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Held> {
        self.sessions.iter().filter(|held| held.live)
    }

    /// One of the live sessions.
    pub(crate) fn pick(&self, pick: usize) -> Option<&Held> {
        let live: Vec<_> = self.live().collect();
        live.get(pick % live.len().max(1)).copied()
    }

    pub(crate) fn held(&mut self, id: &str) -> Result<&mut Held> {
        match self.sessions.iter_mut().find(|held| held.session.id == id) {
            Some(held) => Ok(held),
            None => bail!("the model has no session {id}"),
        }
    }

    /// Time passes on every clock.
    pub(crate) fn pass(&mut self, seconds: u32) {
        for clock in [&mut self.wall, &mut self.broker, &mut self.directory] {
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
        self.far_apart().then_some("clock_skew")
    }

    /// The end that an extension brings, or why there is none.
    pub(crate) fn extension(&self, held: &Held, by_s: u32) -> Result<SystemTime, &'static str> {
        let rules = self.rules;
        if !rules.policies().any(|one| one.id == held.policy.id) {
            return Err("unknown_policy");
        }
        if !rules.admits(held.who) || self.gives_less(held) {
            return Err("not_eligible");
        }
        let latest = held.latest.min(held.from + rules.max().1);
        let until = (held.session.until + Duration::from_secs(by_s.into())).min(latest);
        if until <= held.session.until { Err("at_maximum") } else { Ok(until) }
    }

    /// Whether the rules give less by now than a session has. Rights are compared by what the session was given by.
    fn gives_less(&self, held: &Held) -> bool {
        let names = self.rules.rights(held.policy);
        held.short.iter().any(|right| !names.contains(right))
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
        rights: impl Fn(&[&str]) -> Vec<String>,
    ) -> Result<()> {
        let (now, far_apart) = (self.clocks().broker, self.far_apart());
        for held in &mut self.sessions {
            let Some(row) = rows.iter().find(|row| row.id == held.session.id) else {
                bail!("a session was lost: {held:?}");
            };
            let Doubt { may_end, must_end, until } = std::mem::take(&mut held.doubt);
            let same = Session { state: row.state.clone(), until: row.until, ..held.session.clone() };
            ensure!(*row == same, "a session became another one: {row:?} was {held:?}");
            match row.state.as_str() {
                "active" => {
                    ensure!(held.live, "a session that was over is active again: {row:?}");
                    ensure!(!must_end, "a session that was ended is active: {row:?}");
                    ensure!(
                        row.until == held.session.until || until.contains(&row.until),
                        "a session has another end than anybody was told: {row:?}, was {held:?}, could be {until:?}"
                    );
                    held.session.until = row.until;
                    ensure!(now < row.until, "a session is active after its end: {row:?}, it is {now:?}");
                }
                "ending" if far_apart && held.policy.mode == Mode::Dedicated => {
                    let over = held.session.until <= now || until.iter().any(|end| *end <= now);
                    ensure!(!held.live || may_end || must_end || over, "a session ends by itself: {held:?}");
                    (held.live, held.ending) = (false, true);
                }
                "ended" if held.live => {
                    let latest = until.iter().chain([&held.session.until]).max().copied();
                    let earliest = until.iter().chain([&held.session.until]).min().copied();
                    let over = earliest.is_some_and(|end| end <= now);
                    ensure!(
                        may_end || must_end || over,
                        "a session ended by itself, its end was {latest:?}, it is {now:?}: {held:?}"
                    );
                    held.live = false;
                }
                "ended" | "failed" if !held.live => held.ending = false,
                _ => bail!("a session is in a strange state: {row:?}, was {held:?}"),
            }
        }
        for row in rows {
            if self.sessions.iter().all(|held| held.session.id != row.id) {
                self.adopt(row, now, &rights)?;
            }
        }
        self.unheard.clear();
        Ok(())
    }

    /// A session of which nobody was told.
    fn adopt(
        &mut self,
        row: &Session,
        now: SystemTime,
        rights: &impl Fn(&[&str]) -> Vec<String>,
    ) -> Result<()> {
        let of = |asked: &Unheard| row.technician == technician(asked.who) && row.policy == asked.policy.id;
        let Some(at) = self.unheard.iter().position(of) else {
            bail!("a session that nobody asked for: {row:?}")
        };
        let asked = self.unheard.remove(at);
        ensure!(
            row.rights == rights(asked.rules.rights(asked.policy)),
            "other rights than asked for: {row:?}"
        );
        let live = match row.state.as_str() {
            "failed" => false,
            "ended" if asked.may_be => false,
            "active" if asked.may_be => true,
            // Given up while who shares its account has an end that cannot be written.
            "ending" if self.far_apart() && asked.policy.mode == Mode::Dedicated => false,
            _ => bail!("a refused activation left a session: {row:?} {asked:?}"),
        };
        let longest = now + Duration::from_secs(u64::from(asked.for_s) + 2);
        ensure!(!live || row.until <= longest, "longer than asked for: {row:?} {asked:?}");
        self.add(asked.who, asked.policy, asked.for_s, asked.rules, row.clone());
        if let Some(held) = self.sessions.last_mut() {
            (held.live, held.ending) = (live, row.state == "ending");
        }
        Ok(())
    }

    /// A session that was granted.
    pub(crate) fn add(
        &mut self,
        who: usize,
        policy: &'static Policy,
        for_s: u32,
        rules: Rules,
        session: Session,
    ) {
        let from = session.until - Duration::from_secs(for_s.into());
        self.sessions.push(Held {
            who,
            policy,
            live: true,
            ending: false,
            from,
            latest: from + rules.max().1,
            short: rules.rights(policy),
            session,
            doubt: Doubt::default(),
        });
    }
}

/// The id of a technician.
pub(crate) fn technician(who: usize) -> String {
    format!("t{}", who + 1)
}

/// The policy that is meant.
pub(crate) fn policy(number: usize) -> Result<&'static Policy> {
    match POLICIES.get(number % POLICIES.len()) {
        Some(policy) => Ok(policy),
        None => bail!("no policy"),
    }
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
