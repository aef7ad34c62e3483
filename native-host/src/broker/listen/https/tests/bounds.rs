//! Clients that take their time, send too much, or come in crowds.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Waits until the other end closes, within what is soon.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut got = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut got)).await;
    // How it is closed is of no matter: an end, a reset, or a TLS connection without its last alert.
    assert!(read.is_ok(), "it is still open");
    got
}

#[tokio::test]
async fn who_sends_no_handshake_is_cut_off() {
    let service = Service::new().await;
    let mut silent = TcpStream::connect(service.address).await.unwrap();
    closed(&mut silent).await;
}

#[tokio::test]
async fn who_sends_a_head_slowly_or_none_at_all_is_cut_off() {
    let service = Service::new().await;
    for (alpn, sent) in
        [(&b"http/1.1"[..], "GET /peer HTTP/1.1\r\nhost: x\r\nx-a"), (b"http/1.1", ""), (b"h2", "")]
    {
        let mut stream = Client { alpn: &[alpn], ..service.client() }.connect().await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let got = closed(&mut stream).await;
        assert!(!String::from_utf8_lossy(&got).contains(" 200 "), "{alpn:?} {sent}");
    }
    // Drop by drop is no better.
    let mut stream = service.client().connect().await.unwrap();
    let dripped = tokio::time::timeout(SOON, async {
        for byte in b"GET /peer HTTP/1.1\r\n".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(dripped.await.is_ok(), "it may go on for ever");
}

#[tokio::test]
async fn a_body_that_does_not_come_in_is_refused_in_time() {
    let service = Service::new().await;
    let mut stream = service.client().connect().await.unwrap();
    let head =
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"a\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = [0; 12];
    tokio::time::timeout(SOON, stream.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&got), "HTTP/1.1 504", "timed_out");
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_its_own_status() {
    let service = Service::new().await;
    let client = service.client();
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(2000));
    for length in [None, Some(body.len())] {
        let mut request =
            Request::post("/echo").header("host", "x").header("content-type", "application/json");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(Bytes::from(body.clone())).unwrap();
        let answer = client.http_2().await.unwrap().send_request(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let long = || {
        let mut request = question("/peer");
        request.headers_mut().insert("x-long", "x".repeat(40_000).parse().unwrap());
        request
    };
    let answer = client.http_1().await.unwrap().send_request(long()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = client.http_2().await.unwrap().send_request(long()).await;
    // The client may not even send it.
    assert!(answer.map_or(true, |answer| answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    let mut many = question("/peer");
    for n in 0..100 {
        many.headers_mut()
            .insert(axum::http::HeaderName::try_from(format!("x-{n}")).unwrap(), "1".parse().unwrap());
    }
    let answer = client.http_1().await.unwrap().send_request(many).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(client.ask("/peer").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn who_has_too_many_connections_is_turned_away_until_one_is_closed() {
    let service = Service::with(|settings| settings.connections_per_address = 2).await;
    let client = service.client();
    let mut first = client.http_1().await.unwrap();
    first.send_request(question("/peer")).await.unwrap();
    let mut second = client.http_2().await.unwrap();
    second.send_request(question("/peer")).await.unwrap();
    assert!(client.ask("/peer").await.is_err(), "the third");
    assert_eq!(second.send_request(question("/peer")).await.unwrap().status(), StatusCode::OK);
    drop(first);
    let again = tokio::time::timeout(SOON, async {
        while client.ask("/peer").await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(again.await.is_ok());
}
