//! What a machine ends by itself, and what it does not: the sentences that a technician reads before a session.

use ticketgate_access::config::{Local, Processes};

use super::System;
use crate::Promises;

/// sudo reads the end of a rule in the caller's time zone, also one that says UTC; `tests/local/sudo.rs` measures by how much.
const LEAP_SECONDS: &str = "On a machine with time zones that count leap seconds, sudo can be had 27 seconds longer where neither the broker \
                            nor the timer came first.";

/// Of this machine.
pub(super) fn of(settings: &Local) -> Promises {
    match settings.system {
        System::Linux => linux(settings),
        System::Windows => windows(),
    }
}

fn linux(settings: &Local) -> Promises {
    let login = if settings.login.has_password() {
        "Logging on with the password stops when the machine's own timer runs, at most a minute later."
    } else {
        "Your key stops with it."
    };
    let limits = match settings.processes {
        Processes::Stay => "What is already running goes on, and so does what you are logged on to.",
        Processes::Own => "What runs as the account is stopped at the end; what was started by sudo goes on.",
        Processes::All => {
            "What runs as the account, or was started from it by sudo, is stopped at the end; a service that was started goes on."
        }
    };
    Promises {
        guarantee: format!(
            "At the end, to the second, the machine itself refuses sudo, even when no broker runs. {login}"
        ),
        limits: format!("{limits} {LEAP_SECONDS}"),
    }
}

fn windows() -> Promises {
    Promises {
        guarantee: "At the end, to the second, Windows itself lets nobody log on with the account any more, even when no broker runs.".into(),
        limits: "Whoever is logged on stays so, with the rights of the log-on, and what is running goes on. The account's groups are taken by \
                 the broker or by the machine's own task."
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use ticketgate_access::config::{Login, Machine};

    use super::*;

    #[test]
    fn what_is_promised_is_what_the_machine_does() {
        let machine = |system, login, processes| Local {
            machine: Machine::Here,
            system,
            account_name: "jit-{technician}".into(),
            login,
            processes,
            timeout_s: 10,
        };
        let linux = of(&machine(System::Linux, Login::SshKey, Processes::All));
        assert!(linux.guarantee.ends_with("refuses sudo, even when no broker runs. Your key stops with it."));
        assert!(linux.limits.contains("27 seconds"));
        let windows = of(&machine(System::Windows, Login::Password, Processes::Stay));
        assert!(windows.guarantee.contains("lets nobody log on") && !windows.guarantee.contains("sudo"));
        assert!(windows.limits.starts_with("Whoever is logged on stays so"));
    }
}
