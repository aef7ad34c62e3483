//! Writes a file whole or not at all: beside it, flushed, renamed over it, and the folder flushed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `text` to `path` and makes missing folders. Answers the folders that it made, outermost first.
pub(super) fn write(path: &Path, text: &str) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let made: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|f| !f.exists())
        .map(Path::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let outcome = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // The browser reads it as another process, system-wide also as another user.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, path)
    })();
    if outcome.is_err() {
        let _ = fs::remove_file(&beside);
    }
    outcome?;
    flush_folder(folder)?;
    Ok(made)
}

/// Makes a rename or removal durable. Windows has no such call.
pub(super) fn flush_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
