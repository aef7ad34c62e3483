//! The connector against a scripted LDAP server: what Samba does not have or cannot be made to do at the right moment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]
#![allow(unreachable_pub, reason = "a test has no outside")]

mod old_tls;
mod server;
mod transcript;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use ticketgate_access::config::{self, SecretRef};
use ticketgate_access::desired::{Observed, SelfEnding, Step};
use ticketgate_access::session::{Account, AccountKey, Right};
use ticketgate_directory::{ActiveDirectory, Directory, DirectoryError};
use ticketgate_protocol::api::Mode;

use server::{ACCOUNT, GROUP, LINK_TTL, Reads, Server, Shown, Writes};

fn config(server: &Server) -> config::ActiveDirectory {
    use std::os::unix::fs::PermissionsExt;
    let secret = server.folder.path().join("secret");
    std::fs::write(&secret, "password\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    config::ActiveDirectory {
        servers: vec![server.url.clone()],
        bind_dn: "CN=svc,DC=acme,DC=test".into(),
        password: SecretRef::File(secret.display().to_string()),
        ca_file: Some(server.folder.path().join("ca.pem").display().to_string()),
        account_unit: "OU=JIT,DC=acme,DC=test".into(),
        account_name: "jit-{technician}".into(),
        timeout_s: 1,
    }
}

fn directory(server: &Server) -> ActiveDirectory {
    ActiveDirectory::new(&config(server), BTreeSet::from([Right(GROUP.into())])).unwrap()
}

fn account() -> Account {
    Account {
        key: AccountKey("acme-ad/dedicated/tech1".into()),
        directory: "acme-ad".parse().unwrap(),
        mode: Mode::Dedicated,
        technician: "tech1".parse().unwrap(),
        name: "jit-tech1".into(),
        identity: None,
        display_name: None,
        token: "token".into(),
        password_generation: 1,
        standing: Vec::new(),
        settled: false,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 0,
    }
}

async fn grant(directory: &ActiveDirectory, minutes: i64) -> Result<(), DirectoryError> {
    let until = directory.time().await? + TimeDelta::minutes(minutes);
    let seen = directory.observe(&account()).await?;
    let step = Step::Grant {
        right: Right(GROUP.into()),
        until: Some(until),
        why: ticketgate_access::desired::Why::default(),
    };
    directory.apply(&account(), &seen, &step, None).await
}

#[tokio::test]
async fn a_membership_carries_its_end_where_the_forest_can_however_the_server_shows_it() {
    for shown in [Shown::Whole, Shown::Number] {
        let server = Server::start();
        server.state.lock().unwrap().shown = shown;
        let directory = directory(&server);
        grant(&directory, 60).await.unwrap();
        {
            let state = server.state.lock().unwrap();
            assert_eq!(state.modifies, [[format!("+<TTL=3600,{ACCOUNT}>")]], "{shown:?}");
            assert_eq!(state.controls, [LINK_TTL]);
        }
        let observed = directory.observe(&account()).await.unwrap();
        assert_eq!(observed.self_ending, SelfEnding::All);
        let ends = observed.account.unwrap().right_ends;
        assert_eq!(ends, [(Right(GROUP.into()), observed.directory_time + TimeDelta::hours(1))], "{shown:?}");
    }
}

#[tokio::test]
async fn a_membership_is_extended_without_a_gap_however_the_server_shows_its_end() {
    for shown in [Shown::Whole, Shown::Number] {
        let server = Server::start();
        server.state.lock().unwrap().shown = shown;
        let directory = directory(&server);
        grant(&directory, 60).await.unwrap();
        grant(&directory, 60).await.unwrap();
        assert_eq!(server.state.lock().unwrap().modifies.len(), 1, "there already, with this end");
        grant(&directory, 120).await.unwrap();
        let state = server.state.lock().unwrap();
        let second = state.modifies.last().unwrap();
        assert_eq!(*second, [format!("-{ACCOUNT}"), format!("+<TTL=7200,{ACCOUNT}>")], "{shown:?}");
        assert_eq!(state.member, Some(7200));
    }
}

