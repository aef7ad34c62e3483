//! Whether this user may serve LDAP's ports on loopback, which Samba cannot change, and how a program is started that
//! has to. Who may not gets a network of the program's own, in which nothing but its own loopback is reachable.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::tree::program;

/// LDAPS, the higher one of the two that are needed.
const LDAPS: u16 = 636;

/// What helps whoever may not.
const ALLOW: &str = "Please run this, then the same command again:\n\n    \
    sudo sysctl net.ipv4.ip_unprivileged_port_start=389    # until the next start of the machine\n\n\
    or run the command as root";

/// How programs that serve these ports are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ports {
    /// As any other: this user may serve them.
    Allowed,
    /// In a user and network namespace of their own (user_namespaces(7)), with this `ip` to bring its loopback up.
    OwnNetwork(PathBuf),
}

impl Ports {
    /// Tries it. Costs a millisecond, so it comes before any work that would be in vain.
    pub(crate) fn find() -> Result<Self> {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, LDAPS)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            // Somebody else's server on this one address is none of ours: each directory takes another.
            _ => return Ok(Self::Allowed),
        }
        let own = program("ip").map(Self::OwnNetwork);
        if let Some(own) =
            own.filter(|own| own.command("true").stderr(Stdio::null()).status().is_ok_and(|s| s.success()))
        {
            return Ok(own);
        }
        bail!(
            "the private directory server needs the ports 389 and 636, which this user may not serve, and a network of \
             its own cannot be made here either. {ALLOW}"
        )
    }

    /// Refuses a display that is behind a network (`host:10.0`, as `ssh -X` makes it) where that cannot be reached.
    pub(crate) fn reach(&self, display: Option<&str>) -> Result<()> {
        match (self, display) {
            (Self::OwnNetwork(_), Some(display))
                if !display.starts_with([':', '/']) && !display.is_empty() =>
            {
                bail!(
                    "the display {display} is behind the network, and for want of the ports 389 and 636 the demo runs in a \
                 network of its own. Play it with --headless, or allow the ports. {ALLOW}"
                )
            }
            _ => Ok(()),
        }
    }

    /// A command for `program`, which becomes the process itself.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Allowed => Command::new(program),
            Self::OwnNetwork(ip) => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user", "--net", "--", "sh", "-c"]);
                command
                    .arg(r#"ip="$1"; shift; "$ip" link set lo up && exec "$@""#)
                    .args(["sh".as_ref(), ip.as_os_str()]);
                command.arg(program);
                command
            }
        }
    }

    /// What a person should know about it.
    pub(crate) fn note(&self) -> Option<&'static str> {
        match self {
            Self::Allowed => None,
            Self::OwnNetwork(_) => Some(
                "ports below 1024 are not this user's: servers and browser run in a network of their own (unshare)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_in_a_network_of_its_own_gets_its_arguments_and_a_loopback() {
        let Some(ip) = program("ip") else { return };
        let own = Ports::OwnNetwork(ip);
        if !own.command("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return; // This machine makes no namespaces; `find` says so.
        }
        let output =
            own.command("sh").args(["-c", "cat /sys/class/net/lo/flags; echo \"$1\"", "sh", "a b"]).output();
        let said = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(said, "0x9\na b\n", "up and loopback (netdevice(7)), and nothing is split");
    }

    #[test]
    fn who_may_serve_the_ports_starts_programs_as_they_are() {
        assert_eq!(Ports::Allowed.command("true").get_program(), "true");
        assert_eq!(Ports::Allowed.note(), None);
    }

    #[test]
    fn a_display_behind_the_network_is_refused_before_any_work() {
        let own = Ports::OwnNetwork("/sbin/ip".into());
        for (display, reached) in
            [(None, true), (Some(""), true), (Some(":0"), true), (Some("localhost:10.0"), false)]
        {
            assert_eq!(own.reach(display).is_ok(), reached, "{display:?}");
            assert!(Ports::Allowed.reach(display).is_ok());
        }
    }
}
