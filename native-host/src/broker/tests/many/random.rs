//! Whatever happens to three brokers, in whatever order: in the end no right is there without a session, no session is forgotten, and
//! each was said to be granted at most once and to be over exactly once. `TICKETGATE_SEED` plays one history again, as far as time
//! allows.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::*;

const STEPS: [&str; 6] = [
    "directory.create",
    "directory.grant",
    "directory.open",
    "directory.close",
    "directory.revoke",
    "directory.rotate",
];

const POLICIES: [&str; 4] = ["domain", "servers", "burner", "own"];

/// How many things happen.
const HAPPENINGS: u32 = 200;

fn unlimited() -> String {
    let rate = "rate = { per_minute = 600, per_hour = 1000, per_day = 1000 }\nsessions_at_once = 100";
    configuration().replace("rate = { per_minute = 20 }", rate)
}

/// SplitMix64: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(below).unwrap()).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next(all.len())]
    }
}

/// What is to be undone, and when.
enum Later {
    Wake,
    Connect,
}

struct Play {
    many: Many,
    members: Vec<Member>,
    later: Vec<(Instant, usize, Later)>,
    /// What was asked of each.
    work: Vec<(usize, tokio::task::JoinHandle<()>)>,
    number: u32,
}

impl Play {
    async fn new() -> Self {
        let many = Many::new(unlimited()).await;
        many.directory.person("tech1", &["CN=Backup,DC=acme,DC=example"]);
        let mut members = Vec::new();
        for _ in 0..3 {
            members.push(many.broker().await);
        }
        members.iter().for_each(Member::run);
        Self { many, members, later: Vec::new(), work: Vec::new(), number: 0 }
    }

    /// What came for a while is over.
    fn undo(&mut self, all: bool) {
        let (over, later) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _, _)| all || *at <= Instant::now());
        self.later = later;
        for (_, at, what) in over {
            match what {
                Later::Wake => self.members[at].process.wake(),
                Later::Connect => self.members[at].process.cut_off(false),
            }
        }
    }

    async fn happen(&mut self, dice: &mut Dice) {
        self.number += 1;
        let at = dice.next(self.members.len());
        let soon =
            |dice: &mut Dice| Instant::now() + Duration::from_millis((1_000 + dice.next(9_000)) as u64);
        let (broker, caller) = (Arc::clone(&self.members[at].broker), self.members[at].caller("tech1"));
        let key = IdempotencyKey::new(format!("key-{}", self.number)).unwrap();
        match dice.next(20) {
            0..=6 => {
                let (policy, seconds) = (dice.of(&POLICIES), dice.of(&[600, 3600, 14_000]));
                let member = Member::of(&self.members[at]);
                let key = key.as_str().to_owned();
                let work = async move { drop(member.wish(policy, &key, seconds).await) };
                self.work.push((at, tokio::spawn(work)));
            }
            7..=10 => {
                let open = ticketgate_ledger::SessionFilter { open: true, ..Default::default() };
                let open = self.many.ledger.sessions(open).await.unwrap();
                if open.is_empty() {
                    return;
                }
                let id = open[dice.next(open.len())].of().clone();
                let extends = dice.next(3) == 0;
                let work = async move {
                    if extends {
                        drop(broker.extend(&caller, &key, &id, 600).await);
                    } else {
                        drop(broker.end(&caller, &key, &id).await);
                    }
                };
                self.work.push((at, tokio::spawn(work)));
            }
            11..=14 => {
                self.members[at].process.stop_in(dice.of(&STEPS));
                self.later.push((soon(dice), at, Later::Wake));
            }
            15 => {
                self.members[at].process.stop();
                self.later.push((soon(dice), at, Later::Wake));
            }
            16 => {
                self.members[at].process.cut_off(true);
                self.later.push((soon(dice), at, Later::Connect));
            }
            17 if self.number.is_multiple_of(4) => {
                self.members[at].die();
                self.later.retain(|(_, who, _)| *who != at);
                self.work.retain(|(who, _)| *who != at);
                let next = self.many.broker().await;
                next.run();
                self.members[at] = next;
            }
            _ => self.many.clock.pass(i64::try_from(dice.next(900)).unwrap()),
        }
        tokio::time::sleep(Duration::from_millis(dice.next(250) as u64)).await;
        self.undo(false);
    }

    async fn end(mut self) {
        self.undo(true);
        for member in &self.members {
            member.process.stops_nowhere();
        }
        for (_, work) in self.work.drain(..) {
            tokio::time::timeout(Duration::from_secs(60), work).await.expect("an answer").unwrap();
        }
        let many = &self.many;
        many.clock.pass(5 * 3600);
        let over = async || {
            let open = ticketgate_ledger::SessionFilter { open: true, ..Default::default() };
            many.ledger.sessions(open).await.unwrap().is_empty()
        };
        many.until("all to be over", over).await;
        many.settles().await;
        // What a broker that died sent last may have come after the look of the one that took over.
        self.members[0].broker.sweep().await.unwrap();
        many.settles().await;
        assert!(many.is_closed(), "{:?}", many.directory.accounts.lock().unwrap());
        let person = many.directory.account("tech1").unwrap();
        assert_eq!(person.rights, [Right("CN=Backup,DC=acme,DC=example".into())].into());
        assert!(person.enabled);
        self.check_records().await;
        println!("overtaken: {}", many.count("account.overtaken").await);
    }

    async fn check_records(&self) {
        let mut told: BTreeMap<(String, String), u32> = BTreeMap::new();
        let mut after = None;
        loop {
            let query = AuditQuery { after, limit: 1000, ..AuditQuery::default() };
            let records = self.many.ledger.audit(query).await.unwrap();
            let Some(last) = records.last() else { break };
            after = Some(last.position);
            for record in records {
                let Some(session) = record.details.get("session").and_then(|id| id.as_str()) else {
                    continue;
                };
                *told.entry((session.to_owned(), record.action)).or_default() += 1;
            }
        }
        let count = |id: &str, action: &str| {
            told.get(&(id.to_owned(), action.to_owned())).copied().unwrap_or_default()
        };
        let sessions = self.many.ledger.sessions(Default::default()).await.unwrap();
        assert!(sessions.len() > 10, "{}", sessions.len());
        for session in &sessions {
            let id = session.id.as_str();
            let granted = count(id, "activation.granted");
            let over = (count(id, "session.ended"), count(id, "activation.failed"));
            let expected = if session.state == State::Failed { (0, 1) } else { (1, 0) };
            assert_eq!((count(id, "activation.requested"), over), (1, expected), "{session:?}");
            assert_eq!(granted, u32::from(session.active_at.is_some()), "{session:?}");
        }
        let verdict = self.many.ledger.verify(None).await.unwrap();
        assert!(verdict.whole, "{verdict:?}");
    }
}

fn seed() -> u64 {
    let named = std::env::var("TICKETGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    named.unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_three_brokers_nothing_is_left_and_nothing_is_forgotten() {
    let seed = seed();
    println!("TICKETGATE_SEED={seed}");
    let begun = Instant::now();
    let mut dice = Dice(seed);
    let mut play = Play::new().await;
    for _ in 0..HAPPENINGS {
        play.happen(&mut dice).await;
    }
    println!("happened in {:?}", begun.elapsed());
    play.end().await;
    println!("over in {:?}", begun.elapsed());
}
