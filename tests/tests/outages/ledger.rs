//! The ledger's disk is full, or takes no writes any more, or another program holds the ledger: at an activation, at an
//! extension, at an end that is asked for, at one whose time has come. What cannot be recorded does not happen; what is over is
//! over all the same, since its end was recorded when it began.

use super::{POLICIES, REASON, nothing_is_held, refusal, through};
use anyhow::{Context, ensure};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use ticketgate_tests::disk::{SmallDisk, WriteProtected};
use ticketgate_tests::ldap::Account;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::Product;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::witness::Ledger;
use ticketgate_tests::{Outcome, Result};

/// As the broker waits for another program that holds its ledger.
const PATIENCE: Duration = Duration::from_secs(5);

struct Lab {
    /// Dropped first: a folder that something is mounted over stays.
    disk: Option<SmallDisk>,
    product: Product,
    ad: SambaAd,
    passed: u32,
}

impl Lab {
    /// With a small disk for the ledger where `small`; nothing where that cannot be had.
    fn open(small: bool) -> Result<Option<Self>> {
        let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
        let mut product = Product::install(&through(&ad, &ad.url())?)?;
        let disk = if small { SmallDisk::over(&product.state())? } else { None };
        if small && disk.is_none() {
            return Ok(None);
        }
        product.start_broker()?;
        Ok(Some(Self { disk, product, ad, passed: 0 }))
    }

    /// Time passes on every clock.
    fn pass(&mut self, seconds: u32) -> Result<()> {
        self.passed += seconds;
        self.ad.move_clock(&format!("+{}s", self.passed))?;
        self.product.move_clocks(self.passed.into(), self.passed)
    }

    fn ledger_files(&self) -> Vec<PathBuf> {
        ["ledger.sqlite", "ledger.sqlite-wal"].map(|name| self.product.state().join(name)).into()
    }

    /// Every account that sessions give something.
    fn accounts(&self) -> Result<Vec<Account>> {
        let mut look = self.ad.look()?;
        let mut accounts = look.accounts_below(self.ad.account_unit())?;
        accounts.extend(look.account("tech1")?);
        Ok(accounts)
    }

    /// What has to hold while `trouble` begins, lasts and ends, with requests about so many policies. `why` is what the broker
    /// makes of it.
    fn goes_through<T>(
        &mut self,
        why: &str,
        policies: usize,
        trouble: impl FnOnce(&Self) -> Result<Option<T>>,
        over: impl FnOnce(&Self, T) -> Result<()>,
    ) -> Outcome {
        let ids = POLICIES.map(|policy| {
            let mut half_an_hour = wish(policy);
            half_an_hour["duration_s"] = json!(1800);
            self.product.granted(&half_an_hour)
        });
        let ids = ids.into_iter().collect::<Result<Vec<_>>>()?;
        let shown = self.shown(&ids)?;
        let before = self.accounts()?;
        let Some(trouble) = trouble(self)? else { return not_looked_at() };
        for (policy, id) in POLICIES.iter().zip(&ids).take(policies) {
            assert_eq!(refusal(&self.product, policy)?.as_deref(), Some("ledger_down"), "{policy}");
            for asked in [["extend", id, "--by", "30m"].as_slice(), &["end", id]] {
                let refused = self.product.cli(asked)?;
                let clear =
                    refused.stderr.contains("look at the disk") && refused.stderr.contains("[ledger_down]");
                assert!(refused.code == Some(1) && clear, "{policy}: {asked:?}: {refused:?}");
            }
        }
        assert!(self.product.broker_log().contains(why), "the log says what is the matter");
        assert_eq!(self.accounts()?, before, "nothing is half done");
        assert_eq!(self.shown(&ids)?, shown, "and nobody is shown anything else");

        self.pass(1900)?;
        until("the accounts to be closed without the ledger", LIMIT, || nothing_is_held(&self.ad))?;
        for id in &ids {
            let unsaid = self.product.session(id)?;
            assert_ne!(unsaid["state"], "ended", "it is not recorded: {unsaid}");
        }

        over(self, trouble)?;
        self.pass(10)?;
        for id in &ids {
            let ended = self.product.session_becomes(id, "ended")?;
            assert_eq!(ended["end_cause"], "expired", "{ended}");
        }
        assert!(nothing_is_held(&self.ad)?);
        self.works()
    }

