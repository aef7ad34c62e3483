//! Clocks that a test moves: the operating system's, shifted by what stands in a file.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::broker::clock::{Reading, SystemTime};

/// How often a waiting broker looks whether its clocks were moved. The kernel would tell it at once (timerfd_create(2),
/// `TFD_TIMER_CANCEL_ON_SET`).
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A clock moved between two readings of the file, before the waiting began, is noticed after this at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The clocks of `T`, moved by what stands in the file, which is replaced as a whole: seconds of the wall clock, then seconds
/// since boot (those of a suspension). Without a file they are what they are.
pub(super) struct Moved<T> {
    pub(super) system: T,
    pub(super) file: Option<PathBuf>,
}

/// By how much the wall clock is moved, and how long the machine seemed to sleep.
type Shift = (TimeDelta, Duration);

impl<T> Moved<T> {
    /// A file that is not there yet moves nothing; one that cannot be read would let a test pass without its moves.
    fn shift(&self) -> Shift {
        let Some(text) = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) else {
            return Shift::default();
        };
        let mut numbers = text.split_whitespace().map(str::parse::<i64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(wall)), Some(Ok(slept))) => {
                (TimeDelta::seconds(wall), Duration::from_secs(slept.unsigned_abs()))
            }
            _ => {
                tracing::error!(text, "TICKETGATE_CLOCK");
                std::process::abort()
            }
        }
    }
}

#[async_trait]
impl<T: SystemTime> SystemTime for Moved<T> {
    fn read(&self) -> Reading {
        let (wall, slept) = self.shift();
        let now = self.system.read();
        Reading { wall: now.wall + wall, boot: now.boot + slept }
    }

    async fn wait(&self, time: Duration) {
        if self.file.is_none() {
            return self.system.wait(time).await;
        }
        let before = self.shift();
        let moved = async {
            while self.shift() == before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = self.system.wait(time.min(LONGEST_WAIT)) => {}
            () = moved => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use tokio::time::timeout;

    use super::*;

    struct Still;

    #[async_trait]
    impl SystemTime for Still {
        fn read(&self) -> Reading {
            Reading { wall: DateTime::<Utc>::UNIX_EPOCH, boot: Duration::ZERO }
        }

        async fn wait(&self, _: Duration) {
            std::future::pending::<()>().await;
        }
    }

    #[tokio::test]
    async fn the_clocks_are_moved_while_somebody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        let moved = Moved { system: Still, file: Some(file.clone()) };
        assert_eq!(moved.read(), Still.read());
        let waiting = moved.wait(Duration::from_secs(3600));
        tokio::pin!(waiting);
        assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err());
        let new = folder.path().join("new");
        std::fs::write(&new, "-90 30\n").unwrap();
        std::fs::rename(&new, &file).unwrap();
        timeout(Duration::from_secs(10), waiting).await.unwrap();
        let now = moved.read();
        assert_eq!((now.wall.timestamp(), now.boot.as_secs()), (-90, 30));
    }
}
