//! Tenants that the broker is in by the sign-in of a person: in a browser, by a device's code, for a partner's customers.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use ticketgate_access::config::{Entra as Settings, Proof};
use ticketgate_access::session::Right;
use ticketgate_credentials::{KeepSecret, NoSecret, Secret};
use ticketgate_directory::{
    Asked, By, Directory, DirectoryError, EntraTenant, NoSignIn, RightUse, SignIns, Stands,
};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::oidc::OpenIdProvider;
use ticketgate_tests::person;
use ticketgate_tests::tenant::Tenant;

use crate::world::{ROLE, Scene, World};

/// A key store that can be locked, or take nothing. The real one: `tests/tests/technicians_sign_in.rs`.
#[derive(Default)]
pub(crate) struct Store {
    kept: Mutex<HashMap<String, String>>,
    locked: AtomicBool,
    full: AtomicBool,
}

impl Store {
    fn all(&self) -> HashMap<String, String> {
        self.kept.lock().unwrap().clone()
    }

    fn lock(&self, locked: bool) {
        self.locked.store(locked, Ordering::SeqCst);
    }

    fn opened(&self) -> Result<(), NoSecret> {
        if self.locked.load(Ordering::SeqCst) { Err(NoSecret("the store is locked".into())) } else { Ok(()) }
    }
}

impl KeepSecret for Store {
    fn find(&self, name: &str) -> Result<Option<Secret>, NoSecret> {
        self.opened()?;
        Ok(self.all().get(name).map(|text| Secret::new(text.clone())))
    }

    fn keep(&self, name: &str, secret: Secret) -> Result<(), NoSecret> {
        self.opened()?;
        if self.full.load(Ordering::SeqCst) {
            return Err(NoSecret("the store takes nothing".into()));
        }
        self.kept.lock().unwrap().insert(name.to_owned(), secret.expose().to_owned());
        Ok(())
    }

    fn forget(&self, name: &str) -> Result<(), NoSecret> {
        self.opened()?;
        self.kept.lock().unwrap().remove(name);
        Ok(())
    }
}

/// What a broker that was started just now makes of these settings.
pub(crate) fn started(settings: &Settings, store: &Arc<Store>) -> EntraTenant {
    let people = SignIns::kept_by(Arc::clone(store) as Arc<dyn KeepSecret>);
    connector(settings, &Arc::new(people))
}

/// The same whose policies name these rights.
pub(crate) fn started_for(settings: &Settings, store: &Arc<Store>, rights: &[&str]) -> EntraTenant {
    let people = SignIns::kept_by(Arc::clone(store) as Arc<dyn KeepSecret>);
    let known = rights.iter().map(|right| Right((*right).into())).collect();
    EntraTenant::with_people(settings, &known, Arc::new(people)).unwrap()
}

pub(crate) fn connector(settings: &Settings, people: &Arc<SignIns>) -> EntraTenant {
    let known = BTreeSet::from([Right(ROLE.into())]);
    EntraTenant::with_people(settings, &known, Arc::clone(people)).unwrap()
}

pub(crate) fn by_people(settings: &mut Settings, client: &str, home: &str) {
    settings.client_id = client.parse().unwrap();
    settings.proof =
        Proof::Technician { home: home.parse().unwrap(), directory: "acme-entra".parse().unwrap() };
}

async fn in_browser(tenant: &EntraTenant) -> (Asked, String) {
    let asked = tenant.begin_sign_in(By::Browser { port: 41_234 }).await.unwrap();
    let back = person::sign_in_at(&asked.address).unwrap();
    assert!(back.starts_with("http://localhost:41234"), "{back}");
    (asked, person::value(&back, "code").unwrap_or_default().to_owned())
}

/// What came of a sign-in, kept where somebody signed in.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Waits { after_s: u32 },
    SignedIn { account: String },
}

