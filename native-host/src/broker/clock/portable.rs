//! Other systems: short sleeps, so that a suspension or a set clock is noticed within seconds.

use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;

use super::{Reading, SystemTime};

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl SystemTime for System {
    fn read(&self) -> Reading {
        Reading { wall: Utc::now(), boot: since_boot() }
    }

    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time.min(Duration::from_secs(5))).await;
    }
}

/// Windows counts suspended time, in steps of 16 milliseconds, by which this clock may be ahead of the wall clock.
#[cfg(windows)]
fn since_boot() -> Duration {
    ticketgate_windows::since_boot()
}

/// The standard library's, which may not count suspension; the wall clock then covers for it.
#[cfg(not(windows))]
fn since_boot() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}
