//! What the answers to requests tell the model, and whether they are what the rules say.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ticketgate_tests::product::users::User;
use ticketgate_tests::witness::Session;

use crate::history::Ask;
use crate::model::{Part, Unheard, Weather, moved};
use crate::play::Request;
use crate::rules::{Grant, Mode, place, policy, technician};
use crate::stage::Scene;

/// What Samba says to a logon now and then, seen after its clock was set back: an error of its database. Why is not known.
const CONFUSED: &str = "54e";

/// A request that was made, with what came back.
pub(crate) struct Said {
    pub(crate) request: Request,
    /// `None`: nobody answered.
    pub(crate) answer: Option<(u16, Value)>,
    pub(crate) asked: SystemTime,
    pub(crate) answered: SystemTime,
}

impl Said {
    /// Makes the request, as a person's program does.
    pub(crate) fn ask(request: Request, users: &[User], socket: &Path) -> Self {
        let asked = SystemTime::now();
        let answer = request.send(users, socket);
        Self { request, answer, asked, answered: SystemTime::now() }
    }

    /// The session that it is about.
    fn id(&self) -> Result<&str> {
        self.request.id.as_deref().context("no session")
    }

    fn granted(&self) -> Option<&Value> {
        self.answer.as_ref().filter(|(status, _)| (200..300).contains(status)).map(|(_, body)| body)
    }

    /// The code of a refusal.
    fn code(&self) -> &str {
        let code = self.answer.as_ref().and_then(|(_, body)| body.get("code")?.as_str());
        code.unwrap_or_default()
    }
}

