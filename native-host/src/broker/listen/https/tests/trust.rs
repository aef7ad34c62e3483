//! Who speaks with whom: versions of TLS and HTTP, authorities on both sides.

use std::process::Stdio;

use super::*;

#[tokio::test]
async fn both_versions_of_http_are_served_over_both_versions_of_tls() {
    let service = Service::new().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let versions = [version];
        let client = Client { versions: &versions, ..service.client() };
        let (status, said) = client.ask("/peer").await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(said.starts_with("Remote { address: 127.0.0.1:"), "{said}");
        assert!(said.ends_with("certificate: None }"), "{said}");
        let answer = client.http_2().await.unwrap().send_request(question("/peer")).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, hyper::Version::HTTP_2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_tls_before_1_2_are_refused() {
    let service = Service::new().await;
    let try_it = |version: &'static str| {
        let mut client = Command::new("openssl");
        client.args(["s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect"]);
        client.arg(service.address.to_string()).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || {
            let done = client.output().unwrap();
            (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
        })
    };
    for old in ["-tls1", "-tls1_1"] {
        let (connected, said) = try_it(old).await.unwrap();
        assert!(!connected && said.contains("alert"), "{old}: {said}");
    }
    let (connected, said) = try_it("-tls1_2").await.unwrap();
    assert!(connected, "{said}");
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_does_not_connect_and_others_still_do() {
    let service = Service::new().await;
    authority(&service.folder, "foreign");
    let refused = Client { ca: "foreign", ..service.client() }.ask("/peer").await.unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    assert_eq!(service.client().ask("/peer").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn where_client_certificates_are_asked_for_only_those_of_their_authority_are_served_and_named() {
    let folder = tempfile::tempdir().unwrap();
    authority(&folder, "clients");
    let clients = path(&folder, "clients.crt");
    let service = Service::with(|settings| settings.client_ca = Some(clients)).await;
    for name in ["clients.crt", "clients.key"] {
        std::fs::copy(folder.path().join(name), service.folder.path().join(name)).unwrap();
    }
    authority(&service.folder, "foreign");
    issue(&service.folder, "clients", "laptop", "laptop-7");
    issue(&service.folder, "foreign", "stranger", "laptop-7");
    for _ in 0..2 {
        let known = Client { certificate: Some("laptop"), ..service.client() };
        let (status, said) = known.ask("/peer").await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(said.contains("Some(\"laptop-7, localhost, laptop-7.example\")"), "{said}");
        for certificate in [None, Some("stranger")] {
            assert!(
                Client { certificate, ..service.client() }.ask("/peer").await.is_err(),
                "{certificate:?}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_told_so_by_the_real_api() {
    let service = Service::serving(|_| {}, |broker, told| router(Arc::clone(broker), told.clone())).await;
    let client = service.client();
    let mut request = question("/v1/overview");
    request.headers_mut().insert("x-request-id", "from-the-relay-1".parse().unwrap());
    let answer = client.http_2().await.unwrap().send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["x-request-id"], "from-the-relay-1");
    assert!(text(answer).await.unwrap().contains("sign_in_needed"));
}
