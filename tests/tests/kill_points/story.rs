//! What happens in one case: an installation with a technician of its own, something that was there before, and the one
//! request, end or recovery that meets the fault.

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::http::Response;
use ticketgate_tests::ldap::View;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::witness::{self, Clocks, Ledger, Session};

use crate::{Mode, Story};

/// The shortest session that the product grants.
const SHORT_S: u64 = 5;
const HOUR: u64 = 3600;
/// A policy that cannot be granted whole.
const HALF: &str = "acme-half";
const LONGER_BY: Duration = Duration::from_secs(1800);

/// One case in the playing.
pub(crate) struct Play<'a> {
    ad: &'a SambaAd,
    product: Product,
    mode: Mode,
    story: Story,
    technician: String,
    key: String,
    /// The session that was there before.
    before: Option<Session>,
}

impl<'a> Play<'a> {
    /// An installation for a technician of this name, who has an account of that name.
    pub(crate) fn new(
        ad: &'a SambaAd,
        look: &mut View,
        mode: Mode,
        story: Story,
        technician: &str,
    ) -> Result<Self> {
        let quoted = json!(technician).to_string();
        let gone = format!("CN=Zz Gone,OU=Rights,{}", ad.base());
        let half = Policy {
            id: HALF,
            name: "The first of two rights can be had",
            mode: mode.word(),
            rights: vec![ad.group("tier1").to_owned(), gone],
            ..Policy::default()
        };
        let configuration = Configuration::standard(ad)
            .policy(&half)
            .replace("\"tech1\"", &quoted)?
            .broker(&format!("administrators = [{quoted}]"))
            .broker("rate = { per_minute = 1000, per_hour = 1000, per_day = 1000 }");
        if mode == Mode::Membership {
            let in_a_day = SystemTime::now() + Duration::from_secs(24 * HOUR);
            let (_, unit) = ad.person("tech1").split_once(',').context("no people")?;
            let dn = format!("CN={technician},{unit}");
            let made = look.create(&dn, technician, ad.password("tech1")?, in_a_day)?;
            ensure!(made == 0, "no person {dn}: {made}");
        }
        let product = Product::install(&configuration)?;
        Ok(Self { ad, product, mode, story, technician: technician.to_owned(), key: new_key(), before: None })
    }

    /// Brings everything to where the story begins; the broker that goes on from there meets `fault`. Answers how many
    /// points belong to what was before.
    pub(crate) fn begin(&mut self, fault: &str) -> Result<usize> {
        if self.story == Story::Recovery {
            // An activation whose broker died when half of it was done.
            self.product.start_broker_meeting("directory.grant:after")?;
            ensure!(self.ask().is_err(), "somebody answered");
            self.product.wait_for_broker_to_end()?;
            self.before = Ledger::open(&self.product.state())?.sessions()?.pop();
            return Ok(0);
        }
        self.product.start_broker_noting_points(fault)?;
        // The last of what a broker does at its start.
        self.product.broker_reaches("ledger.checkpoint")?;
        let seconds = match self.story {
            Story::Activation | Story::Failure => return Ok(self.product.points().len()),
            Story::Expiry => SHORT_S,
            _ => HOUR,
        };
        let mut wish = self.wish();
        wish["duration_s"] = json!(seconds);
        self.product.granted(&wish)?;
        self.before = self.ledger()?.sessions()?.pop();
        Ok(self.product.points().len())
    }

    /// The story itself. Answers the session of a request that was granted; nobody's answer is an answer, too.
    pub(crate) fn act(&mut self, fault: &str) -> Result<Option<Value>> {
        match self.story {
            // A broker that cannot start is one that is started again.
            Story::Recovery => drop(self.product.start_broker_noting_points(fault)),
            Story::Expiry => {}
            _ => {
                let Ok(answer) = self.ask() else { return Ok(None) };
                let granted = (200..300).contains(&answer.status);
                return if granted { Ok(Some(answer.json()?)) } else { Ok(None) };
            }
        }
        Ok(None)
    }

