//! The system's `ssh`: what it is started with, and what its complaints mean.

use std::time::Duration;

use ticketgate_access::config::Ssh;
use tokio::process::Command;

use crate::DirectoryError;

/// `ssh` without any file of the person that runs it, without a question, and without ever learning a host key.
pub(super) fn command(ssh: &Ssh, timeout: Duration) -> Command {
    let mut command = Command::new("ssh");
    // The locale, so that its complaints are in the words that `meaning` knows.
    command.env("LC_ALL", "C").args(["-F", "none", "-T", "-i", &ssh.key, "-p", &ssh.port.to_string()]);
    let options = [
        "IdentitiesOnly=yes".to_owned(),
        "BatchMode=yes".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        format!("UserKnownHostsFile={}", ssh.known_hosts),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "PreferredAuthentications=publickey".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "ForwardAgent=no".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        format!("ConnectTimeout={}", timeout.as_secs().max(1)),
        "ServerAliveInterval=5".to_owned(),
        "ServerAliveCountMax=2".to_owned(),
    ];
    command.args(options.iter().flat_map(|option| ["-o", option]));
    // The far side's key is bound to one command of its own; this word is for its log.
    command.args(["--", &format!("{}@{}", ssh.user, ssh.host), "ticketgate-local"]);
    command
}

/// What a complaint means, where it is one that somebody can mend.
pub(super) fn meaning(ssh: &Ssh, complaint: &str) -> Option<DirectoryError> {
    let says = |text: &str| complaint.contains(text);
    if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return Some(DirectoryError::HostKey(format!(
            "the key of {} is not the one in {}",
            ssh.host, ssh.known_hosts
        )));
    }
    if says("Host key verification failed") {
        return Some(DirectoryError::HostKey(format!("no key of {} is in {}", ssh.host, ssh.known_hosts)));
    }
    if says("Permission denied") || says("Load key") || says("bad permissions") {
        return Some(DirectoryError::Bind(complaint.to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh() -> Ssh {
        Ssh {
            host: "web1.acme.example".into(),
            port: 2222,
            user: "ticketgate".into(),
            key: "/etc/ticketgate/ssh/acme".into(),
            known_hosts: "/etc/ticketgate/ssh/known_hosts".into(),
        }
    }

    #[test]
    fn a_host_key_is_never_learnt_and_nobody_is_asked() {
        let command = command(&ssh(), Duration::from_secs(10));
        let args: Vec<_> =
            command.as_std().get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        for wanted in [
            "StrictHostKeyChecking=yes",
            "BatchMode=yes",
            "UpdateHostKeys=no",
            "GlobalKnownHostsFile=/dev/null",
        ] {
            assert!(args.iter().any(|arg| arg == wanted), "{wanted}");
        }
        assert_eq!(args.get(..2), Some(["-F".to_owned(), "none".to_owned()].as_slice()));
        assert_eq!(
            args.get(args.len() - 3..).unwrap(),
            ["--", "ticketgate@web1.acme.example", "ticketgate-local"]
        );
    }

    #[test]
    fn a_changed_key_is_told_from_an_unknown_one_and_from_a_refused_log_on() {
        let of = |complaint: &str| meaning(&ssh(), complaint);
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @; Host key verification failed.";
        assert!(matches!(of(changed), Some(DirectoryError::HostKey(why)) if why.contains("is not the one")));
        let unknown = "No ED25519 host key is known for web1 and you have requested strict checking.; Host key verification failed.";
        assert!(
            matches!(of(unknown), Some(DirectoryError::HostKey(why)) if why.starts_with("no key of web1.acme.example"))
        );
        assert!(matches!(
            of("ticketgate@web1: Permission denied (publickey)."),
            Some(DirectoryError::Bind(_))
        ));
        assert!(of("ssh: connect to host web1 port 22: Connection refused").is_none());
    }
}
