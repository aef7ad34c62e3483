//! The ledger is lost, damaged or without its key while rights are out: `ticketgate recover` finds and ends them.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::json;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::{REASON, wish};
use ticketgate_tests::product::{Activated, Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

struct World {
    product: Product,
    ad: SambaAd,
    server: Activated,
    burner: Activated,
}

impl World {
    /// All three modes are open, and then the machine loses power.
    fn with_everything_open() -> Result<Self> {
        Self::with_everything_open_on(SambaAd::start(Options::default())?)
    }

    fn with_everything_open_on(ad: SambaAd) -> Result<Self> {
        let mut product = Product::start(&Configuration::standard(&ad))?;
        let server = product.activate("acme-server-admin", &REASON)?;
        let burner = product.activate("acme-burner", &REASON)?;
        product.cli_json(&["activate", "acme-member", REASON[0], REASON[1]])?;
        assert_eq!(ad.look()?.account("tech1")?.expect("a person").groups.len(), 1);
        product.kill_broker()?;
        Ok(Self { product, ad, server, burner })
    }

    fn lose(&self, beginning: &str) -> Result<()> {
        for entry in fs::read_dir(self.product.state())?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(beginning) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Spoils a page of the audit log; accounts and sessions can still be read. Answers the file's bytes.
    fn damage_the_ledger(&self) -> Result<Vec<u8>> {
        let path = self.product.state().join("ledger.sqlite");
        let database = rusqlite::Connection::open(&path)?;
        database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'audit'";
        let page: u32 = database.query_row(sql, [], |row| row.get(0))?;
        drop(database);
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        file.write_all_at(&[0xa5; 4096], u64::from(page - 1) * 4096)?;
        Ok(fs::read(&path)?)
    }

    /// Asked of the directory, not of the product: what the sessions opened cannot be used, and holds nothing.
    fn accounts_are_closed(&self) -> Result<()> {
        assert!(self.ad.open_accounts()?.is_empty());
        assert!(!self.ad.bind(self.server.name(), &self.server.password)?.accepted());
        let mut look = self.ad.look()?;
        let kept = look.account(self.server.name())?.expect("an account that is kept");
        assert!(kept.groups.is_empty(), "{kept:?}");
        assert!(look.account(self.burner.name())?.is_none(), "a burner account is deleted");
        Ok(())
    }

    fn works_again(&mut self) -> Outcome {
        self.product.start_broker()?;
        let again = self.product.activate("acme-server-admin", &REASON)?;
        assert_eq!(again.name(), self.server.name());
        assert!(self.ad.bind(again.name(), &again.password)?.accepted());
        assert!(self.product.cli(&["audit", "verify"])?.succeeded());
        Ok(())
    }
}

#[test]
fn a_lost_ledger_is_rebuilt_from_the_notes_in_the_directory_and_what_they_name_is_ended() -> Outcome {
    let mut world = World::with_everything_open()?;
    world.lose("ledger.sqlite")?;
    // A broker that begins anew meets its own account as somebody else's, and says what to do.
    world.product.start_broker()?;
    let refused = world.product.cli(&["activate", "acme-server-admin", REASON[0], REASON[1]])?;
    assert!(!refused.succeeded() && refused.stderr.contains("ticketgate recover"), "{refused:?}");
    let running = world.product.cli(&["recover"])?;
    assert!(!running.succeeded() && running.stderr.contains("already runs"), "{running:?}");
    assert!(
        world.product.cli(&["status"])?.stdout.contains("ticketgate recover"),
        "and says so to everybody"
    );
    world.product.stop_broker()?;

    let said = world.product.cli(&["recover"])?;
    assert!(said.succeeded(), "{said:?}");
    for told in
        [world.server.name(), world.burner.name(), "made for tech1", "tech1: holds Helpdesk Operators"]
    {
        assert!(said.stdout.contains(told), "{told}: {said:?}");
    }
    world.accounts_are_closed()?;
    // The person's own account carries no note: it is told, and left to a person.
    assert_eq!(world.ad.look()?.account("tech1")?.expect("a person").groups.len(), 1);
    let again = world.product.cli(&["recover"])?;
    assert!(!again.stdout.contains("made for"), "a second time finds nothing new: {again:?}");
    world.works_again()?;
    let records = world.product.audit()?;
    let recovered = records.iter().filter(|r| r["action"] == "account.recovered").count();
    assert_eq!(recovered, 2, "{records:?}");
    Ok(())
}

#[test]
fn a_damaged_ledger_is_put_aside_on_request_and_what_can_be_read_of_it_is_ended() -> Outcome {
    let mut world = World::with_everything_open()?;
    let path = world.product.state().join("ledger.sqlite");
    let damaged = world.damage_the_ledger()?;

    let refused = world.product.cli(&["recover"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("--new-ledger"), "{refused:?}");
    assert_eq!(fs::read(&path)?, damaged, "only on request");

    let said = world.product.cli(&["recover", "--new-ledger"])?;
    assert!(said.succeeded() && said.stdout.contains("put aside as"), "{said:?}");
    world.accounts_are_closed()?;
    assert!(world.ad.look()?.account("tech1")?.expect("a person").groups.is_empty(), "also the person's own");
    let folders =
        fs::read_dir(world.product.state())?.flatten().map(|entry| entry.path().join("ledger.sqlite"));
    let kept: Vec<_> = folders.filter(|path| path.exists()).collect();
    assert!(kept.len() == 1 && fs::read(&kept[0])? == damaged, "the old one is kept: {kept:?}");
    world.works_again()?;
    let ended = world.product.audit()?.iter().filter(|r| r["action"] == "session.ended").count();
    assert_eq!(ended, 3);
    Ok(())
}

#[test]
fn without_the_key_of_the_audit_log_what_is_open_ends_and_a_key_that_is_gone_for_good_is_recovered_from()
-> Outcome {
    let mut world = World::with_everything_open()?;
    world.lose("audit.key")?;
    world.product.start_broker()?;
    let refused = world.product.cli(&["activate", "acme-burner", REASON[0], REASON[1]])?;
    assert!(!refused.succeeded(), "nothing begins: {refused:?}");
    let ended = world.product.cli_json(&["end", &world.burner.id])?;
    assert_eq!(ended["state"], "ended", "but what is open ends: {ended}");
    assert!(world.product.cli(&["status"])?.stdout.contains("audit.key"), "and it is said why");
    world.product.stop_broker()?;
    let said = world.product.cli(&["recover", "--new-ledger"])?;
    assert!(said.succeeded(), "{said:?}");
    world.accounts_are_closed()?;
    assert!(world.ad.look()?.account("tech1")?.expect("a person").groups.is_empty());
    world.works_again()
}

#[test]
fn a_ledger_deleted_under_a_running_broker_is_there_again_with_its_sessions() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    for entry in fs::read_dir(product.state())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ledger.sqlite") {
            fs::remove_file(entry.path())?;
        }
    }
    let second = product.activate("acme-burner", &REASON)?;
    product.kill_broker()?;
    product.start_broker()?;
    for id in [&session.id, &second.id] {
        assert_eq!(product.session(id)?["state"], "active");
        assert_eq!(product.cli_json(&["end", id])?["state"], "ended");
    }
    assert!(ad.open_accounts()?.is_empty());
    assert!(product.cli(&["audit", "verify"])?.succeeded());
    Ok(())
}

