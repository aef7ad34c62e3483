//! Who is signed in: what requests show, how a sign-in is renewed, and what several processes of one machine make of one entry.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use ticketgate_credentials::Secret;

use super::*;
use crate::client::signing_in::{Signing, Stands};
use crate::client::tests::stage::{Authority, Broker, Heard, Made, Reply, say, team};
use crate::client::{Client, Endpoint};
use crate::sign_in::team::TeamCame;

/// A key store of the test's own.
#[derive(Default)]
struct Store(Mutex<BTreeMap<String, String>>, Mutex<Option<&'static str>>);

impl Store {
    fn ready(&self) -> Result<(), NoSecret> {
        self.1.lock().unwrap().map_or(Ok(()), |why| Err(NoSecret(why.into())))
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

impl KeepSecret for Store {
    fn find(&self, name: &str) -> Result<Option<Secret>, NoSecret> {
        self.ready()?;
        Ok(self.0.lock().unwrap().get(name).cloned().map(Secret::new))
    }

    fn keep(&self, name: &str, secret: Secret) -> Result<(), NoSecret> {
        self.ready()?;
        self.0.lock().unwrap().insert(name.into(), secret.expose().into());
        Ok(())
    }

    fn forget(&self, name: &str) -> Result<(), NoSecret> {
        self.ready()?;
        self.0.lock().unwrap().remove(name);
        Ok(())
    }
}

/// What the broker of a test knows.
#[derive(Default)]
struct Knows {
    /// The token that it takes, and how often it gave one.
    token: String,
    given: u32,
    /// What it wants to find in proofs.
    nonce: Option<String>,
    /// It does not renew.
    refuses: bool,
    /// Seconds for which a token is good.
    lasts: u32,
}

struct World {
    authority: Authority,
    folder: TempDir,
    store: Arc<Store>,
    knows: Arc<Mutex<Knows>>,
    broker: Broker,
}

fn part(proof: &str, n: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(proof.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

fn signed_out_reply() -> Reply {
    say(
        401,
        r#"{"code":"sign_in_needed","status":401,"detail":"You are not signed in to the broker.","remedy":"Sign in."}"#,
    )
}

fn gives(knows: &mut Knows) -> Value {
    knows.given += 1;
    knows.token = format!("token-{}", knows.given);
    // Of a broker whose clock is a day behind.
    let now = Utc::now() - TimeDelta::days(1);
    json!({"token": knows.token, "until": now + TimeDelta::seconds(knows.lasts.into()), "now": now, "technician": "tech1",
        "name": "terry@id.example", "refresh": format!("renewal-{}", knows.given)})
}

fn plays(knows: &Mutex<Knows>, heard: &Heard) -> Reply {
    let mut knows = knows.lock().unwrap();
    let proof = heard.header("dpop").map(|proof| part(proof, 1));
    if let (Some(proof), Some(wanted)) = (&proof, &knows.nonce)
        && proof["nonce"] != **wanted
    {
        let headers = vec![
            ("DPoP-Nonce", wanted.clone()),
            ("WWW-Authenticate", "DPoP error=\"use_dpop_nonce\"".into()),
        ];
        let Reply::Say { status, body, .. } = signed_out_reply() else { unreachable!() };
        return Reply::Say { status, headers, body };
    }
    match heard.path.as_str() {
        "/v1/sign-in" => say(
            200,
            &json!({"id": "s1", "address": "https://id.example/", "state": "st", "user_code": null, "lasts_s": 60, "after_s": 1})
                .to_string(),
        ),
        "/v1/sign-in/go-on" => say(200, &json!({"signed_in": gives(&mut knows), "after_s": null}).to_string()),
        "/v1/sign-in/renew" if knows.refuses => signed_out_reply(),
        "/v1/sign-in/renew" => {
            let known = format!("renewal-{}", knows.given);
            if heard.body.contains(&format!("\"{known}\"")) {
                say(200, &gives(&mut knows).to_string())
            } else {
                signed_out_reply()
            }
        }
        "/v1/sign-out" => say(200, "{}"),
        _ if heard.header("authorization") == Some(format!("DPoP {}", knows.token).as_str()) => {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/golden/reply.overview.json");
            let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            say(200, &golden["ok"].to_string())
        }
        _ => signed_out_reply(),
    }
}

impl World {
    async fn new(lasts: u32) -> Self {
        let authority = Authority::new();
        let knows = Arc::new(Mutex::new(Knows { lasts, ..Knows::default() }));
        let hears = Arc::clone(&knows);
        let made = Made::with(authority.good());
        let broker = Broker::start(&authority, &made, move |heard| plays(&hears, heard)).await;
        Self { authority, folder: tempfile::tempdir().unwrap(), store: Arc::default(), knows, broker }
    }

    /// A process of this machine: a relay or a command line.
    fn process(&self) -> Client {
        let team = team(&self.authority, &[self.broker.port]);
        let places = Places {
            config: self.folder.path().join("c"),
            state: self.folder.path().join("state"),
            socket: self.folder.path().join("s"),
        };
        let identity = Identity::kept_in(self.store.clone(), &team, &places);
        Client::new(Endpoint::Https(Arc::new(team))).signed_in_by(identity)
    }

    async fn sign_in(&self, client: &Client) -> Arc<SignedIn> {
        let signing = Signing::begin(client, Some(1234)).await.unwrap();
        assert_eq!(signing.asked().address, "https://id.example/");
        let came = TeamCame { state: "st".into(), code: Zeroizing::new("the-code".into()), iss: None };
        match signing.go_on(Some(came)).await.unwrap() {
            Stands::SignedIn(signed_in) => signed_in,
            Stands::Waits(_) => panic!("not signed in"),
        }
    }

    fn heard(&self, path: &str) -> Vec<Heard> {
        self.broker.heard().into_iter().filter(|heard| heard.path == path).collect()
    }
}

#[tokio::test]
async fn who_signed_in_shows_token_and_proof_with_every_request_and_the_key_never_leaves() {
    let world = World::new(3600).await;
    let client = world.process();
    let refused = client.overview().await.unwrap_err();
    assert_eq!((refused.code, refused.status), (Code::SignInNeeded, 401));
    assert_eq!(world.sign_in(&client).await.technician(), "tech1");
    client.overview().await.unwrap();
    client.overview().await.unwrap();
    let heard = world.heard("/v1/overview");
    let [first, .., last] = heard.as_slice() else { panic!() };
    assert_eq!((first.header("authorization"), first.header("dpop")), (None, None));
    assert_eq!(last.header("authorization"), Some("DPoP token-1"));
    let proof = part(last.header("dpop").unwrap(), 1);
    assert_eq!(
        (&proof["htm"], &proof["htu"]),
        (&json!("GET"), &json!(format!("https://127.0.0.1:{}/v1/overview", world.broker.port)))
    );
    // The same key as the sign-in was begun with, and each proof another.
    let begun = part(world.heard("/v1/sign-in")[0].header("dpop").unwrap(), 0);
    assert_eq!(part(last.header("dpop").unwrap(), 0)["jwk"], begun["jwk"]);
    assert_ne!(proof["jti"], part(heard[1].header("dpop").unwrap(), 1)["jti"]);
    let names = world.store.names();
    assert_eq!(
        names,
        [
            format!("broker/127.0.0.1:{}", world.broker.port),
            format!("broker/127.0.0.1:{}/refresh", world.broker.port)
        ]
    );
    let kept: Value = serde_json::from_str(&world.store.0.lock().unwrap()[&names[0]]).unwrap();
    let key = kept["key"].as_str().unwrap();
    for heard in world.broker.heard() {
        assert!(!format!("{heard:?}").contains(key));
    }
    let shown = format!("{:?} {:?}", client.identity(), client.identity().unwrap().held());
    assert!(!shown.contains("token-1") && !shown.contains(key), "{shown}");
}

#[tokio::test]
async fn a_word_that_the_broker_wants_in_proofs_is_put_in_at_once_and_kept() {
    let world = World::new(3600).await;
    world.knows.lock().unwrap().nonce = Some("n-1".into());
    let client = world.process();
    world.sign_in(&client).await;
    client.overview().await.unwrap();
    client.overview().await.unwrap();
    assert_eq!(world.heard("/v1/overview").len(), 2, "known from the sign-in");
    world.knows.lock().unwrap().nonce = Some("n-2".into());
    client.overview().await.unwrap();
    assert_eq!(world.heard("/v1/overview").len(), 4, "refused once, then with the new one");
}

#[tokio::test]
async fn another_process_signs_in_or_out_and_this_one_follows() {
    let world = World::new(3600).await;
    let (one, two) = (world.process(), world.process());
    assert!(two.overview().await.is_err());
    world.sign_in(&one).await;
    two.overview().await.unwrap();
    // Signed in anew elsewhere: the token before is no longer taken.
    world.sign_in(&one).await;
    two.overview().await.unwrap();
    assert_eq!(one.leave().await.unwrap().as_deref(), Some("tech1"));
    assert!(world.store.names().is_empty());
    world.knows.lock().unwrap().token = String::new();
    assert_eq!(two.overview().await.unwrap_err().code, Code::SignInNeeded);
    assert_eq!(one.leave().await.unwrap(), None);
}

#[tokio::test]
async fn a_sign_in_is_renewed_before_its_end_by_one_process_alone() {
    let world = World::new(4).await;
    let clients: Vec<Client> = (0..6).map(|_| world.process()).collect();
    world.sign_in(&clients[0]).await;
    for client in &clients {
        client.overview().await.unwrap();
    }
    assert!(world.heard("/v1/sign-in/renew").is_empty());
    // A second before the end; the token is still good.
    tokio::time::sleep(std::time::Duration::from_millis(3_200)).await;
    let mut asking = tokio::task::JoinSet::new();
    for client in clients.clone() {
        asking.spawn(async move { client.overview().await.map(|_| ()) });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap().unwrap();
    }
    assert_eq!(world.heard("/v1/sign-in/renew").len(), 1);
    let renewal = &world.heard("/v1/sign-in/renew")[0];
    assert!(renewal.body.contains("renewal-1"));
    assert_eq!(renewal.header("authorization"), Some("DPoP token-1"));
    assert_eq!(world.knows.lock().unwrap().token, "token-2");
}

#[tokio::test]
async fn a_provider_that_is_down_or_refuses_leaves_the_sign_in_until_its_end() {
    let world = World::new(3).await;
    let client = world.process();
    world.sign_in(&client).await;
    world.knows.lock().unwrap().refuses = true;
    tokio::time::sleep(std::time::Duration::from_millis(2_400)).await;
    for _ in 0..5 {
        client.overview().await.unwrap();
    }
    assert_eq!(world.heard("/v1/sign-in/renew").len(), 1, "not with every request");
    assert_eq!(world.store.names().len(), 1, "what does not renew any more is forgotten");
    world.knows.lock().unwrap().token = "over".into();
    let refused = client.overview().await.unwrap_err();
    assert_eq!((refused.code, refused.status), (Code::SignInNeeded, 401));
}

#[tokio::test]
async fn a_key_store_that_is_locked_is_said_and_nobody_is_taken_for_signed_out() {
    let world = World::new(3600).await;
    let client = world.process();
    world.sign_in(&client).await;
    *world.store.1.lock().unwrap() = Some("the key store is locked");
    client.overview().await.unwrap();
    let fresh = world.process();
    let refused = fresh.overview().await.unwrap_err();
    assert!(refused.detail.contains("the key store is locked"), "{refused:?}");
    *world.store.1.lock().unwrap() = None;
    fresh.overview().await.unwrap();
    // What is no sign-in of ours is as good as none.
    let name = world.store.names()[0].clone();
    world.store.0.lock().unwrap().insert(name, "{\"key\":\"AAAA\"}".into());
    assert_eq!(world.process().overview().await.unwrap_err().code, Code::SignInNeeded);
}