    /// Sends the story's request, always under the same key.
    fn ask(&self) -> Result<Response> {
        let of_session = |what: &str| {
            let id = &self.before.as_ref().context("no session")?.id;
            Ok::<_, anyhow::Error>(format!("/v1/sessions/{id}/{what}"))
        };
        let (path, body) = match self.story {
            Story::Activation | Story::Recovery => ("/v1/sessions".to_owned(), self.wish()),
            Story::Failure => ("/v1/sessions".to_owned(), wish(HALF)),
            Story::Renewal => (of_session("password")?, json!({"renew": true})),
            Story::Extension => (of_session("extend")?, json!({"by_s": LONGER_BY.as_secs()})),
            Story::End => (of_session("end")?, json!({})),
            Story::Expiry => bail!("nobody asks for it"),
        };
        self.product.api("POST", &path, Some(&self.key), &body)
    }

    fn wish(&self) -> Value {
        wish(match self.mode {
            Mode::Dedicated => "acme-server-admin",
            Mode::Burner => "acme-burner",
            Mode::Membership => "acme-member",
        })
    }

    /// Waits until the broker that met the fault is dead of it, or has made something of it; then it is killed.
    pub(crate) fn fault_is_met(&mut self, point: &str, passage: usize, deadly: bool) -> Result<()> {
        let met = |points: &[String]| {
            points
                .iter()
                .enumerate()
                .filter(|(_, passed)| *passed == point)
                .nth(passage - 1)
                .map(|(at, _)| at)
        };
        if deadly {
            self.product.wait_for_broker_to_end()?;
        } else {
            // Where somebody asked, the answer is what the broker made of it.
            if matches!(self.story, Story::Expiry | Story::Recovery) {
                until("the broker to make something of the fault", LIMIT, || {
                    let points = self.product.points();
                    let went_on = met(&points).is_some_and(|at| points.len() > at + 1);
                    Ok(went_on || !self.product.broker_runs()? || self.is_settled()?)
                })?;
            }
            if self.product.broker_runs()? {
                self.product.kill_broker()?;
            }
        }
        // Of a recovery nobody can say how often the sweep at the start looks as well.
        ensure!(
            self.story == Story::Recovery || met(&self.product.points()).is_some(),
            "the fault was never met: {:?}",
            self.product.points()
        );
        Ok(())
    }

