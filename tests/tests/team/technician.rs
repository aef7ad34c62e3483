//! A technician: signs in, asks for sessions, extends and ends them, gives up waiting, asks again under the same key at another broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use ticketgate_tests::team::relay::{Heard, Relay};

use crate::listener::Listener;
use crate::plan::{draw, drawing};
use crate::told::{Ask, Attempt, Told, name};
use ticketgate_tests::team::site::{CUSTOMER, POLICIES};

/// How long a request that changes something may take, as a relay has it.
const LIMIT: Duration = Duration::from_secs(32);
/// Whoever signs in while brokers and provider are in trouble tries so often.
const SIGN_INS_MAX: usize = 60;

/// What is common to all.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) seed: u64,
    /// Nothing new is asked for after this.
    pub(crate) over: Instant,
    /// Nothing at all after this: what is not settled then stays so.
    pub(crate) closed: Instant,
    /// Seconds between two requests of one technician, on average.
    pub(crate) pause: Duration,
    pub(crate) signed_in: AtomicU32,
}

/// What somebody does next.
#[derive(Debug, Clone)]
enum Step {
    Activate { policy: usize, for_s: u32 },
    Extend { pick: prop::sample::Index, by_s: u32 },
    End { pick: prop::sample::Index },
    Password { pick: prop::sample::Index },
    Look,
}

/// How it is asked for.
#[derive(Debug, Clone)]
struct Manner {
    /// At which brokers, in turn.
    brokers: Vec<prop::sample::Index>,
    /// Waits only so many milliseconds for the first answer, then asks again.
    hurry_ms: Option<u64>,
    /// Asks once more although it was answered.
    again: bool,
    /// So many thousandths of the average pause pass before.
    pause: u32,
}

/// Somebody at work.
pub(crate) struct Technician {
    number: usize,
    relay: Arc<Relay>,
    runner: TestRunner,
    day: Arc<Day>,
    asked: u32,
    /// Sessions that may be open, with their ends as told.
    open: Vec<(String, SystemTime)>,
    told: Vec<Told>,
}

fn steps() -> impl Strategy<Value = Step> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        10 => (0..POLICIES.len(), 5..40_u32).prop_map(|(policy, for_s)| Step::Activate { policy, for_s }),
        3 => (pick(), 5..30_u32).prop_map(|(pick, by_s)| Step::Extend { pick, by_s }),
        4 => pick().prop_map(|pick| Step::End { pick }),
        2 => pick().prop_map(|pick| Step::Password { pick }),
        1 => Just(Step::Look),
    ]
}

fn manners() -> impl Strategy<Value = Manner> {
    let brokers = proptest::collection::vec(any::<prop::sample::Index>(), 4);
    let hurry = option::weighted(0.15, 1..400_u64);
    (brokers, hurry, prop::bool::weighted(0.15), 200..1_800_u32)
        .prop_map(|(brokers, hurry_ms, again, pause)| Manner { brokers, hurry_ms, again, pause })
}

impl Technician {
    pub(crate) fn new(number: usize, relay: Relay, day: Arc<Day>) -> Self {
        let relay = Arc::new(relay);
        let runner = drawing(day.seed, u64::try_from(number).unwrap_or_default() + 1);
        Self { number, relay, runner, day, asked: 0, open: Vec::new(), told: Vec::new() }
    }

    /// Somebody who listens to what happens, over the same relay.
    pub(crate) fn listener(&self) -> Listener {
        Listener::new(self.number, &self.relay)
    }