#[test]
fn a_ledger_spoilt_under_a_running_broker_does_not_keep_what_is_over() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    for policy in ["acme-server-admin", "acme-burner", "acme-member"] {
        let mut short = wish(policy);
        short["duration_s"] = json!(6);
        product.granted(&short)?;
    }
    assert_eq!(ad.open_accounts()?.len(), 2);
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let path = product.state().join(name);
        let length = usize::try_from(fs::metadata(&path)?.len())?;
        // In place, as a disk would: the broker keeps the file that it has.
        fs::OpenOptions::new().write(true).open(&path)?.write_all_at(&vec![0xa5; length], 0)?;
    }
    let refused = product.ask_for(&wish("acme-domain-admin"))?;
    assert_eq!(refused.json()?["code"], "ledger_down", "nothing begins on it");
    until("everything to be taken away", LIMIT, || {
        let mut look = ad.look()?;
        let person = look.account("tech1")?.expect("a person");
        let left = look.accounts_below(ad.account_unit())?;
        Ok(person.groups.is_empty() && left.iter().all(|one| !one.enabled() && one.groups.is_empty()))
    })?;
    Ok(())
}

/// What became of a ledger.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// A page of it is damaged; all of it is in its file.
    Damage,
    /// Its file was cut to nothing; all of it is in its log.
    Cut,
    /// All of it is gone.
    All,
}

