//! Carrying out one step on an account. Order is safety: what opens an account is the last write of its step, what closes it is the
//! first, and the note that says "closed" is written when all else of an end is done.

use chrono::{DateTime, Utc};
use nix::unistd;

use super::clock::{Second, now};
use super::databases;
use super::days::{day_text, expiry_day};
use super::look::{CLOSED_DAY, Found, Machine, taken};
use super::run::run;
use super::{FarError, Named, Places, bounds, drop_ins, homes, key_file, leftovers, note, processes};
use crate::local::request::{HiddenText, LocalStep, Note, Processes, SudoAsks, Whose, Window};
use crate::local::{AccountName, GroupName, LocalRight};

/// `useradd(8)`: the name is taken.
const EXISTS: i32 = 9;
/// `usermod(8)`, `userdel(8)`: there is no such account.
const GONE: i32 = 6;
/// `userdel(8)`: the account is in use.
const IN_USE: i32 = 8;
/// Of all of them: the databases are locked or cannot be written. They are named alike.
const LOCKED: i32 = 1;
/// "No password": nothing that is typed fits it. Not `!`, which an SSH server without PAM takes for a locked account.
const NO_PASSWORD: &str = "*";

/// One step.
///
/// # Errors
/// [`FarError`]
pub(super) fn carry_out(places: &Places, account: &Named, step: LocalStep) -> Result<(), FarError> {
    let machine = Machine::read(places)?;
    let name = &account.name;
    match (step, machine.target(account)?) {
        // Made by an earlier attempt whose answer was lost; the plan goes on from what it is like.
        (LocalStep::Create { .. }, Some(_)) => Ok(()),
        (LocalStep::Create { whose }, None) => create(places, &machine, account, whose),
        (LocalStep::Delete {}, None) => {
            drop_ins::remove_all(places, |drop_in| drop_in.account == *name)?;
            key_file::remove(places, name)
        }
        (LocalStep::Revoke { right }, None) => {
            drop_ins::remove(places, account, &right)?;
            key_file::take(places, name, &right)
        }
        (_, None) => Err(FarError::NoSuchAccount(name.to_string())),
        (LocalStep::Grant { right, until, asks }, Some(found)) => {
            grant(places, account, &found, &right, until, asks)
        }
        (LocalStep::Revoke { right }, Some(found)) => revoke(places, account, &found, &right),
        (LocalStep::ResetPrimaryGroup {}, Some(found)) => reset_primary_group(places, &machine, name, &found),
        (LocalStep::Open { whose, window, password }, Some(found)) => {
            // Before anything is written.
            Second::end(window.end, now())?;
            homes::ensure(places, name, &found)?;
            open(places, account, whose, &window, password.as_ref())
        }
        (LocalStep::SetEnd { whose, window }, Some(found)) => {
            if !found.seen.enabled {
                // The end is what closes an account here, so this write would open it.
                return Err(FarError::Failed(format!("{name} was closed meanwhile")));
            }
            write_window(places, account, whose, &window, &[])
        }
        (LocalStep::Close { processes }, Some(found)) => close(places, name, &found, processes),
        (LocalStep::Rotate { whose, processes }, Some(found)) => {
            close_again(places, name, &found, processes)?;
            put_away(places, name, &found, &Note { token: account.token.clone(), whose, window: None })
        }
        (LocalStep::Delete {}, Some(found)) => delete(places, name, &found),
    }
}

fn create(places: &Places, machine: &Machine<'_>, account: &Named, whose: Whose) -> Result<(), FarError> {
    let name = &account.name;
    // Also names that only a network's directory has.
    let unknown =
        |error: nix::Error| FarError::Failed(format!("the machine's names cannot be asked for: {error}"));
    let somebodys = unistd::User::from_name(name.as_str()).map_err(unknown)?.is_some()
        || unistd::Group::from_name(name.as_str()).map_err(unknown)?.is_some()
        || databases::has_name(&machine.group, name.as_str());
    if somebodys {
        return Err(taken(name, "an account or a group has this name"));
    }
    let home = machine.home_for(name);
    if home.symlink_metadata().is_ok() {
        return Err(taken(name, &format!("{} is there already", home.display())));
    }
    let note = written(&Note { token: account.token.clone(), whose, window: None })?;
    let day = day_text(CLOSED_DAY)?;
    let home = home.to_string_lossy();
    #[rustfmt::skip]
    let arguments = [
        "--no-create-home", "--home-dir", &home, "--user-group", "--no-log-init", "--shell", "/bin/bash",
        "--expiredate", &day, "--password", NO_PASSWORD, "--comment", &note, name.as_str(),
    ];
    let ended = run(places, "useradd", &arguments, None)?;
    match ended.code {
        Some(EXISTS) => match Machine::read(places)?.target(account)? {
            Some(_) => Ok(()),
            None => Err(taken(name, "a group has this name")),
        },
        Some(LOCKED) => Err(FarError::Busy(ended.failed().to_string())),
        _ => ended.well(),
    }
}

fn grant(
    places: &Places,
    account: &Named,
    found: &Found,
    right: &LocalRight,
    until: DateTime<Utc>,
    asks: SudoAsks,
) -> Result<(), FarError> {
    bounds::allow(places, right)?;
    let end = Second::end(until, now())?;
    match right {
        LocalRight::Sudo(command) => drop_ins::put(places, account, command, asks, until),
        LocalRight::Key(key) => key_file::give(places, &account.name, key, end),
        LocalRight::Group(group) => join(places, &account.name, found, group),
    }
}

