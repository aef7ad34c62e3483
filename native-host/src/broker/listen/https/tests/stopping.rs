//! A stop finishes what was begun and takes nothing new.

use super::*;

#[tokio::test]
async fn a_stop_finishes_requests_under_way_and_sends_clients_away() {
    let service = Service::new().await;
    let client = service.client();
    let mut over_2 = client.http_2().await.unwrap();
    let mut over_1 = client.http_1().await.unwrap();
    let mut idle = client.http_1().await.unwrap();
    idle.send_request(question("/peer")).await.map(drop).unwrap();
    let slow_2 = tokio::spawn(over_2.send_request(question("/slow")));
    service.asked.notified().await;
    let slow_1 = tokio::spawn(over_1.send_request(question("/slow")));
    service.asked.notified().await;

    service.stop.send(true).unwrap();
    // GOAWAY: the connection takes no further request while it finishes the one that is there.
    let refused = tokio::time::timeout(SOON, async {
        while over_2.send_request(question("/peer")).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    refused.await.unwrap();
    assert!(TcpStream::connect(service.address).await.is_err(), "nobody listens any more");
    assert!(!service.served.is_finished(), "two requests are under way");

    service.go_on.notify_one();
    service.go_on.notify_one();
    sleep(Duration::from_millis(50)).await;
    service.go_on.notify_one();
    for slow in [slow_2.await.unwrap(), slow_1.await.unwrap()] {
        assert_eq!(text(slow.unwrap()).await.unwrap(), "done");
    }
    tokio::time::timeout(SOON, service.served).await.unwrap().unwrap();
}