async fn finished(tenant: &EntraTenant, id: &str, came: Option<(&str, &Secret)>) -> Result<Done, NoSignIn> {
    match tenant.finish_sign_in(id, came).await? {
        Stands::Waits { after_s } => Ok(Done::Waits { after_s }),
        Stands::Granted(grant) => {
            let account = grant.account().to_owned();
            grant.keep().await?;
            Ok(Done::SignedIn { account })
        }
    }
}

async fn finish(tenant: &EntraTenant, asked: &Asked, code: &str) -> Result<Done, NoSignIn> {
    let state = asked.state.clone().unwrap_or_default();
    finished(tenant, &asked.id, Some((&state, &Secret::new(code.to_owned())))).await
}

pub(crate) async fn sign_in(tenant: &EntraTenant) -> String {
    let (asked, code) = in_browser(tenant).await;
    match finish(tenant, &asked, &code).await.unwrap() {
        Done::SignedIn { account } => account,
        waits => panic!("{waits:?}"),
    }
}

pub(crate) async fn texts(tenant: &EntraTenant) -> Vec<String> {
    let used = [RightUse { right: Right(ROLE.into()), outlives_an_hour: false, on_jit_accounts: false }];
    tenant.check(&used).await.into_iter().map(|found| format!("{} {}", found.level, found.text)).collect()
}

