//! What brokers on one database tell each other: by LISTEN and NOTIFY where the database has them, and by a look every second in
//! any case. NOTIFY is sent after the commit and from a connection of its own: inside the transaction it would make all of
//! them wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use ticketgate_protocol::ids::TechnicianId;
use tokio::sync::{Notify, broadcast};
use tokio::time::MissedTickBehavior;
use tokio_postgres::{AsyncMessage, Client};

use super::commit::Told;
use super::failure;
use super::link::{Link, Messages};
use crate::Heard;

/// What is kept for a listener that is slow.
const BACKLOG: usize = 1_024;

/// How often it is looked, and how long it takes at most that a new connection is tried.
const LOOK: Duration = Duration::from_secs(1);

/// What is told together: each time costs the server a transaction, and a look at it in every listener.
const GATHERED: Duration = Duration::from_millis(10);

/// Changes of technicians' sessions in the last so many seconds are looked at: no transaction takes longer.
const CHANGED: &str = "SELECT technician, last_event FROM technicians
     WHERE last_event > 0 AND moved > clock_timestamp() - interval '20 seconds'";

const CHANNEL: &str = "ticketgate";
const DUE: &str = "due";

/// What is to be told, and to whom it is told here.
pub(super) struct Hearing {
    told: Mutex<Told>,
    wake: Notify,
    heard: broadcast::Sender<Heard>,
}

impl Hearing {
    pub(super) fn new() -> Self {
        Self { told: Mutex::default(), wake: Notify::new(), heard: broadcast::Sender::new(BACKLOG) }
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// Tells the others, soon.
    pub(super) fn tell(&self, told: Told) {
        let mut waiting = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.technicians.extend(told.technicians);
        waiting.due |= told.due;
        drop(waiting);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<String> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let technicians = told.technicians.iter().map(|technician| format!("technician {technician}"));
        technicians.chain(told.due.then(|| DUE.to_owned())).collect()
    }

    fn say(&self, heard: Heard) {
        // An error means that nobody listens.
        let _ = self.heard.send(heard);
    }
}

/// Listens, looks and tells until it is aborted.
pub(super) async fn run(link: Arc<Link>, hearing: Arc<Hearing>) {
    let mut seen = BTreeMap::new();
    loop {
        match link.alone().await {
            Ok((client, messages)) => {
                link.goes(None);
                // Whatever was said before is not heard any more.
                hearing.say(Heard::Gap);
                if let Err(error) = follow(&client, messages, &hearing, &mut seen).await {
                    tracing::debug!(%error, "the connection that listens is gone");
                }
            }
            Err(error) => {
                let why = failure::no_connection(&error);
                tracing::debug!(why, "the ledger's database cannot be listened to");
                link.goes(Some(why));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn follow(
    client: &Client,
    mut messages: Messages,
    hearing: &Hearing,
    seen: &mut BTreeMap<TechnicianId, i64>,
) -> Result<(), tokio_postgres::Error> {
    let (came, mut heard) = tokio::sync::mpsc::unbounded_channel();
    // The connection moves only while it is polled, also for the statements below.
    let connection = async move {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message? {
                let _ = came.send(notification.payload().to_owned());
            }
        }
        Ok(())
    };
    let work = async {
        let begin = "SET application_name = 'ticketgate listens'; SET synchronous_commit = off; SET statement_timeout = '5s'";
        client.batch_execute(begin).await?;
        // An engine without it is looked at all the same.
        if let Err(error) = client.batch_execute(&format!("LISTEN {CHANNEL}")).await {
            tracing::debug!(%error, "the ledger's database does not notify");
        }
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => look(client, hearing, seen).await?,
                () = hearing.wake.notified() => {
                    tokio::time::sleep(GATHERED).await;
                    let told = hearing.take();
                    let sql = format!("SELECT pg_notify('{CHANNEL}', told) FROM unnest($1::text[]) AS told");
                    if let Err(error) = client.query(&sql, &[&told]).await {
                        if error.is_closed() {
                            return Err(error);
                        }
                        tracing::debug!(%error, "others are not told");
                    }
                }
                payload = heard.recv() => {
                    let Some(payload) = payload else { return Ok(()) };
                    hear(&payload, hearing);
                }
            }
        }
    };
    tokio::select! {
        ended = connection => ended,
        ended = work => ended,
    }
}

fn hear(payload: &str, hearing: &Hearing) {
    match payload.strip_prefix("technician ") {
        Some(technician) => {
            if let Ok(technician) = TechnicianId::new(technician) {
                hearing.say(Heard::Technician(technician));
            }
        }
        None if payload == DUE => hearing.say(Heard::Due),
        None => {}
    }
}

/// Finds what was told to nobody: by a broker that died right after its commit, or where nothing can be told.
async fn look(
    client: &Client,
    hearing: &Hearing,
    seen: &mut BTreeMap<TechnicianId, i64>,
) -> Result<(), tokio_postgres::Error> {
    let rows = client.query(CHANGED, &[]).await?;
    let mut changed = BTreeSet::new();
    for row in &rows {
        let Ok(technician) = TechnicianId::new(row.try_get::<_, String>(0)?) else { continue };
        let last = row.try_get(1)?;
        if seen.insert(technician.clone(), last) != Some(last) {
            hearing.say(Heard::Technician(technician.clone()));
        }
        changed.insert(technician);
    }
    // What is remembered of those who do nothing is of no use.
    seen.retain(|technician, _| changed.contains(technician));
    Ok(())
}
