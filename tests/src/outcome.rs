//! How a test ends: a failure that is known before the world is taken down, so that browsers and servers can still
//! show and keep what they have to say about it.

use std::cell::Cell;
use std::fmt;

thread_local! {
    static FAILED: Cell<bool> = const { Cell::new(false) };
}

/// What a test function answers.
pub type Outcome = Result<(), Failure>;

/// Any error, on its way out of a test. `?` makes it while everything that the test started is still there.
pub struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        FAILED.set(true);
        Self(error.into())
    }
}

/// As the test runner prints it: the error, then what led to it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether the test on this thread is failing.
pub(crate) fn failing() -> bool {
    std::thread::panicking() || FAILED.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Folder;
    use std::path::PathBuf;

    /// A test of its own thread, as the test runner has it; answers where its folder was.
    fn folder_of(test: fn(&Folder) -> Outcome) -> PathBuf {
        let run = move || {
            let folder = Folder::new("outcome").unwrap();
            (folder.path().to_path_buf(), test(&folder).is_ok())
        };
        std::thread::spawn(run).join().unwrap().0
    }

    #[test]
    fn a_folder_stays_when_its_test_fails_and_goes_when_it_passes() {
        let passed = folder_of(|folder| Ok(folder.write("log", "fine").map(drop)?));
        assert!(!passed.exists());
        let failed = folder_of(|_| Ok(std::fs::read("/nowhere/at/all").map(drop)?));
        assert!(failed.exists());
        std::fs::remove_dir_all(&failed).unwrap();
        std::fs::remove_file(failed.with_extension("lock")).unwrap();
    }
}
