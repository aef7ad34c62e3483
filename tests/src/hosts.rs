//! Hosts on one wire: each a network of its own in which a server's or a client's processes run, so that the wire between any two can
//! be cut. Files, users and clocks are this machine's. Needs root. A network ends with the last process in it, also when the test is killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Result, world};

/// The wire's addresses: 10.214.0.0/16. A host's own is 10.214.0.NUMBER.
const PREFIX: u8 = 16;
/// How many hosts a wire has at most: so many addresses end in a byte.
const HOSTS_MAX: usize = 200;

/// Frames of a pair in `pairs` are dropped, and whoever sends them hears nothing of it: a cable that was cut.
const TABLE: &str = "table bridge cut {
    set pairs { typeof iifname . oifname; }
    chain forward { type filter hook forward priority 0; iifname . oifname @pairs drop; }
}";

/// Hosts and the switch between them.
#[derive(Debug)]
pub struct Wire {
    hosts: Vec<Host>,
    switch: Held,
}

/// One of them.
#[derive(Debug)]
pub struct Host {
    name: &'static str,
    address: Ipv4Addr,
    /// The end of its cable at the switch.
    port: String,
    network: Held,
}

impl Wire {
    /// Lays it between hosts of these names.
    ///
    /// # Errors
    /// Not root, the kernel does not allow it, or `ip` or `nft` are not there.
    pub fn between(names: &[&'static str]) -> Result<Self> {
        if names.len() > HOSTS_MAX {
            bail!("{} hosts are too many for one wire", names.len());
        }
        let switch = Held::new()?;
        switch.sh(&format!("ip link add switch type bridge && ip link set switch up && nft '{TABLE}'"))?;
        let mut hosts = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let last = u8::try_from(number + 1)?;
            let (address, port) = (Ipv4Addr::new(10, 214, 0, last), format!("port{last}"));
            let network = Held::new()?;
            switch.sh(&format!(
                "ip link add {port} type veth peer name eth0 netns {} && ip link set {port} master switch up",
                network.process.id()
            ))?;
            network.sh(&format!(
                "ip link set lo up && ip address add {address}/{PREFIX} dev eth0 && ip link set eth0 up"
            ))?;
            hosts.push(Host { name, address, port, network });
        }
        Ok(Self { hosts, switch })
    }

    /// A host by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.iter().find(|host| host.name == name).with_context(|| format!("no host {name}"))
    }

    /// Cuts the wire between two hosts: what they send each other is lost without a word. Others reach both.
    ///
    /// # Errors
    /// There are no such hosts.
    pub fn cut(&self, one: &str, other: &str) -> Result<()> {
        self.change("add", one, other)
    }

    /// The end of [`Self::cut`].
    ///
    /// # Errors
    /// There are no such hosts, or the wire between them was whole.
    pub fn mend(&self, one: &str, other: &str) -> Result<()> {
        self.change("delete", one, other)
    }

    /// The end of every cut.
    ///
    /// # Errors
    /// `nft` does not do it.
    pub fn mend_all(&self) -> Result<()> {
        self.switch.sh("nft flush set bridge cut pairs")
    }

    fn change(&self, verb: &str, one: &str, other: &str) -> Result<()> {
        let (one, other) = (&self.host(one)?.port, &self.host(other)?.port);
        self.switch.sh(&format!(
            "nft '{verb} element bridge cut pairs {{ \"{one}\" . \"{other}\", \"{other}\" . \"{one}\" }}'"
        ))
    }
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its address on the wire.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its network.
    pub fn network(&self) -> &Network {
        &self.network.network
    }

    /// A program in it, as root.
    pub fn command(&self, program: &str) -> Command {
        self.network().command(program)
    }

    /// Gives it further addresses: 10.214.`third`.1 up to this last one.
    ///
    /// # Errors
    /// It has them already.
    pub fn add_addresses(&self, third: u8, last: u8) -> Result<()> {
        let add = format!(
            "i=1; while [ $i -le {last} ]; do echo address add 10.214.{third}.$i/{PREFIX} dev eth0; i=$((i + 1)); done | ip -batch -"
        );
        self.network.sh(&add)
    }

    /// Moves this thread into it, with the threads that it starts from now on.
    ///
    /// # Errors
    /// The kernel does not allow it.
    pub fn enter(&self) -> Result<()> {
        let network = File::open(&self.network().0)?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("not let into the network of {}", self.name))
    }

    /// Does something in it, in a thread of its own.
    ///
    /// # Errors
    /// Those of the work.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let there = || {
            self.enter()?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(there).join()).map_err(|_| anyhow!("the thread panicked"))?
    }
}

/// A network, for programs to be started in. It is there as long as its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network(String);

impl Network {
    /// A program in it, as root. The program takes the place of what starts it, so a signal to the process is one to the program.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.0)).args(["--", program]);
        command
    }
}

/// A network that is there as long as a process in it, which reads the pipe that we hold.
#[derive(Debug)]
struct Held {
    process: Child,
    network: Network,
}

impl Held {
    fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo ready; exec cat > /dev/null"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut said)?;
        let network = Network(format!("/proc/{}/ns/net", child.id()));
        let held = Self { process: child, network };
        if said != "ready\n" {
            bail!("a host with a network of its own takes root, and a kernel with network namespaces");
        }
        Ok(held)
    }

    fn sh(&self, script: &str) -> Result<()> {
        world::run(self.network.command("sh").args(["-c", script])).map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::{LIMIT, until};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn a_cut_between_two_hosts_is_silent_and_leaves_the_third_its_ways() {
        let wire = Wire::between(&["a", "b", "c"]).unwrap();
        let at = SocketAddr::from((wire.host("b").unwrap().address(), 80));
        let _listener = wire.host("b").unwrap().inside(|| Ok(TcpListener::bind(at)?)).unwrap();
        let reaches = |name: &str| {
            wire.host(name).unwrap().inside(|| Ok(TcpStream::connect_timeout(&at, SHORT)?)).map(drop)
        };
        until("the ports of the switch to be up", LIMIT, || Ok(reaches("a").is_ok())).unwrap();
        wire.cut("b", "a").unwrap();
        let silent = reaches("a").unwrap_err();
        let silent = silent.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(silent, Some(std::io::ErrorKind::TimedOut));
        reaches("c").unwrap();
        wire.mend("a", "b").unwrap();
        reaches("a").unwrap();
        wire.cut("a", "b").unwrap();
        wire.mend_all().unwrap();
        reaches("a").unwrap();
    }

    #[test]
    fn a_host_answers_at_further_addresses_and_is_gone_with_its_last_process() {
        let wire = Wire::between(&["a", "b"]).unwrap();
        let (a, b) = (wire.host("a").unwrap(), wire.host("b").unwrap());
        b.add_addresses(1, 3).unwrap();
        let at = SocketAddr::from(([10, 214, 1, 3], 80));
        let listener = b.inside(|| Ok(TcpListener::bind(at)?)).unwrap();
        until("the ports of the switch to be up", LIMIT, || {
            Ok(a.inside(|| Ok(TcpStream::connect_timeout(&at, SHORT)?)).is_ok())
        })
        .unwrap();
        drop(listener);
        let network = b.network().0.clone();
        drop(wire);
        assert!(!std::path::Path::new(&network).exists());
    }
}
