//! Uninstalling with brokers that answer little, or not at all: what was not seen keeps everything in its place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, State as With};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::install::Options;
use crate::places::{Places, Surroundings, System};

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/golden").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Sessions that are open, by a broker that lists two at a time.
type Open = Arc<Mutex<Vec<Value>>>;

fn sessions(count: usize) -> Open {
    let session = |n| {
        let mut session = golden("reply.activate")["ok"]["session"].clone();
        session["id"] = json!(format!("s-{n}"));
        session
    };
    Arc::new(Mutex::new((0..count).map(session).collect()))
}

/// A broker of the test's own; `technician` is whom it takes the caller for.
fn broker(socket: &Path, technician: Option<&str>, open: &Open) {
    let mut info = golden("reply.hello")["ok"]["broker"].clone();
    info["technician"] = json!(technician);
    info["administrator"] = json!(false);
    let list =
        async |With(open): With<Open>| Json(open.lock().unwrap().iter().take(2).cloned().collect::<Vec<_>>());
    let end = async |With(open): With<Open>, Segment(id): Segment<String>| {
        let mut open = open.lock().unwrap();
        let at = open.iter().position(|s| s["id"] == id.as_str()).unwrap();
        let mut ended = open.remove(at);
        ended["state"] = json!("ended");
        Json(ended)
    };
    let app = Router::new()
        .route("/v1/broker", get(move || std::future::ready(Json(info))))
        .route("/v1/sessions", get(list))
        .route("/v1/sessions/{id}/end", post(end))
        .with_state(Arc::clone(open));
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
}

struct Machine {
    folder: TempDir,
    around: Surroundings,
}

impl Machine {
    /// With what `install` wrote for the whole machine and for the person.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let around = Surroundings {
            system: System::Linux,
            root: folder.path().to_owned(),
            home: Some(folder.path().join("home")),
            exe: std::env::current_exe().unwrap(),
            variables: BTreeMap::from([("TICKETGATE_START".into(), "never".into())]),
        };
        std::fs::create_dir_all(folder.path().join("home/.config/chromium")).unwrap();
        let machine = Self { folder, around };
        for scope in [Scope::User, Scope::System] {
            install::install(&machine.around, &machine.how(scope).options).unwrap();
        }
        machine
    }

    fn how(&self, scope: Scope) -> Uninstall {
        let options = Options {
            scope,
            browsers: Vec::new(),
            extension_ids: Vec::new(),
            host_path: None,
            service: false,
            force: false,
            dry_run: false,
        };
        Uninstall { options, leave_sessions: false }
    }

    fn ledger_in(&self, state: &str) {
        let state = self.folder.path().join(state);
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(state.join("ledger.sqlite"), "").unwrap();
    }

    async fn uninstall(&self, scope: Scope) -> (anyhow::Result<ExitCode>, String) {
        let mut out = Vec::new();
        let places = Places::find(&self.around).unwrap();
        let mut terminal = Terminal { out: &mut out, json: false, around: self.around.clone(), places };
        let code = uninstall(&mut terminal, &self.how(scope)).await;
        (code, String::from_utf8(out).unwrap())
    }

    async fn keeps_everything(&self, scope: Scope) {
        let (result, said) = self.uninstall(scope).await;
        let error = result.unwrap_err();
        assert!(error.downcast::<Problem>().unwrap().remedy.contains("nothing was removed"));
        assert_eq!(said, "");
    }
}

const OWN_STATE: &str = "home/.local/state/ticketgate";
const MACHINES_STATE: &str = "var/lib/ticketgate";

#[tokio::test]
async fn a_broker_that_does_not_know_the_caller_is_no_word_on_what_their_ledger_has() {
    let machine = Machine::new();
    let places = Places::find(&machine.around).unwrap();
    broker(&places.socket, None, &sessions(1));
    machine.ledger_in(OWN_STATE);
    machine.keeps_everything(Scope::User).await;
}

#[tokio::test]
async fn whom_the_machines_broker_does_not_know_and_who_has_no_ledger_has_nothing_open() {
    let machine = Machine::new();
    broker(&system_socket(&machine.around), None, &sessions(1));
    let (result, said) = machine.uninstall(Scope::User).await;
    assert!(result.is_ok() && said.contains("removed"), "{said}");
}

#[tokio::test]
async fn a_machine_whose_broker_was_stopped_with_a_ledger_is_not_uninstalled() {
    let machine = Machine::new();
    machine.ledger_in(MACHINES_STATE);
    machine.keeps_everything(Scope::System).await;
    // Also where root has a broker of its own, and where the stopped one left its socket behind.
    let places = Places::find(&machine.around).unwrap();
    broker(&places.socket, Some("tech1"), &sessions(0));
    machine.keeps_everything(Scope::System).await;
    let socket = system_socket(&machine.around);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    machine.keeps_everything(Scope::System).await;
    let (result, said) = machine.uninstall(Scope::User).await;
    assert!(result.is_ok() && said.contains("removed"), "a person's own part goes: {said}");
}

#[tokio::test]
async fn what_a_broker_did_not_list_at_first_is_ended_too() {
    let machine = Machine::new();
    let open = sessions(5);
    broker(&Places::find(&machine.around).unwrap().socket, Some("tech1"), &open);
    machine.ledger_in(OWN_STATE);
    let (result, said) = machine.uninstall(Scope::User).await;
    assert!(result.is_ok() && said.contains("removed"), "{said}");
    assert_eq!(open.lock().unwrap().len(), 0, "{said}");
    assert_eq!(said.matches(": ended").count(), 5, "{said}");
}