    /// The next broker, once it has taken up what was left and has compared directory and ledger, as at every start.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.product.start_broker()?;
        self.settles()?;
        let swept = self.product.api("POST", "/v1/sweep", None, &Value::Null)?;
        ensure!(swept.status == 200, "no sweep: {}", swept.text());
        self.settles()
    }

    pub(crate) fn settles(&self) -> Result<()> {
        until("everything to be settled", LIMIT, || self.is_settled())
    }

    fn is_settled(&self) -> Result<bool> {
        let ledger = self.ledger()?;
        let expires =
            self.story == Story::Expiry && ledger.sessions()?.iter().any(|one| one.state == "active");
        Ok(!expires && ledger.is_settled()?)
    }

    /// What has to hold once everything is settled.
    pub(crate) fn check(&self, look: &mut View, granted: Option<&Value>) -> Result<()> {
        let sessions = self.ledger()?.sessions()?;
        self.nothing_is_lost(&sessions, granted)?;
        let clocks = Clocks::true_time();
        let live: Vec<_> = sessions.iter().filter(|session| session.is_live(&clocks)).collect();
        match self.mode {
            Mode::Dedicated | Mode::Burner => {
                let accounts = witness::jit_accounts(look, self.ad, &self.technician)?;
                witness::accounts_hold_what_is_live(&accounts, &live, &clocks)?;
                let burner_stays =
                    self.mode == Mode::Burner && accounts.iter().any(|account| !account.enabled());
                ensure!(!burner_stays, "a burner account stays: {accounts:?}");
            }
            Mode::Membership => {
                let person = look.account(&self.technician)?.context("the person is gone")?;
                witness::a_person_holds_what_is_live(&person, &live)?;
            }
        }
        let export = || Ok(self.product.api("GET", "/v1/audit/export", None, &Value::Null)?.text());
        let records = witness::audit_is_whole(&self.ledger()?, export)?;
        for session in &sessions {
            let of_session = |one: &&Value| one.pointer("/details/session") == Some(&json!(session.id));
            let granted =
                records.iter().filter(of_session).filter(|one| one["action"] == "activation.granted");
            ensure!(granted.count() <= 1, "granted twice: {session:?}");
        }
        Ok(())
    }

    /// Whether the ledger has everything that somebody was told, and nothing came of it twice.
    fn nothing_is_lost(&self, sessions: &[Session], granted: Option<&Value>) -> Result<()> {
        ensure!(sessions.len() <= 1, "granted twice: {sessions:?}");
        let Some(session) = sessions.first() else {
            ensure!(granted.is_none() && self.before.is_none(), "a session was lost");
            return Ok(());
        };
        if let Some(before) = &self.before {
            ensure!(session.id == before.id, "a session was lost: {before:?}");
        }
        let states: &[&str] = match (self.story, granted.map(|granted| &granted["state"])) {
            (Story::Activation, Some(state)) if state == "active" => &["active"],
            // Ended: the broker closed the account when it did not know that the ledger has the grant, and the sweep found
            // it closed.
            (Story::Activation, _) => &["active", "failed", "ended"],
            (Story::Extension | Story::Renewal, _) => &["active"],
            (Story::End, Some(_)) | (Story::Expiry, _) => &["ended"],
            (Story::End, None) => &["active", "ended"],
            (Story::Recovery | Story::Failure, _) => &["failed"],
        };
        ensure!(states.contains(&session.state.as_str()), "it should be {states:?}: {session:?}");
        if let (Story::Extension, Some(before)) = (self.story, &self.before) {
            let told = granted.and_then(|granted| granted["expires_at"].as_str());
            let possible = match told {
                Some(told) => vec![self.ledger()?.time(told)?],
                None => vec![before.until, before.until + LONGER_BY],
            };
            ensure!(
                possible.contains(&session.until),
                "another end than was said: {before:?} {granted:?} {session:?}"
            );
            ensure!(session.until <= before.until + LONGER_BY, "extended twice: {before:?} {session:?}");
        }
        Ok(())
    }

    /// Whether the technician can work with every session that is live.
    pub(crate) fn live_sessions_are_usable(&self) -> Result<()> {
        if self.mode == Mode::Membership {
            // With the person's own password; that the right is there was checked.
            return Ok(());
        }
        let clocks = Clocks::true_time();
        for session in self.ledger()?.sessions()?.iter().filter(|session| session.is_live(&clocks)) {
            let path = format!("/v1/sessions/{}/password", session.id);
            let over = self.product.api("POST", &path, Some(&new_key()), &json!({"renew": true}))?.json()?;
            let password = over["password"].as_str().with_context(|| format!("no password: {over}"))?;
            let bind = self.ad.bind(&session.account, password)?;
            ensure!(bind.accepted(), "nobody can log on with a live session: {bind:?} {session:?}");
        }
        Ok(())
    }

    /// The person, who heard nothing, asks again: the same key, so the same result.
    pub(crate) fn asks_again(&self) -> Result<Option<Value>> {
        if matches!(self.story, Story::Expiry | Story::Recovery) {
            return Ok(None);
        }
        let answer = self.ask()?;
        let granted = (200..300).contains(&answer.status);
        self.settles()?;
        if granted { Ok(Some(answer.json()?)) } else { Ok(None) }
    }

    pub(crate) fn points(&self) -> Vec<String> {
        self.product.points()
    }

    pub(crate) fn log(&self) -> String {
        self.product.broker_log()
    }

    fn ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.product.state())
    }
}
