//! The fuzzer's binary: libFuzzer, working on the target that `TICKETGATE_FUZZ` names. `cargo xtask fuzz` starts it.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls in by unmangled names")]
#![allow(clippy::print_stderr, reason = "whoever starts it reads this")]

use std::sync::OnceLock;

use ticketgate_fuzz::{Counting, Target, target};

#[global_allocator]
static MEMORY: Counting = Counting;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: begin(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        target.check(data);
    }
});

fn begin() {
    let name = std::env::var("TICKETGATE_FUZZ").unwrap_or_default();
    let Some(target) = target(&name) else {
        eprintln!("TICKETGATE_FUZZ names no target: {name:?}");
        std::process::exit(2);
    };
    let _ = TARGET.set(target);
    // libFuzzer's own hook ends the process at every panic, also one that the product catches. One that nobody catches
    // ends it all the same, when it reaches libFuzzer.
    let _ = std::panic::take_hook();
    ticketgate_fuzz::quieten();
}