#[tokio::test]
async fn what_is_promised_of_the_end_follows_what_the_forest_can() {
    let server = Server::start();
    let directory = directory(&server);
    let promised = |mode| directory.promises(mode).guarantee;
    assert!(promised(Mode::Membership).contains("does not end this by itself"));
    assert!(promised(Mode::Dedicated).contains("the broker alone takes this session's groups away"));
    directory.observe(&account()).await.unwrap();
    assert!(promised(Mode::Membership).contains("itself takes your account out of the groups"));
    assert!(promised(Mode::Dedicated).contains("itself takes this account out of the groups"));
}

/// The exchange stands in a file that says what Windows is to be compared with.
#[tokio::test]
async fn the_exchange_of_a_time_limited_membership_is_the_one_that_is_written_down() {
    let server = Server::start();
    let directory = directory(&server);
    grant(&directory, 60).await.unwrap();
    directory.observe(&account()).await.unwrap();
    grant(&directory, 120).await.unwrap();
    let seen = directory.observe(&account()).await.unwrap();
    directory.apply(&account(), &seen, &Step::Revoke(Right(GROUP.into())), None).await.unwrap();
    let said = server.state.lock().unwrap().transcript.clone();
    let written = include_str!("time_limited_membership.txt");
    let written: Vec<_> = written.lines().filter(|line| line.starts_with(['>', '<'])).collect();
    let said: Vec<_> = said.iter().map(|line| line.trim_end()).collect();
    assert_eq!(said, written, "what was said:\n{}", said.join("\n"));
}

#[tokio::test]
async fn a_unit_of_more_accounts_than_one_answer_holds_is_listed_whole() {
    let server = Server::start();
    let listing = directory(&server).list().await.unwrap();
    let names: Vec<_> = listing.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["jit-tech1", "jit-tech2"]);
}

#[tokio::test]
async fn memberships_that_come_in_parts_are_all_seen() {
    let server = Server::start();
    let rights = directory(&server).observe(&account()).await.unwrap().account.unwrap().rights;
    let names: Vec<_> = rights.iter().map(|right| right.0.as_str()).collect();
    assert_eq!(names, ["CN=First,DC=acme,DC=test", "CN=Second,DC=acme,DC=test", "CN=Third,DC=acme,DC=test"]);
}

/// What is not seen would be called taken away.
#[tokio::test]
async fn an_account_that_cannot_be_read_whole_is_a_failed_look_and_not_an_account_without() {
    for reads in [Reads::Malformed, Reads::Stuck, Reads::Vanishing] {
        let server = Server::start();
        let directory = directory(&server);
        grant(&directory, 60).await.unwrap();
        let seen = directory.observe(&account()).await.unwrap();
        server.state.lock().unwrap().reads = reads;
        let error = directory.observe(&account()).await.unwrap_err();
        assert!(error.is_passing(), "{reads:?}: {error}");
        if reads == Reads::Malformed {
            for step in [Step::Revoke(Right(GROUP.into())), Step::Delete] {
                directory
                    .apply(&account(), &Observed { account: None, ..seen.clone() }, &step, None)
                    .await
                    .unwrap_err();
            }
        }
        server.state.lock().unwrap().reads = Reads::Well;
        assert!(
            directory.observe(&account()).await.unwrap().account.is_some(),
            "{reads:?}: on another connection"
        );
    }
}

#[tokio::test]
async fn what_comes_along_with_an_entry_is_left_out() {
    let server = Server::start();
    server.state.lock().unwrap().reads = Reads::Accompanied;
    let rights = directory(&server).observe(&account()).await.unwrap().account.unwrap().rights;
    assert_eq!(rights.len(), 3, "{rights:?}");
}

#[tokio::test]
async fn a_write_without_an_answer_is_ambiguous_and_seen_at_the_next_look() {
    for writes in [Writes::Silent, Writes::Cut, Writes::Garbled] {
        let server = Server::start();
        let directory = directory(&server);
        server.state.lock().unwrap().writes = writes;
        let error = grant(&directory, 60).await.unwrap_err();
        assert!(error.is_ambiguous(), "{writes:?}: {error}");
        server.state.lock().unwrap().writes = Writes::Answered;
        let rights = directory.observe(&account()).await.unwrap().account.unwrap().rights;
        assert!(rights.contains(&Right(GROUP.into())), "{writes:?}: it had been applied");
        grant(&directory, 60).await.unwrap();
    }
}

