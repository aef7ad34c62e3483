//! The one mechanism on a Windows machine: the broker's plans, put into requests by the connector and carried out here on the account
//! database of the tests. Whatever happens, an account settles as its sessions want it.
#![cfg(unix)]

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use ticketgate_access::config::{Local, Login, Machine, Processes, Ssh};
use ticketgate_access::desired::{Observed, Step, desired, plan};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_protocol::api::{Mode, State};

use super::fake::{ADMINISTRATORS, DESKTOP, Fake};
use super::sam::{FOREVER, Sam as _};
use super::tests::{World, world};
use super::{System, clock};
use crate::generate_for;
use crate::local::LocalMachine;
use crate::local::far::{FarError, Side as _};
use crate::local::machine::SELF_ENDING;

const NAME: &str = "jit-tech1";
/// How often the loop looks until all has to be as it should.
const LOOKS: usize = 6;

struct Scene {
    world: World,
    connector: LocalMachine,
    account: Account,
    sessions: Vec<Session>,
    /// How far the broker's clock is.
    now: DateTime<Utc>,
    password: String,
}

fn scene(mode: Mode) -> Scene {
    let ssh = Ssh {
        host: "files1".into(),
        port: 22,
        user: "ticketgate".into(),
        key: "/k".into(),
        known_hosts: "/h".into(),
    };
    let settings = Local {
        machine: Machine::Ssh(ssh),
        system: System::Windows,
        account_name: "jit-{technician}".into(),
        login: Login::Password,
        processes: Processes::Stay,
        timeout_s: 10,
    };
    let account = Account {
        key: AccountKey("files1/tech1".into()),
        directory: "files1".parse().unwrap(),
        mode,
        technician: "tech1".parse().unwrap(),
        name: NAME.into(),
        identity: None,
        display_name: None,
        token: "k3v9k3v9k3v9k3v9k3v9k3v9k3".into(),
        password_generation: 0,
        standing: Vec::new(),
        settled: true,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 0,
    };
    let (connector, now) = (LocalMachine::new(&settings), clock::now());
    Scene {
        world: world(Fake::new()),
        connector,
        account,
        sessions: Vec::new(),
        now,
        password: String::new(),
    }
}

impl Scene {
    fn sam(&self) -> &Fake {
        &self.world.machine.sam
    }

