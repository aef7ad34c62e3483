//! A team's hosts on one wire, and what runs on them: a database with its standby, a directory, an OpenID provider, some brokers. The thread
//! that starts it, and those that it starts from then on, are on a host of their own from which everything is reached, whatever is cut.

use crate::Result;
use crate::authority::Authority;
use crate::hosts::{Host, Wire};
use crate::patience::{LIMIT, until};
use crate::postgres::{Disk, Pair};
use crate::product::Configuration;
use crate::samba::{Options, SambaAd};
use crate::team::broker::Broker;
use crate::team::provider::{CLIENT, Provider};
use crate::team::relay::Relay;
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// The customer's id.
pub const CUSTOMER: &str = "acme";
/// The directory's id.
pub const DIRECTORY: &str = "acme-ad";
/// Where brokers are, the first ones of these.
pub const BROKERS: [&str; 4] = ["broker1", "broker2", "broker3", "broker4"];
/// Relays come from 10.214.100.1 and on, an address each, as those of a team do.
const RELAYS: u8 = 100;
/// Addresses in one block.
const BLOCK: usize = 250;

/// What technicians may have.
#[derive(Debug)]
pub struct Policy {
    /// Its id.
    pub id: &'static str,
    /// `dedicated` or `burner`.
    pub mode: &'static str,
    /// The short names of its groups in the directory.
    pub rights: &'static [&'static str],
}

/// All policies: two that share an account, and one whose account is made for each session.
pub const POLICIES: [Policy; 3] = [
    Policy { id: "servers", mode: "dedicated", rights: &["tier1"] },
    Policy { id: "desk", mode: "dedicated", rights: &["helpdesk", "comma"] },
    Policy { id: "burner", mode: "burner", rights: &["helpdesk"] },
];

/// The longest that a session may be.
pub const LONGEST: Duration = Duration::from_secs(600);
/// How many sessions a technician may have at once.
pub const AT_ONCE: usize = 3;

/// Everything, running. Dropping it ends everything.
#[derive(Debug)]
pub struct Site {
    /// The brokers.
    pub brokers: Vec<Broker>,
    /// Where technicians sign in.
    pub provider: Provider,
    /// The directory.
    pub ad: SambaAd,
    /// The database.
    pub db: Pair,
    /// The wire between them all.
    pub wire: Wire,
    authority: Authority,
    technicians: usize,
}

impl Site {
    /// Starts everything but the brokers, for so many of both. The calling thread moves to where all of it is reached.
    ///
    /// # Errors
    /// Something is not installed, or this is not root.
    pub fn prepare(brokers: usize, technicians: usize) -> Result<Self> {
        Self::prepare_on(Disk::Small, brokers, technicians)
    }

