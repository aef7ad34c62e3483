//! A team's broker from a technician's browser: signing in from the popup, rights for a ticket, a broker that is out of reach and comes
//! back, and signing out. Everything is real: the broker's HTTPS, a provider by others, the key store, Chromium, the directory.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ticketgate_tests::chromium::{Chromium, NativeHost};
use ticketgate_tests::keyring::Keyring;
use ticketgate_tests::oidc::TeamProvider;
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::person::{come_back, sign_in_at};
use ticketgate_tests::product::{Configuration, Said, extension};
use ticketgate_tests::proxy::{Proxy, Weather};
use ticketgate_tests::workplace::{Workplace, about_an_hour, saved_ticket, settings};
use ticketgate_tests::world::{Folder, run};
use ticketgate_tests::{Outcome, Result};

/// What a team has besides a workplace.
struct Team {
    folder: Folder,
    listens: SocketAddr,
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
        // Free a moment ago; the broker listens there.
        let listens = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(Self { folder, listens, provider: TeamProvider::start()?, keyring: Keyring::start()? })
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A broker's configuration that serves this team.
    fn serves(&self, configuration: Configuration) -> Configuration {
        let (certificate, key) = (self.path("tls.crt"), self.path("tls.key"));
        configuration
            .replace("login = ", "sign_in = \"sub-terry\"\nlogin = ")
            .expect("it names a technician")
            .with(&format!(
                "[service]\nlisten = \"{}\"\ncertificate = \"{certificate}\"\nkey = {{ file = \"{key}\" }}\n",
                self.listens
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

#[test]
fn a_technician_signs_in_from_the_popup_works_on_a_ticket_and_outlives_the_brokers_troubles() -> Outcome {
    let team = Team::new()?;
    let mut work = Workplace::quick_with(|ad| team.serves(settings(ad)), saved_ticket()?)?;
    let ways = [Proxy::start(team.listens)?, Proxy::start(team.listens)?];
    let asked = team.desktop()?;
    let environment = team.environment(&[ways[0].address(), ways[1].address()]);
    let mut options = work.browser_options();
    options.extensions.insert(0, extension()?);
    options.native_host = Some(team.host(&work, &environment)?);
    let browser = Chromium::start(&options)?;
    let page = work.ticket_in(&browser)?;

    // Nobody is signed in: the page's button and the popup say what to do.
    page.wait_for_control("button", "Sign in to activate")?;
    let doctor = said(&work, &environment, &["doctor", "--verbose"])?;
    assert!(doctor.stdout.contains(&format!("team's broker https://{}", ways[0].address())), "{doctor:?}");
    assert!(doctor.stdout.contains("Nobody is signed in on this machine"), "{doctor:?}");
    let popup = browser.open_popup()?;
    popup.click("button", "Sign in")?;
    person_signs_in(&asked)?;
    page.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;
    popup.until("document.body.innerText.includes('Signed in as tech1')")?;
    popup.close()?;

    // From the ticket's page to rights that work.
    let button = page.wait_for_control("button", "Activate")?;
    until("a click in the page to begin a session", LIMIT, || {
        if let Some(button) = page.control("button", "Activate")? {
            page.click_node(&button)?;
        }
        Ok(!work.open_sessions()?.is_empty())
    })
    .with_context(|| format!("{button:?}"))?;
    let id = work.active_session()?;
    let password = work.copied()?;
    assert!(work.ad.bind("jit-tech1", &password)?.accepted(), "the password from the clipboard works");
    work.badge_becomes(&browser, "an hour", about_an_hour)?;
    let status = said(&work, &environment, &["--json", "sessions"])?;
    assert!(status.succeeded() && status.stdout.contains(&id), "{status:?}");

    // One address dies: the other goes on, and nobody is told.
    ways[0].set(Weather::Refusing)?;
    let popup = browser.open_popup()?;
    popup.click("button", "Extend by 1 h")?;
    popup.until("document.body.innerText.includes('Extended. It ends at')")?;
    // The broker is killed: what was known stays, and it comes back by itself.
    work.product.kill_broker()?;
    popup.until("document.body.innerText.includes('The broker does not answer')")?;
    let text = popup.text()?;
    assert!(text.contains("Ends at") && text.contains("ACME\\jit-tech1"), "{text}");
    // No server, no password and no token in the browser, also not then.
    let kept = kept(&browser)?;
    for secret in [
        "https://127.0.0.1",
        "DPoP",
        &password,
        &team.listens.port().to_string(),
        &ways[0].address().port().to_string(),
    ] {
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
    Ok(())
}

#[test]
fn a_technician_signs_in_with_a_code_and_every_relay_of_the_machine_is_signed_in() -> Outcome {
    let team = Team::new()?;
    let work = Workplace::quick_with(|ad| team.serves(settings(ad)), saved_ticket()?)?;
    let environment = team.environment(&[team.listens]);
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
