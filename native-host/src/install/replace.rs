//! Writes a file whole or not at all: beside it, flushed, renamed over it, and the folder flushed. Who may read it is said
//! by the caller, whatever the umask is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::platform::{Here, Platform};

/// For whom a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Its owner alone.
    Owner,
    /// Everybody on this machine: the browser of each user reads the machine's manifest.
    Everyone,
}

/// Writes `text` to `path` and makes missing folders. Answers the folders that it made, outermost first.
pub(super) fn write(path: &Path, text: &str, readers: Readers) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let made = make_folders(folder, readers)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let outcome = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        open_to(&beside, readers, false)?;
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

/// Makes what is missing of a folder, outermost first, and answers what it made.
fn make_folders(folder: &Path, readers: Readers) -> io::Result<Vec<PathBuf>> {
    let mut missing: Vec<PathBuf> =
        folder.ancestors().take_while(|f| !f.exists()).map(Path::to_owned).collect();
    missing.reverse();
    for folder in &missing {
        match readers {
            Readers::Owner => Here::make_private_folder(folder)?,
            Readers::Everyone => make_closed_folder(folder)?,
        }
        open_to(folder, readers, true)?;
    }
    Ok(missing)
}

fn make_closed_folder(folder: &Path) -> io::Result<()> {
    let builder = fs::DirBuilder::new();
    #[cfg(unix)]
    let builder = {
        let mut closed = builder;
        std::os::unix::fs::DirBuilderExt::mode(&mut closed, 0o700);
        closed
    };
    builder.create(folder)
}

/// What is made is closed first and then opened, so that an umask takes nothing from it.
#[cfg(unix)]
fn open_to(path: &Path, readers: Readers, folder: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = match (readers, folder) {
        (Readers::Owner, true) => 0o700,
        (Readers::Owner, false) => 0o600,
        (Readers::Everyone, true) => 0o755,
        (Readers::Everyone, false) => 0o644,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// On Windows a file takes its folder's access list, which is right for both.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "Unix can fail")]
fn open_to(_: &Path, _: Readers, _: bool) -> io::Result<()> {
    Ok(())
}

/// Makes a rename or removal durable. Windows has no such call.
pub(super) fn flush_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
