//! Passwords on their way into the clipboard: never over the pipe, there after the relay's end, gone on time.
//! With a private X server (`Xvfb`) and `xclip`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{PASSWORD, Relay, World, activation, wait_for};

/// A private X server. Killed when dropped, and with it every holder on it.
struct Screen {
    server: Child,
    name: String,
    /// Tells this test's holders from others': a free display's number is given out again at once.
    home: TempDir,
}

impl Screen {
    fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "64x64x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is needed: apt-get install xvfb");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { server, name: format!(":{}", number.trim()), home: tempfile::tempdir().unwrap() }
    }

    fn text(&self) -> Option<String> {
        let output = Command::new("timeout")
            .args(["2", "xclip", "-selection", "clipboard", "-o"])
            .env("DISPLAY", &self.name)
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn targets(&self) -> String {
        let output = Command::new("timeout")
            .args(["2", "xclip", "-selection", "clipboard", "-o", "-t", "TARGETS"])
            .env("DISPLAY", &self.name)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Copies as another program would. Ends with the server.
    fn copy(&self, text: &str) {
        let mut xclip = Command::new("xclip")
            .args(["-selection", "clipboard", "-i"])
            .env("DISPLAY", &self.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        xclip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        xclip.wait().unwrap();
    }

    fn relay(&self, world: &World) -> Relay {
        let origin = format!("chrome-extension://{}/", ticketgate_protocol::EXTENSION_ID);
        let home = self.home.path().to_str().unwrap();
        let mut relay = world.relay_for(&origin, &[("DISPLAY", &self.name), ("HOME", home)]);
        relay.greet();
        relay
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let end = Instant::now() + Duration::from_secs(5);
        while !holders(self).is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The holders that this test's relays started: they have its home folder.
fn holders(screen: &Screen) -> Vec<u32> {
    let home = format!("HOME={}", screen.home.path().display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |what: &str| std::fs::read(entry.path().join(what)).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
        if command.contains("clipboard-holder") {
            assert!(!command.contains(PASSWORD), "argv holds the password");
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            assert!(!environment.contains(PASSWORD), "the environment holds the password");
            if environment.split('\0').any(|v| v == home) {
                found.push(pid);
            }
        }
    }
    found
}

/// Whether a holder has come to waiting for another's copy: it watches its screen meanwhile. No person copies within the
/// milliseconds before.
fn waits(holder: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{holder}/task")) else { return false };
    let watches = threads.flatten().any(|thread| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|n| n.trim() == "screen")
    });
    if watches {
        std::thread::sleep(Duration::from_millis(200));
    }
    watches
}

#[test]
fn the_password_outlives_the_relay_and_goes_on_time() {
    let (screen, world) = (Screen::start(), World::new());
    let _broker = world.broker();
    *world.memory.clear_after_s.lock().unwrap() = 3;
    let mut relay = screen.relay(&world);
    relay.send(&activation("1", "k1", "work"));
    let reply = relay.reply();
    let copied = Instant::now();
    assert_eq!(reply["ok"]["clipboard"]["state"], "copied", "{reply}");
    assert_eq!(screen.text().as_deref(), Some(PASSWORD));
    assert!(screen.targets().contains("x-kde-passwordManagerHint"), "histories are told to leave it out");
    assert!(relay.close().0.success());
    assert_eq!(screen.text().as_deref(), Some(PASSWORD), "the relay is gone, the text is not");
    wait_for("one holder", || holders(&screen).len() == 1);
    wait_for("the clearing", || screen.text().as_deref() != Some(PASSWORD));
    // The earliest end is what matters; how late a busy machine clears it is bounded by the wait.
    let took = copied.elapsed();
    assert!(took > Duration::from_millis(2500), "{took:?}");
    wait_for("the holder's end", || holders(&screen).is_empty());
}

#[test]
fn a_text_copied_meanwhile_is_left_alone_and_ends_the_holder() {
    let (screen, world) = (Screen::start(), World::new());
    let _broker = world.broker();
    *world.memory.clear_after_s.lock().unwrap() = 30;
    let mut relay = screen.relay(&world);
    relay.send(&json!({"id": "1", "method": "copy_password", "params": {"session": "s-1"}}));
    let reply = relay.reply();
    assert_eq!(reply["ok"]["state"], "copied", "{reply}");
    wait_for("the holder's wait", || holders(&screen).iter().any(|holder| waits(*holder)));
    screen.copy("a person's own text");
    wait_for("the holder's end", || holders(&screen).is_empty());
    assert_eq!(screen.text().as_deref(), Some("a person's own text"));
}

#[test]
fn a_second_copy_takes_the_place_of_the_first() {
    let (screen, world) = (Screen::start(), World::new());
    let _broker = world.broker();
    *world.memory.clear_after_s.lock().unwrap() = 30;
    let mut relay = screen.relay(&world);
    for id in ["1", "2"] {
        relay.send(&json!({"id": id, "method": "copy_password", "params": {"session": "s-1"}}));
        assert_eq!(relay.reply()["ok"]["state"], "copied");
    }
    wait_for("the first holder's end", || holders(&screen).len() == 1);
    assert_eq!(screen.text().as_deref(), Some(PASSWORD));
}

#[test]
fn the_holder_ends_with_its_screen() {
    let (screen, world) = (Screen::start(), World::new());
    let _broker = world.broker();
    *world.memory.clear_after_s.lock().unwrap() = 60;
    let mut relay = screen.relay(&world);
    relay.send(&json!({"id": "1", "method": "copy_password", "params": {"session": "s-1"}}));
    assert_eq!(relay.reply()["ok"]["state"], "copied");
    // The reply may be quicker than the new process's name.
    wait_for("the holder", || holders(&screen).len() == 1);
    let [holder] = holders(&screen)[..] else {
        panic!("one holder, of a home folder that is this test's alone")
    };
    drop(screen);
    let path = format!("/proc/{holder}/cmdline");
    wait_for("the holder's end", || {
        !std::fs::read_to_string(&path).is_ok_and(|c| c.contains("clipboard-holder"))
    });
}

#[test]
fn without_a_screen_the_terminal_is_named() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&activation("1", "k1", "work"));
    let clipboard = relay.reply()["ok"]["clipboard"].clone();
    assert_eq!(clipboard["problem"]["code"], "no_clipboard");
    assert_eq!(clipboard["problem"]["remedy"], "Run `ticketgate password s-k1` in a terminal.");
}

#[test]
fn a_screen_that_is_not_there_is_as_none() {
    let world = World::new();
    let _broker = world.broker();
    let origin = format!("chrome-extension://{}/", ticketgate_protocol::EXTENSION_ID);
    let mut relay = world.relay_for(&origin, &[("DISPLAY", ":4242")]);
    relay.greet();
    relay.send(&json!({"id": "1", "method": "copy_password", "params": {"session": "s-1"}}));
    let reply = relay.reply();
    assert_eq!(reply["ok"]["problem"]["code"], "no_clipboard", "{reply}");
}

#[test]
fn a_session_on_the_technicians_own_account_has_no_password_to_copy() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    let mut request = activation("1", "k1", "work");
    request["params"]["policy"] = json!("acme-own-account");
    relay.send(&request);
    assert_eq!(relay.reply()["ok"]["clipboard"]["state"], "not_needed");
}
