//! The machine around: clock, clipboard, runtime folder.

use std::fs;
use std::time::{Duration, SystemTime};

use ticketgate_protocol::api::Finding;

use super::{error, ok, warning};
use crate::clipboard::Clipboard;
use crate::places::{Places, Surroundings, System};
use crate::platform::{Here, Platform};

/// 2026-01-01, before which this program did not exist, in seconds since 1970.
const BORN: u64 = 1_767_225_600;
/// How far a file may be in the future.
const SLACK: Duration = Duration::from_secs(300);

pub(super) fn look(around: &Surroundings, places: &Places) -> Vec<Finding> {
    let mut findings = vec![clock(SystemTime::now(), places), clipboard(around)];
    findings.extend(runtime(around));
    findings
}

/// A clock that is plainly wrong. That broker and directory agree is checked by `ticketgate check`.
pub(super) fn clock(now: SystemTime, places: &Places) -> Finding {
    let remedy = "Run: sudo timedatectl set-ntp true ; then compare with: date -u";
    if now < SystemTime::UNIX_EPOCH + Duration::from_secs(BORN) {
        return error("clock", "The clock is years behind.", remedy);
    }
    let newest = fs::metadata(places.state.join("ledger.sqlite")).and_then(|meta| meta.modified());
    match newest {
        Ok(written) if written > now + SLACK => {
            error("clock", "The clock was set back: the ledger was written in the future.", remedy)
        }
        _ => ok("clock", "is plausible."),
    }
}

fn clipboard(around: &Surroundings) -> Finding {
    if Clipboard::of_this_process(around).has_screen() {
        return ok("clipboard", "There is a screen.");
    }
    warning(
        "clipboard",
        "There is no screen here (DISPLAY and WAYLAND_DISPLAY are not set), so passwords cannot be copied.",
        "Copy them with: ticketgate password SESSION",
    )
}

fn runtime(around: &Surroundings) -> Option<Finding> {
    if around.system != System::Linux {
        return None;
    }
    let folder = std::path::PathBuf::from(around.variable("XDG_RUNTIME_DIR")?);
    if !folder.is_dir() {
        return Some(error(
            "runtime folder",
            format!("XDG_RUNTIME_DIR names {}, which is not there.", folder.display()),
            "Log in again (a session of systemd-logind makes it), or unset XDG_RUNTIME_DIR.",
        ));
    }
    Here::is_open_to_others(&folder).then(|| {
        error(
            "runtime folder",
            format!("Others may enter {}.", folder.display()),
            format!("Run: chmod 700 '{}'", folder.display()),
        )
    })
}
