//! Plays a plan of faults on a site, and watches over its processes as a supervisor does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ticketgate_tests::hosts::Wire;
use ticketgate_tests::leash::Exit;
use ticketgate_tests::postgres::Pair;
use ticketgate_tests::team::broker::Broker;

use crate::plan::{Event, Fault};
use crate::weather::Weather;

/// Between two looks whether a broker still runs.
const SUPERVISION: Duration = Duration::from_millis(200);
/// Tries to make a standby while cuts come and go.
const STANDBY_TRIES: usize = 6;
/// So much of a log is shown where a broker ended by itself.
const LINES: usize = 6;

/// What faults befall.
pub(crate) struct Field<'a> {
    pub(crate) brokers: Vec<Mutex<&'a mut Broker>>,
    pub(crate) db: Mutex<&'a mut Pair>,
    pub(crate) wire: &'a Wire,
    pub(crate) weather: Weather,
    /// One fault of a broker at a time, and one of the database.
    turns: Vec<Mutex<()>>,
    database_turn: Mutex<()>,
    cuts: Mutex<BTreeMap<(&'static str, &'static str), usize>>,
    /// Brokers that ended without being told to: how, with the end of the log.
    pub(crate) ended: Mutex<Vec<String>>,
    /// Ends that no broker may have: by a signal, by a panic.
    pub(crate) crashes: Mutex<Vec<String>>,
}

/// A lock that a panicking test left is one all the same.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Field<'a> {
    pub(crate) fn new(brokers: &'a mut [Broker], db: &'a mut Pair, wire: &'a Wire) -> Self {
        Self {
            turns: brokers.iter().map(|_| Mutex::new(())).collect(),
            brokers: brokers.iter_mut().map(Mutex::new).collect(),
            db: Mutex::new(db),
            wire,
            weather: Weather::default(),
            database_turn: Mutex::new(()),
            cuts: Mutex::default(),
            ended: Mutex::default(),
            crashes: Mutex::default(),
        }
    }

    /// Plays a plan from now on, and returns when all of it is over and every broker runs.
    ///
    /// # Errors
    /// A fault could not be played, which is no finding but leaves nothing to be found.
    pub(crate) fn plays(&self, plan: &[Event], show: impl Fn(&Event) + Sync) -> Result<()> {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let mut all = Vec::new();
            for event in plan {
                std::thread::sleep(event.at.saturating_sub(began.elapsed()));
                show(event);
                all.push(scope.spawn(move || self.play(event).with_context(|| format!("{event:?}"))));
            }
            all.into_iter()
                .try_for_each(|one| one.join().unwrap_or_else(|_| anyhow::bail!("a fault's thread panicked")))
        })?;
        self.wire.mend_all()
    }

    fn play(&self, event: &Event) -> Result<()> {
        let turn = match event.fault {
            Fault::Kill(broker) | Fault::Stop(broker) | Fault::Pause(broker) | Fault::Clock(broker, _) => {
                Some(locked(self.turns.get(broker).context("no such broker")?))
            }
            fault if fault.is_of_database() => Some(locked(&self.database_turn)),
            _ => None,
        };
        let number = self.weather.begins(event.fault);
        let played = self.befalls(event);
        self.weather.ends(number);
        drop(turn);
        played
    }

    fn befalls(&self, event: &Event) -> Result<()> {
        let wait = || std::thread::sleep(event.lasts);
        let broker = |number: usize| {
            Ok::<_, anyhow::Error>(locked(self.brokers.get(number).context("no such broker")?))
        };
        match event.fault {
            Fault::Kill(number) => {
                broker(number)?.kill()?;
                wait();
                broker(number)?.start()
            }
            Fault::Stop(number) => {
                broker(number)?.takes_signals();
                let how = broker(number)?.stop()?;
                if !matches!(how, None | Some(Exit::Code(0))) {
                    let log = last_lines(&broker(number)?.log());
                    locked(&self.crashes)
                        .push(format!("asked to end, broker {number} ended with {how:?}: {log}"));
                }
                wait();
                broker(number)?.start()
            }
            Fault::Pause(number) => {
                // One that has just ended by itself cannot be stopped.
                let paused = broker(number)?.pause(true);
                wait();
                if paused.is_ok() { broker(number)?.pause(false) } else { Ok(()) }
            }
            Fault::Clock(number, seconds) => {
                broker(number)?.set_clock(seconds)?;
                wait();
                broker(number)?.set_clock(0)
            }
            Fault::Cut(one, other) => {
                self.cut(one, other, true)?;
                wait();
                self.cut(one, other, false)
            }
            Fault::Restart(how) => {
                locked(&self.db).restart(how)?;
                self.standby_is_there()
            }
            Fault::FailOver => {
                locked(&self.db).fail_over()?;
                wait();
                self.renews_standby()
            }
            Fault::FullDisk => {
                locked(&self.db).primary().fill_disk()?;
                wait();
                locked(&self.db).primary_mut().make_room()?;
                self.standby_is_there()
            }
        }
    }

    /// Cuts of one pair may overlap: the wire is whole again after the last.
    fn cut(&self, one: &'static str, other: &'static str, cut: bool) -> Result<()> {
        let mut cuts = locked(&self.cuts);
        let count = cuts.entry((one, other)).or_default();
        if cut {
            *count += 1;
            return if *count == 1 { self.wire.cut(one, other) } else { Ok(()) };
        }
        *count -= 1;
        if *count == 0 { self.wire.mend(one, other) } else { Ok(()) }
    }

    fn standby_is_there(&self) -> Result<()> {
        let lost = locked(&self.db).both_run().is_err();
        if lost { self.renews_standby() } else { Ok(()) }
    }

    fn renews_standby(&self) -> Result<()> {
        let mut last = Ok(());
        for _ in 0..STANDBY_TRIES {
            last = locked(&self.db).renew_standby();
            if last.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        last
    }

    /// Starts brokers again that end by themselves, until it is told that this is over.
    pub(crate) fn supervises(&self, over: &AtomicBool) -> Result<()> {
        while !over.load(Ordering::Relaxed) {
            for (number, broker) in self.brokers.iter().enumerate() {
                // Somebody is at it: it ends because it shall.
                let Ok(mut broker) = broker.try_lock() else { continue };
                let Some(exit) = broker.supervise()? else { continue };
                let said =
                    format!("broker {number} ended by itself ({exit:?}): {}", last_lines(&broker.log()));
                let crash = !matches!(exit, Exit::Code(code) if code != 101);
                locked(if crash { &self.crashes } else { &self.ended }).push(said);
            }
            std::thread::sleep(SUPERVISION);
        }
        Ok(())
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
