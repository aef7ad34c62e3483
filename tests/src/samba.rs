//! A private Active Directory domain controller (Samba) per test, on a loopback address of its own.
//!
//! [`SambaAd::start`] copies a domain that was provisioned once per machine (`tests/world/provision.py` says what is
//! in it) and serves it within a second. What the directory then holds is asked through [`SambaAd::look`], a view
//! that shares no code with the product.

mod accounts;
pub mod audit;
mod certificate;

use crate::Result;
use crate::hosts::{Host, Network};
use crate::ldap::{Bind, View};
use crate::leash::Leashed;
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use rustix::process::Signal;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use certificate::Certificate;

/// Half a second is usual; a machine that compiles meanwhile needs more.
const START_LIMIT: Duration = Duration::from_secs(60);
const LDAPS: u16 = 636;
const FAKETIME: &str = "libfaketime.so.1";

/// What kind of directory a test needs. `Options::default()` is a domain `ACME` with a trusted certificate.
#[derive(Debug, Clone)]
pub struct Options {
    /// A word in lower case: the realm is `WORD.TEST`, the domain `WORD`. Each word is provisioned once (about 9 s).
    pub customer: &'static str,
    /// The server's clock can be moved while it runs ([`SambaAd::move_clock`]).
    pub movable_clock: bool,
    /// The server says who changed what ([`SambaAd::audit`]).
    pub audit: bool,
    /// Every write reaches the disk before it is acknowledged. Only a crash test needs that: 20 ms a write.
    pub durable: bool,
    /// Samba's services; `"ldap, kdc"` adds Kerberos.
    pub services: &'static str,
    /// What the server shows in the TLS handshake.
    pub certificate: Certificate,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            customer: "acme",
            movable_clock: false,
            audit: false,
            durable: false,
            services: "ldap",
            certificate: Certificate::Trusted,
        }
    }
}

/// A running domain controller. Dropping it ends the server and removes its folder.
#[derive(Debug)]
pub struct SambaAd {
    server: Leashed,
    folder: Folder,
    options: Options,
    address: Ipv4Addr,
    /// Where it runs, when that is not here.
    network: Option<Network>,
    facts: Value,
    /// What servers before this one noted, on the same data.
    noted_before: Vec<audit::Record>,
}

/// So many of the records of ended servers are kept.
const NOTED_MAX: usize = 5_000;

impl SambaAd {
    /// Starts one and returns when it answers.
    ///
    /// # Errors
    /// Samba is not installed, or its ports may not be bound (root, or `CAP_NET_BIND_SERVICE`, is needed).
    pub fn start(options: Options) -> Result<Self> {
        Self::start_at(free_address()?, None, options)
    }

    /// Starts one on a host of its own, whose address it serves. Whoever asks it has to be on the same wire
    /// ([`Host::enter`]): this call as well.
    ///
    /// # Errors
    /// Samba is not installed.
    pub fn start_on(host: &Host, options: Options) -> Result<Self> {
        Self::start_at(host.address(), Some(host.network().clone()), options)
    }

