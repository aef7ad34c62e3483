//! Linux: boot time that counts suspension, and timers that fire when the wall clock is set (timerfd_create(2)).

use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::{Reading, SystemTime};

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl SystemTime for System {
    fn read(&self) -> Reading {
        let boot = clock_gettime(ClockId::Boottime);
        let boot =
            Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), u32::try_from(boot.tv_nsec).unwrap_or(0));
        Reading { wall: Utc::now(), boot }
    }

    async fn wait(&self, time: Duration) {
        let (Ok(boot), Ok(wall)) = (boot_timer(time), wall_timer(Utc::now() + time)) else {
            // No timers to be had (out of descriptors): short sleeps notice a suspension or a set clock soon enough.
            tokio::time::sleep(time.min(Duration::from_secs(5))).await;
            return;
        };
        tokio::select! {
            _ = boot.readable() => {}
            _ = wall.readable() => {}
        }
    }
}

/// Fires when `time` has passed, suspension included.
fn boot_timer(time: Duration) -> std::io::Result<AsyncFd<OwnedFd>> {
    // A timer of zero is a timer that is off.
    timer(TimerfdClockId::Boottime, TimerfdTimerFlags::empty(), timespec(time.max(Duration::from_nanos(1))))
}

/// Fires at this wall time, or at once when the wall clock is set.
fn wall_timer(at: DateTime<Utc>) -> std::io::Result<AsyncFd<OwnedFd>> {
    let since_epoch = Duration::from_millis(u64::try_from(at.timestamp_millis()).unwrap_or(1).max(1));
    timer(
        TimerfdClockId::Realtime,
        TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
        timespec(since_epoch),
    )
}

fn timer(
    clock: TimerfdClockId,
    flags: TimerfdTimerFlags,
    value: Timespec,
) -> std::io::Result<AsyncFd<OwnedFd>> {
    let fd = timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    timerfd_settime(&fd, flags, &Itimerspec { it_interval: zero, it_value: value })?;
    #[allow(deprecated, reason = "deprecated for types whose descriptor can change; an OwnedFd's cannot")]
    AsyncFd::new(fd)
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
