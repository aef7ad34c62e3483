//! Northwind: the customer with a Linux machine, which is one of its own (namespaces over this one's files) with the real `sudo` and
//! `sshd`. The broker reaches it by SSH, on loopback.

use std::net::{Ipv4Addr, TcpListener, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ticketgate_tests::machine::Machine;
use ticketgate_tests::world::{self, Folder};
use ticketgate_tests::{Result, patience};

/// What it is called, on screen, too.
pub(crate) const NAME: &str = "northwind-web1";

const HOST_KEY: &str = "ssh_host_demo_key";

/// Tells a demo that it was started anew by [`know_the_name`].
const KNOWS: &str = "TICKETGATE_DEMO_KNOWS_NAMES";

/// An `/etc/hosts` with the machine's name that only the program that is run sees, and what it starts.
const WITH_NAME: &str = "mount -t tmpfs ticketgate-demo /mnt && cat /etc/hosts > /mnt/hosts && echo \"127.0.0.1 $1\" >> /mnt/hosts \
                         && mount --bind /mnt/hosts /etc/hosts && shift && exec \"$@\"";

/// The machine, and what the broker reaches it by. The machine goes first.
pub(crate) struct Northwind {
    pub(crate) machine: Machine,
    pub(crate) port: u16,
    keys: Folder,
}

/// Becomes this program anew where the machine's name is known; goes on as it is where that is not possible, or already so.
///
/// # Errors
/// The program cannot be started anew.
pub(crate) fn know_the_name() -> Result<()> {
    if std::env::var_os(KNOWS).is_some() || (NAME, 22).to_socket_addrs().is_ok() {
        return Ok(());
    }
    let command = |program: PathBuf| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", WITH_NAME, "sh", NAME]);
        command.arg(program);
        command
    };
    let tried = command("true".into()).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        // Where this is not allowed, no machine can be made either, which says why.
        return Ok(());
    }
    let mut anew = command(std::env::current_exe()?);
    Err(anew.args(std::env::args_os().skip(1)).env(KNOWS, "1").exec().into())
}

impl Northwind {
    /// Starts it and lets the broker in.
    ///
    /// # Errors
    /// Not root, or no namespaces: there is no such machine then.
    pub(crate) fn start() -> Result<Self> {
        let machine = Machine::start_on_this_network(NAME)?;
        let keys = Folder::new("northwind")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let key = keys.join("broker");
        world::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        machine.prepare()?;
        machine.install_product()?;
        machine.start_sshd_on_loopback(HOST_KEY, port)?;
        machine.let_broker_in(&key.with_extension("pub"))?;
        // Where neither systemd nor cron runs: the end that needs no broker.
        machine.sh("setsid ticketgate local sweep --every 60s > /var/log/sweep 2>&1 < /dev/null &")?;
        // As an administrator does after having compared it on the machine.
        let host_key = machine.sh(&format!("cut -d' ' -f1,2 /etc/ssh/{HOST_KEY}.pub"))?;
        keys.write("known_hosts", format!("[{NAME}]:{port} {host_key}\n"))?;
        Ok(Self { machine, port, keys })
    }

    /// It as a `[[directory]]`.
    pub(crate) fn section(&self) -> String {
        format!(
            "[[directory]]\nid = \"{NAME}\"\ncustomer = \"northwind\"\nkind = \"local\"\nprocesses = \"all\"\n\
             machine = {{ host = \"{NAME}\", port = {}, user = \"ticketgate\", key = \"{}\", known_hosts = \"{}\" }}\n",
            self.port,
            self.keys.join("broker").display(),
            self.keys.join("known_hosts").display(),
        )
    }

    /// What is open there for an account: nothing, after an end.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(crate) fn open_for(&self, account: &str) -> Result<String> {
        self.machine.sh(&format!(
            "[ \"$(getent shadow {account} | cut -d: -f8)\" = 1 ] || echo the account; \
             ls /etc/sudoers.d | grep '^ticketgate_{account}' ; pgrep -u {account}; true"
        ))
    }
}

/// Waits until nothing is open for an account any more.
///
/// # Errors
/// Something stays.
pub(crate) fn closes(northwind: &Northwind, account: &str) -> Result<()> {
    patience::until("the machine to be closed", patience::LIMIT, || {
        Ok(northwind.open_for(account)?.is_empty())
    })
}
