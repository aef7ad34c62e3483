//! Sign-ins to a tenant where the ledger or the key store fails, and people who may not sign in for the broker. The login is a few
//! lines that give everybody a sign-in; what Entra ID is like is the connector's tests' matter.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use ticketgate_access::config;
use ticketgate_credentials::{KeepSecret, NoSecret, Secret};
use ticketgate_directory::{Directory, EntraTenant, SignIns};
use ticketgate_protocol::ids::{DirectoryId, PsaId};
use ticketgate_psa::Psa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::*;
use crate::broker::{BuildConnectors, Caller};
use crate::sign_in::{Came, SignInGoesOn, SignInStands, SignInWanted};

/// A key store in memory, which may take nothing.
#[derive(Default)]
struct Store {
    kept: Mutex<HashMap<String, String>>,
    full: AtomicBool,
}

impl KeepSecret for Store {
    fn find(&self, name: &str) -> Result<Option<Secret>, NoSecret> {
        Ok(self.kept.lock().unwrap().get(name).map(|text| Secret::new(text.clone())))
    }

    fn keep(&self, name: &str, secret: Secret) -> Result<(), NoSecret> {
        if self.full.load(Ordering::SeqCst) {
            return Err(NoSecret("it takes nothing".into()));
        }
        self.kept.lock().unwrap().insert(name.to_owned(), secret.expose().to_owned());
        Ok(())
    }

    fn forget(&self, name: &str) -> Result<(), NoSecret> {
        self.kept.lock().unwrap().remove(name);
        Ok(())
    }
}

/// Tenants alone.
struct Tenants(Arc<SignIns>);

impl BuildConnectors for Tenants {
    fn directory(
        &self,
        of: &config::Directory,
        known: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        let config::DirectoryKind::Entra(of) = &of.kind else { return Err("no tenant".into()) };
        let tenant = EntraTenant::with_people(of, &known, Arc::clone(&self.0));
        Ok(Arc::new(tenant.map_err(|error| error.to_string())?))
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        Err(format!("no ticket system {}", PsaId::as_str(&psa.id)))
    }
}

/// A login that gives everybody who comes a sign-in of its own. Answers its address.
async fn login() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for count in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let body = format!(
                "{{\"access_token\":\"at\",\"expires_in\":3600,\"refresh_token\":\"rt-{count}\",\"id_token\":\"e30.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJ0ZXJyeSJ9.x\"}}"
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    address
}