fn join(places: &Places, name: &AccountName, found: &Found, group: &GroupName) -> Result<(), FarError> {
    if found.groups.iter().any(|held| held == group.as_str()) {
        return Ok(());
    }
    let text = super::files::text(&places.etc.join("group"))?;
    if !databases::groups(&text).any(|there| there.name == group.as_str()) {
        return Err(FarError::NoSuchRight(format!("there is no group {group} in /etc/group")));
    }
    run(places, "gpasswd", &["--add", name.as_str(), group.as_str()], None)?.well()
}

fn revoke(places: &Places, account: &Named, found: &Found, right: &str) -> Result<(), FarError> {
    match right.split_once(':') {
        Some(("sudo", _)) => drop_ins::remove(places, account, right),
        Some(("key", _)) => key_file::take(places, &account.name, right),
        Some(("group", group)) => leave(places, &account.name, found, group),
        _ => Err(FarError::BadValue(format!("{right:?} is no right of a machine"))),
    }
}

/// Out of a group, as it is named in the database, however odd.
fn leave(places: &Places, name: &AccountName, found: &Found, group: &str) -> Result<(), FarError> {
    if !found.groups.iter().any(|held| held == group) {
        return Ok(());
    }
    run(places, "gpasswd", &["--delete", name.as_str(), "--", group], None)?.well()
}

/// An account's own group, made again where it is gone.
pub(super) fn reset_primary_group(
    places: &Places,
    machine: &Machine<'_>,
    name: &AccountName,
    found: &Found,
) -> Result<(), FarError> {
    if found.seen.own_primary_group {
        return Ok(());
    }
    if !databases::has_name(&machine.group, name.as_str()) {
        run(places, "groupadd", &[name.as_str()], None)?.well()?;
    }
    change(places, name, &["--gid", name.as_str()])
}

fn open(
    places: &Places,
    account: &Named,
    whose: Whose,
    window: &Window,
    password: Option<&HiddenText>,
) -> Result<(), FarError> {
    let name = &account.name;
    let Some(HiddenText(password)) = password else {
        return write_window(places, account, whose, window, &["--password", NO_PASSWORD]);
    };
    // To the program's input alone, which is a line of a name and a password.
    let password = password.expose();
    if password.is_empty() || password.len() > 200 || password.chars().any(char::is_control) {
        return Err(FarError::BadValue("a password has 1 to 200 characters that can be typed".into()));
    }
    let line = zeroize::Zeroizing::new(format!("{name}:{password}\n"));
    let ended = run(places, "chpasswd", &[], Some(line.as_bytes()))?;
    if ended.code == Some(LOCKED) {
        return Err(FarError::Busy(ended.failed().to_string()));
    }
    ended.well()?;
    write_window(places, account, whose, window, &[])
}

/// The one write that opens an account or moves its end. The note is put in place before the end: cut between the two, the
/// account is still closed, or has its old end. `also` goes into the same line as the end.
fn write_window(
    places: &Places,
    account: &Named,
    whose: Whose,
    window: &Window,
    also: &[&str],
) -> Result<(), FarError> {
    let end = Second::end(window.end, now())?;
    let window = Window { end: end.time(), ..window.clone() };
    let note = written(&Note { token: account.token.clone(), whose, window: Some(window) })?;
    let day = day_text(expiry_day(end))?;
    change(places, &account.name, &[also, &["--expiredate", &day, "--comment", &note]].concat())
}

/// Nobody logs on any more, by whatever means: an account that is over is refused to keys and to `sudo` too, a lock stops the
/// password alone. Then the processes.
pub(super) fn close(
    places: &Places,
    name: &AccountName,
    found: &Found,
    which: Processes,
) -> Result<(), FarError> {
    change(places, name, &["--expiredate", &day_text(CLOSED_DAY)?, "--lock"])?;
    processes::end(places, found.uid, which)
}

/// The same of an account that may be closed already, maybe by a step that was cut before it came to the processes.
fn close_again(places: &Places, name: &AccountName, found: &Found, which: Processes) -> Result<(), FarError> {
    if found.seen.enabled {
        return close(places, name, found, which);
    }
    processes::end(places, found.uid, which)
}

/// What is left of a session on a closed account; the note last.
pub(super) fn put_away(
    places: &Places,
    name: &AccountName,
    found: &Found,
    note: &Note,
) -> Result<(), FarError> {
    leftovers::remove(places, name, found.uid)?;
    key_file::remove(places, name)?;
    change(places, name, &["--password", NO_PASSWORD])?;
    change(places, name, &["--comment", &written(note)?])
}

fn delete(places: &Places, name: &AccountName, found: &Found) -> Result<(), FarError> {
    close_again(places, name, found, Processes::All)?;
    leftovers::remove(places, name, found.uid)?;
    drop_ins::remove_all(places, |drop_in| drop_in.account == *name)?;
    key_file::remove(places, name)?;
    let ended = run(places, "userdel", &["--remove", name.as_str()], None)?;
    match ended.code {
        Some(GONE) => Ok(()),
        Some(IN_USE | LOCKED) => Err(FarError::Busy(ended.failed().to_string())),
        _ => ended.well(),
    }
}

/// `usermod`, of an account that was there a moment ago.
fn change(places: &Places, name: &AccountName, what: &[&str]) -> Result<(), FarError> {
    let ended = run(places, "usermod", &[what, &[name.as_str()]].concat(), None)?;
    match ended.code {
        Some(GONE) => Err(FarError::NoSuchAccount(name.to_string())),
        Some(LOCKED) => Err(FarError::Busy(ended.failed().to_string())),
        _ => ended.well(),
    }
}

fn written(note: &Note) -> Result<String, FarError> {
    note::format(note).ok_or_else(|| FarError::BadValue("the account's note cannot be written".into()))
}

/// Out of every group that is not its own.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn leave_all(places: &Places, name: &AccountName, found: &Found) -> Result<(), FarError> {
    found.groups.iter().try_for_each(|group| leave(places, name, found, group))
}
