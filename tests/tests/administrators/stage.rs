//! A broker that serves a team on loopback, with all that it needs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::authority::{Authority, Issued};
use ticketgate_tests::http;
use ticketgate_tests::oidc::TeamProvider;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::postgres::Alone;
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product, Said, binary};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::team::relay::{Heard, Relay};
use ticketgate_tests::world::Folder;

/// What the provider wants to see of the broker.
pub(crate) const SECRET: &str = "the-first-secret-of-the-broker";
/// As long as an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Everything. The broker was not started yet.
pub(crate) struct Stage {
    pub(crate) product: Product,
    pub(crate) provider: TeamProvider,
    pub(crate) db: Alone,
    pub(crate) ad: SambaAd,
    pub(crate) authority: Authority,
    pub(crate) folder: Folder,
    listens: SocketAddr,
    monitor: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let ad = SambaAd::start(Options::default())?;
        let provider = TeamProvider::start_with_secret(SECRET)?;
        let (authority, folder) = (Authority::new()?, Folder::new("administrator")?);
        // Free a moment ago; the broker listens there.
        let free = || Ok::<_, anyhow::Error>(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?);
        let (listens, monitor) = (free()?, free()?);
        folder.write("client.secret", SECRET)?;
        folder.write("directory.secret", ad.password("jit-svc")?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let product = Product::install(&Configuration::empty())?;
        let db = Alone::start()?;
        let stage = Self { product, provider, db, ad, authority, folder, listens, monitor, runtime };
        stage.shows(&stage.authority)?;
        Ok(stage)
    }

    /// The server's certificate is one of this authority from now on.
    pub(crate) fn shows(&self, authority: &Authority) -> Result<()> {
        let Issued { certificate, key } = authority.issue("localhost", Ipv4Addr::LOCALHOST)?;
        for (from, to) in [(certificate, "tls.crt"), (key, "tls.key")] {
            let new = self.folder.write("new", fs::read(from)?)?;
            fs::rename(new, self.folder.join(to))?;
        }
        Ok(())
    }

    /// Who may have what, and nothing of a team.
    pub(crate) fn granting(&self) -> Configuration {
        let policy = |id, right: &str| Policy {
            id,
            name: id,
            rights: vec![self.ad.group(right).to_owned()],
            max: "4h",
            ..Policy::default()
        };
        let password = |path: PathBuf| path.display().to_string();
        let (theirs, ours) =
            (password(self.ad.service_password_file()), password(self.folder.join("directory.secret")));
        let written = Configuration::empty()
            .generous()
            .broker("administrators = [\"chief\"]")
            .technician("chief", &login(), &["tier2"], &[])
            .with("[[technician]]\nid = \"terry\"\nsign_in = \"sub-terry\"\ngroups = [\"tier2\"]\n")
            .customer("acme", "Acme Corp", &[])
            .directory("acme-ad", "acme", &self.ad)
            .policy(&policy("servers", "tier1"))
            .policy(&policy("never", "untouchable"))
            .replace(&theirs, &ours);
        written.expect("it names the service account's password")
    }

    /// What serves a team, with the ledger in a file.
    pub(crate) fn on_a_file(&self) -> Configuration {
        let place = |name: &str| self.folder.join(name);
        self.granting().with(&format!(
            "[service]\nlisten = \"{}\"\nmonitor = \"{}\"\ncertificate = {:?}\nkey = {{ file = {:?} }}\n\n\
             [sign_in]\nissuer = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ file = {:?} }}\n",
            self.listens,
            self.monitor,
            place("tls.crt"),
            place("tls.key"),
            self.provider.issuer(),
            self.provider.client(),
            place("client.secret"),
        ))
    }

    /// The same with its ledger in a database.
    pub(crate) fn in_database(&self, name: &str) -> Configuration {
        self.on_a_file().with(&self.ledger(name))
    }

    /// `[ledger]`.
    pub(crate) fn ledger(&self, database: &str) -> String {
        self.db.section(database)
    }

