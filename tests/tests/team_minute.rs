//! A team's brokers from a technician's browser: signing in from the popup, rights for a ticket, a broker that dies and another that goes on,
//! none at all for a while, and signing out. Everything is real: two brokers on one PostgreSQL, their HTTPS, a provider by others, the key
//! store, Chromium, the directory.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use ticketgate_tests::chromium::{Chromium, NativeHost, Page};
use ticketgate_tests::keyring::Keyring;
use ticketgate_tests::oidc::TeamProvider;
use ticketgate_tests::patience::{LIMIT, wait_for};
use ticketgate_tests::person::{come_back, sign_in_at};
use ticketgate_tests::postgres::{Alone, CLIENT};
use ticketgate_tests::product::{Configuration, Product, Said, extension};
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::workplace::{Workplace, about_an_hour, saved_ticket, settings};
use ticketgate_tests::world::{Folder, run};
use ticketgate_tests::{Outcome, Result};

/// On a busy machine; a person has hardly moved to the next thing.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
const HOUR_S: i64 = 3600;
/// So long after the extension the toolbar has to show an hour less.
const GOES_ON_FOR_S: i64 = 6;

/// What a team has besides a workplace.
struct Team {
    folder: Folder,
    /// Where its brokers are, as many as a test starts.
    listen: [SocketAddr; 2],
    provider: TeamProvider,
    keyring: Keyring,
}

