//! The disk below a folder fails: it is full, or takes no writes any more. A helper outside this process does it and undoes it
//! when this end of a pipe closes, also when the test is killed.

use crate::Result;
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A disk of its own, small, over a folder.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    _mounted: Held,
}

impl SmallDisk {
    /// Puts it over an empty folder; nothing where we may not.
    ///
    /// # Errors
    /// There is no shell.
    pub fn over(folder: &Path) -> Result<Option<Self>> {
        Self::for_user(folder, 16, "root")
    }

    /// The same for a server that runs as somebody else, with so many MiB.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn for_user(folder: &Path, mib: u32, user: &str) -> Result<Option<Self>> {
        // What is still open is no reason not to go.
        let held = Held::start(
            &format!("mount -t tmpfs -o size={mib}m,mode=700,uid=$(id -u {user}) tmpfs \"$1\""),
            "umount --lazy \"$1\"",
            &[folder],
        )?;
        Ok(held.map(|mounted| Self { folder: folder.to_path_buf(), _mounted: mounted }))
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// It cannot be written, for another reason than that.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        loop {
            match ballast.write(&[0; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("the disk cannot be filled"),
            }
        }
    }

    /// Makes room again.
    ///
    /// # Errors
    /// It was not filled.
    pub fn make_room(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

/// Files that take no writes, not even of those who have them open, as on a disk that went read-only.
#[derive(Debug)]
pub struct WriteProtected {
    _flagged: Held,
}

impl WriteProtected {
    /// Protects files; nothing where we may not, or their disk knows no such thing.
    ///
    /// # Errors
    /// There is no shell.
    pub fn files(files: &[&Path]) -> Result<Option<Self>> {
        let held = Held::start("chattr +i \"$@\"", "chattr -i \"$@\"", files)?;
        Ok(held.map(|flagged| Self { _flagged: flagged }))
    }
}

/// Something that was done, and is undone by whoever did it.
#[derive(Debug)]
struct Held(Child);

impl Held {
    /// Runs `done` with these arguments, and `undone` in the end; nothing where `done` fails.
    fn start(done: &str, undone: &str, arguments: &[&Path]) -> Result<Option<Self>> {
        // Ctrl-C is for the test; this one goes when the test is gone.
        let script = format!("trap '' INT TERM HUP; {{ {done}; }} && echo done && read -r _; {undone}");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script, "sh"]).args(arguments).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut held = Self(shell.spawn()?);
        let mut line = String::new();
        BufReader::new(held.0.stdout.take().context("no pipe")?).read_line(&mut line)?;
        match line.trim() {
            "done" => Ok(Some(held)),
            "" => Ok(None),
            other => bail!("the shell says {other:?}"),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
