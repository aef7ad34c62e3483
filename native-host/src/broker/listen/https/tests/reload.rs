//! New certificates while the listener serves.

use super::*;

/// The certificate that a new connection is shown.
async fn shown(client: &Client<'_>) -> Vec<u8> {
    let stream = client.connect().await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn until_shown_another(client: &Client<'_>, before: &[u8]) {
    let changed = tokio::time::timeout(SOON, async {
        while shown(client).await == before {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(changed.await.is_ok(), "the certificate is still the old one");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_open_ones_go_on() {
    let service = Service::new().await;
    let client = service.client();
    let mut open_1 = client.http_1().await.unwrap();
    let mut open_2 = client.http_2().await.unwrap();
    open_1.send_request(question("/peer")).await.map(drop).unwrap();
    open_2.send_request(question("/peer")).await.unwrap();
    let slow = tokio::spawn(open_2.send_request(question("/slow")));
    service.asked.notified().await;
    let before = shown(&client).await;
    issue(&service.folder, "ca", "server", "broker-anew");
    until_shown_another(&client, &before).await;
    service.go_on.notify_one();
    assert_eq!(text(slow.await.unwrap().unwrap()).await.unwrap(), "done");
    assert_eq!(open_2.send_request(question("/peer")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_bad_new_certificate_leaves_the_old_one_in_use_and_says_so_until_it_is_mended() {
    let service = Service::new().await;
    let client = service.client();
    let before = shown(&client).await;
    let file = |name: &str| service.folder.path().join(name);
    let good = std::fs::read(file("server.crt")).unwrap();
    authority(&service.folder, "foreign");
    issue(&service.folder, "ca", "other", "other");
    let others = std::fs::read(file("other.crt")).unwrap();
    for (bad, said) in [
        (&b"no certificate"[..], "holds no certificate"),
        (&others, "do not go together"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "the one before still is"),
    ] {
        std::fs::write(file("server.crt"), bad).unwrap();
        service.until(said, |s| s.notices().contains(said)).await;
        assert!(service.notices().contains("the one before still is"), "{}", service.notices());
        assert_eq!(shown(&client).await, before);
    }
    std::fs::remove_file(file("server.crt")).unwrap();
    service.until("a file that is gone", |s| s.notices().contains("No such file")).await;
    assert_eq!(client.ask("/peer").await.unwrap().0, StatusCode::OK);
    std::fs::write(file("server.crt"), good).unwrap();
    service.until("mended", |s| s.notices().is_empty()).await;
    assert_eq!(shown(&client).await, before);
}

#[tokio::test]
async fn a_key_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let service = Service::new().await;
    let before = shown(&service.client()).await;
    issue(&service.folder, "ca", "server", "broker-anew");
    let key = service.folder.path().join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    service.until("a public key file", |s| s.notices().contains("others may read")).await;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    until_shown_another(&service.client(), &before).await;
}

#[tokio::test]
async fn a_place_that_is_taken_and_a_certificate_that_is_not_there_are_waited_for() {
    let service = Service::new().await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let settings = Https {
        listen: address,
        certificate: path(&service.folder, "later.crt"),
        key: SecretRef::File(path(&service.folder, "later.key")),
        client_ca: None,
        connections: 9,
        connections_per_address: 9,
    };
    let (stop, told) = watch::channel(false);
    let serving = tokio::spawn(serve(settings, LIMITS, Arc::clone(&service.world.broker), told));
    service.until("no certificate", |s| s.notices().contains("HTTPS is not served")).await;
    issue(&service.folder, "ca", "later", "broker");
    service.until("a place that is taken", |s| s.notices().contains("cannot be listened on")).await;
    drop(taken);
    service.until("mended", |s| s.notices().is_empty()).await;
    let client = Client { address, ..service.client() };
    assert_eq!(client.ask("/v1/broker").await.unwrap().0, StatusCode::UNAUTHORIZED);
    stop.send(true).unwrap();
    tokio::time::timeout(SOON, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_authority_of_client_certificates_is_replaced_by_way_of_both() {
    let folder = tempfile::tempdir().unwrap();
    authority(&folder, "clients");
    let trusted = folder.path().join("clients.crt");
    let service = Service::with(|settings| settings.client_ca = Some(path(&folder, "clients.crt"))).await;
    for name in ["clients.crt", "clients.key"] {
        std::fs::copy(folder.path().join(name), service.folder.path().join(name)).unwrap();
    }
    authority(&service.folder, "anew");
    issue(&service.folder, "clients", "laptop", "laptop-7");
    issue(&service.folder, "anew", "desktop", "desktop-2");
    let old = std::fs::read(&trusted).unwrap();
    let new = std::fs::read(service.folder.path().join("anew.crt")).unwrap();
    let is_served = async |certificate| {
        Client { certificate: Some(certificate), ..service.client() }.ask("/peer").await.is_ok()
    };
    assert_eq!((is_served("laptop").await, is_served("desktop").await), (true, false));
    for (trusts, both) in [([old, new.clone()].concat(), (true, true)), (new, (false, true))] {
        std::fs::write(&trusted, trusts).unwrap();
        let changed = tokio::time::timeout(SOON, async {
            while (is_served("laptop").await, is_served("desktop").await) != both {
                sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(changed.await.is_ok(), "not within the time: {both:?}");
    }
}
