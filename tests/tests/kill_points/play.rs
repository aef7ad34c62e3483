//! One case in the playing: an installation with a technician of its own, something that was there before, and the one request,
//! end or start that meets the fault. What has to hold then is in `checks.rs`.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::http::Response;
use ticketgate_tests::ldap::{Account, View};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::proxy::{Proxy, Weather};
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::witness::{Clocks, Ledger, Session, parts_stand_together};

use crate::Fault;
use crate::stories::{HOUR, Heard, LONGER_BY, LONGEST, Mode, SHORT, Story};

const LDAPS: u16 = 636;
/// A policy that cannot be granted whole.
const HALF: &str = "acme-half";
/// A policy of the same mode with another right.
const OTHER: &str = "acme-other";
/// Those that grant in two directories.
const TWO: &str = "acme-two-tier1";
const TWO_HALF: &str = "acme-two-half";
const TWO_OTHERS: &str = "acme-two-others";
/// The directories.
pub(crate) const FIRST: &str = "acme-ad";
pub(crate) const SECOND: &str = "acme-two";
/// After so long without a change nothing is to come.
const COMES_BY: Duration = Duration::from_millis(400);
/// How far the clock is set back.
const BACK: Duration = Duration::from_secs(100);

/// One case in the playing.
pub(crate) struct Play<'a> {
    pub(crate) ad: &'a SambaAd,
    /// The other directory, where a session is in two.
    pub(crate) second: Option<&'a SambaAd>,
    pub(crate) product: Product,
    pub(crate) mode: Mode,
    pub(crate) story: Story,
    pub(crate) technician: String,
    /// The technician's own account as it was before everything, where sessions use it.
    pub(crate) person: Option<Account>,
    /// The sessions that were there before, the oldest first.
    pub(crate) before: Vec<Session>,
    /// The password of the last of them, where it has one of ours.
    pub(crate) password: Option<String>,
    /// The fault that was met, until somebody asks again.
    pub(crate) met: Option<Fault>,
    /// Activations that the audit log says were granted.
    pub(crate) granted: usize,
    /// What is between broker and directory, where that fails.
    way: Option<Proxy>,
    key: String,
    /// How far the broker's clock is ahead of the true time.
    ahead: Duration,
}

