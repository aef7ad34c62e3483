//! The broker's socket, folders and configuration.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ticketgate_access::config::LedgerPlace;
use ticketgate_ledger::{LedgerError, PostgresLedger, SqliteLedger};
use ticketgate_protocol::api::{BrokerInfo, Finding};
use ticketgate_protocol::problem::{Code, Problem};

use super::{error, ok, warning};
use crate::broker::aside::{self, UNREAD_REMEDY, UNREAD_TEXT};
use crate::broker::ledgers;
use crate::client::Client;
use crate::client::starting::START_VARIABLE;
use crate::places::{Places, Surroundings};
use crate::platform::{Distrust, Here, Platform};

/// How long a broker may take to say who it is. It answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn look(around: &Surroundings, places: &Places) -> Vec<Finding> {
    let mut findings = socket(around, places);
    findings.extend(closed("state folder", &places.state));
    findings.extend(configuration(&places.config));
    findings
}

fn socket(around: &Surroundings, places: &Places) -> Vec<Finding> {
    if Here::trust_socket(&places.socket).is_ok() && Here::somebody_listens(&places.socket) {
        return answer(&places.socket);
    }
    let mut findings = vec![silence(around, places)];
    findings.extend(ledger(places));
    findings
}

/// The ledger that the next broker will open. One that runs tells of its own.
fn ledger(places: &Places) -> Vec<Finding> {
    let path = places.state.join("ledger.sqlite");
    // The machine's broker keeps it as another user; that this user cannot look at it is as it should be.
    if fs::read_dir(&places.state).is_err()
        || fs::File::open(&path).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
    {
        return Vec::new();
    }
    match ledgers::place(places) {
        Ok(None) => {}
        Ok(Some(place)) => return vec![database(places, &place)],
        Err(why) => {
            return vec![error("ledger", format!("{why}."), "Mend that, then run: ticketgate doctor")];
        }
    }
    let unread = aside::unread(&places.state);
    let mut findings: Vec<_> = unread
        .iter()
        .map(|path| error("ledger", format!("{UNREAD_TEXT} ({})", path.display()), UNREAD_REMEDY))
        .collect();
    let damage = SqliteLedger::damage(&path, &places.state.join("audit.key"));
    if damage.is_empty() && path.exists() {
        findings.push(ok("ledger", format!("{} is sound.", path.display())));
    }
    findings.extend(damage.into_iter().map(|what| {
        let remedy = match what {
            LedgerError::Damaged(_) => {
                "Restore ledger and key from a backup; without one run: ticketgate recover"
            }
            _ => "Mend that, then run: ticketgate doctor",
        };
        error("ledger", format!("{what}."), remedy)
    }));
    findings
}

/// The ledger that brokers share, as the next broker of this machine would find it.
fn database(places: &Places, place: &LedgerPlace) -> Finding {
    let file = places.state.join("ledger.sqlite");
    if SqliteLedger::is_begun(&file) {
        return error(
            "ledger",
            format!("[ledger] names a database, and {} is still here; no broker starts.", file.display()),
            "Run: ticketgate ledger copy",
        );
    }
    let place = ledgers::postgres(place, places.state.join("audit.key"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let looked = runtime.map_err(|error| LedgerError::Unavailable(error.to_string())).and_then(|runtime| {
        // A thread of its own: this may be a runtime's.
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| runtime.block_on(PostgresLedger::check(&place)));
            looking
                .join()
                .unwrap_or_else(|_| Err(LedgerError::Unavailable("it could not be looked at".into())))
        })
    });
    match looked {
        Ok(()) => ok("ledger", "The database of [ledger] answers, and this broker may use it."),
        Err(why @ LedgerError::Damaged(_)) => error(
            "ledger",
            format!("{why}."),
            "Give this broker the key of the others, name the right database in [ledger], or restore it from a backup",
        ),
        Err(why) => error("ledger", format!("{why}."), "Mend that, then run: ticketgate doctor"),
    }
}