impl Scene<'_> {
    /// What the answers tell the model.
    ///
    /// Who heard nothing asks again, under the same key: what was done is not done twice.
    pub(crate) fn hear(&mut self, said: Vec<Said>, weather: Weather) -> Result<()> {
        // Storms are over when the answers are heard; what was asked in a crowd is compared with what was there before.
        for mut said in said {
            if said.answer.is_none() {
                said.answer = said.request.send(&self.stage.users, &self.product.socket());
                said.answered = SystemTime::now();
            }
            let said = &said;
            // A server that says so has an error of its own, whatever was asked. What it said at an earlier event is over.
            let (log, confusion) = (self.product.broker_log(), format!("data {CONFUSED}"));
            let confused = log.get(self.logged_before..).is_some_and(|since| since.contains(&confusion));
            let weather = if confused && weather == Weather::Calm { Weather::Storm } else { weather };
            let heard = match &said.request.ask {
                Ask::Activate { who, policy, for_s } => {
                    self.hear_activation(said, weather, *who, *policy, *for_s)
                }
                Ask::Extend { by_s, .. } => self.hear_extension(said, weather, *by_s),
                Ask::End { .. } => self.hear_end(said, weather),
                Ask::Password { renew, .. } => self.hear_password(said, weather, *renew),
            };
            heard.with_context(|| format!("{:?} was answered {:?}", said.request.ask, said.answer))?;
        }
        Ok(())
    }

    fn hear_activation(
        &mut self,
        said: &Said,
        weather: Weather,
        who: usize,
        number: usize,
        for_s: u32,
    ) -> Result<()> {
        let who = who % self.stage.users.len();
        let policy = policy(number)?;
        let rules = self.model.rules;
        if weather == Weather::Calm && self.model.live().next().is_none() {
            // Nothing can be lengthened, so the wall clock is followed back, too.
            self.model.broker = self.model.wall;
        }
        let wanted = self.model.refusal(who, policy, for_s);
        let asked = Unheard { who, policy, for_s, rules, may_be: true };
        let active = said.granted().filter(|body| body.get("state").is_some_and(|state| state == "active"));
        let Some(session) = active else {
            // One that took longer than its own time is over when it is answered.
            let over = weather == Weather::Storm && said.granted().is_some();
            let may_be = over || said.answer.is_none() || said.code() == "timed_out";
            ensure!(may_be || said.granted().is_none(), "granted and not active");
            if weather == Weather::Calm {
                ensure!(wanted == Some(said.code()), "it should be {wanted:?}");
            }
            self.model.unheard.push(Unheard { may_be, ..asked });
            return Ok(());
        };
        ensure!(wanted.is_none() || weather != Weather::Calm, "it should be {wanted:?}");
        let text =
            |name: &str| session.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"));
        let until = self.ledger()?.time(text("expires_at")?)?;
        let length = Duration::from_secs(for_s.into());
        let possible = [self.model.broker, self.model.wall].iter().any(|ahead| {
            let (first, last) = (moved(said.asked, *ahead) + length, moved(said.answered, *ahead) + length);
            first - Duration::from_secs(1) <= until && until <= last
        });
        // In a storm time passes between the two.
        ensure!(
            possible || weather == Weather::Storm,
            "another end than asked for: {until:?}, {:?}",
            self.model.clocks(0)
        );
        let parts = self.parts_told(text("id")?, session, &rules.grants(policy))?;
        let named = |part: Part| Part {
            row: Session { technician: technician(who), policy: policy.id.to_owned(), ..part.row },
            ..part
        };
        self.model.add(&asked, until, parts.into_iter().map(named).collect());
        Ok(())
    }

    /// The parts of a session as an answer tells them; those of several directories have ids that only the ledger knows.
    fn parts_told(&mut self, id: &str, session: &Value, grants: &[Grant]) -> Result<Vec<Part>> {
        let none = Vec::new();
        let told = session.get("parts").and_then(Value::as_array).unwrap_or(&none);
        let is_whole = grants.len() > 1;
        let told: Vec<_> = if is_whole { told.iter().collect() } else { vec![session] };
        ensure!(told.len() == grants.len(), "other parts than the policy's");
        let rows = self.ledger()?.sessions()?;
        let part = |(told, grant): (&Value, &Grant)| {
            let text =
                |name: &str| told.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"));
            let (directory, account) = (text("directory")?, text("account")?);
            ensure!(place(directory)? == grant.place && text("state")? == "active", "another part: {told}");
            let known = rows.iter().find(|row| row.of() == id && row.directory == directory);
            let row = Session {
                id: known.context("a part that the ledger has not")?.id.clone(),
                whole: is_whole.then(|| id.to_owned()),
                directory: directory.to_owned(),
                state: "active".to_owned(),
                technician: String::new(),
                policy: String::new(),
                account: account.rsplit('\\').next().unwrap_or_default().to_owned(),
                rights: self.stage.rights(grant.place, grant.rights),
                until: SystemTime::UNIX_EPOCH,
            };
            Ok(Part { grant: *grant, row })
        };
        told.into_iter().zip(grants).map(part).collect()
    }

    fn hear_extension(&mut self, said: &Said, weather: Weather, by_s: u32) -> Result<()> {
        let id = said.id()?;
        let held = self.model.held(id)?.clone();
        let wanted = self.model.extension(&held, by_s);
        match (&said.answer, said.granted()) {
            (_, Some(session)) => {
                let until = session.get("expires_at").and_then(Value::as_str).context("no end")?;
                let until = self.ledger()?.time(until)?;
                if weather != Weather::Crowd {
                    ensure!(wanted == Ok(until), "it should be {wanted:?}");
                }
                ensure!(until <= held.latest, "longer than the policy allows");
                self.model.may_be_until(id, until)?;
                if weather == Weather::Calm {
                    self.model.held(id)?.until = until;
                }
            }
            (None, _) => {
                if let Ok(until) = wanted {
                    self.model.may_be_until(id, until)?;
                }
            }
            (Some(_), None) => match (weather, wanted) {
                (Weather::Calm, Ok(_)) => {
                    ensure!(self.model.apart_for(&held), "it should be extended");
                }
                (Weather::Calm, Err(code)) => ensure!(said.code() == code, "it should be {code}"),
                // A ledger that fails as well cannot take the longer end back.
                (Weather::Storm, Ok(until)) if said.code() == "ledger_down" || said.code() == "timed_out" => {
                    self.model.may_be_until(id, until)?;
                }
                _ => {}
            },
        }
        Ok(())
    }

    fn hear_end(&mut self, said: &Said, weather: Weather) -> Result<()> {
        let id = said.id()?;
        let held = self.model.held(id)?.clone();
        let apart = self.model.apart_for(&held);
        match said.granted() {
            Some(session) => {
                let state = session.get("state").and_then(Value::as_str).unwrap_or_default();
                ensure!(["ending", "ended"].contains(&state), "neither ending nor ended");
                let calm = weather == Weather::Calm && !apart;
                ensure!(!calm || state == "ended", "not at once");
                self.model.ends(id)
            }
            None => {
                ensure!(weather == Weather::Storm, "it should be ended");
                self.model.may_end(id)
            }
        }
    }

    fn hear_password(&mut self, said: &Said, weather: Weather, renew: bool) -> Result<()> {
        let held = self.model.held(said.id()?)?;
        let Part { grant, row } = held.parts[said.request.part].clone();
        let apart = self.model.far_apart(grant.place);
        let Some(over) = said.granted() else {
            let codes: &[&str] = match (grant.mode, renew) {
                (Mode::Membership, _) => &["no_password"],
                // A broker that was started again does not have it any more.
                (_, false) => &["password_gone"],
                (_, true) if apart => &["clock_skew"],
                (_, true) => &[],
            };
            ensure!(weather != Weather::Calm || codes.contains(&said.code()), "it should be handed over");
            return Ok(());
        };
        let password = over.get("password").and_then(Value::as_str).context("no password")?;
        if weather == Weather::Calm && !apart {
            let bind = self.stage.places[grant.place].ad.bind(&row.account, password)?;
            let confused = bind.refused_with(CONFUSED);
            ensure!(bind.accepted() || confused, "nobody can log on with a live session: {bind:?}");
            self.model.passwords.insert((grant.place, row.account), password.to_owned());
        }
        Ok(())
    }
}
