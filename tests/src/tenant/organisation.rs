//! One tenant from the inside: its state, what it shows of it, its clock and the ways in which it is told to misbehave.

use super::answer::{Answer, not_found};
use super::state::{Held, State, User};
use chrono::{DateTime, Duration, Utc};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration as Time, Instant, SystemTime};

/// A failure that is waiting for its request.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// What the path contains.
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) code: String,
}

/// What a test has told it to do.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// No licence for rights that end by themselves.
    pub(super) no_pim: bool,
    /// The next so many requests are too many, with this in `Retry-After`.
    pub(super) throttle: Option<(u32, Option<String>)>,
    pub(super) failures: Vec<Failure>,
    /// The next so many sign-ins are too many, with this in `Retry-After`.
    pub(super) busy_login: Option<(u32, Option<String>)>,
    /// The next so many writes are shown only after a time.
    pub(super) lag: Option<(u32, Time)>,
    /// Counts down to the request whose answer is lost.
    pub(super) lose: Option<u32>,
    /// How long each answer takes.
    pub(super) delay: Time,
    /// How long PIM works on a request.
    pub(super) provisioning: Duration,
    pub(super) page_size: Option<usize>,
    /// Where links to next pages lead instead.
    pub(super) foreign_links: Option<String>,
    /// The app holds no directory role: it may not touch administrators.
    pub(super) no_app_role: bool,
    /// No pass for an account that is disabled.
    pub(super) no_pass_while_disabled: bool,
    /// 401 with a challenge for every token that was issued without it.
    pub(super) challenge: Option<String>,
    /// Who sits at the browser; `None`: somebody who cancels.
    pub(super) person: Option<String>,
    /// How long the app's tokens are good, where it is not an hour.
    pub(super) token_lasts_s: Option<i64>,
    /// A refresh token is not enough: the person has to come.
    pub(super) interaction: bool,
    /// People hold no directory role besides what they activate: they may do and see what is their own alone.
    pub(super) people_are_nobody: bool,
    /// How long PIM takes to let go of an activation that was given back.
    pub(super) lets_go: Duration,
    /// What was given back, by whom, and until when PIM holds on to it.
    pub(super) given_back: Vec<(String, Held, DateTime<Utc>)>,
}

/// A registered certificate or secret of the app.
#[derive(Debug, Default)]
pub(super) struct Registered {
    /// SHA-256 of the certificates, base64url, with the public keys (PKCS#1).
    pub(super) certificates: Vec<(String, Vec<u8>)>,
    pub(super) secret: String,
    pub(super) secret_is_over: bool,
}

/// A tenant.
#[derive(Debug)]
pub(super) struct Organisation {
    pub(super) id: String,
    pub(super) name: String,
    /// Verified.
    pub(super) domain: String,
    pub(super) client: String,
    /// The client that people sign in to.
    pub(super) public_client: String,
    /// The place of the tenant whose people reach this one by their own sign-in.
    pub(super) partner: Option<usize>,
    pub(super) registered: Registered,
    /// Application permissions with consent.
    pub(super) consents: BTreeSet<String>,
    /// Delegated permissions with consent.
    pub(super) delegated: BTreeSet<String>,
    pub(super) state: State,
    pub(super) told: Told,
    /// States that are still shown, until when.
    earlier: VecDeque<(Instant, State)>,
    /// How far its clock is ahead.
    ahead: Duration,
}

impl Organisation {
    pub(super) fn new(id: String, name: &str, client: String, state: State) -> Self {
        Self {
            id,
            name: name.to_owned(),
            domain: format!("{name}.onmicrosoft.com"),
            client,
            public_client: super::random_id(),
            partner: None,
            registered: Registered::default(),
            consents: BTreeSet::new(),
            delegated: BTreeSet::new(),
            state,
            told: Told::default(),
            earlier: VecDeque::new(),
            ahead: Duration::zero(),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now()) + self.ahead
    }

    pub(super) fn move_clock(&mut self, by: Duration) {
        self.ahead += by;
        let now = self.now();
        self.state.settle(now);
    }

    /// What readers are shown now.
    pub(super) fn shown(&mut self) -> State {
        let (now, instant) = (self.now(), Instant::now());
        self.state.settle(now);
        while self.earlier.front().is_some_and(|(until, _)| *until <= instant) {
            self.earlier.pop_front();
        }
        match self.earlier.front() {
            Some((_, state)) => {
                let mut state = state.clone();
                state.settle(now);
                state
            }
            None => self.state.clone(),
        }
    }

    /// Before a write: what readers go on to see, where it is to be shown later.
    pub(super) fn before_write(&mut self) -> Option<State> {
        self.told.lag.is_some().then(|| self.state.clone())
    }

    /// After a write that was done.
    pub(super) fn written(&mut self, before: Option<State>) {
        let (Some(before), Some((left, time))) = (before, self.told.lag) else { return };
        self.earlier.push_back((Instant::now() + time, before));
        self.told.lag = (left > 1).then(|| (left - 1, time));
    }

    /// All that was written is shown.
    pub(super) fn show_all(&mut self) {
        self.earlier.clear();
        self.told.lag = None;
    }

    /// A user that is shown, as who refers to one needs it: a new one may not be there yet.
    pub(super) fn shown_user(&self, shown: &State, key: &str) -> Result<User, Answer> {
        let id = shown.user(key).map(|user| user.id.clone()).ok_or_else(|| not_found(key))?;
        // Gone, though it is still shown.
        self.state.user(&id).cloned().ok_or_else(|| not_found(key))
    }

    /// Whether there is such a principal: a user or a group.
    pub(super) fn has_principal(&self, shown: &State, id: &str) -> bool {
        self.shown_user(shown, id).is_ok_and(|user| user.id == id)
            || self.state.groups.iter().any(|group| group.id == id)
    }

    /// Whether PIM does not know yet that somebody gave this back.
    pub(super) fn holds_on(&self, principal: &str, held: &Held) -> bool {
        let now = self.now();
        self.told.given_back.iter().any(|(who, what, until)| who == principal && what == held && now < *until)
    }

    /// Whether there is something to be held.
    pub(super) fn has(&self, held: &Held) -> bool {
        match held {
            Held::Role { id, .. } => self.state.roles.iter().any(|role| role.id == *id),
            Held::Group { id, .. } => self.state.groups.iter().any(|group| group.id == *id),
        }
    }
}
