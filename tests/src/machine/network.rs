//! A cable between two machines, and an SSH server at the far end of it.

use std::process::{Child, Command, Stdio};

use super::Machine;
use crate::patience::{LIMIT, until};
use crate::{Result, world};

/// The address of the first of two machines on one cable; the other's is [`FAR`].
pub const NEAR: &str = "10.213.0.1";
/// The address of the second.
pub const FAR: &str = "10.213.0.2";

/// A running SSH server. It ends with its machine, or when it is dropped.
#[derive(Debug)]
pub struct SshServer<'m> {
    machine: &'m Machine,
    server: Child,
}

impl Machine {
    /// Lays a cable to another machine: [`NEAR`] here, [`FAR`] there.
    ///
    /// # Errors
    /// The kernel does not allow it.
    pub fn connect_to(&self, far: &Self) -> Result<()> {
        // From outside, since neither sees the other's processes.
        let here = self.first.to_string();
        let there = far.first.to_string();
        let mut pair = Command::new("nsenter");
        pair.args(["--target", &here, "--net", "--", "ip", "link", "add", "eth0", "type", "veth"]);
        pair.args(["peer", "name", "eth0", "netns", &there]);
        world::run(&mut pair)?;
        for (machine, address) in [(self, NEAR), (far, FAR)] {
            machine.sh(&format!(
                "ip link set lo up; ip address add {address}/30 dev eth0; ip link set eth0 up"
            ))?;
        }
        Ok(())
    }

    /// Pulls the cable out, or puts it back.
    ///
    /// # Errors
    /// There is none.
    pub fn plug(&self, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.sh(&format!("ip link set eth0 {state}")).map(drop)
    }

    /// Starts an SSH server, with a new host key where it has none of this name.
    ///
    /// # Errors
    /// It does not start; with what it said.
    pub fn ssh_server(&self, host_key: &str) -> Result<SshServer<'_>> {
        self.sh(&format!(
            "mkdir -p /run/sshd; key=/etc/ssh/{host_key}; [ -e $key ] || ssh-keygen -q -t ed25519 -N '' -f $key"
        ))?;
        let mut server = self.command("/usr/sbin/sshd");
        server.args(["-D", "-e", "-o", &format!("HostKey=/etc/ssh/{host_key}"), "-o", "LogLevel=VERBOSE"]);
        let log = std::fs::File::options().create(true).append(true).open(self.path("/var/log/sshd.log"))?;
        let server = server.stdout(Stdio::null()).stderr(log).spawn()?;
        let server = SshServer { machine: self, server };
        until("sshd to listen", LIMIT, || Ok(self.sh("ss -Hltn 'sport = 22' | grep -q 22").is_ok()))?;
        Ok(server)
    }
}

impl Drop for SshServer<'_> {
    fn drop(&mut self) {
        // With all that came in by it: a machine that goes off.
        let _ = self.machine.sh("pkill -KILL -x sshd; true");
        let _ = self.server.wait();
    }
}