impl World {
    fn after(loss: Loss, ad: SambaAd) -> Result<Self> {
        forget(&ad)?;
        let world = Self::with_everything_open_on(ad)?;
        match loss {
            Loss::Damage => drop(world.damage_the_ledger()?),
            Loss::Cut => fs::write(world.product.state().join("ledger.sqlite"), "")?,
            Loss::All => world.lose("ledger.sqlite")?,
        }
        Ok(world)
    }

    /// What the sessions opened is taken away; of the person's own account, where something of the ledger is left.
    fn is_recovered(&self, loss: Loss, when: &str) -> Outcome {
        self.accounts_are_closed()?;
        let left = self.ad.look()?.account("tech1")?.expect("a person").groups.len();
        assert_eq!(left, usize::from(matches!(loss, Loss::All)), "{loss:?}, {when}");
        Ok(())
    }
}

/// Each point that a recovery passes, killed before and killed after; then the next call.
fn is_whole_after_a_kill_at_any_point(loss: Loss) -> Outcome {
    let recover = ["recover", "--new-ledger"];
    let world = World::after(loss, SambaAd::start(Options::default())?)?;
    let said = world.product.cli_meeting("", &recover)?;
    assert!(said.succeeded(), "{said:?}");
    world.is_recovered(loss, "not killed")?;
    let passed = world.product.points();
    let mut ad = world.ad;
    assert!(passed.len() > 12, "{passed:?}");
    for (point, expected) in [("ledger.put_aside", true), ("ledger.read_aside", !matches!(loss, Loss::All))] {
        assert_eq!(passed.iter().any(|passed| passed == point), expected, "{point}: {passed:?}");
    }
    for (n, point) in passed.iter().enumerate() {
        let passage = passed.iter().take(n + 1).filter(|other| *other == point).count();
        for kill in ["before", "after"] {
            let fault = format!("{point}#{passage}:{kill}");
            let world = World::after(loss, ad)?;
            let killed = world.product.cli_meeting(&fault, &recover)?;
            assert_eq!(killed.code, None, "{fault}: {killed:?}");
            let again = world.product.cli(&["recover"])?;
            let again = if again.succeeded() { again } else { world.product.cli(&recover)? };
            assert!(again.succeeded(), "{fault}: {again:?}");
            world.is_recovered(loss, &fault)?;
            ad = world.ad;
        }
    }
    Ok(())
}

#[test]
fn a_recovery_from_damage_that_is_killed_at_any_point_is_made_whole_by_the_next() -> Outcome {
    is_whole_after_a_kill_at_any_point(Loss::Damage)
}

#[test]
fn a_recovery_from_a_log_alone_that_is_killed_at_any_point_is_made_whole_by_the_next() -> Outcome {
    is_whole_after_a_kill_at_any_point(Loss::Cut)
}

#[test]
fn a_recovery_from_nothing_that_is_killed_at_any_point_is_made_whole_by_the_next() -> Outcome {
    is_whole_after_a_kill_at_any_point(Loss::All)
}

/// As its administrator does: what was listed of a person, and accounts of a ledger that is gone for good.
fn forget(ad: &SambaAd) -> Result<()> {
    let mut look = ad.look()?;
    for account in look.accounts_below(ad.account_unit())? {
        assert_eq!(look.delete(&account.dn)?, 0);
    }
    for group in look.account("tech1")?.expect("a person").groups {
        assert_eq!(look.remove_member(&group, ad.person("tech1"))?, 0);
    }
    Ok(())
}
