//! A machine with accounts of its own: how it is reached, how people log on.

use super::super::tree::{At, Notes, Section, TEXT_MAX};
use super::{DN_MAX, account_name, is_absolute, is_host};
use crate::config::{Local, Login, Machine, Processes, Ssh};
use crate::local::{AccountName, System};

/// What stands in its section besides what every directory has.
pub(super) const KEYS: [&str; 6] = ["machine", "system", "account_name", "login", "processes", "timeout"];

const ACCOUNT_NAME: &str = "jit-{technician}";
/// What every JIT account of a machine begins with: the machine's own side touches no other.
const PREFIX: &str = "jit-";
/// Ending processes may take as long as they let it.
const TIMEOUT_S: u32 = 10;
const SSH_PORT: u16 = 22;

pub(super) fn read(section: &Section<'_>, notes: &mut Notes) -> Local {
    let line = section.line_of("account_name", notes);
    let account_name = account_name(section, notes).unwrap_or_else(|| ACCOUNT_NAME.into());
    if !account_name.starts_with(PREFIX) {
        notes.fault(
            line,
            format!(
                "`account_name` of {} must begin with {PREFIX}, which tells its accounts from people's",
                section.name
            ),
        );
    }
    let local = Local {
        machine: machine(section, notes),
        system: word(section, "system", notes, (("linux", System::Linux), [("windows", System::Windows)])),
        account_name,
        login: word(
            section,
            "login",
            notes,
            (("password", Login::Password), [("ssh_key", Login::SshKey), ("both", Login::Both)]),
        ),
        processes: word(
            section,
            "processes",
            notes,
            (("stay", Processes::Stay), [("own", Processes::Own), ("all", Processes::All)]),
        ),
        timeout_s: section.duration("timeout", 1, 60, notes).map_or(TIMEOUT_S, |timeout| timeout.value),
    };
    if local.system == System::Windows {
        windows(section, &local, notes);
    }
    local
}

/// What a Windows machine has not.
fn windows(section: &Section<'_>, local: &Local, notes: &mut Notes) {
    let name = &section.name;
    if local.login.has_key() {
        let line = section.line_of("login", notes);
        notes.fault(
            line,
            format!(
                "`login` of {name} must be \"password\": the SSH server of Windows has one file of keys for all administrators, where a \
                 session's key would open every one's account"
            ),
        );
    }
    if local.processes != Processes::Stay {
        let line = section.line_of("processes", notes);
        notes.fault(
            line,
            format!("`processes` of {name} must be \"stay\": on a Windows machine no end stops what runs"),
        );
    }
}

/// One of some words; the first where none stands there.
fn word<T: Copy, const N: usize>(
    section: &Section<'_>,
    key: &str,
    notes: &mut Notes,
    (first, others): ((&str, T), [(&str, T); N]),
) -> T {
    let Some(At { line, value }) = section.text(key, TEXT_MAX, notes) else { return first.1 };
    if let Some((_, found)) = [first].iter().chain(&others).find(|(word, _)| *word == value) {
        return *found;
    }
    let quoted = |(word, _): (&str, T)| format!("\"{word}\"");
    let (last, before) = (others.last().copied().map(quoted), others.len().saturating_sub(1));
    let before: Vec<_> = [first].into_iter().chain(others.into_iter().take(before)).map(quoted).collect();
    let words = last.map_or_else(|| before.join(", "), |last| format!("{} or {last}", before.join(", ")));
    notes.fault(line, format!("`{key}` of {} must be {words}", section.name));
    first.1
}

fn machine(section: &Section<'_>, notes: &mut Notes) -> Machine {
    const REMEDY: &str = "write machine = \"here\", or machine = { host = \"web1.acme.example\", user = \"ticketgate\", \
                          key = \"/etc/ticketgate/ssh/acme\", known_hosts = \"/etc/ticketgate/ssh/known_hosts\" }";
    match section.kind_of("machine") {
        None => {
            notes.fault(section.line, format!("{} has no `machine`; {REMEDY}", section.name));
            Machine::Here
        }
        Some("table") => {
            section.table("machine", notes).map_or(Machine::Here, |table| Machine::Ssh(ssh(&table, notes)))
        }
        Some(_) => {
            if let Some(At { line, value }) = section.text("machine", TEXT_MAX, notes)
                && value != "here"
            {
                notes.fault(line, format!("`machine` of {} is not known; {REMEDY}", section.name));
            }
            Machine::Here
        }
    }
}

fn ssh(table: &Section<'_>, notes: &mut Notes) -> Ssh {
    table.only(&["host", "port", "user", "key", "known_hosts"], notes);
    let mut required = |key: &str, remedy: &str, fits: &dyn Fn(&str) -> bool| {
        let found = table.required_text(key, DN_MAX, remedy, notes);
        if let Some(At { line, value }) = &found
            && !fits(value)
        {
            notes.fault(*line, format!("`{key}` of {} cannot be used; {remedy}", table.name));
        }
        found.map(|found| found.value).unwrap_or_default()
    };
    Ssh {
        host: required(
            "host",
            "name the machine as its host key is known, such as \"web1.acme.example\"",
            &is_host,
        ),
        user: required(
            "user",
            "name the account that the broker's key belongs to, such as \"ticketgate\"",
            &is_user,
        ),
        key: required("key", "name the broker's private key by its whole path", &is_absolute),
        known_hosts: required(
            "known_hosts",
            "name the file of checked host keys by its whole path",
            &is_absolute,
        ),
        port: table
            .number("port", 1, 65_535, notes)
            .and_then(|port| port.try_into().ok())
            .unwrap_or(SSH_PORT),
    }
}

/// Whether a text is a plain name of a user, which `ssh` cannot take for an option.
fn is_user(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !name.starts_with('-')
}

/// Why a name cannot be one of a machine's JIT accounts.
pub(in crate::config::read) fn account_name_fault(system: System, name: &str) -> Option<&'static str> {
    let fits = AccountName::new(name).is_ok() && name.len() <= system.longest_account_name();
    (!fits).then_some(match system {
        System::Linux => "is not of jit- and up to 28 of a-z, 0-9, _ and -, as a Linux machine needs it",
        System::Windows => "is not of jit- and up to 16 of a-z, 0-9, _ and -, as a Windows machine needs it",
    })
}