    fn start_at(address: Ipv4Addr, network: Option<Network>, options: Options) -> Result<Self> {
        let template = template(options.customer)?;
        let facts = serde_json::from_slice(&std::fs::read(template.join("world.json"))?)?;
        let folder = Folder::new(&format!("ad-{}", options.customer))?;
        world::copy(&template, folder.path())?;
        std::fs::remove_file(folder.join("ca.key"))?;
        for part in ["lock", "cache", "run", "private/tls"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let name = format!("dc1.{}.test", options.customer);
        options.certificate.issue(&template, &name, address, &folder.join("private/tls"))?;
        folder.write("etc/smb.conf", configuration(folder.path(), &options, address))?;
        folder.write("clock", "+0\n")?;
        let server = serve(&folder, &options, network.as_ref())?;
        let mut ad = Self { server, folder, options, address, network, facts, noted_before: Vec::new() };
        ad.wait_until_it_answers()?;
        ad.write_secrets()?;
        Ok(ad)
    }

    fn write_secrets(&self) -> Result<()> {
        self.folder.write("jit-svc.secret", self.password("jit-svc")?)?;
        Ok(())
    }

    /// `ldaps://` and the address.
    pub fn url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// `ldap://` and the address: for StartTLS, and to see that a plain bind is refused.
    pub fn plain_url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// The loopback address that is this server's alone.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The CA to trust, PEM. With [`Certificate::Foreign`] it is another one than the server's.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The word given as [`Options::customer`].
    pub fn customer(&self) -> &str {
        self.options.customer
    }

    /// The domain's DN, such as `DC=acme,DC=test`.
    pub fn base(&self) -> &str {
        self.fact("/base")
    }

    /// The unit in which the service account may make accounts.
    pub fn account_unit(&self) -> &str {
        self.fact("/unit")
    }

    /// Another unit like it, without the right to put a primary group back.
    pub fn sparse_unit(&self) -> &str {
        self.fact("/sparse_unit")
    }

    /// The service account's DN.
    pub fn service_account(&self) -> &str {
        self.fact("/service")
    }

    /// A file that holds the service account's password, for its owner's eyes only.
    pub fn service_password_file(&self) -> PathBuf {
        self.folder.join("jit-svc.secret")
    }

    /// The DN of a group by its short name: `domain_admins`, `tier1`, `helpdesk`, `nested_inner`, `nested_outer` (has
    /// the inner one as a member), `big` (1,600 members), `untouchable` (not writable by the service account), and
    /// the oddly named `comma`, `quotes`, `umlaut`, `backslash`, `hash`, `space`, `brackets`. Empty for another word.
    pub fn group(&self, short: &str) -> &str {
        self.fact(&format!("/groups/{short}"))
    }

    /// The DN of a person: `requester` (nobody special), `tech1` (a technician's own account), `jit-clash` (a person
    /// whose name looks like a JIT account's). Empty for another name.
    pub fn person(&self, name: &str) -> &str {
        self.fact(&format!("/people/{name}"))
    }

    /// The password of `Administrator`, `jit-svc`, `requester`, `tech1` or `jit-clash`.
    ///
    /// # Errors
    /// There is no such account.
    pub fn password(&self, name: &str) -> Result<&str> {
        let found = self.facts.pointer(&format!("/passwords/{name}")).and_then(Value::as_str);
        found.with_context(|| format!("the domain has no account {name} whose password is known"))
    }

    fn fact(&self, pointer: &str) -> &str {
        self.facts.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The name with which an account can log on: `name@acme.test`.
    pub fn login(&self, name: &str) -> String {
        format!("{name}@{}", self.fact("/dns"))
    }

    /// Tries to log on over LDAPS, as a person's program would, on a connection of its own.
    ///
    /// # Errors
    /// The server does not answer. A refusal is no error: it is in the answer.
    pub fn bind(&self, name: &str, password: &str) -> Result<Bind> {
        crate::ldap::bind(self.address, &self.ca_of_server(), &self.login(name), password)
    }

    /// The directory through an administrator's eyes, on a new connection.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn look(&self) -> Result<View> {
        self.look_as("Administrator", self.password("Administrator")?)
    }

    /// The directory through the eyes of one account. The connection stays what it was at the bind, as in every AD.
    ///
    /// # Errors
    /// The server does not answer, or refuses the account.
    pub fn look_as(&self, name: &str, password: &str) -> Result<View> {
        View::open(self.address, &self.ca_of_server(), &self.login(name), password, self.base())
    }

    /// The CA that really vouches for the server: our own view has to work whatever the product is shown.
    fn ca_of_server(&self) -> PathBuf {
        self.tls_folder().join("issuer.pem")
    }

    /// The folder of the server's `cert.pem`, its `key.pem`, and the `issuer.pem` that vouches for it.
    pub(crate) fn tls_folder(&self) -> PathBuf {
        self.folder.join("private/tls")
    }

    /// Moves the server's clock: `+8h`, `-600s`, `+43d`, always counted from the real time.
    ///
    /// # Errors
    /// The clock was not made movable, or the clock file cannot be written.
    pub fn move_clock(&self, to: &str) -> Result<()> {
        if !self.options.movable_clock {
            bail!("start the directory with movable_clock");
        }
        // The server reads the file whenever it looks at the clock: half a file would be another time.
        let new = self.folder.write("clock.new", format!("{to}\n"))?;
        Ok(std::fs::rename(new, self.folder.join("clock"))?)
    }

    /// The server hangs: connections are accepted, nothing answers.
    ///
    /// # Errors
    /// The server is gone.
    pub fn pause(&self) -> Result<()> {
        self.server.signal(Signal::STOP)
    }

    /// The end of [`SambaAd::pause`].
    ///
    /// # Errors
    /// The server is gone.
    pub fn resume(&self) -> Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// The server dies at once, with whatever it was doing.
    ///
    /// # Errors
    /// It does not.
    pub fn crash(&mut self) -> Result<()> {
        self.server.kill()?;
        self.forget_clock();
        Ok(())
    }

    /// Starts again, on the same data and the same address.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.crash()?;
        if self.options.audit {
            self.noted_before = self.audit()?;
            self.noted_before.drain(..self.noted_before.len().saturating_sub(NOTED_MAX));
        }
        self.server = serve(&self.folder, &self.options, self.network.as_ref())?;
        self.wait_until_it_answers()
    }

