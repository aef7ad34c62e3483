//! The way to a broker on Windows: its named pipe, when it is one that may be believed.

use std::io;
use std::path::Path;
use std::time::Duration;

use ticketgate_windows::account::own_sid;
use ticketgate_windows::{pipe, pipe_rights};
use tokio::net::windows::named_pipe::NamedPipeClient;
use tokio::time::{Instant, sleep};

use crate::platform::Distrust;

/// How long a free instance of the pipe is waited for; the broker makes one as soon as the last is taken.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(5);

/// Connects. Whose pipe it is, is asked of the connection that will be used.
pub(super) async fn connect(name: &Path) -> io::Result<NamedPipeClient> {
    let end = Instant::now() + PATIENCE;
    let (client, owner) = loop {
        match pipe::connect(name) {
            Err(error) if pipe::is_busy(&error) && Instant::now() < end => sleep(BETWEEN).await,
            made => break made?,
        }
    };
    if pipe_rights::is_trusted(&owner, &own_sid()?) {
        return Ok(client);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, Distrust::ForeignOwner { owner }))
}
