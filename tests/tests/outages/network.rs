//! The way to the directory refuses, carries nothing, is slow, or breaks in the middle of an answer.

use super::{POLICIES, REASON, nothing_is_held, refusal, through};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::Product;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::proxy::{Proxy, Weather};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::witness::{self, Clocks, Ledger};
use ticketgate_tests::{Outcome, Result};

struct Lab {
    product: Product,
    proxy: Proxy,
    ad: SambaAd,
    passed: u32,
}

impl Lab {
    fn open() -> Result<Self> {
        let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
        let proxy = Proxy::start(SocketAddr::from((ad.address(), 636)))?;
        let product = Product::start(&through(&ad, &format!("ldaps://{}", proxy.address()))?)?;
        Ok(Self { product, proxy, ad, passed: 0 })
    }

    /// Time passes on every clock.
    fn pass(&mut self, seconds: u32) -> Result<()> {
        self.passed += seconds;
        self.ad.move_clock(&format!("+{}s", self.passed))?;
        self.product.move_clocks(self.passed.into(), self.passed)
    }

    /// Fair weather, and the next attempt is due.
    fn recovers(&mut self) -> Result<()> {
        self.proxy.set(Weather::Fair)?;
        self.pass(3)
    }

    /// Whether a session that the API shows as active is one: its account has its end and its rights, and lets the technician in.
    fn is_whole(&self, session: &Value) -> Result<()> {
        let ledger = Ledger::open(&self.product.state())?;
        let rows = ledger.sessions()?;
        let row =
            rows.iter().find(|row| session["id"] == row.id.as_str()).context("it is not in the ledger")?;
        let ahead = Duration::from_secs(self.passed.into());
        let now = SystemTime::now() + ahead;
        let clocks = Clocks { broker: now, directory: now };
        let mut look = self.ad.look()?;
        if session["mode"] == "membership" {
            let person = look.account(&row.technician)?.context("the person is gone")?;
            return witness::a_person_holds_what_is_live(&person, &[row]);
        }
        let accounts = witness::jit_accounts(&mut look, &self.ad, &row.technician)?;
        witness::accounts_hold_what_is_live(&accounts, &[row], &clocks)?;
        let over = self.product.cli_json(&["password", &row.id])?;
        let bind = self.ad.bind(&row.account, over["password"].as_str().context("no password")?)?;
        ensure!(bind.accepted(), "nobody can log on with it: {bind:?}");
        Ok(())
    }

    fn nothing_stays(&self, case: &str) -> Result<()> {
        until(&format!("{case}: nothing to be left"), LIMIT, || {
            let done = self
                .product
                .sessions()?
                .iter()
                .all(|one| one["state"] == "failed" || one["state"] == "ended");
            Ok(done && nothing_is_held(&self.ad)?)
        })
    }
}

/// Weather in which nothing can be done.
fn bad_weather() -> Vec<Weather> {
    let cuts = [0, 1, 7, 40, 150, 300].map(Weather::CutAfter);
    let slow = Weather::Slow(Duration::from_millis(1200));
    [Weather::Refusing, Weather::Silent, slow].into_iter().chain(cuts).collect()
}

#[test]
fn an_activation_on_a_way_that_fails_is_a_clear_error_and_nothing_half_done() -> Outcome {
    let mut lab = Lab::open()?;
    for policy in POLICIES {
        for weather in bad_weather() {
            let case = format!("{policy}, {weather:?}");
            lab.proxy.set(weather)?;
            assert_eq!(refusal(&lab.product, policy)?.as_deref(), Some("directory_down"), "{case}");
            lab.recovers()?;
            lab.nothing_stays(&case)?;
        }
        assert_eq!(refusal(&lab.product, policy)?, None, "{policy} works again");
        let open = lab.product.sessions()?.remove(0);
        lab.product.cli_json(&["end", open["id"].as_str().expect("an id")])?;
    }
    Ok(())
}