impl<'a> Play<'a> {
    /// An installation for a technician of this name, who has an account of that name.
    pub(crate) fn new(
        [ad, second]: [&'a SambaAd; 2],
        look: &mut View,
        mode: Mode,
        story: Story,
        technician: &str,
    ) -> Result<Self> {
        let quoted = json!(technician).to_string();
        let gone = format!("CN=Zz Gone,OU=Rights,{}", ad.base());
        let policy = |id, rights| Policy { id, name: id, mode: mode.word(), rights, ..Policy::default() };
        let other = ad.group(if mode == Mode::Membership { "tier1" } else { "helpdesk" });
        let a_minute = if story == Story::Flood { 1 } else { 1000 };
        let mut configuration = Configuration::standard(ad)
            .policy(&policy(HALF, vec![ad.group("tier1").to_owned(), gone]))
            .policy(&policy(OTHER, vec![other.to_owned()]))
            .replace("\"tech1\"", &quoted)?
            .broker(&format!("administrators = [{quoted}]"))
            .broker(&format!("rate = {{ per_minute = {a_minute}, per_hour = 1000, per_day = 1000 }}"));
        if mode == Mode::Several {
            configuration = configuration.directory(SECOND, "acme", second);
            let gone = format!("CN=Zz Gone,OU=Rights,{}", second.base());
            for (id, rights) in [
                (TWO, [ad.group("tier1"), second.group("helpdesk")]),
                (TWO_OTHERS, [ad.group("helpdesk"), second.group("tier1")]),
                (TWO_HALF, [ad.group("tier1"), gone.as_str()]),
            ] {
                let [first, other] = rights;
                configuration = configuration.with(&format!(
                    "[[policy]]\nid = {id:?}\nname = {id:?}\ngrant = [{{ directory = {FIRST:?}, rights = [{first:?}] }}, \
                     {{ directory = {SECOND:?}, rights = [{other:?}] }}]\n\
                     duration = {{ default = \"1h\", max = \"4h\" }}\neligible = {{ groups = [\"tier2\"] }}\n"
                ));
            }
        }
        let mut way = None;
        if story == Story::Outage {
            let proxy = Proxy::start(SocketAddr::from((ad.address(), LDAPS)))?;
            configuration = configuration.replace(&ad.url(), &format!("ldaps://{}", proxy.address()))?;
            way = Some(proxy);
        }
        let mut person = None;
        if mode == Mode::Membership {
            let (_, unit) = ad.person("tech1").split_once(',').context("no people")?;
            let dn = format!("CN={technician},{unit}");
            let made = look.create(&dn, technician, ad.password("tech1")?, SystemTime::now() + 24 * HOUR)?;
            ensure!(made == 0, "no person {dn}: {made}");
            person = look.account(technician)?;
        }
        Ok(Self {
            ad,
            second: (mode == Mode::Several).then_some(second),
            product: Product::install(&configuration)?,
            mode,
            story,
            technician: technician.to_owned(),
            person,
            before: Vec::new(),
            password: None,
            met: None,
            granted: 0,
            way,
            key: new_key(),
            ahead: Duration::ZERO,
        })
    }

    /// Brings everything to where the story begins; the broker that goes on from there meets `fault`. Answers how many
    /// points belong to what was before.
    pub(crate) fn begin(&mut self, look: &mut View, fault: &str) -> Result<usize> {
        match self.story {
            Story::Recovery => {
                // An activation whose broker died when half of it was done; of two parts, when one was.
                let half = if self.mode == Mode::Several {
                    "ledger.session_active#2:before"
                } else {
                    "directory.grant:after"
                };
                self.product.start_broker_meeting(half)?;
                ensure!(self.ask().is_err(), "somebody answered");
                self.product.wait_for_broker_to_end()?;
            }
            Story::Restart => {
                self.product.start_broker()?;
                self.has_session(self.policy(), HOUR)?;
                self.remembers()?;
                self.product.kill_broker()?;
            }
            _ => return self.begin_with_one_broker(look, fault),
        }
        self.before = self.sessions()?;
        Ok(0)
    }

    fn begin_with_one_broker(&mut self, look: &mut View, fault: &str) -> Result<usize> {
        self.product.start_broker_noting_points(fault)?;
        // The last that a broker does at its start, each in a task of its own.
        for point in ["ledger.checkpoint", "directory.list"] {
            self.product.broker_reaches(point)?;
        }
        match self.story {
            Story::Activation | Story::Failure | Story::Refusal | Story::SetBack => {}
            Story::Flood => drop(self.ask()?),
            Story::Again => {
                let id = self.has_session(self.policy(), HOUR)?;
                let path = format!("/v1/sessions/{id}/end");
                let ended = self.product.api("POST", &path, Some(&new_key()), &json!({}))?.json()?;
                ensure!(ended["state"] == "ended", "not ended: {ended}");
            }
            Story::Expiry => drop(self.has_session(self.policy(), SHORT)?),
            Story::EndOfOne => {
                self.has_session(self.policy(), HOUR)?;
                self.has_session(self.other(), LONGEST)?;
            }
            Story::Meddling => {
                self.has_session(self.policy(), HOUR)?;
                self.meddle(look)?;
            }
            _ => drop(self.has_session(self.policy(), HOUR)?),
        }
        self.remembers()?;
        Ok(self.product.points().len())
    }

    /// What there is before the story, and the password that the technician works with.
    fn remembers(&mut self) -> Result<()> {
        self.before = self.sessions()?;
        let last = self.before.last().filter(|session| session.state == "active");
        if let Some(session) = last.filter(|_| self.mode != Mode::Membership) {
            let path = format!("/v1/sessions/{}/password", session.id);
            let which = json!({"directory": session.directory});
            let over = self.product.api("POST", &path, Some(&new_key()), &which)?.json()?;
            let password = over["password"].as_str().with_context(|| format!("no password: {over}"))?;
            self.password = Some(password.to_owned());
        }
        Ok(())
    }

    fn has_session(&self, policy: &str, length: Duration) -> Result<String> {
        let mut wish = wish(policy);
        wish["duration_s"] = json!(length.as_secs());
        self.product.granted(&wish)
    }

    /// What somebody else does to the account of the session: hides its right, or takes it from a person.
    fn meddle(&self, look: &mut View) -> Result<()> {
        let session = self.ledger()?.sessions()?.pop().context("no session")?;
        let (account, right) = (
            look.account(&session.account)?.context("no account")?,
            session.rights.first().context("no right")?,
        );
        let done = match self.mode {
            Mode::Membership => look.remove_member(right, &account.dn)?,
            Mode::Dedicated | Mode::Burner | Mode::Several => look.set_primary_group(&account.dn, right)?,
        };
        ensure!(done == 0, "not changed by hand: {done}");
        Ok(())
    }

    /// The story itself. Answers what the person heard who asked for it.
    pub(crate) fn act(&mut self, fault: &str) -> Result<Heard> {
        match self.story {
            // Whatever a start meets, there is a broker afterwards that takes away what is over, or one that was killed.
            Story::Recovery | Story::Restart => self.product.start_broker_noting_points(fault)?,
            Story::Expiry => {
                self.ahead = SHORT + Duration::from_secs(1);
                let ahead = u32::try_from(self.ahead.as_secs())?;
                self.product.move_clocks(ahead.into(), ahead)?;
            }
            Story::SetBack => {
                self.product.move_clocks(-i64::try_from(BACK.as_secs())?, 0)?;
                let _ = self.ask();
            }
            Story::Meddling | Story::Check => drop(self.ask()),
            _ => {
                self.weather(Weather::Refusing)?;
                let answer = self.ask();
                self.weather(Weather::Fair)?;
                return answer.map_or(Ok(Heard::Nothing), |answer| heard(&answer));
            }
        }
        Ok(Heard::Nothing)
    }

    fn weather(&self, weather: Weather) -> Result<()> {
        self.way.as_ref().map_or(Ok(()), |way| way.set(weather))
    }

    /// Sends the story's request, always under the same key.
    fn ask(&self) -> Result<Response> {
        let of_session = |what: &str| {
            let id = &self.before.last().context("no session")?.id;
            Ok::<_, anyhow::Error>(format!("/v1/sessions/{id}/{what}"))
        };
        let (path, body) = match self.story {
            Story::Activation | Story::Again | Story::Recovery => {
                ("/v1/sessions".to_owned(), wish(self.policy()))
            }
            Story::Overlap => {
                let mut other = wish(self.other());
                other["duration_s"] = json!(LONGEST.as_secs());
                ("/v1/sessions".to_owned(), other)
            }
            Story::Refusal | Story::Flood => {
                let mut nothing = wish(self.policy());
                nothing["duration_s"] = json!(0);
                ("/v1/sessions".to_owned(), nothing)
            }
            Story::Failure if self.mode == Mode::Several => ("/v1/sessions".to_owned(), wish(TWO_HALF)),
            Story::Failure => ("/v1/sessions".to_owned(), wish(HALF)),
            Story::Renewal => (of_session("password")?, json!({"renew": true})),
            Story::Extension | Story::Outage => (of_session("extend")?, json!({"by_s": LONGER_BY.as_secs()})),
            Story::End | Story::EndOfOne => (of_session("end")?, json!({})),
            Story::Meddling | Story::SetBack => ("/v1/sweep".to_owned(), Value::Null),
            Story::Check => return self.product.api("POST", "/v1/check", None, &Value::Null),
            Story::Expiry | Story::Restart => bail!("nobody asks for it"),
        };
        self.product.api("POST", &path, Some(&self.key), &body)
    }

    pub(crate) const fn policy(&self) -> &'static str {
        match self.mode {
            Mode::Dedicated => "acme-server-admin",
            Mode::Burner => "acme-burner",
            Mode::Membership => "acme-member",
            Mode::Several => TWO,
        }
    }

