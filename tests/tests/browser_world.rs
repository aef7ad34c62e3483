//! The browser harness reaches every corner of an extension, shown on a small extension of its own.

use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::chromium::{Chromium, Key, Options, extension_id};
use ticketgate_tests::leash::processes_with;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::world::fixture;
use ticketgate_tests::xvfb::Xvfb;

fn with_probe() -> Options {
    Options { extensions: vec![fixture("extension")], ..Options::default() }
}

const PNG: &[u8] = b"\x89PNG\r\n";

#[test]
fn a_trusted_click_lands_in_a_closed_shadow_root_under_a_strict_csp() -> Outcome {
    let site = Site::start()?;
    let page = Served::html("<!doctype html><title>Strict</title><h1>Ticket 1</h1>")
        .with("Content-Security-Policy", "default-src 'none'; script-src 'self'");
    let url = site.page("/strict", page);
    let browser = Chromium::start(&with_probe())?;
    let page = browser.page(&url)?;
    page.click("button", "Press me")?;
    let worker = browser.worker()?;
    worker.until("seen.length > 0")?;
    assert_eq!(worker.eval("seen[0]")?, "click, trusted: true");
    assert_eq!(browser.badge_text(None)?, "59m");
    assert_eq!(browser.badge_color(None)?, [200, 30, 30, 255]);
    assert_eq!(
        page.eval("[...document.querySelectorAll('div')].every(div => div.shadowRoot === null)")?,
        true
    );
    let own = page.eval_in_content_script(browser.extension_id(), "isolated")?;
    assert_eq!(own, "only the content script's world has this");
    assert!(page.eval("isolated").is_err(), "the page's own world does not have it");
    assert!(page.node(|node| node["nodeName"] == "BUTTON")?.is_some());
    Ok(())
}

#[test]
fn popup_shortcut_notification_and_a_stopped_worker_are_in_reach() -> Outcome {
    let site = Site::start()?;
    let url = site.page("/", Served::html("<!doctype html><title>Plain</title>Plain"));
    let browser = Chromium::start(&with_probe())?;
    let page = browser.page(&url)?;

    let popup = browser.open_popup()?;
    assert!(popup.text()?.contains("Harness probe"));
    assert!(popup.screenshot()?.starts_with(PNG));
    assert!(page.screenshot()?.starts_with(PNG));
    popup.close()?;

    browser.stop_worker()?;
    assert!(!browser.worker_runs()?);
    page.to_front()?;
    page.press(Key::letter('j').alt().shift())?;
    until("the shortcut to wake the worker", LIMIT, || browser.worker_runs())?;
    let worker = browser.worker()?;
    worker.until("seen.length === 1")?;
    assert!(worker.eval("seen[0]")?.as_str().is_some_and(|seen| seen.starts_with("command say-hello")));

    browser.press_notification("n1", 1)?;
    worker.until("seen[1] === 'button 1 of n1'")?;
    worker.eval("console.warn('for a failing test', 7)")?;
    assert!(
        browser.console().iter().any(|line| line == "warning: for a failing test 7"),
        "{:?}",
        browser.console()
    );
    Ok(())
}

#[test]
fn an_optional_host_is_granted_without_a_prompt() -> Outcome {
    let browser = Chromium::start(&with_probe())?;
    browser.grant_host("*://*.psa.test/*")?;
    let page = browser.page(&browser.extension_url("popup.html"))?;
    let held = "chrome.permissions.contains({origins: ['*://*.psa.test/*']})";
    page.click("button", "Ask for the host")?;
    page.until("document.getElementById('answer').textContent === 'granted'")?;
    assert_eq!(page.eval(held)?, true);
    Ok(())
}

#[test]
fn a_page_is_served_under_the_https_address_of_a_cloud_service() -> Outcome {
    let site = Site::start_tls()?;
    let url =
        site.page_at("desk.psa.test", "/ticket", Served::html("<!doctype html><title>Cloud</title>Ticket 7"));
    assert_eq!(url, "https://desk.psa.test/ticket");
    let hosts = vec![("*.psa.test".to_owned(), site.address().to_string())];
    let browser = Chromium::start(&Options { hosts, any_certificate: true, ..with_probe() })?;
    let page = browser.page(&url)?;
    assert_eq!(page.text()?, "Ticket 7");
    assert_eq!(page.eval("isSecureContext && location.origin")?, "https://desk.psa.test");

    browser.allow_host("*://*.psa.test/*", "popup.html")?;
    let held = "chrome.permissions.contains({origins: ['https://desk.psa.test/*']})";
    assert_eq!(browser.worker()?.eval(held)?, true);
    Ok(())
}

