//! The database's clock, which all brokers go by.

use chrono::{DateTime, Utc};

use super::*;
use crate::broker::clock::{AnchoredClock, Reading, System, SystemTime};

/// A machine whose wall clock is wrong by so many seconds.
struct Wrong(i64);

#[async_trait::async_trait]
impl SystemTime for Wrong {
    fn read(&self) -> Reading {
        let Reading { wall, boot } = System.read();
        Reading { wall: wall + TimeDelta::seconds(self.0), boot }
    }

    async fn wait(&self, time: Duration) {
        System.wait(time).await;
    }
}

impl Many {
    async fn broker_wrong_by(&self, seconds: i64) -> Member {
        let clock = async |ledger| {
            Arc::new(AnchoredClock::new(ledger, Wrong(seconds)).await.unwrap()) as Arc<dyn Clock>
        };
        self.broker_by(clock).await
    }

    /// The directory's clock is right, too.
    fn in_our_time(&self) {
        self.clock.pass((Utc::now() - self.clock.now()).num_seconds());
    }
}

fn apart(one: DateTime<Utc>, other: DateTime<Utc>) -> i64 {
    (one - other).num_milliseconds().abs()
}

#[tokio::test]
async fn a_broker_whose_wall_clock_is_wrong_goes_by_the_databases() {
    let many = Many::new(configuration()).await;
    many.in_our_time();
    let (right, slow, fast) =
        (many.broker_wrong_by(0).await, many.broker_wrong_by(-600).await, many.broker_wrong_by(600).await);
    let now = many.ledger.shared().unwrap().time().await.unwrap();
    for member in [&right, &slow, &fast] {
        assert!(apart(member.broker.clock().now(), now) < 1_000);
        assert_eq!(member.broker.clock().notice(), None);
    }
    fast.run();
    let session = slow.activate("domain", "k1").await;
    assert!(apart(session.expires_at, now + TimeDelta::hours(1)) < 3_000);
    fast.broker.sweep().await.unwrap();
    assert_eq!(right.session(&session).await.state, State::Active);
    assert_eq!(right.end(&session, "k2").await.state, State::Ended);
}

#[tokio::test]
async fn a_database_whose_clock_jumps_is_told_and_lengthens_no_session() {
    let many = Many::new(configuration()).await;
    many.in_our_time();
    let (a, b) = (many.broker_wrong_by(0).await, many.broker_wrong_by(0).await);
    let session = a.activate("domain", "k1").await;
    let told = |member: &Member, word: &str| {
        let notices = member.broker.notices(&member.broker.settings());
        notices.iter().any(|notice| notice.text.contains(word) && notice.text.contains("database"))
    };
    // Two minutes forward: everybody follows.
    let before = a.broker.clock().now();
    many.clock_set.store(120, std::sync::atomic::Ordering::SeqCst);
    for member in [&a, &b] {
        member.broker.clock().compare().await;
        let forward = (member.broker.clock().now() - before).num_seconds();
        assert!((119..125).contains(&forward), "{forward}");
        assert!(told(member, "forward"));
    }
    // And back, while a session is open: nobody does, nor does one that starts now.
    let key = IdempotencyKey::new("k2").unwrap();
    let longer = b.broker.extend(&b.caller("tech1"), &key, &session.id, 600).await.unwrap();
    assert_eq!(longer.expires_at, session.expires_at + TimeDelta::minutes(10));
    many.clock_set.store(0, std::sync::atomic::Ordering::SeqCst);
    let c = many.broker_wrong_by(0).await;
    for member in [&a, &b] {
        member.broker.clock().compare().await;
    }
    for member in [&a, &b, &c] {
        assert!(apart(member.broker.clock().now(), a.broker.clock().now()) < 2_500);
        assert!(told(member, "back"));
    }
    // Once nothing is open all are right again.
    assert_eq!(c.end(&session, "k3").await.state, State::Ended);
    for member in [&a, &b, &c] {
        member.broker.sweep().await.unwrap();
        member.broker.clock().compare().await;
        member.broker.sweep().await.unwrap();
    }
    let now = many.ledger.shared().unwrap().time().await.unwrap();
    for member in [&a, &b, &c] {
        assert!(apart(member.broker.clock().now(), now) < 3_000, "{}", member.broker.clock().now() - now);
        assert!(!told(member, "back"));
    }
}