#[test]
fn an_answer_that_is_cut_anywhere_leaves_nothing_or_a_whole_session() -> Outcome {
    let mut lab = Lab::open()?;
    let (mut granted, mut refused) = (0, 0);
    for policy in POLICIES {
        for bytes in (0..12).map(|step| 400 + step * 730) {
            lab.proxy.set(Weather::CutAfter(bytes))?;
            let refusal = refusal(&lab.product, policy)?;
            lab.recovers()?;
            match refusal.as_deref() {
                None => {
                    granted += 1;
                    let open = lab.product.sessions()?.remove(0);
                    assert_eq!(open["state"], "active", "{policy}, cut after {bytes}: {open}");
                    lab.is_whole(&open).with_context(|| format!("{policy}, cut after {bytes}"))?;
                    lab.product.cli_json(&["end", open["id"].as_str().expect("an id")])?;
                }
                Some("directory_down") => refused += 1,
                other => panic!("{policy}, cut after {bytes}: {other:?}"),
            }
            lab.nothing_stays(&format!("{policy}, cut after {bytes}"))?;
        }
    }
    assert!(granted > 0 && refused > 0, "{granted} granted, {refused} refused: cut at other places");
    Ok(())
}

#[test]
fn a_way_that_is_slow_is_waited_for() -> Outcome {
    let lab = Lab::open()?;
    lab.proxy.set(Weather::Slow(Duration::from_millis(100)))?;
    for policy in POLICIES {
        let session = lab.product.cli_json(&[&["activate", policy], REASON.as_slice()].concat())?;
        assert_eq!(session["state"], "active", "{session}");
        lab.product.cli_json(&["end", session["id"].as_str().expect("an id")])?;
    }
    assert!(nothing_is_held(&lab.ad)?);
    Ok(())
}

#[test]
fn an_end_on_a_way_that_fails_is_ending_until_it_is_done() -> Outcome {
    let mut lab = Lab::open()?;
    for policy in POLICIES {
        for weather in bad_weather() {
            let case = format!("{policy}, {weather:?}");
            let id = lab.product.granted(&wish(policy))?;
            lab.proxy.set(weather)?;
            let said = lab.product.cli(&["--json", "end", &id])?;
            let ending = said.json()?;
            assert_eq!((said.code, &ending["state"]), (Some(1), &json!("ending")), "{case}: {ending}");
            assert_eq!(ending["trouble"]["problem"]["code"], "directory_down", "{case}: {ending}");
            lab.recovers()?;
            lab.product.session_becomes(&id, "ended")?;
            assert!(nothing_is_held(&lab.ad)?, "{case}");
        }
    }
    Ok(())
}

#[test]
fn a_directory_that_is_away_for_longer_than_the_session_stops_it_by_itself() -> Outcome {
    let mut lab = Lab::open()?;
    let session =
        lab.product.activate("acme-server-admin", &[REASON.as_slice(), &["--for", "30m"]].concat())?;
    assert!(lab.ad.bind(session.name(), &session.password)?.accepted());
    lab.proxy.set(Weather::Refusing)?;
    lab.pass(1900)?;
    let ending = lab.product.session_becomes(&session.id, "ending")?;
    assert_eq!(ending["end_cause"], "expired", "{ending}");
    let refused = lab.ad.bind(session.name(), &session.password)?;
    assert!(refused.refused_with("701"), "the directory's own end, without the broker: {refused:?}");
    until("the trouble to be shown", LIMIT, || {
        let shown = lab.product.session(&session.id)?;
        Ok(shown["trouble"]["problem"]["code"] == "directory_down")
    })?;
    assert!(lab.product.cli(&["status"])?.stdout.contains("ENDING"));
    lab.pass(7200)?;
    assert_eq!(lab.product.session(&session.id)?["state"], "ending", "for as long as it takes");
    lab.proxy.set(Weather::Fair)?;
    lab.pass(400)?;
    lab.product.session_becomes(&session.id, "ended")?;
    assert!(nothing_is_held(&lab.ad)?);
    Ok(())
}