    const fn other(&self) -> &'static str {
        if matches!(self.mode, Mode::Several) { TWO_OTHERS } else { OTHER }
    }

    /// The sessions in the ledger: of one in two directories the part that names it. That the other is like it is checked beside.
    pub(crate) fn sessions(&self) -> Result<Vec<Session>> {
        let mut rows = self.ledger()?.sessions()?;
        rows.retain(|row| row.id == row.of());
        Ok(rows)
    }

    /// Waits until the broker has met the fault; where that kills it, until it is dead. Accounts of one session are worked on side by
    /// side, so a broker may come by without meeting the last of its points: `false`.
    pub(crate) fn fault_is_met(&mut self, fault: &Fault) -> Result<bool> {
        let met =
            || self.product.points().iter().filter(|point| **point == fault.point).count() >= fault.passage;
        let (ledger, mut since) = (self.ledger()?, None);
        let said = until("the broker to meet the fault", LIMIT, || {
            if self.mode != Mode::Several || !self.is_still(&ledger)? {
                since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() > COMES_BY {
                return Ok(true);
            }
            Ok(met())
        });
        said.with_context(|| format!("it passed {:?}", self.product.points()))?;
        if !met() {
            return Ok(false);
        }
        if fault.is_deadly() {
            self.product.wait_for_broker_to_end()?;
        }
        self.met = Some(fault.clone());
        Ok(true)
    }

    /// What the broker that met a fault has to bring about itself. What a sweep found, and could not put right, is the next
    /// sweep's.
    pub(crate) fn settles_on_its_own(&self) -> Result<()> {
        self.settles()?;
        if self.story == Story::Meddling { self.sweep() } else { Ok(()) }
    }

    pub(crate) fn is_killed(&mut self) -> Result<()> {
        ensure!(self.product.broker_runs()?, "a fault that is none ended the broker");
        self.product.kill_broker()
    }

    /// The next broker, once it has taken up what was left and has compared directory and ledger, as at every start.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.product.start_broker()?;
        self.settles()?;
        self.sweep()
    }

    fn sweep(&self) -> Result<()> {
        let swept = self.product.api("POST", "/v1/sweep", None, &Value::Null)?;
        ensure!(swept.status == 200, "no sweep: {}", swept.text());
        self.settles()
    }

    pub(crate) fn settles(&self) -> Result<()> {
        let ledger = self.ledger()?;
        until("everything to be settled", LIMIT, || self.is_still(&ledger))
    }

    /// Whether nothing is under way, and nothing overdue.
    fn is_still(&self, ledger: &Ledger) -> Result<bool> {
        let rows = ledger.sessions()?;
        parts_stand_together(&rows)?;
        let expires = self.story == Story::Expiry && rows.iter().any(|one| one.state == "active");
        Ok(!expires && ledger.is_settled()?)
    }

    /// The person, who heard nothing, asks again: the same key, so the same result.
    pub(crate) fn asks_again(&mut self) -> Result<Heard> {
        if !self.story.is_asked_for() {
            return Ok(Heard::Nothing);
        }
        self.met = None;
        let answer = self.ask()?;
        self.settles()?;
        heard(&answer)
    }

    pub(crate) fn clocks(&self) -> Clocks {
        let now = SystemTime::now();
        Clocks { broker: now + self.ahead, directory: now }
    }

    pub(crate) fn points(&self) -> Vec<String> {
        self.product.points()
    }

    pub(crate) fn log(&self) -> String {
        self.product.broker_log()
    }

    pub(crate) fn ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.product.state())
    }
}

fn heard(answer: &Response) -> Result<Heard> {
    Ok(if (200..300).contains(&answer.status) { Heard::Granted(answer.json()?) } else { Heard::Refused })
}