struct Desk {
    broker: Arc<Broker>,
    ledger: Arc<dyn Ledger>,
    refusing: Arc<Refusing>,
    store: Arc<Store>,
    login: String,
    folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap(), Arc::default(), login().await, "").await
    }

    async fn refusing(name: &'static str) -> Self {
        let desk = Self::on(tempfile::tempdir().unwrap(), Arc::default(), login().await, name).await;
        desk.refusing.refuses.store(true, Ordering::SeqCst);
        desk
    }

    /// The process is killed and another one starts on the same state.
    async fn restarted(self) -> Self {
        drop(self.broker);
        let desk = Self::on(self.folder, self.store, self.login, "").await;
        Arc::clone(&desk.broker).run_signed_in().await;
        desk
    }

    async fn on(folder: TempDir, store: Arc<Store>, login: String, name: &'static str) -> Self {
        let path = folder.path().join("ledger.sqlite");
        let ledger: Arc<dyn Ledger> =
            Arc::new(SqliteLedger::open(&path, &folder.path().join("audit.key")).unwrap());
        let refusing = Arc::new(Refusing::of(Arc::clone(&ledger), name));
        let people = Arc::new(SignIns::kept_by(Arc::clone(&store) as Arc<dyn KeepSecret>));
        let broker = Broker::new(refusing.clone(), TestClock::new(), Arc::new(Tenants(people)));
        let of = |id: &str| format!("id = \"{id}\"\nname = \"{id}\"\n");
        let directory = format!(
            "[[directory]]\nid = \"acme-entra\"\ncustomer = \"acme\"\nkind = \"entra\"\nsign_in = \"technician\"\n\
             tenant = \"9f4c6d1e-0000-4000-8000-000000000001\"\nclient_id = \"9f4c6d1e-0000-4000-8000-000000000002\"\n\
             account_domain = \"acme.example\"\nlogin_url = \"{login}\"\ngraph_url = \"{login}\"\n"
        );
        let configuration = format!(
            "[broker]\nadministrators = [\"boss\"]\n[[technician]]\nid = \"tech1\"\n[[technician]]\nid = \"boss\"\n\
             [[customer]]\n{}{directory}",
            of("acme")
        );
        broker.load_settings(&configuration).await.unwrap();
        Self { broker, ledger, refusing, store, login, folder }
    }

    fn caller(&self, login: &str) -> Caller {
        Caller::identify(self.broker.settings().config.as_ref(), login, false)
    }

    async fn sign_in_as(&self, caller: &Caller) -> Result<SignInStands, Problem> {
        let id = id();
        let asked = self.broker.begin_sign_in(caller, &id, SignInWanted { port: Some(1) }).await?;
        let came = Came { state: asked.state.unwrap(), code: Zeroizing::new("code".into()) };
        self.broker.finish_sign_in(caller, &id, &SignInGoesOn { id: asked.id, came: Some(came) }).await
    }

    async fn sign_in(&self) -> Result<SignInStands, Code> {
        self.sign_in_as(&self.caller("boss")).await.map_err(|problem| problem.code)
    }

    /// What stands in the key store, and what is on record of the tenant.
    async fn seen(&self) -> (Vec<String>, Vec<String>) {
        let kept = self.store.kept.lock().unwrap().values().cloned().collect();
        let query = AuditQuery { actions: Some("tenant."), ..AuditQuery::default() };
        let records = self.ledger.audit(query).await.unwrap();
        let told = records.into_iter().map(|record| {
            assert!(!record.details.to_string().contains("rt-"), "{record:?}");
            record.action.trim_start_matches("tenant.").to_owned()
        });
        (kept, told.collect())
    }

    async fn shows(&self, kept: &[&str], told: &[&str]) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(self.seen().await, (owned(kept), owned(told)));
    }
}

fn id() -> DirectoryId {
    DirectoryId::new("acme-entra").unwrap()
}

#[tokio::test]
async fn a_sign_in_is_on_record_before_it_is_kept_and_after() {
    let desk = Desk::new().await;
    assert_eq!(desk.sign_in().await.unwrap().account.as_deref(), Some("terry"));
    desk.shows(&["rt-0"], &["signing_in", "signed_in"]).await;
    desk.sign_in().await.unwrap();
    desk.shows(&["rt-1"], &["signing_in", "signed_in", "signing_in", "signed_in"]).await;
    // Nothing is left to be found.
    let desk = desk.restarted().await;
    assert_eq!(desk.seen().await.1.len(), 4);
}

