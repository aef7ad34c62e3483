//! Ctrl-C, SIGTERM and a closed terminal, for a program that has a world to take down: the first makes every wait stop
//! with an error, so that everything is dropped in order; the second ends the process where it is.

use crate::Result;
use anyhow::bail;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

static ASKED: AtomicBool = AtomicBool::new(false);

/// What a shell takes for "ended by Ctrl-C".
const CODE: u8 = 130;

/// From now on signals are heard. Without this call they end the process, as in a test.
///
/// # Errors
/// The operating system lets nobody listen.
pub fn listen() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    drop(inside);
    let hear = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                if ASKED.swap(true, Ordering::Relaxed) {
                    // What runs on leashes goes with us.
                    std::process::exit(CODE.into());
                }
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(hear)?;
    Ok(())
}

/// Whether somebody asked for the end.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Whether something failed because somebody asked for the end. A terminal's Ctrl-C ends the programs of the moment, too,
/// and the failure of one of them may be here before the signal was heard.
pub fn explains_failure() -> bool {
    for _ in 0..20 {
        if asked() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// The exit code of a program that was asked to end.
pub fn exit_code() -> ExitCode {
    ExitCode::from(CODE)
}

/// An error once somebody asked for the end.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("interrupted");
    }
    Ok(())
}