    /// What the server noted about changes and logons, oldest first; of servers that were killed, the last that they noted.
    ///
    /// # Errors
    /// Auditing was not asked for.
    pub fn audit(&self) -> Result<Vec<audit::Record>> {
        if !self.options.audit {
            bail!("start the directory with audit");
        }
        let mut noted = self.noted_before.clone();
        noted.extend(audit::records(&self.server.log()));
        Ok(noted)
    }

    /// The server's log, for a failing test.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let address = SocketAddr::from((self.address, LDAPS));
        until("the directory to answer", START_LIMIT, || {
            if let Some(exit) = self.server.exited()? {
                bail!("samba ended at once ({exit:?}): {}", self.server.log());
            }
            Ok(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
        })
    }

    /// A killed libfaketime leaves its shared memory, named after the process.
    fn forget_clock(&self) {
        for kind in ["faketime_shm_", "sem.faketime_sem_"] {
            let _ = std::fs::remove_file(format!("/dev/shm/{kind}{}", self.server.pid()));
        }
    }
}

impl Drop for SambaAd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        self.forget_clock();
    }
}

/// The provisioned domain of one customer.
fn template(customer: &str) -> Result<PathBuf> {
    let script = world::script("provision.py");
    let recipe = std::fs::read_to_string(&script)?;
    world::template(&format!("ad-{customer}"), &[&recipe], |folder| {
        world::run(Command::new("/usr/bin/python3").arg(&script).arg(folder).arg(customer)).map(drop)
    })
}

/// Samba's LDAP ports are fixed, so every instance takes another address of 127.0.0.0/8. Somebody else's server on
/// the address would be taken for ours, so it is tried first.
fn free_address() -> Result<Ipv4Addr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let [_, high, middle, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 64 + (high & 63), middle, low);
        match TcpListener::bind((address, LDAPS)) {
            Ok(_) => return Ok(address),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            // 127.64.0.0 with all bits zero or one is no host address.
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {}
            Err(error) => return Err(error).context("this user may not serve LDAPS on loopback; `cargo xtask test` and `cargo xtask demo` find a way"),
        }
    }
    bail!("no loopback address is free for a directory")
}

fn serve(folder: &Folder, options: &Options, network: Option<&Network>) -> Result<Leashed> {
    // `env` and not our own environment: the clock is for samba alone, not for the leash.
    let env = "/usr/bin/env";
    let mut command = network.map_or_else(|| Command::new(env), |network| network.command(env));
    if options.movable_clock {
        let library = faketime_library()?;
        command.arg(format!("LD_PRELOAD={}", library.display()));
        command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", folder.join("clock").display()));
        command.args(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        // ldb loads its modules so that they find the real clock first; half of the server would not move.
        command.arg("LDB_MODULES_DISABLE_DEEPBIND=1");
    }
    command
        .args(["samba", "-i", "-M", "single", "--no-process-group", "-s"])
        .arg(folder.join("etc/smb.conf"));
    Leashed::start(&command, &folder.join("log"))
}

fn faketime_library() -> Result<PathBuf> {
    let folders =
        std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path().join("faketime").join(FAKETIME));
    folders
        .into_iter()
        .find(|file| file.exists())
        .context("faketime is not installed; run `cargo xtask setup`")
}

fn configuration(folder: &Path, options: &Options, address: Ipv4Addr) -> String {
    let d = folder.display();
    let word = options.customer;
    let (realm, domain, services) =
        (format!("{word}.test").to_uppercase(), word.to_uppercase(), options.services);
    let audit = if options.audit {
        " auth_json_audit:3 dsdb_json_audit:5 dsdb_group_json_audit:5 dsdb_password_json_audit:5"
    } else {
        ""
    };
    let nosync = if options.durable { "no" } else { "yes" };
    format!(
        "[global]
        netbios name = DC1
        realm = {realm}
        workgroup = {domain}
        server role = active directory domain controller
        server services = {services}
        dcerpc endpoint servers = -*
        interfaces = {address}/8
        bind interfaces only = yes
        private dir = {d}/private
        lock directory = {d}/lock
        state directory = {d}/state
        cache directory = {d}/cache
        pid directory = {d}/run
        ncalrpc dir = {d}/run/ncalrpc
        binddns dir = {d}/bind-dns
        log level = 1{audit}
        xattr_tdb:file = {d}/state/xattr.tdb
        ldb:nosync = {nosync}
        tls enabled = yes
        tls cafile = {d}/private/tls/issuer.pem
        tls certfile = {d}/private/tls/cert.pem
        tls keyfile = {d}/private/tls/key.pem
        ldap server require strong auth = allow_sasl_over_tls
        "
    )
}
