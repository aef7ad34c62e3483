//! Passes the broker's events on to the browser, across restarts of the broker.

use ticketgate_protocol::api::Event;
use ticketgate_protocol::native::Frame;

use super::writer::Outbox;
use crate::client::Client;
use crate::client::events::{EventFeed, News};

/// Runs until the port ends. A lost broker is told as [`Event::Resync`] at once, so that the extension asks, meets the
/// problem with its remedy and shows it; again where there is another reason, and once more when the broker is back.
pub(super) async fn run(client: &Client, outbox: &Outbox) {
    let mut feed = EventFeed::new(client.clone());
    while outbox.is_open() {
        let event = match feed.next().await {
            News::Event(event) => event,
            News::Lost(_) => Event::Resync,
        };
        outbox.send(&Frame::Event(event)).await;
    }
}