    /// Where relays reach the broker.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.listens)
    }

    /// A relay that trusts this authority.
    pub(crate) fn relay_trusting(&self, authority: &Path) -> Result<Relay> {
        Relay::new(Ipv4Addr::LOCALHOST, authority, &[self.url()])
    }

    /// A relay by which Terry signed in.
    pub(crate) fn signed_in(&self) -> Result<Relay> {
        let mut relay = self.relay_trusting(&self.authority.file())?;
        self.signs_in(&mut relay)?;
        Ok(relay)
    }

    pub(crate) fn signs_in(&self, relay: &mut Relay) -> Result<()> {
        self.listening()?;
        self.runtime.block_on(relay.sign_in(0, "terry"))
    }

    /// Waits for the broker to open its port, which it does once it answers here.
    fn listening(&self) -> Result<()> {
        until("the broker's port to be open", LIMIT, || Ok(TcpStream::connect(self.listens).is_ok()))
    }

    /// What a broker answers to a relay: status and body.
    pub(crate) fn asks(
        &self,
        relay: &Relay,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<(u16, Value)> {
        self.listening()?;
        let ask = || self.runtime.block_on(relay.ask(0, method, path, key, body, ANSWER));
        // A connection that an earlier broker closed is noticed by the first request after it.
        let heard = match ask()? {
            Heard::Lost(_) => ask()?,
            heard => heard,
        };
        match heard {
            Heard::Answer(status, said) => Ok((status, said)),
            other => bail!("{method} {path}: {other:?}"),
        }
    }

    /// The status of what somebody is answered who shows a token alone.
    pub(crate) fn bearing(&self, relay: &Relay, token: Option<&str>, path: &str) -> Result<u16> {
        self.runtime.block_on(relay.bearing(token, 0, path))
    }

    /// What `/readyz` answers.
    pub(crate) fn readiness(&self) -> Result<(u16, Value)> {
        let answer = http::ask(self.monitor, "GET", "/readyz", &[], &[])?;
        Ok((answer.status, answer.json()?))
    }

    /// Starts a broker of this installation, which ends by itself; by the way of another program, where one is named.
    pub(crate) fn broker_ends(&self, product: &Product, by: &[&str]) -> Result<Said> {
        let mut command = product.command("timeout");
        let output = command.arg("20").args(by).arg(binary()?).arg("broker").output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// A broker does not start, and says these words, as `doctor` does.
    pub(crate) fn is_refused(&self, product: &Product, words: &[&str]) -> Result<()> {
        let ended = self.broker_ends(product, &[])?;
        ensure!(ended.code == Some(2), "{words:?}: {ended:?}");
        let doctor = product.cli(&["doctor"])?;
        ensure!(doctor.code == Some(1), "{words:?}: {doctor:?}");
        for word in words {
            let sentence = ended.stderr.lines().last().unwrap_or_default();
            ensure!(sentence.contains(word), "the broker does not say {word:?}: {ended:?}");
            ensure!(doctor.stdout.contains(word), "doctor does not say {word:?}: {doctor:?}");
        }
        Ok(())
    }

    /// The broker's chains are whole, as it says itself.
    pub(crate) fn verifies(&self) -> Result<()> {
        let said = self.product.cli(&["audit", "verify"])?;
        ensure!(said.succeeded(), "{said:?}");
        Ok(())
    }

    /// The audit log's records as an administrator exports them.
    pub(crate) fn exported(&self) -> Result<Vec<Value>> {
        let said = self.product.cli(&["audit", "export"])?;
        ensure!(said.succeeded(), "{said:?}");
        let records = said.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        records.context("an export of lines of JSON")
    }

    /// Whether somebody's JIT account can be used now, by what the directory itself says.
    pub(crate) fn is_open(&self, account: &str) -> Result<bool> {
        let found = self.ad.look()?.account(account)?;
        Ok(found.is_some_and(|found| found.enabled() && !found.groups.is_empty()))
    }

    /// Waits until `status` says this, or no longer.
    pub(crate) fn is_told(&self, words: &str, told: bool) -> Result<()> {
        until(&format!("everybody to be told {words:?}: {told}"), LIMIT, || {
            let Said { stdout, stderr, .. } = self.product.cli(&["status"])?;
            Ok([stdout, stderr].concat().contains(words) == told)
        })
    }
}

/// A wish for so many seconds.
pub(crate) fn wish(policy: &str, seconds: u32) -> Value {
    json!({"customer": "acme", "policy": policy, "duration_s": seconds, "reason": "#4711 Outlook crashes on start"})
}

/// Another broker's installation, with the key of this one's audit log.
pub(crate) fn beside(product: &Product, configuration: &Configuration) -> Result<Product> {
    let other = Product::install(configuration)?;
    fs::copy(key_of(product), key_of(&other))?;
    Ok(other)
}

/// Where the key is with which a broker signs the audit log.
pub(crate) fn key_of(product: &Product) -> PathBuf {
    product.state().join("audit.key")
}
