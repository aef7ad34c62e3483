//! How much memory an input takes: an allocator that counts, so that "bounded" is a number. Approximate while other threads work.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one hands everything to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted. A binary installs it with `#[global_allocator]`; without it nothing is counted.
pub struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed).wrapping_add(layout.size());
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `alloc` above, that is from the system's allocator with the same layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work` and answers by how many bytes memory grew at most while it ran.
pub(crate) fn most_during(work: impl FnOnce()) -> usize {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    work();
    MOST.load(Relaxed).saturating_sub(before)
}