impl Team {
    fn new() -> Result<Self> {
        let folder = Folder::new("team")?;
        let mut command = std::process::Command::new("openssl");
        command.args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=broker"
                .split(' '),
        );
        command.args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ]);
        run(command.arg(folder.join("tls.key")).arg("-out").arg(folder.join("tls.crt")))?;
        fs::set_permissions(folder.join("tls.key"), fs::Permissions::from_mode(0o600))?;
        // Free a moment ago; the brokers listen there.
        let free =
            [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
        let listen = [free[0].local_addr()?, free[1].local_addr()?];
        Ok(Self { folder, listen, provider: TeamProvider::start()?, keyring: Keyring::start()? })
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The configuration of the broker with this number.
    fn serves(&self, number: usize, configuration: Configuration) -> Configuration {
        let (certificate, key) = (self.path("tls.crt"), self.path("tls.key"));
        configuration
            .replace("login = ", "sign_in = \"sub-terry\"\nlogin = ")
            .expect("it names a technician")
            .with(&format!(
                "[service]\nlisten = \"{}\"\ncertificate = \"{certificate}\"\nkey = {{ file = \"{key}\" }}\n",
                self.listen[number]
            ))
            .with(&format!(
                "[sign_in]\nissuer = \"{}\"\nclient_id = \"{}\"\n",
                self.provider.issuer(),
                self.provider.client()
            ))
    }

    /// What relay and command line are told, as their environment.
    fn environment(&self, addresses: &[SocketAddr]) -> Vec<(&'static str, String)> {
        let addresses: Vec<String> = addresses.iter().map(|address| format!("https://{address}")).collect();
        vec![
            ("TICKETGATE_BROKER", addresses.join(" ")),
            ("TICKETGATE_BROKER_CA", self.path("tls.crt")),
            ("DBUS_SESSION_BUS_ADDRESS", self.keyring.address().to_owned()),
            ("BROWSER", self.path("browser")),
        ]
    }

    /// A program that a desktop would open a page with: it writes the page's address down.
    fn desktop(&self) -> Result<PathBuf> {
        let program = self.folder.join("browser");
        fs::write(&program, "#!/bin/sh\nprintf %s \"$1\" > \"$0.new\" && mv \"$0.new\" \"$0.asked\"\n")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(self.folder.join("browser.asked"))
    }

    /// The relay of a browser that is told so.
    fn host(&self, work: &Workplace, environment: &[(&str, String)]) -> Result<NativeHost> {
        let mut script = "#!/bin/sh\n".to_owned();
        for (name, value) in environment {
            script.push_str(&format!("export {name}='{value}'\n"));
        }
        let own = work.product.native_host();
        script.push_str(&format!("exec '{}' \"$@\"\n", own.program.display()));
        let program = self.folder.write("host", script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
        Ok(NativeHost { program, ..own })
    }
}

/// Who was asked to sign in does so.
fn person_signs_in(asked: &Path) -> Result<()> {
    let address = wait_for("the browser to be asked for", LIMIT, || Ok(fs::read_to_string(asked).ok()))?;
    fs::remove_file(asked)?;
    let (status, page) = come_back(&sign_in_at(&address)?)?;
    anyhow::ensure!(status == 200 && page.contains("You can close this page"), "{status}: {page}");
    Ok(())
}

fn said(work: &Workplace, environment: &[(&str, String)], arguments: &[&str]) -> Result<Said> {
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    work.product.cli_in(&environment, arguments)
}

/// All that the extension keeps.
fn kept(browser: &Chromium) -> Result<String> {
    let all = browser.worker()?.eval(
        "Promise.all([chrome.storage.local.get(null), chrome.storage.session.get(null)]).then(all => JSON.stringify(all))",
    )?;
    all.as_str().map(str::to_owned).context("nothing is kept")
}

/// Clicks the button in the page until a session begins at this broker, and answers its id once it is active.
fn activate_in(page: &Page, at: &Product) -> Result<String> {
    let is_open = |one: &&Value| !matches!(one["state"].as_str(), Some("ended" | "failed"));
    let open =
        || Ok(at.sessions()?.iter().find(is_open).and_then(|one| one["id"].as_str().map(str::to_owned)));
    let button = page.wait_for_control("button", "Activate")?;
    let id = wait_for("a click in the page to begin a session", LIMIT, || {
        if let Some(button) = page.control("button", "Activate")? {
            page.click_node(&button)?;
        }
        open()
    });
    let id = id.with_context(|| format!("{button:?}"))?;
    at.session_becomes(&id, "active")?;
    Ok(id)
}

/// How many seconds a session still has.
fn left(session: &Value) -> Result<i64> {
    let end = session["expires_at"].as_str().context("no end")?;
    let end = chrono::DateTime::parse_from_rfc3339(end)?;
    Ok((end.to_utc() - chrono::Utc::now()).num_seconds())
}

/// Whether the popup ever said that no broker answers, since [`watch`].
const TOLD: &str = "window.told";

fn watch(popup: &Page) -> Result<()> {
    popup.eval(
        "window.told = false, new MutationObserver(() => { window.told ||= document.body.innerText.includes('does not answer') })
            .observe(document.body, { subtree: true, childList: true, characterData: true }), 0",
    )?;
    Ok(())
}

#[test]
fn a_technician_signs_in_from_the_popup_works_on_a_ticket_and_outlives_the_brokers_troubles() -> Outcome {
    let team = Team::new()?;
    let database = Alone::start()?;
    let settings = |ad: &SambaAd| settings(ad).with(&database.section(CLIENT));
    let mut work = Workplace::quick_with(|ad| team.serves(0, settings(ad)), saved_ticket()?)?;
    let mut other = Product::install(&team.serves(1, settings(&work.ad)))?;
    fs::copy(work.product.state().join("audit.key"), other.state().join("audit.key"))?;
    other.start_broker()?;
    let asked = team.desktop()?;
    let environment = team.environment(&team.listen);
    let mut options = work.browser_options();
    options.extensions.insert(0, extension()?);
    options.native_host = Some(team.host(&work, &environment)?);
    let browser = Chromium::start(&options)?;
    let page = work.ticket_in(&browser)?;

    // Nobody is signed in: the page's button and the popup say what to do.
    page.wait_for_control("button", "Sign in to activate")?;
    let doctor = said(&work, &environment, &["doctor", "--verbose"])?;
    assert!(doctor.stdout.contains(&format!("team's broker https://{}", team.listen[0])), "{doctor:?}");
    assert!(doctor.stdout.contains("Nobody is signed in on this machine"), "{doctor:?}");
    let popup = browser.open_popup()?;
    popup.click("button", "Sign in")?;
    person_signs_in(&asked)?;
    page.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;
    popup.until("document.body.innerText.includes('Signed in as tech1')")?;
    popup.close()?;

    // From the ticket's page to rights that work.
    let id = activate_in(&page, &work.product)?;
    let password = work.copied()?;
    assert!(work.ad.bind("jit-tech1", &password)?.accepted(), "the password from the clipboard works");
    work.badge_becomes(&browser, "an hour", about_an_hour)?;
    let status = said(&work, &environment, &["--json", "sessions"])?;
    assert!(status.succeeded() && status.stdout.contains(&id), "{status:?}");

    // The broker that the relay talks to is killed: within seconds the other has its work, and nobody is told.
    let popup = browser.open_popup()?;
    popup.until("document.body.innerText.includes('Ends at')")?;
    watch(&popup)?;
    work.product.kill_broker()?;
    let killed = Instant::now();
    popup.click("button", "Extend by 1 h")?;
    popup.until("document.body.innerText.includes('Extended. It ends at')")?;
    assert!(killed.elapsed() < FOUND_WITHIN, "the other broker was found after {:?}", killed.elapsed());
    popup.click("button", "End now")?;
    other.session_becomes(&id, "ended")?;
    popup.until("document.body.innerText.includes('the rights are taken away')")?;
    assert!(!work.ad.bind("jit-tech1", &password)?.accepted(), "the password of the first session");
    assert_eq!(popup.eval(TOLD)?, Value::Bool(false), "the popup said that no broker answers");
    popup.close()?;
    let id = activate_in(&page, &other)?;
    let renewed = wait_for("another password in the clipboard", LIMIT, || {
        Ok(work.display.clipboard()?.filter(|now| *now != password))
    })?;
    assert!(work.ad.bind("jit-tech1", &renewed)?.accepted(), "the password of the second session");

    // What is extended elsewhere is in the toolbar, and its time goes on there when no broker is left.
    let popup = browser.open_popup()?;
    popup.until("document.body.innerText.includes('Ends at')")?;
    let by = 2 * HOUR_S + GOES_ON_FOR_S - left(&other.session(&id)?)?;
    other.cli_json(&["extend", &id, "--by", &format!("{by}s")])?;
    work.badge_becomes(&browser, "what was extended at the other broker", |badge| badge == "2h")?;
    other.kill_broker()?;
    popup.until("document.body.innerText.includes('The broker does not answer')")?;
    let text = popup.text()?;
    for part in ["even when no broker runs", "Ends at", "ACME\\jit-tech1", "It is tried again by itself"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    work.badge_becomes(&browser, "that time goes on without a broker", |badge| badge == "1h")?;
    let title = browser.worker()?.eval("chrome.action.getTitle({})")?;
    let title = title.as_str().unwrap_or_default();
    assert!(title.contains("left") && title.contains("the broker does not answer"), "{title}");
    // No server, no password and no token in the browser, also not then.
    let kept = kept(&browser)?;
    let ports = team.listen.map(|listen| listen.port().to_string());
    for secret in ["https://127.0.0.1", "DPoP", &password, &renewed, &ports[0], &ports[1]] {
        assert!(!text.contains(secret) && !kept.contains(secret), "{secret}: {text} {kept}");
    }
    work.product.start_broker()?;
    popup.until("!document.body.innerText.includes('The broker does not answer')")?;
    popup.click("button", "End now")?;
    work.product.session_becomes(&id, "ended")?;

    // Signed out in a terminal: the browser hears of it.
    let out = said(&work, &environment, &["--json", "sign-out"])?;
    assert!(out.succeeded() && out.stdout.contains("tech1"), "{out:?}");
    popup.close()?;
    let popup = browser.open_popup()?;
    popup.until("document.body.innerText.includes('Sign in to activate rights')")?;
    let refused = said(&work, &environment, &["status"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[sign_in_needed]"), "{refused:?}");
    let audit = work.product.audit()?;
    let of = |action: &str| audit.iter().filter(|record| record["action"] == action).count();
    assert_eq!((of("sign_in.done"), of("sign_in.ended")), (1, 1));
    assert_eq!((of("activation.granted"), of("session.extended"), of("session.ended")), (2, 2, 2));
    Ok(())
}

#[test]
fn a_technician_signs_in_with_a_code_and_every_relay_of_the_machine_is_signed_in() -> Outcome {
    let team = Team::new()?;
    let work = Workplace::quick_with(|ad| team.serves(0, settings(ad)), saved_ticket()?)?;
    let environment = team.environment(&team.listen[..1]);
    let shown = team.folder.join("shown");
    let script = format!("exec \"$0\" --json sign-in --device 2> '{}'", shown.display());
    let mut command = work.product.command("sh");
    command.args(["-c", &script]).arg(ticketgate_tests::product::binary()?);
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    let child = command.stdout(std::process::Stdio::piped()).spawn()?;
    let code = wait_for("a code", LIMIT, || {
        let text = fs::read_to_string(&shown).unwrap_or_default();
        let code = text.split("enter the code ").nth(1).and_then(|rest| rest.split(". ").next());
        Ok(code.map(str::to_owned))
    })?;
    team.provider.answer_device(&code, true)?;
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{}", fs::read_to_string(&shown)?);
    let status = said(&work, &environment, &["status"])?;
    assert!(status.succeeded() && status.stdout.contains("tech1"), "{status:?}");

    let mut options = work.browser_options();
    options.extensions.insert(0, extension()?);
    options.native_host = Some(team.host(&work, &environment)?);
    let browser = Chromium::start(&options)?;
    let page = work.ticket_in(&browser)?;
    page.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;

    // Ended by an administrator: at the next request nobody is signed in.
    work.product.cli_json(&["sign-ins", "revoke", "--technician", "tech1"])?;
    let refused = said(&work, &environment, &["status"])?;
    assert!(refused.stderr.contains("[sign_in_needed]"), "{refused:?}");
    Ok(())
}
