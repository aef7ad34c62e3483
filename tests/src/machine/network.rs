//! A cable between two machines, the SSH server of one of them, and servers outside that a machine may ask.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::process::Command;

use anyhow::{Context as _, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Machine;
use crate::patience::{LIMIT, until};
use crate::proxy::Proxy;
use crate::{Result, world};

/// The address of the first of two machines on one cable; the other's is [`FAR`].
pub const NEAR: &str = "10.213.0.1";
/// The address of the second.
pub const FAR: &str = "10.213.0.2";

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

    /// Lets the machine ask a server on loopback outside, at the same address inside. The way ends with what is answered.
    ///
    /// # Errors
    /// The kernel does not allow it; the address is taken inside.
    pub fn reaches(&self, server: SocketAddr) -> Result<Proxy> {
        self.sh("ip link set lo up")?;
        let network = File::open(format!("/proc/{}/ns/net", self.first))?;
        // A listener stays in the network in which it was made; which one that is is a thread's own matter.
        let listens = || -> Result<TcpListener> {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .context("not let into the machine's network")?;
            Ok(TcpListener::bind(server)?)
        };
        let listener = std::thread::scope(|scope| scope.spawn(listens).join());
        Proxy::behind(listener.map_err(|_| anyhow!("the thread panicked"))??, server)
    }

    /// Pulls the cable out, or puts it back.
    ///
    /// # Errors
    /// There is none.
    pub fn plug(&self, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.sh(&format!("ip link set eth0 {state}")).map(drop)
    }

    /// Starts the SSH server with one of its host keys, made where there is none of this name.
    ///
    /// # Errors
    /// It does not start; with what it said.
    pub fn start_sshd(&self, host_key: &str) -> Result<()> {
        self.start_sshd_with(host_key, 22, "")
    }

    /// The same on a port of loopback alone, also for who has a password.
    ///
    /// # Errors
    /// As [`Self::start_sshd`].
    pub fn start_sshd_on_loopback(&self, host_key: &str, port: u16) -> Result<()> {
        // Each place of this machine's own settings would be one more to listen at.
        self.sh("sed -i '/^ *\\(Port\\|ListenAddress\\) /Id' /etc/ssh/sshd_config $(ls /etc/ssh/sshd_config.d/*.conf)")?;
        let options = format!(
            "-o ListenAddress=127.0.0.1:{port} -o PasswordAuthentication=yes -o KbdInteractiveAuthentication=no"
        );
        self.start_sshd_with(host_key, port, &options)
    }

    fn start_sshd_with(&self, host_key: &str, port: u16, options: &str) -> Result<()> {
        let key = format!("/etc/ssh/{host_key}");
        self.sh(&format!(
            "mkdir -p /run/sshd; [ -e {key} ] || ssh-keygen -q -t ed25519 -N '' -f {key}; \
             /usr/sbin/sshd -E /var/log/sshd.log -o HostKey={key} -o LogLevel=VERBOSE {options}"
        ))?;
        until("sshd to listen", LIMIT, || {
            Ok(self.sh(&format!("ss -Hltn 'sport = {port}' | grep -q {port}")).is_ok())
        })
    }

    /// Kills it, with all that came in by it.
    ///
    /// # Errors
    /// No shell could be started.
    pub fn stop_sshd(&self) -> Result<()> {
        self.sh("pkill -KILL -x sshd; true").map(drop)
    }
}
