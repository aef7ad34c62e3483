//! Playing one event.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::points;
use ticketgate_tests::product::asking::new_key;
use ticketgate_tests::product::users::User;
use ticketgate_tests::proxy::Weather as Network;

use crate::hear::Said;
use crate::history::{Ask, Away, DEADLY, Deed, Event, Outage, WRITE};
use crate::model::{Part, Weather};
use crate::rules::{DIRECTORIES, Mode, Rules, policy};
use crate::stage::{Place, Scene, wish};

/// What somebody asks the broker.
pub(crate) struct Request {
    pub(crate) ask: Ask,
    /// The session that it is about.
    pub(crate) id: Option<String>,
    /// Which of its parts, where that matters.
    pub(crate) part: usize,
    who: usize,
    path: String,
    key: String,
    body: Value,
}

impl Request {
    /// Sends it; `None`: nobody answers.
    pub(crate) fn send(&self, users: &[User], socket: &Path) -> Option<(u16, Value)> {
        let answer =
            users.get(self.who)?.ask(socket, "POST", &self.path, Some(&self.key), &self.body).ok()?;
        Some((answer.status, answer.json().ok()?))
    }
}

/// No clock is further from the true time, in seconds: people's accounts and passwords do not end meanwhile.
const IN_REACH: std::ops::Range<i64> = -200_000..430_000;

/// Where the difference of the clocks would be as good as the most that is allowed, nobody can say what has to happen.
fn not_at_the_limit(apart: &[i64], by: i64) -> i64 {
    let is_at_it = |by: &i64| apart.iter().any(|apart| (apart + by).abs().abs_diff(300) < 10);
    [by, by + 25, by + 50].into_iter().find(|by| !is_at_it(by)).unwrap_or(by)
}

