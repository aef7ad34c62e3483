//! Ticket numbers as HaloPSA shows them, with zeros before them that its API does not know.

use ticketgate_psa::Ticket;

use super::tickets::{asking, right};
use super::*;

/// HaloPSA in the place of the world's ticket system, with deliveries and watching under way.
async fn halo() -> World {
    let world = World::new().await;
    let text = asking("verified = \"always\", end_when_closed = true")
        .replace("kind = \"request_tracker\"", "kind = \"halopsa\"\nclient_id = \"id\"");
    world.broker.load_settings(&text).await.unwrap();
    world.run();
    tokio::spawn(Arc::clone(&world.broker).run_deliveries());
    tokio::spawn(Arc::clone(&world.broker).run_closing());
    world
}

#[tokio::test]
async fn a_number_typed_with_its_zeros_is_verified_noted_and_watched() {
    let world = halo().await;
    let session = world.wish_for("", "0004711", "domain", "k1", 3600).await.unwrap();
    assert_eq!(session.ticket.as_ref().unwrap().number, "0004711", "what was claimed stays");
    assert_eq!(world.last("activation.requested").await.details["ticket_told"]["number"], "4711");
    let noted = async |world: &World| world.psa.notes.lock().unwrap().len() == 1;
    world.until("its note", || {}, noted).await;
    world.psa.tell(Ok(Ticket { closed: true, ..right() }));
    let told = async |world: &World| world.session(&session).await.end_cause.is_some();
    world.until("the session to be shortened", || world.clock.pass(10), told).await;
    assert!(world.psa.asked.lock().unwrap().iter().all(|number| number == "4711"));
    assert_eq!(world.psa.polled.lock().unwrap()[0], ["4711"]);
}

#[tokio::test]
async fn an_answer_about_another_ticket_is_refused_with_zeros_too() {
    for told in ["47110", "711", "14711"] {
        let world = halo().await;
        world.psa.tell(Ok(Ticket { number: told.into(), ..right() }));
        let refused = world.wish_for("", "0004711", "domain", "k1", 3600).await.unwrap_err();
        assert_eq!(refused.code, Code::TicketUnverified, "{told}");
    }
}