#[test]
fn a_ticket_page_of_request_tracker_shows_after_the_login() -> Outcome {
    let rt = RequestTracker::start()?;
    let browser = Chromium::start(&Options::default())?;
    let page = browser.new_tab("about:blank")?;
    rt.log_in(&page, &rt.ticket_url(1))?;
    let text = page.text()?;
    assert!(text.contains("Outlook crashes on start"), "{text}");
    assert!(text.contains("Acme Corp"), "{text}");

    assert_eq!(rt.status(1)?, "open");
    rt.change(1, &serde_json::json!({"Status": "resolved"}))?;
    assert_eq!(rt.status(1)?, "resolved");
    assert!(rt.messages(5)?.iter().any(|text| text.contains("Müller & Söhne")), "{:?}", rt.messages(5)?);
    assert_eq!(rt.status(6)?, "resolved");

    let port = rt.url();
    drop(rt);
    let port = port.rsplit(':').next().unwrap_or_default();
    assert_eq!(processes_with(&format!("--port {port}")), [0; 0]);
    Ok(())
}

#[test]
fn a_profile_lives_on_in_the_next_browser() -> Outcome {
    let browser = Chromium::start(&with_probe())?;
    let page = browser.page(&browser.extension_url("popup.html"))?;
    page.eval("localStorage.setItem('kept', 'yes')")?;
    drop(page);
    let profile = browser.close()?;
    let browser = Chromium::start(&Options { profile: Some(profile), ..with_probe() })?;
    let page = browser.page(&browser.extension_url("popup.html"))?;
    assert_eq!(page.eval("localStorage.getItem('kept')")?, "yes");
    Ok(())
}

#[test]
fn the_clipboard_of_a_private_display_is_read_and_written() -> Outcome {
    let display = Xvfb::start()?;
    assert_eq!(display.clipboard()?, None);
    display.copy("first")?;
    assert_eq!(display.clipboard()?.as_deref(), Some("first"));
    display.copy("second")?;
    assert_eq!(display.clipboard()?.as_deref(), Some("second"));
    let pid = display.pid();
    drop(display);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}

#[test]
fn no_process_of_a_browser_is_left_after_a_drop_or_a_crash() -> Outcome {
    let browser = Chromium::start(&with_probe())?;
    let folder = browser.folder().to_path_buf();
    let mark = folder.display().to_string();
    assert!(processes_with(&mark).len() > 3, "a browser is several processes");
    drop(browser);
    assert_eq!(processes_with(&mark), [0; 0]);
    assert!(!folder.exists());

    let browser = Chromium::start(&with_probe())?;
    let mark = browser.folder().display().to_string();
    let profile = browser.crash()?;
    assert_eq!(processes_with(&mark), [0; 0]);
    drop(profile);
    assert!(!std::path::Path::new(&mark).exists());
    Ok(())
}

#[test]
fn an_extension_without_a_key_gets_its_id_from_its_folder() -> Outcome {
    let browser = Chromium::start(&with_probe())?;
    assert_eq!(browser.worker()?.eval("chrome.runtime.id")?, extension_id(&fixture("extension"))?);
    Ok(())
}

#[test]
fn a_browser_ends_when_the_test_that_started_it_is_killed() -> Outcome {
    // This test runs itself again as the victim, which starts a browser, says where, and waits to be killed.
    const ROLE: &str = "TICKETGATE_TESTS_VICTIM";
    if std::env::var_os(ROLE).is_some() {
        let browser = Chromium::start(&with_probe())?;
        println!("folder: {}", browser.folder().display());
        std::thread::sleep(Duration::from_secs(60));
        return Ok(());
    }
    let name = "a_browser_ends_when_the_test_that_started_it_is_killed";
    let mut victim = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let lines = std::io::BufRead::lines(std::io::BufReader::new(victim.stdout.take().expect("a pipe")));
    let folder = lines
        .map_while(std::result::Result::ok)
        .find_map(|line| Some(line.split_once("folder: ")?.1.to_owned()));
    let folder = folder.expect("the victim says where its browser is");
    assert!(!processes_with(&folder).is_empty());
    victim.kill()?;
    victim.wait()?;
    until("the browser to go", LIMIT, || Ok(processes_with(&folder).is_empty()))?;
    // Killed as it was, the victim could not remove its folder.
    std::fs::remove_dir_all(&folder)?;
    std::fs::remove_file(format!("{folder}.lock"))?;
    Ok(())
}