#[tokio::test]
async fn who_is_neither_administrator_nor_the_brokers_own_user_signs_nobody_in_or_out() {
    let desk = Desk::new().await;
    for login in ["tech1", "nobody"] {
        let caller = desk.caller(login);
        assert_eq!(desk.sign_in_as(&caller).await.unwrap_err().code, Code::NotAnAdministrator);
        let on = SignInGoesOn { id: "x".into(), came: None };
        let finished = desk.broker.finish_sign_in(&caller, &id(), &on).await;
        assert_eq!(finished.unwrap_err().code, Code::NotAnAdministrator);
        let out = desk.broker.sign_out(&caller, &id()).await;
        assert_eq!(out.unwrap_err().code, Code::NotAnAdministrator);
        let listed = desk.broker.partner_tenants(&caller, &id()).await;
        assert_eq!(listed.unwrap_err().code, Code::NotAnAdministrator);
    }
    desk.shows(&[], &[]).await;
    let own = Caller { own: true, ..desk.caller("tech1") };
    desk.sign_in_as(&own).await.unwrap();
    desk.broker.sign_out(&own, &id()).await.unwrap();
    desk.shows(&[], &["signing_in", "signed_in", "signed_out"]).await;
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done_or_undone() {
    // The beginning: nothing is kept.
    let desk = Desk::refusing("ledger.signing_in").await;
    assert_eq!(desk.sign_in().await.unwrap_err(), Code::LedgerDown);
    desk.shows(&[], &[]).await;
    // The same where only the answer is lost: nothing is kept, and the next broker says so.
    let desk = Desk::refusing("ledger.signing_in").await;
    desk.refusing.writes.store(true, Ordering::SeqCst);
    assert_eq!(desk.sign_in().await.unwrap_err(), Code::LedgerDown);
    desk.shows(&[], &["signing_in"]).await;
    desk.restarted().await.shows(&[], &["signing_in", "sign_in_failed"]).await;
    // The end: it is taken back.
    let desk = Desk::refusing("ledger.sign_in").await;
    assert_eq!(desk.sign_in().await.unwrap_err(), Code::LedgerDown);
    desk.shows(&[], &["signing_in"]).await;
    desk.restarted().await.shows(&[], &["signing_in", "sign_in_failed"]).await;
    // Signing out: what stays stays in use, and is said to.
    let desk = Desk::new().await;
    desk.sign_in().await.unwrap();
    let desk = Desk::on(desk.folder, desk.store, desk.login, "ledger.sign_in").await;
    desk.refusing.refuses.store(true, Ordering::SeqCst);
    let out = desk.broker.sign_out(&desk.caller("boss"), &id()).await;
    assert_eq!(out.unwrap_err().code, Code::LedgerDown);
    desk.shows(&["rt-0"], &["signing_in", "signed_in"]).await;
}

#[tokio::test]
async fn a_key_store_that_takes_nothing_leaves_the_sign_in_before_and_is_on_record() {
    let desk = Desk::new().await;
    desk.sign_in().await.unwrap();
    desk.store.full.store(true, Ordering::SeqCst);
    assert_eq!(desk.sign_in().await.unwrap_err(), Code::BindRefused);
    desk.shows(&["rt-0"], &["signing_in", "signed_in", "signing_in", "sign_in_failed"]).await;
    // Where not even that can be written (`ledger.sign_in_failed`), the next broker does.
    let desk = Desk::on(desk.folder, desk.store, desk.login, "ledger.sign_in_failed").await;
    desk.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(desk.sign_in().await.unwrap_err(), Code::BindRefused);
    assert_eq!(desk.seen().await.1.last().unwrap(), "signing_in");
    let desk = desk.restarted().await;
    assert_eq!(desk.seen().await.1.last().unwrap(), "sign_in_failed");
    assert_eq!(desk.seen().await.0, ["rt-0"]);
}

#[tokio::test]
async fn a_record_that_a_broker_cannot_write_at_its_start_is_written_by_the_next() {
    let desk = Desk::refusing("ledger.sign_in").await;
    assert!(desk.sign_in().await.is_err());
    let desk = Desk::on(desk.folder, desk.store, desk.login, "ledger.sign_in_found").await;
    desk.refusing.refuses.store(true, Ordering::SeqCst);
    let looking = tokio::spawn(Arc::clone(&desk.broker).run_signed_in());
    while desk.refusing.refused.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    looking.abort();
    desk.shows(&[], &["signing_in"]).await;
    // Nor is a new sign-in kept back by it, which then is the last.
    desk.sign_in().await.unwrap();
    desk.shows(&["rt-1"], &["signing_in", "signing_in", "signed_in"]).await;
    assert_eq!(desk.restarted().await.seen().await.1.len(), 3);
}