    /// The same on this machine's disk: a database without a standby and a directory which acknowledge what is on it, for measuring.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_to_measure(brokers: usize, technicians: usize) -> Result<Self> {
        Self::prepare_on(Disk::OfMachine, brokers, technicians)
    }

    fn prepare_on(disk: Disk, brokers: usize, technicians: usize) -> Result<Self> {
        let names = BROKERS.get(..brokers).context("so many brokers have no names")?;
        let others = ["db1", "db2", "directory", "provider", "relays", "watch"];
        let wire = Wire::between(&[&others[..], names].concat())?;
        wire.host("watch")?.enter()?;
        let relays = wire.host("relays")?;
        for block in 0..technicians.div_ceil(BLOCK) {
            relays.add_addresses(RELAYS + u8::try_from(block)?, u8::try_from(BLOCK)?)?;
        }
        let authority = Authority::new()?;
        let (db1, db2) = (wire.host("db1")?, wire.host("db2")?);
        let (db, options) = match disk {
            Disk::Small => {
                (Pair::start(db1, db2, &authority)?, Options { audit: true, ..Options::default() })
            }
            Disk::OfMachine => {
                let alone = Pair::start_alone(db1, db2, &authority, disk)?;
                (alone, Options { durable: true, ..Options::default() })
            }
        };
        let ad = SambaAd::start_on(wire.host("directory")?, options)?;
        let provider = Provider::start(wire.host("provider")?, &authority)?;
        let prepared = names.iter().map(|name| Broker::prepare(wire.host(name)?, &authority));
        let brokers = prepared.collect::<Result<Vec<_>>>()?;
        let site = Self { brokers, provider, ad, db, wire, authority, technicians };
        for broker in &site.brokers {
            broker.configure(&site.configuration())?;
        }
        Ok(site)
    }

    /// Starts the brokers, one after the other, and waits until each answers.
    ///
    /// # Errors
    /// One ends at once or never answers; with what it logged.
    pub fn start_brokers(&mut self) -> Result<()> {
        for number in 0..self.brokers.len() {
            self.start_broker(number)?;
            // The first one made it, with the ledger.
            if let (0, Some((first, others))) = (number, self.brokers.split_first()) {
                others.iter().try_for_each(|other| other.takes_key_of(first))?;
            }
        }
        Ok(())
    }

    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start_brokers`].
    pub fn start_broker(&mut self, number: usize) -> Result<()> {
        let broker = self.brokers.get_mut(number).context("no such broker")?;
        broker.start()?;
        self.until_answers(number)
    }

    /// Waits until a broker answers by HTTPS.
    ///
    /// # Errors
    /// It does not; with what it logged.
    pub fn until_answers(&self, number: usize) -> Result<()> {
        let broker = self.brokers.get(number).context("no such broker")?;
        let answered = until(&format!("{} to answer", broker.name()), LIMIT, || {
            Ok(broker.api("GET", "/v1/broker", &Value::Null).is_ok())
        });
        answered.map_err(|why| anyhow!("{why}: {}", broker.log()))
    }

    /// A relay of a technician.
    ///
    /// # Errors
    /// There are no more addresses.
    pub fn relay(&self, technician: usize) -> Result<Relay> {
        let brokers: Vec<_> = self.brokers.iter().map(Broker::url).collect();
        Relay::new(address(technician)?, &self.authority.file(), &brokers)
    }

    /// Another relay of the same person, which comes from the address of that technician's.
    ///
    /// # Errors
    /// As [`Self::relay`].
    pub fn relay_beside(&self, relay: &Relay, technician: usize) -> Result<Relay> {
        relay.beside(address(technician)?, &self.authority.file())
    }

    /// A runtime for technicians, where relays are.
    ///
    /// # Errors
    /// There is no such host.
    pub fn at_relays(&self, threads: usize) -> Result<AtRelays> {
        // A thread that is started there stays there.
        let mut builder = Builder::new_multi_thread();
        let built = || Ok(builder.worker_threads(threads).enable_all().build()?);
        Ok(AtRelays(self.relays()?.inside(built)?))
    }

    /// Where relays are: a runtime of technicians belongs there.
    ///
    /// # Errors
    /// There is no such host.
    pub fn relays(&self) -> Result<&Host> {
        self.wire.host("relays")
    }

    /// What all brokers have in common.
    fn configuration(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let place = |path: std::path::PathBuf| quoted(&path.display().to_string());
        let mut written = Configuration::empty()
            .generous()
            .broker("administrators = [\"chief\"]")
            .broker(&format!("sessions_at_once = {AT_ONCE}"))
            .technician("chief", "root", &[], &[])
            .customer(CUSTOMER, "Acme Corp", &[])
            .directory(DIRECTORY, CUSTOMER, &self.ad);
        for policy in &POLICIES {
            let rights: Vec<_> = policy.rights.iter().map(|short| self.ad.group(short)).collect();
            written = written.with(&format!(
                "[[policy]]\nid = {id:?}\nname = {id:?}\ndirectory = {DIRECTORY:?}\nmode = {:?}\nrights = {}\n\
                 duration = {{ default = \"5m\", max = \"{}s\" }}\neligible = {{ groups = [\"tier2\"] }}\n",
                policy.mode,
                Value::from(rights),
                LONGEST.as_secs(),
                id = policy.id,
            ));
        }
        for number in 0..self.technicians {
            written = written.with(&format!("[[technician]]\nid = \"t{number}\"\nsign_in = \"t{number}\"\n"));
        }
        let shared = format!(
            "[ledger]\npostgres = {}\npassword = {{ file = {} }}\nca_file = {}\n\n\
             [sign_in]\nissuer = {}\nclient_id = {CLIENT:?}\nca_file = {}\n\
             groups_claim = \"groups\"\ngroups = {{ engineers = \"tier2\" }}\n",
            quoted(&self.db.words()),
            place(self.db.password_file()),
            place(self.db.authority()),
            quoted(self.provider.issuer()),
            place(self.authority.file()),
        );
        written.with(&shared).text()
    }
}

/// Threads on the host where relays are.
#[derive(Debug)]
pub struct AtRelays(Runtime);

impl AtRelays {
    /// Does something there, and waits for it: connections belong to where they are made.
    ///
    /// # Errors
    /// Those of the work.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.0.block_on(self.0.spawn(work))?
    }

    /// Where to spawn what nobody waits for.
    pub fn handle(&self) -> &Handle {
        self.0.handle()
    }
}

/// Where a technician's relay comes from.
fn address(technician: usize) -> Result<Ipv4Addr> {
    let (block, place) = (u8::try_from(technician / BLOCK)?, u8::try_from(technician % BLOCK)?);
    Ok(Ipv4Addr::new(10, 214, RELAYS + block, place + 1))
}
