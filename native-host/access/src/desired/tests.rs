//! The plan against a small directory, in which the broker can die between any two steps, people change the account by hand, and the
//! clocks differ. What must hold at every instant is checked at every instant.

mod cases;
mod histories;
mod model;

use ticketgate_protocol::api::{EndCause, State};

use self::model::{Model, ModelAccount};
use super::*;
use crate::session::AccountKey;

const TOKEN: &str = "token-of-the-account";

fn right(name: &str) -> Right {
    Right(format!("CN={name},DC=acme,DC=example"))
}

fn start() -> DateTime<Utc> {
    "2026-11-23T09:00:00.250Z".parse().unwrap()
}

fn account(mode: Mode) -> Account {
    let name = format!("acme-ad/{mode:?}/tech1");
    Account {
        key: AccountKey(name),
        directory: "acme-ad".parse().unwrap(),
        mode,
        technician: "tech1".parse().unwrap(),
        name: "jit-tech1".into(),
        identity: None,
        display_name: None,
        token: TOKEN.into(),
        password_generation: 0,
        standing: Vec::new(),
        settled: true,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 1,
    }
}

fn session(
    account: &Account,
    n: usize,
    rights: &[Right],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Session {
    Session {
        id: format!("s-{n}").parse().unwrap(),
        state: State::Activating,
        technician: account.technician.clone(),
        customer: "acme".parse().unwrap(),
        directory: account.directory.clone(),
        policy: "policy".parse().unwrap(),
        policy_name: "Policy".into(),
        mode: account.mode,
        account: account.key.clone(),
        rights: rights.to_vec(),
        reason: "because".into(),
        ticket: None,
        requested_at: from,
        from,
        until,
        whole: None,
        latest_end: until + TimeDelta::hours(24),
        active_at: None,
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 1,
    }
}

/// Ledger, clock and directory.
#[derive(Debug, Clone)]
struct World {
    now: DateTime<Utc>,
    account: Account,
    sessions: Vec<Session>,
    directory: Model,
    /// The latest end that any session was ever promised.
    promised: DateTime<Utc>,
    /// Somebody changed the account by hand and no step has been taken since.
    tampered: bool,
    /// Rights of a person's account that are none of our business.
    own: BTreeSet<Right>,
}

/// Two clocks that are taken for one, and an end that is taken for the same.
fn tolerance() -> TimeDelta {
    CLOCK_RESOLUTION + END_TOLERANCE + TimeDelta::seconds(1)
}

impl World {
    fn new(mode: Mode, skew_ms: i64, self_ending: SelfEnding) -> Self {
        Self::of(mode, skew_ms, self_ending, true)
    }

    fn of(mode: Mode, skew_ms: i64, self_ending: SelfEnding, keeps_ends: bool) -> Self {
        let mut account = account(mode);
        let mut directory =
            Model { skew: TimeDelta::milliseconds(skew_ms), self_ending, keeps_ends, account: None, made: 0 };
        let own: BTreeSet<_> = [right("Staff"), right("R0")].into();
        if mode == Mode::Membership {
            // The person has one right that policies grant as well, and one that none knows.
            account.standing = vec![right("R0")];
            directory.account = Some(ModelAccount {
                identity: "guid-person".into(),
                enabled: true,
                end: directory.kept(DirectoryEnd::Never),
                rights: own.iter().map(|right| (right.clone(), None)).collect(),
                marker: None,
                hidden: None,
            });
        }
        Self {
            now: start(),
            account,
            sessions: Vec::new(),
            directory,
            promised: start(),
            tampered: false,
            own,
        }
    }

    fn live(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|s| s.is_live(self.now))
    }

    fn open(&self) -> Vec<Session> {
        self.sessions.iter().filter(|s| s.is_open()).cloned().collect()
    }

    fn start(&mut self, rights: &[Right], seconds: i64) {
        // A burner account is one session's.
        if self.account.mode == Mode::Burner && !self.sessions.is_empty() {
            return;
        }
        if self.live().next().is_none() {
            self.account.password_generation += 1;
        }
        let until = self.now + TimeDelta::seconds(seconds);
        self.promised = self.promised.max(until);
        self.sessions.push(session(&self.account, self.sessions.len(), rights, self.now, until));
    }

    fn end(&mut self, at: usize) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(at) else { return };
        if session.is_live(now) {
            session.state = State::Ending;
            session.end_cause = Some(EndCause::Technician);
            if self.live().next().is_none() {
                self.account.password_generation += 1;
            }
        }
    }

    fn renew(&mut self) {
        if self.live().next().is_some() {
            self.account.password_generation += 1;
        }
    }

    fn extend(&mut self, at: usize, seconds: i64) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(at) else { return };
        if session.is_live(now) {
            session.until += TimeDelta::seconds(seconds);
            self.promised = self.promised.max(session.until);
        }
    }

    /// The loop of the broker; `dies_after` so many steps. Answers whether it came to its end.
    fn converge(&mut self, dies_after: usize) -> bool {
        let now = self.now;
        for session in &mut self.sessions {
            if matches!(session.state, State::Activating | State::Active) && now >= session.until {
                session.state = State::Ending;
                session.end_cause = Some(EndCause::Expired);
                self.account.password_generation += 1;
            }
        }
        let mut steps_left = dies_after;
        for _ in 0..4 {
            let observed = self.directory.observe(now);
            if let Some(seen) = &observed.account
                && (self.account.mode == Mode::Membership || is_ours(&self.account, seen))
            {
                self.account.identity = Some(seen.identity.clone());
            }
            let wanted = desired(&self.account, &self.open(), now);
            let steps = plan(&self.account, &wanted, &observed, now).unwrap();
            if steps.is_empty() {
                self.settle();
                return true;
            }
            let before = self.directory.account.clone();
            for step in &steps {
                if steps_left == 0 {
                    return false;
                }
                steps_left -= 1;
                self.directory.apply(step, now);
                self.tampered = false;
                self.holds_after_a_step();
                self.nothing_needed_is_lost(before.as_ref(), &steps);
            }
        }
        panic!("it does not converge: {:?}\n{:?}", self.account, self.directory);
    }

    fn settle(&mut self) {
        let now = self.now;
        self.tampered = false;
        self.holds_after_a_step();
        for session in &mut self.sessions {
            session.state = match session.state {
                State::Activating if session.is_live(now) => State::Active,
                State::Ending => State::Ended,
                other => other,
            };
        }
        let wanted: BTreeSet<_> = self.live().flat_map(|s| s.rights.clone()).collect();
        // By the directory's clock the last seconds may be over.
        let lasting: BTreeSet<_> = self
            .live()
            .flat_map(|s| s.rights.iter().map(move |right| (right, s.until > now + tolerance())))
            .filter(|(right, lasts)| !self.directory.self_ending.ends(right) || *lasts)
            .map(|(right, _)| right.clone())
            .collect();
        let Some(seen) = &self.directory.account else {
            assert!(
                self.account.mode != Mode::Membership && wanted.is_empty(),
                "a live session has no account"
            );
            return;
        };
        let held: BTreeSet<_> = seen.rights.keys().cloned().collect();
        match self.account.mode {
            Mode::Membership => {
                let needed: BTreeSet<_> = lasting.difference(&self.standing()).cloned().collect();
                assert!(needed.is_subset(&held), "{held:?} lacks some of {needed:?}");
            }
            _ => {
                assert!(held.is_subset(&wanted), "{held:?} is more than {wanted:?}");
                assert!(lasting.is_subset(&held), "{held:?} lacks some of {lasting:?}");
                assert_eq!(seen.hidden, None);
                assert_eq!(seen.enabled, self.live().next().is_some());
                assert!(self.account.mode != Mode::Burner || seen.enabled, "a burner account was left");
                assert_eq!(seen.marker.as_ref().unwrap().generation, self.account.password_generation);
                let latest = self.live().map(|s| s.until).max();
                if latest.is_some() && seen.end == DirectoryEnd::NotKept {
                    assert_eq!(
                        seen.marker.as_ref().unwrap().until,
                        latest,
                        "{seen:?} has another session's end"
                    );
                } else if let Some(until) = latest {
                    let early = until + self.directory.skew - tolerance();
                    assert!(
                        matches!(seen.end, DirectoryEnd::At(end) if end >= early),
                        "{seen:?} stops too early"
                    );
                    let exact = floor_to_second(until);
                    assert!(
                        !self.directory.skew.is_zero() || seen.end == DirectoryEnd::At(exact),
                        "{seen:?} stops at another session's end, not at {exact}"
                    );
                }
            }
        }
        for right in wanted.intersection(&held).filter(|right| self.directory.self_ending.ends(right)) {
            let needed = self.live().filter(|s| s.rights.contains(right)).map(|s| s.until).max().unwrap();
            let end = seen.rights.get(right).copied().flatten();
            let by = needed + self.directory.skew + tolerance();
            assert!(
                self.standing().contains(right)
                    || end.is_some_and(|end| end <= by && end >= by - tolerance() - tolerance()),
                "{right:?} stays until {end:?}"
            );
        }
    }

    fn standing(&self) -> BTreeSet<Right> {
        self.account.standing.iter().cloned().collect()
    }

    /// At every instant, unless somebody has just changed the account by hand.
    fn holds(&self) {
        if self.account.mode == Mode::Membership {
            let seen = self.directory.account.as_ref().expect("a person's account is never deleted");
            assert!(
                seen.enabled && seen.end == self.directory.kept(DirectoryEnd::Never),
                "a person's account is only given rights"
            );
            assert!(
                self.own.iter().all(|right| seen.rights.contains_key(right)),
                "a right of the person's own was taken"
            );
            return;
        }
        let Some(seen) = self.directory.account.as_ref().filter(|_| !self.tampered) else { return };
        let by = self.promised + tolerance();
        assert!(
            !seen.enabled || seen.stops_by(by, self.directory.skew),
            "enabled without a promised end: {seen:?}"
        );
    }

    /// From the first step on: enabled for live sessions only, and the directory's end is the latest of theirs.
    fn holds_after_a_step(&self) {
        self.holds();
        let Some(seen) = self.directory.account.as_ref().filter(|_| self.account.mode != Mode::Membership)
        else {
            return;
        };
        if seen.enabled {
            let latest = self.live().map(|s| s.until).max();
            let latest = latest.expect("enabled, and no session needs it") + tolerance();
            assert!(seen.stops_by(latest, self.directory.skew), "{seen:?} goes on after {latest}");
        }
    }

    /// What a live session needs and had stays, whatever else is taken; and an account that may stay open stays open.
    fn nothing_needed_is_lost(&self, before: Option<&ModelAccount>, steps: &[Step]) {
        let (Some(before), Some(after)) = (before, self.directory.account.as_ref()) else { return };
        for right in self.live().flat_map(|s| &s.rights) {
            assert!(
                !before.rights.contains_key(right) || after.rights.contains_key(right),
                "{right:?} was taken: {steps:?}"
            );
        }
        let valid = before.marker.as_ref().is_some_and(|m| m.generation == self.account.password_generation);
        if before.enabled && valid && self.live().next().is_some() {
            assert!(after.enabled, "a session was interrupted: {steps:?}");
        }
    }

    fn tamper(&mut self, how: &Tampering) {
        let identity_is_known = self.account.identity.is_some();
        let mode = self.account.mode;
        let never = self.directory.kept(DirectoryEnd::Never);
        let Some(seen) = &mut self.directory.account else { return };
        match how {
            Tampering::Give(right) => {
                seen.rights.entry(right.clone()).or_insert(None);
            }
            Tampering::Take(right) if !self.own.contains(right) || mode != Mode::Membership => {
                seen.rights.remove(right);
            }
            _ if mode == Mode::Membership => return,
            Tampering::Take(right) => drop(seen.rights.remove(right)),
            Tampering::Hide(right) => seen.hidden = Some(right.clone()),
            Tampering::EnableForEver => (seen.enabled, seen.end) = (true, never),
            Tampering::Disable => seen.enabled = false,
            Tampering::NoMarker if identity_is_known => seen.marker = None,
            Tampering::NoMarker => return,
            Tampering::DeleteIt => {
                self.directory.account = None;
                // The broker forgets an identity that is not found, and makes the account anew under its name.
                self.account.identity = None;
            }
        }
        self.tampered = true;
    }

    fn pass(&mut self, seconds: i64) {
        self.now += TimeDelta::milliseconds(seconds * 1000 + 137);
        self.directory.expire(self.now);
    }
}

#[derive(Debug, Clone)]
enum Tampering {
    Give(Right),
    Take(Right),
    Hide(Right),
    EnableForEver,
    Disable,
    NoMarker,
    DeleteIt,
}