pub(crate) async fn says(tenant: &EntraTenant, part: &str) {
    let found = texts(tenant).await;
    assert!(found.iter().any(|text| text.contains(part)), "{part}: {found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_others_signs_people_in_by_what_we_send_and_by_nothing_else() {
    let provider = OpenIdProvider::start().unwrap();
    let world = World::new();
    let mut settings = world.settings(&world.entra.tenant("shape").unwrap());
    by_people(&mut settings, provider.public_client(), provider.tenant());
    settings.tenant = provider.tenant().parse().unwrap();
    settings.login_url = provider.login_url().to_owned();
    let store = Arc::new(Store::default());
    let tenant = started(&settings, &store);
    says(&tenant, "nobody is signed in; run: ticketgate entra sign-in acme-entra").await;

    // Another's state uses the sign-in up, also for the right one.
    let (asked, code) = in_browser(&tenant).await;
    let wrong = finished(&tenant, &asked.id, Some(("wrong", &Secret::new(code.clone())))).await;
    assert!(matches!(wrong, Err(NoSignIn::AnothersAnswer)), "{wrong:?}");
    let late = finish(&tenant, &asked, &code).await;
    assert!(matches!(late, Err(NoSignIn::Unknown)), "{late:?}");
    // A code that was slipped in: its challenge is another's (PKCE).
    let (first, _) = in_browser(&tenant).await;
    let (_, foreign) = in_browser(&tenant).await;
    let slipped = finish(&tenant, &first, &foreign).await;
    assert!(matches!(slipped, Err(NoSignIn::Directory(DirectoryError::SignInNeeded { .. }))), "{slipped:?}");
    // Who asks for less than it began with, or for what nobody began.
    let (asked, _) = in_browser(&tenant).await;
    assert!(matches!(finished(&tenant, &asked.id, None).await, Err(NoSignIn::Unknown)));
    assert!(matches!(finished(&tenant, "none", None).await, Err(NoSignIn::Unknown)));
    assert!(store.all().is_empty());

    // A good one, whose renewal is replaced each time that a broker starts.
    let (asked, good) = in_browser(&tenant).await;
    assert!(
        matches!(finish(&tenant, &asked, &good).await, Ok(Done::SignedIn { account }) if account == "person")
    );
    let name = settings.sign_in_name().unwrap();
    assert_eq!(store.all().keys().collect::<Vec<_>>(), [&name]);
    let mut seen = BTreeSet::from([store.all()[&name].clone()]);
    for _ in 0..3 {
        says(&started(&settings, &store), "ok person is signed in").await;
        assert!(seen.insert(store.all()[&name].clone()), "it was not replaced");
    }
    locked_while_renewed(&settings, &store).await;
    // Signed out is signed out, also for a token that is still good.
    let tenant = started(&settings, &store);
    says(&tenant, "ok person is signed in").await;
    tenant.sign_out().await.unwrap();
    assert!(store.all().is_empty());
    says(&tenant, "nobody is signed in").await;

    by_device(&provider, &tenant).await;
    // Somebody else shows a renewal that was replaced: the provider ends all that came from this sign-in.
    let (asked, code) = in_browser(&tenant).await;
    finish(&tenant, &asked, &code).await.unwrap();
    let (again, _) = in_browser(&tenant).await;
    assert!(finish(&tenant, &again, &code).await.is_err(), "a code twice");
    let stolen = store.all()[&name].clone();
    says(&started(&settings, &store), "ok person is signed in").await;
    renewed_by_a_thief(&provider, &stolen);
    says(&started(&settings, &store), "somebody has to sign in: Entra ID does not take it any more").await;
    // With a store that takes nothing nobody is signed in.
    store.lock(true);
    let (asked, code) = in_browser(&tenant).await;
    let unkept = finish(&tenant, &asked, &code).await;
    assert!(
        matches!(&unkept, Err(NoSignIn::Directory(DirectoryError::NoSecret(why))) if why.contains("sign_in = \"app\"")),
        "{unkept:?}"
    );
}

/// What is replaced while the store takes nothing is held until it does.
async fn locked_while_renewed(settings: &Settings, store: &Arc<Store>) {
    let before = store.all();
    let people = Arc::new(SignIns::kept_by(Arc::clone(store) as Arc<dyn KeepSecret>));
    store.full.store(true, Ordering::SeqCst);
    says(&connector(settings, &people), "ok person is signed in").await;
    assert_eq!(store.all(), before);
    store.full.store(false, Ordering::SeqCst);
    says(&connector(settings, &people), "ok person is signed in").await;
    assert_ne!(store.all(), before);
    says(&started(settings, store), "ok person is signed in").await;
}

fn renewed_by_a_thief(provider: &OpenIdProvider, stolen: &str) {
    let at = provider.login_url().strip_prefix("http://").unwrap().parse().unwrap();
    let form =
        format!("grant_type=refresh_token&client_id={}&refresh_token={stolen}", provider.public_client());
    let path = format!("/{}/oauth2/v2.0/token", provider.tenant());
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let said = ticketgate_tests::http::ask(at, "POST", &path, &kind, form.as_bytes()).unwrap();
    assert_eq!(said.status, 400, "{}", said.text());
}

async fn by_device(provider: &OpenIdProvider, tenant: &EntraTenant) {
    for agrees in [true, false] {
        let asked = tenant.begin_sign_in(By::Device).await.unwrap();
        let waits = finished(tenant, &asked.id, None).await.unwrap();
        assert_eq!(waits, Done::Waits { after_s: asked.after_s });
        provider.answer_device(asked.user_code.as_deref().unwrap(), agrees).unwrap();
        let done = finished(tenant, &asked.id, None).await;
        let as_expected = match &done {
            Ok(Done::SignedIn { account }) => agrees && account == "person",
            Err(NoSignIn::Declined) => !agrees,
            _ => false,
        };
        assert!(as_expected, "{agrees}: {done:?}");
        let again = finished(tenant, &asked.id, None).await;
        assert!(matches!(again, Err(NoSignIn::Unknown)), "{again:?}");
    }
}

/// A tenant whose people administrate, with one of them at the browser.
pub(crate) fn people_of(world: &World, name: &str, store: &Arc<Store>) -> Scene {
    let mut of = world.scene(name, &[ROLE]);
    of.tenant.people_administrate();
    of.tenant.person(Some(&of.tenant.add_user("terry")));
    by_people(&mut of.settings, &of.tenant.public_client(), of.tenant.id());
    of.directory = started(&of.settings, store);
    of
}

pub(crate) fn is_sign_in(error: &DirectoryError) -> bool {
    matches!(error, DirectoryError::SignInNeeded { directory, .. } if directory == "acme-entra")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_gives_and_takes_rights_and_who_is_not_any_more_is_asked_to_sign_in() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let mut of = people_of(&world, "people", &store);
    of.start(&[ROLE], 60);
    assert!(is_sign_in(&of.converge().await.unwrap_err()));
    assert!(of.tenant.lines().is_empty(), "{:?}", of.tenant.lines());

    assert_eq!(sign_in(&of.directory).await, format!("terry@{}", of.tenant.domain()));
    let found = texts(&of.directory).await;
    assert!(found.iter().all(|text| !text.starts_with("error")), "{found:#?}");
    assert!(found.iter().any(|text| text.starts_with("ok terry@people")), "{found:#?}");
    assert!(found.iter().any(|text| text.contains("acts by the sign-in of a person")), "{found:#?}");
    assert!(of.directory.promises(Mode::Dedicated).limits.contains("by the sign-in of a person"));
    of.converge().await.unwrap();
    assert!(of.signs_in());
    of.holds(&["role:Exchange Administrator"]);

    // Another factor is wanted: ends wait, and come as soon as somebody signs in again.
    of.end();
    of.pass(301);
    of.tenant.interaction(true);
    of.tenant.forget_tokens();
    assert!(is_sign_in(&of.converge().await.unwrap_err()));
    of.tenant.interaction(false);
    sign_in(&of.directory).await;
    of.converge().await.unwrap();
    of.holds(&[]);
    assert!(!of.user().enabled);

    // A challenge goes along with the next sign-in.
    let claims = "{\"access_token\":{\"acrs\":{\"essential\":true,\"value\":\"c1\"}}}";
    of.tenant.challenge(&base64::engine::general_purpose::STANDARD.encode(claims));
    of.start(&[ROLE], 60);
    assert!(is_sign_in(&of.converge().await.unwrap_err()));
    let asked = of.directory.begin_sign_in(By::Browser { port: 1 }).await.unwrap();
    assert!(person::value(&asked.address, "claims").unwrap().contains("access_token"), "{}", asked.address);
    sign_in(&of.directory).await;
    of.converge().await.unwrap();
    let asked = of.directory.begin_sign_in(By::Browser { port: 1 }).await.unwrap();
    assert_eq!(person::value(&asked.address, "claims"), None);

    // What is not consented, and an account that is disabled.
    of.tenant.delegated_without(&["User.RevokeSessions.All"]);
    says(&started(&of.settings, &store), "error the permission User.RevokeSessions.All is not consented")
        .await;
    of.tenant.edit("terry@people.onmicrosoft.com", &serde_json::json!({ "accountEnabled": false }));
    says(&started(&of.settings, &store), "the account is locked or disabled").await;
    cancelled_and_late(&world, &store).await;
    world.is_as_described();
}

async fn cancelled_and_late(world: &World, store: &Arc<Store>) {
    let of = people_of(world, "cancelled", store);
    let kept = store.all();
    of.tenant.person(None);
    let asked = of.directory.begin_sign_in(By::Browser { port: 41_234 }).await.unwrap();
    let back = person::sign_in_at(&asked.address).unwrap();
    assert_eq!(person::value(&back, "error"), Some("access_denied"));
    // By a device: declined, told to ask more seldom, and too late.
    let asked = of.directory.begin_sign_in(By::Device).await.unwrap();
    of.tenant.fail_next("/token", 400, "slow_down");
    let slower = finished(&of.directory, &asked.id, None).await.unwrap();
    assert_eq!(slower, Done::Waits { after_s: asked.after_s + 5 });
    assert_eq!(finished(&of.directory, &asked.id, None).await.unwrap(), slower);
    of.tenant.fail_next("/token", 503, "temporarily_unavailable");
    assert!(finished(&of.directory, &asked.id, None).await.is_err());
    assert!(of.tenant.answer_device(asked.user_code.as_deref().unwrap(), None));
    assert!(matches!(finished(&of.directory, &asked.id, None).await, Err(NoSignIn::Declined)));
    let asked = of.directory.begin_sign_in(By::Device).await.unwrap();
    world.entra.move_sign_in_clock(Duration::from_secs(901));
    assert!(matches!(finished(&of.directory, &asked.id, None).await, Err(NoSignIn::TooLate)));
    assert_eq!(store.all(), kept, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_partner_sign_in_once_for_all_customers_and_see_which_there_are() {
    let world = World::new();
    let store = Arc::new(Store::default());
    let msp = people_of(&world, "msp", &store);
    let people = Arc::new(SignIns::kept_by(Arc::clone(&store) as Arc<dyn KeepSecret>));
    let customer = |name: &str| {
        let mut of = world.scene(name, &[ROLE]);
        of.tenant.people_administrate();
        of.tenant.is_reached_from(&msp.tenant);
        by_people(&mut of.settings, &msp.tenant.public_client(), msp.tenant.id());
        of.directory = connector(&of.settings, &people);
        of
    };
    let (mut contoso, mut globex) = (customer("contoso"), customer("globex"));
    // Signed in to one, in the partner's tenant.
    let asked = contoso.directory.begin_sign_in(By::Browser { port: 1 }).await.unwrap();
    assert!(
        asked.address.contains(&format!("/{}/oauth2/v2.0/authorize", msp.tenant.id())),
        "{}",
        asked.address
    );
    assert_eq!(sign_in(&contoso.directory).await, "terry@msp.onmicrosoft.com");
    for of in [&mut contoso, &mut globex] {
        of.start(&[ROLE], 60);
        of.converge().await.unwrap();
        assert!(of.signs_in());
        of.pass(301);
        of.end();
        of.converge().await.unwrap();
        of.holds(&[]);
    }
    assert!(msp.tenant.lines().is_empty(), "{:?}", msp.tenant.lines());

    listed(&msp.tenant, &contoso, &globex.directory).await;
    // A tenant that nobody of the partner reaches.
    let mut stranger = world.scene("stranger", &[ROLE]);
    by_people(&mut stranger.settings, &stranger.tenant.public_client(), msp.tenant.id());
    stranger.settings.client_id = msp.settings.client_id.clone();
    stranger.directory = connector(&stranger.settings, &people);
    says(&stranger.directory, "is not in this tenant").await;
    world.is_as_described();
}

async fn listed(msp: &Tenant, contoso: &Scene, by: &EntraTenant) {
    let adatum = "1c0fa218-5dec-49db-8247-cfa457af8116";
    msp.add_customer(contoso.tenant.id(), "Contoso Inc", Some("contoso.onmicrosoft.com"), "active");
    msp.add_customer(adatum, "Adatum", None, "active");
    msp.add_customer(adatum, "Adatum", None, "terminated");
    msp.add_customer("4fdbff88-9d6b-42e0-9713-45c922ba8001", "Gone", None, "terminated");
    msp.page_size(2);
    let found = by.partner_tenants().await.unwrap();
    let seen: Vec<_> =
        found.iter().map(|of| (of.name.as_str(), of.domain.as_deref(), of.until.is_some())).collect();
    assert_eq!(
        seen,
        [
            ("Adatum", None, true),
            ("Contoso Inc", Some("contoso.onmicrosoft.com"), true),
            ("Gone", None, false)
        ]
    );
    assert_eq!(found[1].tenant, contoso.tenant.id());
    // Contracts are a bonus, the rest is needed.
    msp.delegated_without(&["Directory.Read.All"]);
    msp.forget_tokens();
    assert!(by.partner_tenants().await.unwrap().iter().all(|of| of.domain.is_none()));
    msp.delegated_without(&["DelegatedAdminRelationship.Read.All"]);
    msp.forget_tokens();
    let refused = by.partner_tenants().await.unwrap_err();
    assert!(
        matches!(&refused, DirectoryError::NotDelegated(why) if why.contains("delegated permission DelegatedAdminRelationship.Read.All")),
        "{refused:?}"
    );
}