    /// Signs in, at whichever broker lets it.
    pub(crate) async fn signs_in(&mut self) -> Result<()> {
        let mut last = None;
        for turn in 0..SIGN_INS_MAX {
            match self.relay.sign_in((self.number + turn) % self.relay.brokers(), &name(self.number)).await {
                Ok(()) => {
                    self.day.signed_in.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(why) => last = Some(why),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let last = last.context("no try")?;
        Err(last.context(format!("{} cannot sign in", name(self.number))))
    }

    /// Works until the day is over. Answers what it was told.
    pub(crate) async fn works(mut self, day: Arc<Day>) -> Result<Vec<Told>> {
        self.day = day;
        let (steps, manners) = (steps(), manners());
        loop {
            let (step, manner) = (draw(&mut self.runner, &steps)?, draw(&mut self.runner, &manners)?);
            tokio::time::sleep(self.day.pause * manner.pause / 1000).await;
            if Instant::now() >= self.day.over {
                return Ok(self.told);
            }
            let now = SystemTime::now();
            // What ended a while ago is asked for no more; what ends about now is.
            self.open.retain(|(_, until)| *until + Duration::from_secs(1) > now);
            let open: Vec<_> = self.open.iter().map(|(id, _)| id.clone()).collect();
            let chosen = |pick: prop::sample::Index| (!open.is_empty()).then(|| pick.get(&open).clone());
            let ask = match step {
                Step::Activate { policy, for_s } => Some(Ask::Activate { policy, for_s }),
                Step::Extend { pick, by_s } => chosen(pick).map(|session| Ask::Extend { session, by_s }),
                Step::End { pick } => chosen(pick).map(|session| Ask::End { session }),
                Step::Password { pick } => chosen(pick).map(|session| Ask::Password { session }),
                Step::Look => Some(Ask::Look),
            };
            if let Some(ask) = ask {
                let told = self.carries_out(ask, &manner).await?;
                self.remember(&told);
                self.told.push(told);
            }
        }
    }

    /// Asks until there is a word that counts.
    async fn carries_out(&mut self, ask: Ask, manner: &Manner) -> Result<Told> {
        self.asked += 1;
        let key = format!("team-{}-{}", self.number, self.asked);
        let mut told = Told { technician: self.number, key, ask, attempts: Vec::new() };
        let (mut again, mut limit) = (manner.again, manner.hurry_ms.map_or(LIMIT, Duration::from_millis));
        for turn in 0.. {
            let pick = manner.brokers.get(turn % manner.brokers.len()).context("no broker")?;
            let attempt = self.attempt(&told, pick.index(self.relay.brokers()), limit).await?;
            limit = LIMIT;
            let settled = attempt.is_settled();
            let signed_out = attempt.refused() == Some("sign_in_needed");
            told.attempts.push(attempt);
            if signed_out {
                self.signs_in().await?;
            } else if settled && !std::mem::take(&mut again) {
                break;
            }
            if Instant::now() >= self.day.closed {
                break;
            }
            if !settled {
                tokio::time::sleep(Duration::from_millis(200 + 200 * turn.min(9) as u64)).await;
            }
        }
        Ok(told)
    }

    async fn attempt(&self, told: &Told, broker: usize, limit: Duration) -> Result<Attempt> {
        let session = |id: &str, what: &str| format!("/v1/sessions/{id}/{what}");
        let (method, path, body) = match &told.ask {
            Ask::Activate { policy, for_s } => {
                let policy = POLICIES.get(*policy).context("no such policy")?.id;
                let wish = json!({
                    "customer": CUSTOMER, "policy": policy, "duration_s": for_s, "reason": "#4711 A day's work",
                });
                ("POST", "/v1/sessions".to_owned(), wish)
            }
            Ask::Extend { session: id, by_s } => ("POST", session(id, "extend"), json!({"by_s": by_s})),
            Ask::End { session: id } => ("POST", session(id, "end"), Value::Null),
            Ask::Password { session: id } => ("POST", session(id, "password"), json!({"renew": true})),
            Ask::Look => ("GET", "/v1/sessions?open=true".to_owned(), Value::Null),
        };
        let key = (told.ask != Ask::Look).then_some(told.key.as_str());
        let asked = SystemTime::now();
        let mut heard = self.relay.ask(broker, method, &path, key, &body, limit).await?;
        if let (Ask::Password { .. }, Heard::Answer(200..300, said)) = (&told.ask, &mut heard) {
            // Nothing here needs it.
            if said.get("password").and_then(Value::as_str).is_none_or(str::is_empty) {
                bail!("a password was granted and is not there: {said}");
            }
            *said = Value::Null;
        }
        Ok(Attempt { broker, hurried: limit < LIMIT, asked, answered: SystemTime::now(), heard })
    }

    fn remember(&mut self, told: &Told) {
        let Some(session) = told.attempts.iter().rev().find_map(Attempt::granted) else { return };
        let end = session.get("expires_at").and_then(Value::as_str).and_then(|text| {
            let end: chrono::DateTime<chrono::Utc> = text.parse().ok()?;
            Some(SystemTime::from(end))
        });
        let Some(end) = end else { return };
        match &told.ask {
            Ask::Activate { .. } => self.open.extend(told.session().map(|id| (id.to_owned(), end))),
            Ask::Extend { session, .. } => {
                for (id, until) in &mut self.open {
                    if id == session {
                        *until = end;
                    }
                }
            }
            Ask::End { session } => self.open.retain(|(id, _)| id != session),
            Ask::Password { .. } | Ask::Look => {}
        }
    }
}
