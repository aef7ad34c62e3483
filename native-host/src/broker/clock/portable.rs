//! Other systems: short sleeps, so that a suspension or a set clock is noticed within seconds.
//! Time since boot is the standard library's, which may not count suspension; the wall clock then covers for it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Utc;

use super::{Reading, SystemTime};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl SystemTime for System {
    fn read(&self) -> Reading {
        Reading { wall: Utc::now(), boot: START.elapsed() }
    }

    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time.min(Duration::from_secs(5))).await;
    }
}
