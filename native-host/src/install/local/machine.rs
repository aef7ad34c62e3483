//! What the machine's own programs are asked at an installation: whether sshd takes its settings, and to read them anew.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use ticketgate_directory::local::request::{Answer, Ask};
use ticketgate_directory::local::{Places, serve};

use super::super::{Done, Step};
use crate::places::Surroundings;

/// JIT accounts of this machine that somebody can log on with now.
pub(super) fn open_accounts() -> anyhow::Result<Vec<String>> {
    let mut ask = serde_json::to_vec(&Ask::List {})?;
    ask.push(b'\n');
    let mut answer = Vec::new();
    serve(Cursor::new(ask), &mut answer, &Places::system())?;
    match serde_json::from_slice(&answer)? {
        Answer::Listed { accounts, .. } => {
            let open = accounts.into_iter().filter(|one| one.seen.enabled && one.seen.note.is_some());
            Ok(open.map(|one| one.name.to_string()).collect())
        }
        other => bail!("the machine's accounts cannot be listed: {other:?}"),
    }
}

/// Readable for everybody: nothing in these files is secret, and sshd's own are so, too.
pub(super) fn readable(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

pub(super) fn has_user(around: &Surroundings, name: &str) -> bool {
    if around.root != Path::new("/") {
        let passwd = fs::read_to_string(around.at_root("/etc/passwd")).unwrap_or_default();
        return passwd.lines().any(|line| line.split(':').next() == Some(name));
    }
    nix::unistd::User::from_name(name).ok().flatten().is_some()
}

/// Has sshd judge all its settings. A file that it does not take is taken away again: it would not start any more.
pub(super) fn sshd_takes(around: &Surroundings, path: &Path) -> anyhow::Result<()> {
    if around.root != Path::new("/") {
        return Ok(());
    }
    let Ok(judged) = Command::new("sshd").arg("-t").stdin(Stdio::null()).output() else { return Ok(()) };
    if judged.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&judged.stderr).trim().to_owned();
    // It says so without this file, too, where it never ran yet.
    let hidden = path.with_extension("off");
    fs::rename(path, &hidden)?;
    let without = Command::new("sshd").arg("-t").stdin(Stdio::null()).output()?;
    if without.status.success() {
        fs::remove_file(&hidden)?;
        bail!("sshd does not take {}, so it was removed again: {said}", path.display());
    }
    fs::rename(&hidden, path).with_context(|| path.display().to_string())
}

/// Has the machine follow what was written or removed; what it did not do, as sentences for people.
pub(super) fn put_to_work(around: &Surroundings, steps: &[Step]) -> Vec<String> {
    if around.root != Path::new("/") {
        return Vec::new();
    }
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    let changed =
        |what: &str| steps.iter().any(|s| s.what == what && matches!(s.done, Done::Written | Done::Removed));
    let mut undone = Vec::new();
    if changed("sshd") && !sshd_reads_anew(has_systemd) {
        undone
            .push("sshd was not told to read its settings anew. Run: systemctl reload ssh (or sshd)".into());
    }
    if !has_systemd {
        return undone;
    }
    if ["timer", "sweep", "socket"].into_iter().any(changed) && !runs("systemctl", &["daemon-reload"]) {
        undone.push("systemd did not read its units anew. Run: systemctl daemon-reload".into());
    }
    for unit in ["ticketgate-local-sweep.timer", "ticketgate-local.socket"] {
        let there = steps
            .iter()
            .any(|step| step.path.ends_with(unit) && matches!(step.done, Done::Written | Done::Unchanged));
        if there && !runs("systemctl", &["enable", "--now", unit]) {
            undone.push(format!("systemd did not start {unit}. Run: systemctl enable --now {unit}"));
        }
    }
    undone
}

/// Before their files go.
pub(super) fn stop(around: &Surroundings, files: &[PathBuf]) {
    if around.root != Path::new("/") || !Path::new("/run/systemd/system").is_dir() {
        return;
    }
    for unit in ["ticketgate-local-sweep.timer", "ticketgate-local.socket"] {
        if files.iter().any(|file| file.ends_with(unit) && file.exists()) {
            runs("systemctl", &["disable", "--now", unit]);
        }
    }
}

/// True, too, where none runs.
fn sshd_reads_anew(has_systemd: bool) -> bool {
    if has_systemd {
        return ["ssh.service", "sshd.service"]
            .into_iter()
            .any(|unit| runs("systemctl", &["try-reload-or-restart", unit]));
    }
    let pid = fs::read_to_string("/run/sshd.pid").ok().and_then(|text| text.trim().parse().ok());
    let Some(pid) = pid.and_then(Pid::from_raw) else { return true };
    let is_sshd = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()))
        .is_ok_and(|name| name.trim() == "sshd");
    !is_sshd || kill_process(pid, Signal::HUP).is_ok()
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let ended = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    ended.is_ok_and(|ended| ended.status.success())
}