/// In the time that a failed read takes, not in that of an answer that does not come: nothing is waited for.
#[tokio::test]
async fn an_answer_too_deep_too_long_or_longer_than_itself_costs_the_connection_at_once() {
    for writes in [Writes::Nested, Writes::Endless, Writes::Overlong] {
        let server = Server::start();
        let mut config = config(&server);
        config.timeout_s = 60;
        let directory = ActiveDirectory::new(&config, BTreeSet::from([Right(GROUP.into())])).unwrap();
        server.state.lock().unwrap().writes = writes;
        let refused = tokio::time::timeout(std::time::Duration::from_secs(20), grant(&directory, 60)).await;
        let error = refused.expect("it is refused without waiting").unwrap_err();
        assert!(error.is_ambiguous(), "{writes:?}: {error}");
        server.state.lock().unwrap().writes = Writes::Answered;
        grant(&directory, 60).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_for_ever() {
    let server = Server::start();
    let directory = directory(&server);
    directory.time().await.unwrap();
    server.state.lock().unwrap().endless = true;
    for said in [directory.list().await.unwrap_err(), directory.observe(&account()).await.unwrap_err()] {
        assert!(said.to_string().contains("does not end"), "{said}");
    }
    server.state.lock().unwrap().endless = false;
    assert_eq!(directory.list().await.unwrap().accounts.len(), 2);
}

#[tokio::test]
async fn a_referral_a_limit_and_a_busy_server_are_told_apart() {
    let server = Server::start();
    let directory = directory(&server);
    for (code, word, passing) in
        [(10, "refers to another", false), (4, "limit", false), (11, "limit", false), (51, "busy", true)]
    {
        server.state.lock().unwrap().search_result = code;
        let error = directory.observe(&account()).await.unwrap_err();
        assert!(error.to_string().contains(word), "{code}: {error}");
        assert_eq!(error.is_passing(), passing, "{code}: {error}");
    }
}

#[tokio::test]
async fn a_bind_that_fails_by_a_fault_of_the_server_is_tried_once_more_and_a_wrong_password_is_not() {
    let of = |data: &str| {
        format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1")
    };
    let (fault, wrong): (&str, &str) = (of("1f").leak(), of("52e").leak());
    for (refused, left, said) in [
        ((1, fault), 0, None),
        ((3, fault), 1, Some("busy")),
        ((2, wrong), 1, Some("wrong name or password")),
    ] {
        let server = Server::start();
        server.state.lock().unwrap().refused_binds = refused;
        let told = directory(&server).observe(&account()).await.map(drop).map_err(|error| error.to_string());
        match said {
            None => assert_eq!(told, Ok(())),
            Some(words) => assert!(told.as_ref().is_err_and(|told| told.contains(words)), "{told:?}"),
        }
        assert_eq!(server.state.lock().unwrap().refused_binds.0, left, "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_of_another_domain_is_refused_before_anything_seems_to_be_gone() {
    // Of another forest, and of the domain above, under which the unit's name also ends.
    for domain in ["DC=globex,DC=test", "DC=test"] {
        let server = Server::start();
        server.state.lock().unwrap().domain = Some(domain);
        let directory = directory(&server);
        let error = directory.observe(&account()).await.unwrap_err();
        assert!(matches!(error, DirectoryError::BadValue(_)), "{error}");
        assert!(error.to_string().contains(&format!("serves the domain {domain}")), "{error}");
        let findings = directory.check(&[]).await;
        assert!(matches!(findings.as_slice(), [only] if only.text.contains(domain)), "{findings:?}");
    }
}

#[tokio::test]
async fn a_configuration_read_anew_goes_on_with_the_servers_unless_it_describes_others() {
    let server = Server::start();
    let directory = directory(&server);
    grant(&directory, 60).await.unwrap();
    let mut config = config(&server);
    let again = directory.reread(&config, BTreeSet::from([Right(GROUP.into())])).unwrap().unwrap();
    assert!(again.time().await.is_ok());
    assert_eq!(server.state.lock().unwrap().connections, 1, "the warm connection serves both");
    config.servers.push("ldaps://dc2.acme.test".into());
    assert!(directory.reread(&config, BTreeSet::new()).unwrap().is_none());
}
