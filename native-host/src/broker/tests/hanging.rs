//! A ticket system that does not answer, beside one that does: no work for the one waits for the other.

use ticketgate_protocol::ids::PsaId;
use ticketgate_psa::Ticket;

use super::tickets::{asking, right, world};
use super::*;

/// Its name comes first, so whoever asks one system after the other waits for this one.
const HANGING: &str = "[[psa]]\nid = \"hanging\"\nkind = \"syncro\"\nurl = \"https://acme.syncromsp.com\"\nsecret = { env = \"SYNCRO\" }\n";

/// A world with a second ticket system, which answers until it is held.
async fn two_systems(rule: &str) -> (World, Arc<Scripted>) {
    let world = world(rule).await;
    let hanging = Arc::<Scripted>::default();
    world.psa.others.lock().unwrap().insert(PsaId::new("hanging").unwrap(), Arc::clone(&hanging));
    world.broker.load_settings(&[asking(rule).as_str(), HANGING].join("\n")).await.unwrap();
    (world, hanging)
}

#[tokio::test]
async fn a_closed_ticket_ends_its_session_while_another_system_hangs() {
    let (world, hanging) = two_systems("verified = \"always\", end_when_closed = true").await;
    world.run();
    tokio::spawn(Arc::clone(&world.broker).run_closing());
    world.wish_for("syncro", "4711", "servers", "k1", 3600).await.unwrap();
    let session = world.wish_for("request-tracker", "4711", "domain", "k2", 3600).await.unwrap();
    hanging.held.send_replace(true);
    let asked = async |_: &World| !hanging.polled.lock().unwrap().is_empty();
    world.until("the hanging one to be asked", || world.clock.pass(10), asked).await;
    world.psa.tell(Ok(Ticket { closed: true, status: "resolved".into(), ..right() }));
    let told = async |world: &World| world.session(&session).await.end_cause.is_some();
    world.until("the session to be shortened", || world.clock.pass(10), told).await;
    assert_eq!(world.session(&session).await.end_cause, Some(EndCause::TicketClosed));
    assert_eq!(hanging.polled.lock().unwrap().len(), 1, "it is not asked again before it has answered");
}

#[tokio::test]
async fn a_session_is_noted_while_another_system_hangs() {
    let (world, hanging) = two_systems("verified = false").await;
    tokio::spawn(Arc::clone(&world.broker).run_deliveries());
    hanging.held.send_replace(true);
    world.wish_for("syncro", "4711", "servers", "k1", 3600).await.unwrap();
    world.until("the hanging one to be asked", || {}, async |_| hanging.asked() == 1).await;
    let session = world.wish_for("request-tracker", "4711", "domain", "k2", 3600).await.unwrap();
    let notes = |world: &World| world.psa.notes.lock().unwrap().len();
    world.until("its start to be noted", || {}, async |world| notes(world) == 1).await;
    world.end(&session, "k3").await;
    world.until("its end to be noted", || {}, async |world| notes(world) == 2).await;
    assert_eq!((hanging.asked(), hanging.notes.lock().unwrap().len()), (1, 0));
    // What hung is delivered once it answers.
    hanging.held.send_replace(false);
    let empty = async |world: &World| world.ledger.note_queues().await.unwrap().is_empty();
    world.until("nothing to wait", || {}, empty).await;
    assert_eq!(hanging.notes.lock().unwrap().len(), 1);
}