    fn live(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| session.is_live(self.now))
    }

    fn start(&mut self, rights: &[&str], minutes: i64) {
        if self.live().next().is_none() {
            self.account.password_generation += 1;
        }
        let until = self.now + TimeDelta::minutes(minutes);
        self.sessions.push(Session {
            id: format!("s-{}", self.sessions.len()).parse().unwrap(),
            state: State::Active,
            technician: self.account.technician.clone(),
            customer: "acme".parse().unwrap(),
            directory: self.account.directory.clone(),
            policy: "policy".parse().unwrap(),
            policy_name: "Policy".into(),
            mode: self.account.mode,
            account: self.account.key.clone(),
            rights: rights.iter().map(|sid| Right(format!("group:{sid}"))).collect(),
            reason: "#4711".into(),
            ticket: None,
            requested_at: self.now,
            from: self.now,
            until,
            latest_end: until,
            active_at: None,
            end_cause: None,
            ended_at: None,
            trouble: None,
            whole: None,
            version: 1,
        });
    }

    fn end(&mut self, which: usize) {
        if let Some(session) = self.sessions.get_mut(which) {
            session.state = State::Ending;
            self.account.password_generation += 1;
        }
    }

    fn look(&self) -> Result<Observed, FarError> {
        let (_, seen) = self.world.machine.look(&NAME.to_owned().try_into().unwrap())?;
        let account = seen.map(|seen| self.connector.observed(NAME, seen));
        Ok(Observed { directory_time: self.now, self_ending: SELF_ENDING, account, behind: false })
    }

    fn apply(&mut self, step: &Step) -> Result<(), FarError> {
        let password = matches!(step, Step::Open { .. }).then(|| generate_for(NAME).unwrap());
        let asked = self.connector.step(step, password.as_ref()).unwrap();
        // As it goes over the link.
        let asked = serde_json::from_slice(&serde_json::to_vec(&asked).unwrap()).unwrap();
        if let Some(password) = password {
            self.password = password.expose().to_owned();
        }
        self.world.machine.step(&LocalMachine::named(&self.account).unwrap(), asked)
    }

    /// The broker's loop: what takes away goes on after a refusal.
    fn converge(&mut self) -> bool {
        for _ in 0..LOOKS {
            let seen = self.look().unwrap();
            if let Some(account) = &seen.account {
                self.account.identity = Some(account.identity.clone());
            }
            let wanted = desired(&self.account, &self.sessions, self.now);
            let steps = plan(&self.account, &wanted, &seen, self.now).unwrap();
            if steps.is_empty() {
                return true;
            }
            let mut refused = false;
            for step in steps {
                let adds = matches!(
                    step,
                    Step::Create(_) | Step::Grant { .. } | Step::Open { .. } | Step::SetEnd { .. }
                );
                if !(refused && adds) {
                    refused |= self.apply(&step).is_err();
                }
            }
        }
        false
    }

    /// What has to hold of a settled account.
    fn is_as_wanted(&self) {
        let rights: BTreeSet<String> =
            self.live().flat_map(|session| session.rights.clone()).map(|right| right.0).collect();
        let until = self.live().map(|session| session.until).max();
        let Some(account) = self.sam().account(NAME) else {
            return assert_eq!(until, None);
        };
        assert!(until.is_some() || self.account.mode == Mode::Dedicated, "a burner leaves no account behind");
        let held: BTreeSet<_> =
            self.sam().groups_of(NAME).unwrap().iter().map(crate::local::Sid::right).collect();
        assert_eq!(held, rights);
        assert_ne!(account.user.expires, FOREVER);
        match until {
            None => assert!(!self.sam().lets_in(NAME, &account.password, 0)),
            Some(until) => {
                assert!(self.sam().lets_in(NAME, &self.password, until.timestamp() - 1));
                assert!(!self.sam().lets_in(NAME, &self.password, until.timestamp()));
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Start(Vec<&'static str>, i64),
    End(usize),
    /// The machine refuses everything from so many changes on, as when it is switched off there.
    Cut(usize),
    /// Somebody enables the account, for ever.
    Enabled,
    /// Somebody takes it into a group.
    Joined,
    /// Somebody takes it out of one.
    Left,
    /// The machine's own task runs.
    Swept,
}

fn event() -> impl Strategy<Value = Event> {
    let groups = proptest::sample::subsequence(vec![ADMINISTRATORS, DESKTOP], 1..=2);
    prop_oneof![
        (groups, 2_i64..600).prop_map(|(groups, minutes)| Event::Start(groups, minutes)),
        (0_usize..4).prop_map(Event::End),
        (0_usize..12).prop_map(Event::Cut),
        Just(Event::Enabled),
        Just(Event::Joined),
        Just(Event::Left),
        Just(Event::Swept),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_an_account_settles_as_its_sessions_want_it(burner: bool, events in proptest::collection::vec(event(), 1..12)) {
        let mut scene = scene(if burner { Mode::Burner } else { Mode::Dedicated });
        for event in events {
            let sid = scene.sam().account(NAME).map(|account| account.user.sid);
            match (event, sid) {
                (Event::Start(rights, minutes), _) => scene.start(&rights, minutes),
                (Event::End(which), _) => scene.end(which),
                (Event::Cut(after), _) => {
                    scene.sam().fails.set(Some((after, 1722)));
                    scene.converge();
                    scene.sam().fails.set(None);
                    if scene.live().next().is_none() {
                        continue;
                    }
                }
                (Event::Enabled, Some(_)) => scene.sam().change(NAME, |user| (user.flags, user.expires) = (0x0201, FOREVER)),
                (Event::Joined, Some(sid)) => drop(scene.sam().join("Administratoren", &sid)),
                (Event::Left, Some(sid)) => drop(scene.sam().leave("Administratoren", &sid)),
                (Event::Swept, _) => drop(scene.world.machine.sweep().unwrap()),
                (Event::Enabled | Event::Joined | Event::Left, None) => {}
            }
            prop_assert!(scene.converge(), "it does not settle");
            scene.is_as_wanted();
        }
    }
}
