//! Which server took the last write: the others get it by replication, and until then show what was before it. It is known
//! to the next process too, by a small file; a loss of the file costs nothing where servers have caught up.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The server that took the last write is kept for so long. Within a site replication takes seconds, between sites an hour as
/// a rule.
pub(super) const STAY: Duration = Duration::from_secs(3600);

/// While the same server takes the writes the file is written anew this often: so much of the hour can be lost.
const NOTE_EVERY: Duration = Duration::from_secs(300);

/// Which server took the last write, and when. Every connection of a directory shares it.
#[derive(Debug, Default)]
pub(crate) struct LastWrite {
    /// The servers as configured, and where the file is; nothing is kept where there is no choice.
    file: Option<(Vec<String>, PathBuf)>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    write: Option<(usize, Instant)>,
    noted: Option<(usize, Instant)>,
}

impl LastWrite {
    /// What an earlier process left in the file.
    pub(crate) fn remembered(servers: &[String], path: &Path) -> Self {
        if servers.len() < 2 {
            return Self::default();
        }
        let now = Instant::now();
        let write = fs::read_to_string(path).ok().and_then(|url| {
            let server = servers.iter().position(|server| server == url.trim())?;
            // A time in the future is that of a clock that was wrong: the server is kept for the whole hour then.
            let age = fs::metadata(path).and_then(|meta| meta.modified()).ok()?.elapsed().unwrap_or_default();
            Some((server, now.checked_sub(age).filter(|_| age < STAY)?))
        });
        let last = Mutex::new(Last { write, noted: write });
        Self { file: Some((servers.to_vec(), path.to_owned())), last }
    }

    /// A write goes to this server now.
    pub(crate) fn goes_to(&self, server: usize, now: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.write = Some((server, now));
        let Some((servers, path)) = &self.file else { return };
        if last.noted.is_some_and(|(noted, at)| noted == server && now.duration_since(at) < NOTE_EVERY) {
            return;
        }
        last.noted = Some((server, now));
        // Before the write itself: whoever comes after a crash has to ask the server that took it.
        if let Some(url) = servers.get(server)
            && let Err(error) = note(path, url)
        {
            tracing::warn!(path = %path.display(), %error, "which server takes the writes could not be noted for the next start");
        }
    }

    /// The server that the others may still be behind.
    pub(super) fn ahead(&self, now: Instant) -> Option<usize> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.write.filter(|(_, at)| now.duration_since(*at) < STAY).map(|(server, _)| server)
    }
}

/// Written beside and renamed: the file is whole or the one before. When it was written is its age.
fn note(path: &Path, url: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    writeln!(file, "{url}")?;
    file.set_modified(SystemTime::now())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: [&str; 2] = ["ldaps://dc1.acme.example", "ldaps://dc2.acme.example"];

    fn servers() -> Vec<String> {
        SERVERS.map(str::to_owned).to_vec()
    }

    #[test]
    fn each_write_renews_how_long_its_server_is_kept() {
        let (wrote, start) = (LastWrite::default(), Instant::now());
        assert_eq!(wrote.ahead(start), None);
        wrote.goes_to(1, start);
        let second = start + STAY - Duration::from_secs(1);
        wrote.goes_to(1, second);
        assert_eq!(wrote.ahead(second + STAY - Duration::from_secs(1)), Some(1));
        assert_eq!(wrote.ahead(second + STAY), None);
        wrote.goes_to(0, second);
        assert_eq!(wrote.ahead(second), Some(0));
    }

    #[test]
    fn the_next_process_knows_the_server_for_the_rest_of_the_hour_and_not_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme-ad.last-write");
        assert_eq!(LastWrite::remembered(&servers(), &path).ahead(Instant::now()), None);
        LastWrite::remembered(&servers(), &path).goes_to(1, Instant::now());
        assert_eq!(LastWrite::remembered(&servers(), &path).ahead(Instant::now()), Some(1));
        let swapped = [SERVERS[1].to_owned(), SERVERS[0].to_owned()];
        assert_eq!(
            LastWrite::remembered(&swapped, &path).ahead(Instant::now()),
            Some(0),
            "by name, not by place"
        );
        let gone = [SERVERS[0].to_owned(), "ldaps://dc3.acme.example".to_owned()];
        assert_eq!(LastWrite::remembered(&gone, &path).ahead(Instant::now()), None);
        File::open(&path).unwrap().set_modified(SystemTime::now() - STAY).unwrap();
        assert_eq!(LastWrite::remembered(&servers(), &path).ahead(Instant::now()), None);
        File::open(&path).unwrap().set_modified(SystemTime::now() + STAY).unwrap();
        assert_eq!(LastWrite::remembered(&servers(), &path).ahead(Instant::now()), Some(1));
    }

    #[test]
    fn where_there_is_one_server_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme-ad.last-write");
        LastWrite::remembered(&servers()[..1], &path).goes_to(0, Instant::now());
        assert!(!path.exists());
    }
}