    /// Everything works, and the ledger is whole.
    fn works(&self) -> Outcome {
        for policy in POLICIES {
            assert_eq!(refusal(&self.product, policy)?, None, "{policy} works again");
            let open = self.product.sessions()?.remove(0);
            let id = open["id"].as_str().expect("an id");
            let extended = self.product.cli_json(&["extend", id, "--by", "30m"])?;
            assert_ne!(extended["expires_at"], open["expires_at"], "{extended}");
            self.product.cli_json(&["end", id])?;
        }
        assert!(nothing_is_held(&self.ad)?);
        let ledger = Ledger::open(&self.product.state())?;
        until("everything to be settled", LIMIT, || ledger.is_settled())?;
        let verified = self.product.cli(&["audit", "verify"])?;
        assert!(verified.succeeded(), "{verified:?}");
        Ok(())
    }

    /// State and end of these sessions, as anybody is shown them.
    fn shown(&self, ids: &[String]) -> Result<Vec<[Value; 2]>> {
        let of = |id: &String| {
            let session = self.product.session(id)?;
            Ok([session["state"].clone(), session["expires_at"].clone()])
        };
        ids.iter().map(of).collect()
    }

    /// Another program's connection to the ledger, which keeps everybody else from writing.
    fn hold(&self) -> Result<Connection> {
        let other = Connection::open(self.product.state().join("ledger.sqlite"))?;
        other.busy_timeout(PATIENCE)?;
        other.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(other)
    }
}

/// Only root can take a disk from others.
#[allow(clippy::print_stderr, reason = "it says where it could look at less")]
fn not_looked_at() -> Outcome {
    eprintln!("NOT LOOKED AT: this needs root, which CI is");
    Ok(())
}

#[test]
fn a_full_disk_refuses_what_cannot_be_recorded_and_lets_end_what_is_over() -> Outcome {
    let Some(mut lab) = Lab::open(true)? else { return not_looked_at() };
    lab.goes_through(
        "the disk is full",
        POLICIES.len(),
        |lab| lab.disk.as_ref().context("no disk")?.fill().map(Some),
        |lab, ()| lab.disk.as_ref().context("no disk")?.make_room(),
    )
}

#[test]
fn a_disk_that_takes_no_writes_refuses_what_cannot_be_recorded_and_lets_end_what_is_over() -> Outcome {
    let mut lab = Lab::open(false)?.expect("an ordinary disk");
    lab.goes_through(
        "the disk does not answer as it should",
        POLICIES.len(),
        |lab| {
            let files = lab.ledger_files();
            WriteProtected::files(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())
        },
        |_, protected| {
            drop(protected);
            Ok(())
        },
    )
}

#[test]
fn a_ledger_that_another_program_holds_refuses_what_cannot_be_recorded_and_lets_end_what_is_over() -> Outcome
{
    let mut lab = Lab::open(false)?.expect("an ordinary disk");
    lab.goes_through(
        "another program holds it",
        // Each waits, and the record of each refusal.
        1,
        |lab| lab.hold().map(Some),
        |_, other| Ok(other.execute_batch("ROLLBACK")?),
    )
}

#[test]
fn a_ledger_that_is_slow_is_waited_for() -> Outcome {
    let lab = Lab::open(false)?.expect("an ordinary disk");
    // As slow as nobody gives up.
    let slowly = |arguments: &[&str]| {
        let other = lab.hold()?;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| lab.product.cli_json(arguments));
            std::thread::sleep(PATIENCE / 10);
            ensure!(!asking.is_finished(), "nobody waited for the ledger");
            other.execute_batch("ROLLBACK")?;
            asking.join().expect("no panic")
        })
    };
    for policy in POLICIES {
        let session = slowly(&[&["activate", policy], REASON.as_slice()].concat())?;
        assert_eq!(session["state"], "active", "{policy}: {session}");
        let id = session["id"].as_str().expect("an id");
        let extended = slowly(&["extend", id, "--by", "30m"])?;
        assert_ne!(extended["expires_at"], session["expires_at"], "{policy}: {extended}");
        let ended = slowly(&["end", id])?;
        assert_eq!(ended["state"], "ended", "{policy}: {ended}");
        assert!(nothing_is_held(&lab.ad)?, "{policy}");
    }
    Ok(())
}