impl Scene<'_> {
    /// Plays an event until it is over; what it left is settled afterwards.
    pub(crate) fn play(&mut self, event: &Event) -> Result<()> {
        self.logged_before = self.product.broker_log().len();
        match event {
            Event::Ask(ask) => {
                let said = self.ask_all(std::slice::from_ref(ask))?;
                self.hear(said, Weather::Calm)
            }
            Event::Together(asks) => {
                let said = self.ask_all(asks)?;
                self.hear(said, Weather::Crowd)
            }
            Event::Pass { seconds } => self.pass(*seconds),
            Event::Wall { seconds } => {
                let apart = self.model.directories.map(|directory| self.model.wall - directory);
                let by = not_at_the_limit(&apart, *seconds);
                if IN_REACH.contains(&(self.model.wall + by)) {
                    self.model.set_wall(by);
                }
                self.clocks_were_set()
            }
            Event::Directory { seconds, place } => {
                let (broker, directory) = (self.model.broker, &mut self.model.directories[*place]);
                let by = not_at_the_limit(&[*directory - broker], *seconds);
                if IN_REACH.contains(&(*directory + by)) {
                    *directory += by;
                }
                self.clocks_were_set()
            }
            Event::Agree => {
                self.model.wall = self.model.broker;
                self.model.directories = [self.model.broker; DIRECTORIES.len()];
                self.clocks_were_set()
            }
            Event::Rules { bits } => {
                self.model.rules = Rules(*bits);
                self.configure(&self.stage.configuration(self.model.rules)?)
            }
            Event::BadRules => {
                let good = self.stage.configuration(self.model.rules)?;
                self.configure(&good.clone().with("[[policy]]\nid = \"no-rights\""))?;
                self.configure(&good)
            }
            Event::Kill { during, after_ms } => {
                let asks: Vec<_> = during.iter().cloned().collect();
                let said = self.meanwhile(&asks, |scene| {
                    std::thread::sleep(Duration::from_millis(*after_ms));
                    scene.kill()
                })?;
                self.start()?;
                self.hear(said, Weather::Storm)
            }
            Event::Stop => {
                self.product.stop_broker()?;
                self.start()
            }
            Event::Fault { at, passage, fault, ask } => {
                let said = self.meets(at, *passage, fault, ask)?;
                self.hear(said, Weather::Storm)
            }
            Event::Outage { what, ask, for_ms, pass_s, of } => {
                self.outage(*of, |place| place.begin_outage(*what))?;
                let asks: Vec<_> = ask.iter().cloned().collect();
                let said = self.meanwhile(&asks, |scene| {
                    if *pass_s > 0 {
                        scene.pass(*pass_s)?;
                    }
                    std::thread::sleep(Duration::from_millis(*for_ms));
                    scene.outage(*of, |place| place.end_outage(*what))
                })?;
                self.hear(said, Weather::Storm)
            }
            Event::ByHand { pick, deed } => self.by_hand(*pick, *deed),
        }
    }

    /// A broker that meets a fault is asked something. It goes on when it is not dead of it: what it could not do then it has to do
    /// by itself.
    fn meets(&mut self, at: &str, passage: u32, fault: &str, ask: &Ask) -> Result<Vec<Said>> {
        self.kill()?;
        self.product.forget_points()?;
        // A broker that cannot start is one that is started again.
        let started = self.start_meeting(&format!("{at}#{passage}:{fault}"));
        let mut said = Vec::new();
        if started.is_ok() && self.product.broker_runs()? {
            said = self.ask_all(std::slice::from_ref(ask))?;
            // Whether it is done does not matter.
            let _ = self.sweep();
        }
        let is_it = |point: &String| if at == WRITE { points::is_write(point) } else { point == at };
        let mut passed = self.product.points().into_iter().filter(is_it);
        let met = passed.nth(usize::try_from(passage)?.saturating_sub(1));
        let (faults, is_met) = (&mut self.stage.faults, met.is_some());
        faults.asked_for += 1;
        if let Some(point) = met {
            *faults.met.entry(point).or_default() += 1;
        }
        // What is not met yet would be met at another event.
        if !is_met || DEADLY.contains(&fault) || !self.product.broker_runs()? {
            self.kill()?;
            self.start()?;
        }
        Ok(said)
    }

    /// Clocks that are set are noticed by the sweep.
    fn clocks_were_set(&mut self) -> Result<()> {
        for (place, ahead) in self.stage.places.iter().zip(self.model.directories) {
            place.set_clock(ahead)?;
        }
        self.turn_clocks()?;
        self.sweep()
    }

    /// Does this to the directories that are meant.
    fn outage(&mut self, of: Away, mut what: impl FnMut(&mut Place) -> Result<()>) -> Result<()> {
        let places = self.stage.places.iter_mut().enumerate();
        places.filter(|(at, _)| of.is(*at)).try_for_each(|(_, place)| what(place))
    }

    /// What a request looks like; none where it is about a session and there is none.
    fn request(&self, ask: &Ask) -> Result<Option<Request>> {
        let ask = ask.clone();
        if let Ask::Activate { who, policy: number, for_s } = ask {
            let who = who % self.stage.users.len();
            let body = wish(policy(number)?.id, for_s);
            return Ok(Some(Request {
                ask,
                id: None,
                part: 0,
                who,
                path: "/v1/sessions".into(),
                key: new_key(),
                body,
            }));
        }
        let Some(pick) = ask.picks() else { return Ok(None) };
        let Some(held) = self.model.pick(pick) else { return Ok(None) };
        let part = pick / self.model.live().count().max(1) % held.parts.len();
        let (what, body) = match ask {
            Ask::Extend { by_s, .. } => ("extend", json!({"by_s": by_s})),
            Ask::Password { renew, .. } if held.is_whole() => {
                ("password", json!({"renew": renew, "directory": held.parts[part].row.directory}))
            }
            Ask::Password { renew, .. } => ("password", json!({"renew": renew})),
            _ => ("end", json!({})),
        };
        let id = held.id().to_owned();
        let path = format!("/v1/sessions/{id}/{what}");
        Ok(Some(Request { ask, id: Some(id), part, who: held.who, path, key: new_key(), body }))
    }

    /// Makes requests at the same moment, and answers what came of them.
    fn ask_all(&mut self, asks: &[Ask]) -> Result<Vec<Said>> {
        self.meanwhile(asks, |_| Ok(()))
    }

    /// Makes requests, and does something else meanwhile.
    fn meanwhile(&mut self, asks: &[Ask], work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Vec<Said>> {
        let requests = asks.iter().map(|ask| self.request(ask)).collect::<Result<Vec<_>>>()?;
        let users = self.stage.users.clone();
        let socket = self.product.socket();
        std::thread::scope(|scope| {
            let asking: Vec<_> = requests
                .into_iter()
                .flatten()
                .map(|request| {
                    let (users, socket) = (&users, &socket);
                    scope.spawn(move || Said::ask(request, users, socket))
                })
                .collect();
            let worked = work(self);
            let said = asking.into_iter().map(|one| one.join()).collect::<Result<Vec<_>, _>>();
            worked?;
            said.ok().context("a thread panicked")
        })
    }

    fn by_hand(&mut self, pick: usize, deed: Deed) -> Result<()> {
        if !self.model.apart().is_empty() {
            // Nothing is put right then but what takes away.
            return Ok(());
        }
        if deed == Deed::Opens {
            return self.opens(pick);
        }
        let live = self.model.live().flat_map(|held| &held.parts);
        let jit: Vec<_> = live.filter(|part| part.grant.mode != Mode::Membership).cloned().collect();
        let Some(part) = jit.get(pick % jit.len().max(1)) else { return Ok(()) };
        let (place, name) = (part.grant.place, &part.row.account);
        let right = part.row.rights.first().cloned().context("no right")?;
        let code = self.stage.places[place].look(|look, ad| {
            let account = look.account(name)?.context("no account")?;
            match deed {
                Deed::AddsRight => look.add_member(ad.group("domain_admins"), &account.dn),
                Deed::TakesRight => look.remove_member(&right, &account.dn),
                Deed::Disables => look.disable(&account.dn),
                Deed::Deletes => look.delete(&account.dn),
                Deed::Opens => bail!("that is another one"),
            }
        })?;
        ensure!(code == 0, "{deed:?} by hand: {code}");
        if matches!(deed, Deed::Disables | Deed::Deletes) {
            // And with it whatever its sessions have elsewhere.
            let uses = |part: &Part| part.grant.place == place && part.row.account == *name;
            let ended: Vec<_> = self.model.live().filter(|held| held.parts.iter().any(uses)).collect();
            let ended: Vec<_> = ended.into_iter().map(|held| held.id().to_owned()).collect();
            for id in ended {
                self.model.ends(&id)?;
            }
        }
        self.sweep()
    }

    /// Somebody opens a closed account with a password of their own.
    fn opens(&mut self, pick: usize) -> Result<()> {
        let place = pick % DIRECTORIES.len();
        let live: Vec<_> =
            self.model.live_in(place).map(|(_, part)| part.row.account.to_lowercase()).collect();
        let (now, password) = (self.model.clocks(place).directory, "By hand 4711!".to_owned());
        let opened = self.stage.places[place].look(|look, ad| {
            let mut accounts = look.accounts_below(ad.account_unit())?;
            accounts.retain(|one| {
                !live.iter().any(|name| one.dn.to_lowercase().starts_with(&format!("cn={name},")))
            });
            let Some(account) = accounts.get(pick % accounts.len().max(1)) else { return Ok(None) };
            let code = look.enable(&account.dn, &password, now + Duration::from_secs(86_400))?;
            ensure!(code == 0, "opened by hand: {code}");
            let name = account.dn.split(',').next().unwrap_or_default();
            Ok(Some(name.trim_start_matches("CN=").to_owned()))
        })?;
        if let Some(name) = opened {
            self.model.passwords.insert((place, name), password);
        }
        self.sweep()
    }
}

impl Place {
    fn begin_outage(&mut self, what: Outage) -> Result<()> {
        match what {
            Outage::Refusing => self.proxy.set(Network::Refusing),
            Outage::Silent => self.proxy.set(Network::Silent),
            Outage::Slow { ms } => self.proxy.set(Network::Slow(Duration::from_millis(ms))),
            Outage::Cut { bytes } => self.proxy.set(Network::CutAfter(bytes)),
            Outage::Crash => self.ad.crash(),
            Outage::Hang => self.ad.pause(),
        }
    }

    fn end_outage(&mut self, what: Outage) -> Result<()> {
        self.proxy.set(Network::Fair)?;
        match what {
            Outage::Crash => self.ad.restart(),
            Outage::Hang => self.ad.resume(),
            _ => Ok(()),
        }
    }
}
