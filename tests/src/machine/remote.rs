//! A broker on one machine for the accounts of another, which it reaches by the system's `ssh`.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Machine;
use super::installed::{HERE, Installed};
use super::network::FAR;
use crate::Result;

/// The name of the host key that the broker's machine knows.
pub const HOST_KEY: &str = "ssh_host_ed25519_key";
/// Where it knows it from.
pub const KNOWN: &str = "/etc/ticketgate/ssh/known_hosts";

/// Both machines. The technician's own key is `/etc/ticketgate/terry` on the broker's.
#[derive(Debug)]
pub struct Remote {
    /// The broker's.
    pub near: Installed,
    /// The one with the accounts. It runs what its installation told to put in place.
    pub far: Machine,
}

impl Machine {
    /// Lets a broker on another machine in by its public key: what the installation puts in place, and the lines that it tells an
    /// administrator to write. The program is there and the SSH server runs.
    ///
    /// # Errors
    /// The installation fails, or does not tell what to write.
    pub fn let_broker_in(&self, public_key: &Path) -> Result<()> {
        self.sh(
            "id ticketgate > /dev/null 2>&1 || useradd --system --create-home --shell /bin/sh ticketgate",
        )?;
        fs::copy(public_key, self.path("/etc/broker.pub"))?;
        let told = self.sh("ticketgate local install --key /etc/broker.pub")?;
        for (file, word) in [
            ("~ticketgate/.ssh/authorized_keys", "sudo -n"),
            ("/etc/sudoers.d/ticketgate-broker", "NOPASSWD"),
        ] {
            let line = told.lines().map(str::trim).find(|line| line.contains(word)).context("a line less")?;
            self.sh(&format!("mkdir -p $(dirname {file}); echo '{line}' > {file}; chmod 440 {file}"))?;
        }
        self.sh("chown -R ticketgate ~ticketgate/.ssh; visudo -c").map(drop)
    }
}

impl Remote {
    /// Starts both. Policies are those of [`HERE`].
    ///
    /// # Errors
    /// Something of it does not start.
    pub fn start() -> Result<Self> {
        let far = Machine::start("acme-web1")?;
        let near = Machine::start("broker")?;
        near.connect_to(&far)?;
        far.prepare()?;
        far.install_product()?;
        far.sh("rm -f /etc/ssh/ssh_host_*")?;
        near.sh("mkdir -p /etc/ticketgate/ssh; for key in terry ssh/acme; do ssh-keygen -q -t ed25519 -N '' -f /etc/ticketgate/$key; done")?;
        let terry = near.sh("cut -d' ' -f1,2 /etc/ticketgate/terry.pub")?;
        let machine = format!(
            "machine = {{ host = \"{FAR}\", user = \"ticketgate\", key = \"/etc/ticketgate/ssh/acme\", known_hosts = \"{KNOWN}\" }}\n\
             timeout = \"2s\"\nlogin = \"both\""
        );
        let configuration = HERE
            .replace("machine = \"here\"", &machine)
            .replace("login = \"root\"", &format!("login = \"root\"\nssh_keys = [\"{terry}\"]"));
        far.start_sshd(HOST_KEY)?;
        far.let_broker_in(&near.path("/etc/ticketgate/ssh/acme.pub"))?;
        let mut remote = Self { near: Installed::prepare(near, &configuration)?, far };
        remote.trust(HOST_KEY)?;
        remote.near.start_broker(&[])?;
        Ok(remote)
    }

    /// What an administrator does after having compared the key on the machine itself.
    ///
    /// # Errors
    /// There is no such key.
    pub fn trust(&self, host_key: &str) -> Result<()> {
        let key = self.far.sh(&format!("cut -d' ' -f1,2 /etc/ssh/{host_key}.pub"))?;
        Ok(fs::write(self.near.machine.path(KNOWN), format!("{FAR} {key}\n"))?)
    }
}
