//! What a broker opens beside its local socket, as `[service]` of its configuration says when it starts.
//!
//! The table counts whatever else is wrong with the file. A file that cannot be read at all leaves in force what the last start found: a
//! copy of the file from then lies in the state folder, where there was anything to open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ticketgate_access::config::{self, Service};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{https, monitoring};
use crate::broker::Broker;
use crate::broker::monitor::Part;
use crate::broker::start::this_process;
use crate::broker::traces::Sending;

/// The copy's name.
const KEPT: &str = "service.last-good.toml";

/// What is open.
pub(in crate::broker) struct Elsewhere {
    https: Option<JoinHandle<()>>,
    monitoring: Option<JoinHandle<()>>,
    traces: Option<Sending>,
    stopped: watch::Sender<bool>,
}

impl Elsewhere {
    /// Opens it. `told` turns true when the broker stops.
    pub(in crate::broker) fn open(
        file: &Path,
        state: &Path,
        broker: &Arc<Broker>,
        told: &watch::Receiver<bool>,
    ) -> Self {
        let service = settings(file, &state.join(KEPT), broker);
        broker.monitor.opened(&service);
        let (stopped, is_stopped) = watch::channel(false);
        let https = service.https.map(|https| {
            room_for_connections();
            let limits = https::Limits::default();
            tokio::spawn(https::serve(https, limits, Arc::clone(broker), told.clone()))
        });
        let traces = service
            .traces
            .and_then(|to| Sending::begin(&broker.monitor, to, this_process(), is_stopped.clone()));
        let monitoring =
            service.monitor.map(|at| tokio::spawn(monitoring::serve(at, Arc::clone(broker), is_stopped)));
        Self { https, monitoring, traces, stopped }
    }

    /// Waits until HTTPS has finished what it began.
    pub(in crate::broker) async fn finished(&mut self) {
        if let Some(https) = self.https.as_mut() {
            // What could go wrong there has been logged by the task itself.
            let _ = https.await;
        }
    }

    /// Closes the rest.
    pub(in crate::broker) async fn close(self) {
        let _ = self.stopped.send(true);
        if let Some(https) = self.https {
            https.abort();
        }
        if let Some(monitoring) = self.monitoring {
            let _ = monitoring.await;
        }
        if let Some(traces) = self.traces {
            traces.finished().await;
        }
    }
}

/// The file's table, or what the last start found.
fn settings(file: &Path, kept: &Path, broker: &Broker) -> Service {
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let found = read.and_then(|text| {
        let service = config::service(&text).map_err(|faults| faults.to_string())?;
        Ok((text, service))
    });
    match found {
        Ok((text, service)) => {
            if let Err(error) = keep(kept, &text, &service) {
                tracing::warn!(%error, file = %kept.display(), "what [service] says could not be kept for a start without it");
            }
            service
        }
        Err(why) => {
            let first = why.lines().next().unwrap_or_default().to_owned();
            let before = std::fs::read_to_string(kept).ok().and_then(|text| config::service(&text).ok());
            if let Some(before) = before {
                let text = format!(
                    "[service] cannot be read, so it is as at the last start: {first}. Restart the broker once it is mended"
                );
                broker.monitor.broken(Part::Service, &text);
                return before;
            }
            // Of a machine of one person there is nothing to say: the file's faults are told anyway.
            Service::default()
        }
    }
}

/// Keeps the file for a start at which it cannot be read, where it opens anything.
fn keep(kept: &Path, text: &str, service: &Service) -> std::io::Result<()> {
    if *service == Service::default() {
        return match std::fs::remove_file(kept) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    if std::fs::read_to_string(kept).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let new: PathBuf = kept.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, kept)
}

/// Each connection is a descriptor: a process begins with fewer than it may have.
fn room_for_connections() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        if limit.current == limit.maximum {
            return;
        }
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
            tracing::warn!(%error, "the number of connections is bounded by the limit of descriptors");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENS: &str = "[service]\nmonitor = \"127.0.0.1:1\"\n";

    #[tokio::test]
    async fn a_file_that_cannot_be_read_leaves_in_force_what_the_last_start_found() {
        let world = crate::broker::tests::World::new().await;
        let folder = tempfile::tempdir().unwrap();
        let (file, kept) = (folder.path().join("ticketgate.toml"), folder.path().join(KEPT));
        let settings = || settings(&file, &kept, &world.broker);
        std::fs::write(&file, "[broker]\n").unwrap();
        assert_eq!(settings(), Service::default());
        assert!(!kept.exists(), "one machine gets no new file");
        std::fs::write(&file, OPENS).unwrap();
        let opened = settings();
        assert!(opened.monitor.is_some());
        for bad in ["[service", "[service]\nmonitor = 1\n"] {
            std::fs::write(&file, bad).unwrap();
            assert_eq!(settings(), opened);
            let notices = world.broker.monitor.notices();
            assert!(notices.iter().any(|n| n.text.contains("as at the last start")), "{notices:?}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(settings(), opened);
        std::fs::write(&file, "[broker]\n").unwrap();
        assert_eq!(settings(), Service::default());
        assert!(!kept.exists(), "what is not opened any more is not opened by a later fault either");
    }
}