fn silence(around: &Surroundings, places: &Places) -> Finding {
    let socket = places.socket.display();
    let start = format!("Run: {}", Here::HOW_TO_START);
    match Here::trust_socket(&places.socket) {
        Ok(()) if reachable(&places.socket) == Some(ErrorKind::PermissionDenied) => error(
            "broker",
            format!("This user may not connect to {socket}."),
            "An administrator has to give you the right, or name another socket with TICKETGATE_SOCKET.",
        ),
        Ok(()) => warning("broker", format!("Nobody answers on {socket}; an earlier broker left it."), start),
        Err(Distrust::Missing) if around.variable(START_VARIABLE).is_some_and(|v| v == "never") => error(
            "broker",
            format!(
                "No broker runs ({socket} is not there), and {START_VARIABLE}=never forbids starting one."
            ),
            start,
        ),
        Err(Distrust::Missing) => {
            ok("broker", format!("does not run; the first request starts one on {socket}."))
        }
        Err(why @ Distrust::ForeignOwner { .. }) => error(
            "broker",
            format!("The socket {socket} is not trusted: {why}."),
            format!("Find out who made it (ls -l '{socket}'), remove it, and start the broker again."),
        ),
        Err(why @ Distrust::OpenFolder { .. }) => error(
            "broker",
            format!("The socket {socket} is not trusted: {why}."),
            format!("Run: {}", Here::command_to_close(places.socket_folder())),
        ),
        Err(why) => error(
            "broker",
            format!("The socket {socket} is not trusted: {why}."),
            format!("Run: rm '{socket}'"),
        ),
    }
}

/// Somebody listens; whether it is a broker that works shows only when it is asked.
fn answer(socket: &Path) -> Vec<Finding> {
    let again = format!("Run: {}", Here::HOW_TO_RESTART);
    let mut notices = Vec::new();
    let broker = match ask(socket) {
        Ok(info) => {
            let grave = info.notices.into_iter().filter(|notice| notice.level == "error");
            notices.extend(grave.map(|notice| error("broker", notice.text, "Run: ticketgate check")));
            if info.version == env!("CARGO_PKG_VERSION") {
                ok("broker", format!("answers on {}.", socket.display()))
            } else {
                warning(
                    "broker",
                    format!("Version {} answers on {}; this is another one.", info.version, socket.display()),
                    again,
                )
            }
        }
        Err(problem) if problem.code == Code::TimedOut => error(
            "broker",
            format!(
                "Something listens on {} and says nothing within {} seconds: the broker hangs.",
                socket.display(),
                PATIENCE.as_secs()
            ),
            again,
        ),
        Err(problem) => error("broker", problem.detail, again),
    };
    notices.insert(0, broker);
    notices
}

/// On a thread of its own, because who asks the doctor may be inside a runtime already.
fn ask(socket: &Path) -> Result<BrokerInfo, Problem> {
    let broken = || Problem::new(Code::Internal, "The broker cannot be asked from here.");
    let client = Client::at_socket(socket.to_owned()).with_limit(PATIENCE);
    let asking = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|_| broken())?.block_on(client.broker())
    };
    std::thread::spawn(asking).join().unwrap_or_else(|_| Err(broken()))
}

#[cfg(unix)]
fn reachable(socket: &Path) -> Option<ErrorKind> {
    std::os::unix::net::UnixStream::connect(socket).err().map(|e| e.kind())
}

/// Whether this user may connect shows only when the broker is asked.
#[cfg(windows)]
fn reachable(_: &Path) -> Option<ErrorKind> {
    None
}

fn closed(what: &str, folder: &Path) -> Option<Finding> {
    let open = folder.is_dir() && Here::is_open_to_others(folder);
    open.then(|| {
        error(
            what,
            format!("Others may enter {}.", folder.display()),
            format!("Run: {}", Here::command_to_close(folder)),
        )
    })
}

fn configuration(file: &Path) -> Vec<Finding> {
    let name = file.display().to_string();
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let remedy = "Write one after docs/administrator.md, then run: ticketgate check";
            return vec![error(
                "configuration",
                format!("{name} is not there; nothing can be granted."),
                remedy,
            )];
        }
        // The machine's broker reads it as another user; that this user cannot is as it should be.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            return vec![ok("configuration", format!("{name} is for the broker's user alone."))];
        }
        Err(e) => {
            return vec![error(
                "configuration",
                format!("{name} cannot be read: {e}."),
                "Run: ticketgate check",
            )];
        }
    };
    match ticketgate_access::config::read(&text) {
        Ok(_) => vec![ok("configuration", format!("{name} has no faults."))],
        Err(faults) => faults
            .0
            .iter()
            .map(|fault| {
                error(
                    "configuration",
                    format!("{name}, line {}: {}", fault.line, fault.text),
                    "Mend it, then run: ticketgate check",
                )
            })
            .collect(),
    }
}
