//! A broker whose database does not answer when it starts.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;
use ticketgate_tests::Outcome;
use ticketgate_tests::leash::{Exit, Leashed};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::binary;
use ticketgate_tests::world::Folder;

#[test]
fn a_broker_that_is_stopped_while_it_waits_for_its_database_ends_as_one_that_was_told_to() -> Outcome {
    let database = TcpListener::bind("127.0.0.1:0")?;
    database.set_nonblocking(true)?;
    let folder = Folder::new("starting")?;
    let ledger = format!("host=127.0.0.1 port={} user=ticketgate", database.local_addr()?.port());
    let config = folder.write("ticketgate.toml", format!("[ledger]\npostgres = \"{ledger}\"\n"))?;
    let mut command = Command::new(binary()?);
    command.arg("broker").arg("--config").arg(config).arg("--state").arg(folder.join("state"));
    command.arg("--socket").arg(folder.join("broker.sock"));
    let mut broker = Leashed::start(&command, &folder.join("log"))?;
    let mut asked = None;
    until("the broker to ask its database", LIMIT, || {
        asked = asked.take().or_else(|| database.accept().ok());
        Ok(asked.is_some())
    })?;
    broker.signal(Signal::TERM)?;
    assert_eq!(broker.wait(LIMIT)?, Exit::Code(0), "{}", broker.log());
    Ok(())
}
